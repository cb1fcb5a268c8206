"""Segment's action destinations as a wing: it brings types, and no store of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.actions.kind import Kinds
from gateway.config import Config
from gateway.mistakes import Mistakes
from gateway.outbound.kind import Kind
from gateway.topics import Declared
from gateway.wing import Opened, Shared, Wing


@dataclass(frozen=True, slots=True)
class Table:
    """``[actions]``: nothing yet."""


class ActionsWing:
    """What a configuration makes of it."""

    def __init__(self, config: Config, mistakes: Mistakes) -> None:
        self.settings = config.section(Table, "actions", mistakes)
        self._kinds = Kinds(config.folder)
        self.kinds: Mapping[str, Kind[Any]] = self._kinds
        self.topics: Mapping[str, Declared] = {}

    def check(self) -> None:
        """Nothing of it can be wrong by itself."""

    def open(self, shared: Shared) -> Opened | None:
        """It has no part of its own: workers open its destinations."""
        del shared
        return None


def wing(config: Config, mistakes: Mistakes) -> Wing:
    """The wing of this configuration."""
    return ActionsWing(config, mistakes)
