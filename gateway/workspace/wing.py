"""The workspace as a wing: people, who may not be sent to, and an API to look them up.

Every process with workers follows whom nobody may send; the one that works for the
destination of this type also keeps the people.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway.admin.port import Mount
from gateway.config import Config
from gateway.mistakes import Mistakes
from gateway.outbound.contract import Destination
from gateway.outbound.kind import Kind
from gateway.outbound.suppressed import follow
from gateway.ports import Listening
from gateway.topics import SUPPRESSED, Declared
from gateway.wing import Shared
from gateway.workspace.kind import KIND
from gateway.workspace.settings import TYPE, Workspace, check, name_of

if TYPE_CHECKING:
    from gateway.workspace.room import Room


class WorkspaceWing:
    """``wing.Wing``: what a configuration says of people; nothing is opened."""

    def __init__(self, config: Config, settings: Workspace) -> None:
        self._config = config
        self.settings = settings
        self.kinds: Mapping[str, Kind[Any]] = {TYPE: KIND}
        kept = name_of(config) is not None
        self.topics = {SUPPRESSED: Declared(kept="newest")} if kept else {}

    def check(self) -> None:
        """Raise ConfigError for a workspace that cannot be."""
        check(self._config, self.settings)

    def open(self, shared: Shared) -> "OpenedWorkspace | None":
        """The block list for every worker, and the people's room where it is kept."""
        name = name_of(self._config)
        if name is None:
            return None
        room = None
        if shared.works_for(name):
            from gateway.workspace.room import Room  # noqa: PLC0415 -- costs start-up time

            room = Room(self._config.destinations[name], self.settings, shared)
        return OpenedWorkspace(shared, room)


class OpenedWorkspace:
    """``wing.Opened``: the block list, and the room if people are kept here."""

    def __init__(self, shared: Shared, room: "Room | None") -> None:
        self._shared = shared
        self._room = room

    @property
    def destinations(self) -> Mapping[str, Destination]:
        """Where the worker of the workspace applies its events."""
        return {} if self._room is None else {self._room.name: self._room.people}

    @property
    def mounts(self) -> Sequence[Mount]:
        """The look-up API."""
        return [] if self._room is None else [self._room.lookup.mount()]

    @property
    def ports(self) -> Sequence[Listening]:
        """None of its own."""
        return ()

    async def run(self, ready: Callable[[], None]) -> None:
        """Know who is suppressed, from before the first event to the end."""
        if self._room is not None:
            await self._room.tell()
        suppressed = self._shared.suppressed
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow(suppressed, self._shared.log, random.random))
            await suppressed.known.wait()
            ready()

    async def close(self) -> None:
        """Let go of the store."""
        if self._room is not None:
            await self._room.people.close()


def wing(config: Config, mistakes: Mistakes) -> WorkspaceWing:
    """The workspace of this configuration; what is wrong with its table is noted."""
    if TYPE in config.sections and name_of(config) is None:
        mistakes.doubt(f'{TYPE}: no destination has type = "{TYPE}", so nobody uses it')
    return WorkspaceWing(config, config.section(Workspace, "workspace", mistakes))
