"""Joins the parts: one store, the destination that writes it, the API that reads it."""

import asyncio
import contextlib
from functools import partial

from gateway import topics
from gateway.config import DestinationConfig
from gateway.errors import LogError
from gateway.outbound.gate import Gate
from gateway.outbound.suppressed import Suppressed
from gateway.wing import Shared
from gateway.workspace.destination import People
from gateway.workspace.lookup import Lookup
from gateway.workspace.publish import Publisher
from gateway.workspace.reread import reread
from gateway.workspace.settings import Workspace
from gateway.workspace.store import Store, StoreError, url_of

TELL_S = 5.0  # what the start waits for the store


class Room:
    """Everything of one process that keeps people; opens the store at first use."""

    def __init__(
        self, destination: DestinationConfig, settings: Workspace, shared: Shared
    ) -> None:
        self.name = destination.name
        self._log = shared.log
        self._store = Store(url_of(settings.url, shared.config.folder))
        self._publisher = Publisher(self._store, shared.log.append)
        kinds = shared.config.source_kinds
        self.people = People(self._store, self._publisher, settings, kinds)
        self.lookup = Lookup(
            self._store,
            log=shared.log,
            workspace=self.name,
            api_token=settings.api_token,
        )
        self._gate = Gate(
            destination,
            self.people.takes,
            source_kinds=kinds,
            suppressed=Suppressed(),
            tell=partial(shared.notices.post, self.name),
        )
        self.people.first(self._reread)

    async def tell(self) -> None:
        """Publish what a crash left untold, before anybody asks who is blocked.

        In bounded time: a store that is away is not waited for, it is told later.
        """
        with contextlib.suppress(StoreError, LogError, TimeoutError):
            async with asyncio.timeout(TELL_S):
                await self._publisher.publish()

    async def _reread(self) -> None:
        topic = topics.to(self.name)
        await reread(topic, self._log, self._store, self._gate, self.people)
