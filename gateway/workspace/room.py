"""The parts of the workspace, joined: one store, who writes it, who looks into it."""

import random
from collections.abc import Mapping

from gateway.config import Config, DestinationConfig, Workspace
from gateway.event import SourceKind
from gateway.log.contract import EventLog
from gateway.outbound.attempt import Gate
from gateway.outbound.suppressed import Suppressed
from gateway.workspace.destination import People
from gateway.workspace.lookup import Lookup
from gateway.workspace.publish import Publisher
from gateway.workspace.reread import reread
from gateway.workspace.store import Store, url_of


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
        publisher = Publisher(self._store, log.append)
        self.people = People(self._store, publisher, settings, source_kinds)
        self.lookup = Lookup(self._store, api_token=settings.api_token)
        self._gate = Gate(
            destination,
            self.people.traits,
            source_kinds=source_kinds,
            suppressed=Suppressed(),
        )

    async def reread(self) -> None:
        """Return when the store has all of its topic up to now; at once if paused."""
        if self._paused:
            return
        await reread(
            f"to.{self.name}",
            self._log,
            self._store,
            self._gate,
            self.people,
            random.random,
        )
