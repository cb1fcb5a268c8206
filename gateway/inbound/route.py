"""Event -> Route: which destinations get it, and why the others do not.

DESIGN 4.6, P050-P056. The worker's ``when`` filter is not asked here: it is judged
before every attempt, so that it can be changed and replayed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

import orjson

from gateway.config import DestinationConfig
from gateway.event import EVENT_TYPES, Event, EventType, Json
from gateway.integrations import names_of, wish
from gateway.notices import NAMES_MAX, OTHERS, Notice
from gateway.topics import to

Reason: TypeAlias = Literal[
    "disabled", "type", "integrations", "integrations_all", "cio_id"
]
ALL = "all"
# What SDKs call their own way here; it is neither on nor off.
SDK_NAMES = frozenset({"customer.io data pipelines", "segment.io"})
REMEMBERED_MAX = 1_000  # senders choose what they say: bounded
NO_NAMES: Mapping[str, Sequence[str]] = MappingProxyType({})
NAME_MAX = 100  # characters of a name that a sender chose, in a notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """``to`` in the configured order; ``no`` has every other destination's reason."""

    to: tuple[str, ...]
    no: Mapping[str, Reason]
    topics: tuple[str, ...] = field(init=False, compare=False)
    header: bytes = field(init=False, compare=False)
    """The decision as the archive's entry carries it."""

    def __post_init__(self) -> None:
        topics = tuple(map(to, self.to))
        object.__setattr__(self, "topics", topics)
        header = orjson.dumps({"to": self.to, "no": dict(self.no)})
        object.__setattr__(self, "header", header)


Decision: TypeAlias = tuple[Route, tuple[Notice, ...]]
Saying: TypeAlias = tuple[Json, ...]


class Routes:
    """The destinations as routing sees them; built once, read by every event.

    ``takes`` is the event types per destination: what it declares, less what its
    configuration leaves out. ``names`` is what its type lets it be called beside.
    """

    __slots__ = ("_known", "_names", "_remembered", "_usual")

    def __init__(
        self,
        destinations: Mapping[str, DestinationConfig],
        takes: Mapping[str, frozenset[EventType]],
        names: Mapping[str, Sequence[str]] = NO_NAMES,
    ) -> None:
        self._names = {
            name: names_of(name, each.type, each.display_name, names.get(name, ()))
            for name, each in destinations.items()
        }
        self._known = frozenset({ALL, *SDK_NAMES}).union(*self._names.values())
        self._remembered: dict[Saying, Decision] = {}
        self._usual: dict[str, Route] = {}
        for kind in EVENT_TYPES:
            no: dict[str, Reason] = {}
            for name, each in destinations.items():
                if not each.enabled:
                    no[name] = "disabled"
                elif kind not in takes[name]:
                    no[name] = "type"
            to = tuple(name for name in destinations if name not in no)
            self._usual[kind] = Route(to=to, no=no)

    def usual(self, kind: str) -> Route:
        """Where an event of this type goes when its sender says nothing."""
        return self._usual[kind]

    def remembered(self, saying: Saying) -> Decision | None:
        """What was decided for the same words before."""
        return self._remembered.get(saying)

    def remember(self, saying: Saying, decision: Decision) -> Decision:
        """Keep a decision: most senders say the same thing in every message."""
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[saying] = decision
        return decision

    def names(self, destination: str) -> frozenset[str]:
        """Every name of a destination, case folded."""
        return self._names[destination]

    def unknown(self, folded: Mapping[str, Json]) -> tuple[Notice, ...]:
        """A notice for each name that is nobody's here (a misspelling, maybe)."""
        if folded.keys() <= self._known:
            return ()
        names = [name[:NAME_MAX] for name in folded if name not in self._known]
        if len(names) > NAMES_MAX:
            names[NAMES_MAX:] = [OTHERS]
        return tuple(Notice("unknown_integration", name) for name in names)


def route(event: Event, routes: Routes) -> tuple[Route, tuple[Notice, ...]]:
    """Where it goes. ``X: false`` always wins; ``All: false`` leaves the named ones."""
    said = event.body.get("integrations")
    if not said:
        return routes.usual(event.type), ()
    saying = event.type, *said.items()
    try:
        return routes.remembered(saying) or routes.remember(
            saying, _decide(event.type, said, routes)
        )
    except TypeError:  # options: an object is no key
        return _decide(event.type, said, routes)


def route_outside(event: Event, routes: Routes) -> Decision:
    """The same for an event from outside pipelines, whose ``identifiers`` are explicit.

    Whose cio_id it is, and whether it is anybody's, only those know who keep people:
    they take the type ``person``. If there are such, an identify by a cio_id goes to
    nobody else, or an email in it would make a new person of nobody there.
    """
    decided = route(event, routes)
    if event.type != "identify" or "cio_id" not in event.body["identifiers"]:
        return decided
    usual, (found, notices) = routes.usual("person").to, decided
    others: dict[str, Reason] = {n: "cio_id" for n in found.to if n not in usual}
    if not usual or not others:
        return decided
    to = tuple(name for name in found.to if name in usual)
    return Route(to=to, no={**found.no, **others}), notices


def _decide(kind: str, said: Mapping[str, Json], routes: Routes) -> Decision:
    usual = routes.usual(kind)
    folded = _folded(said)
    notices = routes.unknown(folded)
    if False not in said.values():
        return usual, notices
    everyone = folded.get(ALL) is not False
    no: dict[str, Reason] = {}
    for name in usual.to:
        wanted = wish(folded, routes.names(name))
        if wanted is False:
            no[name] = "integrations"
        elif wanted is None and not everyone:
            no[name] = "integrations_all"
    if not no:
        return usual, notices
    to = tuple(name for name in usual.to if name not in no)
    return Route(to=to, no={**usual.no, **no}), notices


def _folded(said: Mapping[str, Json]) -> dict[str, Json]:
    """Keys in one case; of two that differ in case only, false wins, then options."""
    folded: dict[str, Json] = {}
    for name, value in said.items():
        key = name.casefold()
        before = folded.get(key)
        if before is False or (isinstance(before, dict) and value is True):
            continue
        if value is not None or key not in folded:
            folded[key] = value
    return folded
