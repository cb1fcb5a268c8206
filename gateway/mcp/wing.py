"""Questions of agents as a wing: a path of the admin port."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.admin.port import Mount
from gateway.config import Config
from gateway.mcp.door import Door
from gateway.mistakes import Mistakes
from gateway.outbound.contract import Destination
from gateway.outbound.kind import Kind
from gateway.ports import Listening
from gateway.token import console_token
from gateway.topics import Declared
from gateway.wing import Opened, Shared, Wing


@dataclass(frozen=True, slots=True, kw_only=True)
class Mcp:
    """``[mcp]``: questions of agents at the admin port, behind the console's token."""

    enabled: bool = False


class McpWing:
    """What a configuration makes of it."""

    kinds: Mapping[str, Kind[Any]] = {}
    topics: Mapping[str, Declared] = {}

    def __init__(self, settings: Mcp) -> None:
        self.settings = settings

    def check(self) -> None:
        """Nothing of it can be wrong that its table does not say."""

    def open(self, shared: Shared) -> Opened | None:
        """The path, where it is switched on."""
        if not self.settings.enabled:
            return None
        return OpenedMcp(Door(console_token(shared.config).text))


class OpenedMcp:
    """``wing.Opened``: a path, and nothing that runs."""

    destinations: Mapping[str, Destination] = {}
    ports: Sequence[Listening] = ()

    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def mounts(self) -> Sequence[Mount]:
        """``/mcp``."""
        return [self._door.mount()]

    async def run(self, ready: Callable[[], None]) -> None:
        """Nothing goes on beside the questions."""
        ready()
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Let go of the thread."""
        self._door.close()


def wing(config: Config, mistakes: Mistakes) -> Wing:
    """The wing of this configuration."""
    return McpWing(config.section(Mcp, "mcp", mistakes))
