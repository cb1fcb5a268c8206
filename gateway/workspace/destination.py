"""The workspace as a destination: a batch is a transaction, then the blocks are told.

A store that is away opens the worker's breaker at once and the events stay pending. An
exception about one event's rows undoes the batch; the worker then sends its events one
by one and gives up the one at fault.
"""

from collections.abc import Mapping, Sequence

from gateway.config import Workspace
from gateway.errors import LogError
from gateway.event import SourceKind
from gateway.outbound.contract import Delivered, Delivery, Retry, Traits, Verdict
from gateway.outbound.destinations.workspace import TRAITS
from gateway.workspace.apply import Placed, apply
from gateway.workspace.publish import Publisher
from gateway.workspace.request import read
from gateway.workspace.store import Store, StoreError


class People:
    """Applies events to the store, many per transaction."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        settings: Workspace,
        source_kinds: Mapping[str, SourceKind],
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._settings = settings
        self._kinds = frozenset(settings.identifiers)
        self._source_kinds = source_kinds

    @property
    def traits(self) -> Traits:
        """In the order of the log, one batch at a time."""
        return TRAITS

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        """All are applied, now or before, or none is."""
        placed = [self._placed(delivery) for delivery in deliveries]
        try:
            async with self._store.writing() as connection:
                await apply(connection, placed, self._settings)
            await self._publisher.publish()
        except StoreError as error:
            return [Retry(f"store: {error}", away=True)] * len(deliveries)
        except LogError:
            return [Retry("log: suppressed not published")] * len(deliveries)
        return [Delivered()] * len(deliveries)

    def _placed(self, delivery: Delivery) -> Placed:
        event, place = delivery.event, delivery.place
        assert place is not None
        request = read(
            event,
            kinds=self._kinds,
            source_kind=self._source_kinds.get(event.source),
            replay=delivery.replay,
        )
        return Placed(request, *place)

    async def close(self) -> None:
        """Let go of the store."""
        await self._store.close()
