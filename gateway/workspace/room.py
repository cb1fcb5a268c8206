"""Joins the parts: one store, the destination that writes it, the API that reads it."""

import asyncio
import contextlib
from collections.abc import Mapping

from gateway import topics
from gateway.config import Config, DestinationConfig, Workspace
from gateway.errors import LogError
from gateway.event import SourceKind
from gateway.log.contract import EventLog
from gateway.outbound.attempt import Gate
from gateway.outbound.suppressed import Suppressed
from gateway.workspace.destination import People
from gateway.workspace.lookup import Lookup
from gateway.workspace.publish import Publisher
from gateway.workspace.reread import reread
from gateway.workspace.store import Store, StoreError, url_of

TELL_S = 5.0  # what the start waits for the store


class Room:
    """Everything of one process that keeps people; opens the store at first use."""

    def __init__(
        self,
        config: Config,
        destination: DestinationConfig,
        log: EventLog,
        source_kinds: Mapping[str, SourceKind],
    ) -> None:
        settings = config.workspace or Workspace()
        self.name = destination.name
        self._paused = destination.paused
        self._log = log
        self._store = Store(url_of(settings.url, config.folder))
        self._publisher = Publisher(self._store, log.append)
        self.people = People(self._store, self._publisher, settings, source_kinds)
        self.lookup = Lookup(self._store, api_token=settings.api_token)
        self._gate = Gate(
            destination,
            self.people.traits,
            source_kinds=source_kinds,
            suppressed=Suppressed(),
        )

        self.people.first(self._reread)

    async def tell(self) -> None:
        """Publish what a crash left untold, before anybody asks who is blocked.

        In bounded time: a store that is away is not waited for, it is told later.
        """
        with contextlib.suppress(StoreError, LogError, TimeoutError):
            async with asyncio.timeout(TELL_S):
                await self._publisher.publish()

    async def catch_up(self) -> None:
        """Fill a store that forgot, before the worker starts.

        A store or log that is away is left to the worker, whose breaker says so: it
        tries again before it applies its first event.
        """
        if not self._paused:
            with contextlib.suppress(StoreError, LogError):
                await self.people.catch_up()

    async def _reread(self) -> None:
        topic = topics.to(self.name)
        await reread(topic, self._log, self._store, self._gate, self.people)
