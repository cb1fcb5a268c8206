"""The workspace as a destination: each batch of events is one transaction.

Afterwards the suppressions that the batch decided on are published.

A store that is away opens the worker's breaker at once and the events stay pending. An
exception about one event's rows undoes the batch; the worker then sends its events one
by one and gives up the one at fault.
"""

import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence

from gateway.errors import LogError
from gateway.event import SourceKind
from gateway.outbound.contract import Delivered, Delivery, Retry, Takes, Verdict
from gateway.workspace.apply import Placed, apply
from gateway.workspace.kind import TAKES
from gateway.workspace.publish import Publisher
from gateway.workspace.request import read
from gateway.workspace.settings import Workspace
from gateway.workspace.store import Store, StoreError
from gateway.workspace.turns import Turns

CatchUp = Callable[[], Coroutine[None, None, None]]


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
        self._unpublished = True  # what a crash left is told first
        self._catch_up: CatchUp | None = None

    @property
    def takes(self) -> Takes:
        """In the order of the log, one batch at a time."""
        return TAKES

    def first(self, catch_up: CatchUp) -> None:
        """Have this done, with success, before anything else is applied.

        It may deliver here itself; StoreError or LogError: not yet.
        """
        self._catch_up = catch_up

    async def catch_up(self) -> None:
        """Do what is to be done first, if it was not done yet."""
        catch_up, self._catch_up = self._catch_up, None
        if catch_up is None:
            return
        try:
            await catch_up()
        except BaseException:
            self._catch_up = catch_up
            raise

    async def begin(self) -> None:
        """Fill a store that forgot, before the worker's first event.

        A store or log that is away is left to the worker, whose breaker says so: it
        tries again before it applies its first event.
        """
        with contextlib.suppress(StoreError, LogError):
            await self.catch_up()

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        """All are applied, now or before, or none is."""
        try:
            await self.catch_up()
            await self._apply(deliveries)
        except StoreError as error:
            return [Retry(f"store: {error}", away=True)] * len(deliveries)
        except LogError as error:
            return [Retry(f"log: {error}")] * len(deliveries)
        return [Delivered()] * len(deliveries)

    async def _apply(self, deliveries: Sequence[Delivery]) -> None:
        placed, turns = list[Placed](), Turns()
        for delivery in deliveries:
            placed.append(self._placed(delivery))
            await turns.give()
        async with self._store.writing() as connection:
            if await apply(connection, placed, self._settings):
                self._unpublished = True
        if self._unpublished:
            await self._publisher.publish()
            self._unpublished = False

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
