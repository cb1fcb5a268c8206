"""What one configured action destination is, checked and ready to run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from gateway.event import EventType, Json


class Wants(Protocol):
    """Whether an action is to have an event."""

    def __call__(self, event: dict[str, Json]) -> bool:
        """True when it is."""
        ...

    def because(self, event: dict[str, Json]) -> str | None:
        """What says no, readable; None when nothing does."""
        ...


def nothing(event: Json) -> Json:
    """Where any events may share a batch."""
    del event


OWN = "="  # before a host of the operator's: it, and what is below it
OnInvalid = Literal["dead", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One action that a destination runs, for the events that its trigger lets in."""

    name: str
    """What outcomes and dead letters call it: the preset's name, or the action's."""
    slug: str
    wants: Wants
    types: frozenset[EventType]
    mapping: Mapping[str, Json]
    on_invalid: OnInvalid = "dead"
    batch: int | None = None
    """So many events one call may hold; None: each has its own."""
    per_item: bool = False
    """Whether the answer to a batch tells of each event."""
    alike: Callable[[Json], Json] = nothing
    """What must be equal in a batch: fields that the code reads of the first only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a sidecar and its judge need to know."""

    directory: str
    installation: Path
    tokens: Path | None = None
    """Where a refreshed access token is kept; None: beside the configuration."""
    prefix: tuple[str, ...] = ()
    """The command that takes the network from its process; nothing: it keeps it."""
    names: tuple[str, ...]
    """What ``integrations`` may call it, as mappings spell it."""
    settings: Mapping[str, Json] = field(repr=False)
    actions: tuple[Chosen, ...]
    refreshes: bool = False
    """Whether it can get itself a new access token."""
    oauth: Mapping[str, str] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    hosts: frozenset[str] = frozenset()
    """Where its requests go: the package's own for it, and what the settings say."""
