"""The console as a wing: a port, and the pages behind it.

A file opens it with a table ``[console]``; the built-in configuration has one. An
intake opens none: it has no workers to tell of.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway.admin.port import Mount
from gateway.config import Config, ConsoleConfig
from gateway.outbound.contract import Destination
from gateway.outbound.kind import Kind
from gateway.ports import Listening
from gateway.topics import Declared
from gateway.wing import Opened, Shared, Wing

if TYPE_CHECKING:
    from gateway.console.room import Room
    from gateway.mistakes import Mistakes

NAME = "console"


class ConsoleWing:
    """``wing.Wing``: what a configuration says of the console; nothing is opened."""

    kinds: Mapping[str, Kind[Any]] = {}
    topics: Mapping[str, Declared] = {}

    def __init__(self, config: Config) -> None:
        self.settings: ConsoleConfig = config.console
        self._wanted = NAME in config.sections and config.console.enabled

    def check(self) -> None:
        """Nothing of it can be wrong that its table does not say."""

    def open(self, shared: Shared) -> Opened | None:
        """The pages, where a table asks for them."""
        if not self._wanted:
            return None
        from gateway.console.room import Room  # noqa: PLC0415 -- costs start-up time

        return OpenedConsole(Room(shared))


class OpenedConsole:
    """``wing.Opened``: the console of one process."""

    destinations: Mapping[str, Destination] = {}
    mounts: Sequence[Mount] = ()

    def __init__(self, room: "Room") -> None:
        self._room = room

    @property
    def ports(self) -> Sequence[Listening]:
        """The console's own."""
        return [self._room.listening]

    async def run(self, ready: Callable[[], None]) -> None:
        """Remember the counters, feed the live page, run the replays asked for."""
        ready()
        await self._room.run()

    async def close(self) -> None:
        """Let go of what was opened to look."""
        await self._room.close()


def wing(config: Config, mistakes: "Mistakes") -> Wing:
    """The console of this configuration."""
    del mistakes
    return ConsoleWing(config)
