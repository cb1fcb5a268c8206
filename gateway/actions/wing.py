"""Segment's action destinations as a wing: it brings types, and no store of its own."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from gateway.actions import definitions
from gateway.actions.isolate import Isolate, refused
from gateway.actions.kind import PREFIX, Kinds
from gateway.config import Config, draft
from gateway.errors import ConfigError
from gateway.mistakes import Mistakes
from gateway.outbound.kind import Kind
from gateway.topics import Declared
from gateway.values import ENVIRONMENT
from gateway.wing import Opened, Shared, Wing


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``[actions]``: where Segment's action destinations are."""

    path: Path = definitions.ROOT
    tokens: Path = definitions.ROOT
    isolate: Isolate = "auto"


SHARED = (
    "actions.share: there is no such key: each destination has a process of its own, so"
    " that an event that ends one harms no other destination; an idle one is stopped"
)


class ActionsWing:
    """What a configuration makes of it."""

    def __init__(self, config: Config, mistakes: Mistakes) -> None:
        self.settings = table_of(config, mistakes)
        self._wanted = any(
            each.enabled and each.type.startswith(PREFIX)
            for each in config.destinations.values()
        )
        path, tokens, isolate = astuple(self.settings)
        self._kinds = Kinds(path, tokens, isolate)
        self.kinds: Mapping[str, Kind[Any]] = self._kinds
        self.topics: Mapping[str, Declared] = {}

    def check(self) -> None:
        """Raise ConfigError where processes are to have no network, and cannot."""
        why = refused(self.settings.isolate) if self._wanted else None
        if why is not None:
            raise ConfigError(why)

    def open(self, shared: Shared) -> Opened | None:
        """It has no part of its own: workers open its destinations."""
        del shared
        return None


def table_of(config: Config, mistakes: Mistakes) -> Table:
    """The section, its paths absolute."""
    given = config.sections.get("actions")
    if isinstance(given, dict) and "share" in given:
        mistakes.add(ConfigError(SHARED))
        rest = {key: each for key, each in given.items() if key != "share"}
        config = replace(config, sections={**config.sections, "actions": rest})
    table = config.section(Table, "actions", mistakes)
    path, tokens = config.folder / table.path, config.folder / table.tokens
    return replace(table, path=path, tokens=tokens)


def root_of(file: Path) -> Path:
    """``actions.path`` of a configuration that may be wrong elsewhere, or not there."""
    if not file.exists():
        return file.parent / definitions.ROOT
    read = draft(file)
    mistakes = Mistakes(read.config.text)
    path = table_of(read.config, mistakes).path
    mistakes.raise_any()
    if found := ENVIRONMENT.search(str(path)):
        text = f"actions.path: the environment variable {found[1]} is not set"
        raise ConfigError(f"{file}: {text}")
    return path


def wing(config: Config, mistakes: Mistakes) -> Wing:
    """The wing of this configuration."""
    return ActionsWing(config, mistakes)
