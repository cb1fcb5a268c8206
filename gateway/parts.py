"""Makes the parts of a process from its configuration, and checks them.

Pure: nothing is opened, so `gateway check`, `explain` and a dry replay need no more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

from gateway.config import Config, draft
from gateway.errors import ConfigError
from gateway.event import Event, EventType, Json
from gateway.inbound.check import Plan, load_plan
from gateway.inbound.readmit import Readmission
from gateway.inbound.route import Routes, route
from gateway.log import DECLARED, Declared, Entry
from gateway.mistakes import Mistakes
from gateway.outbound import destinations
from gateway.outbound.attempt import Gate
from gateway.outbound.preview import preview
from gateway.outbound.suppressed import Suppressed
from gateway.outbound.when import Filter
from gateway.replay import Request, Rules
from gateway.workspace import settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the configuration means, checked; made without opening anything."""

    routes: Routes
    plans: Mapping[str, Plan]
    kinds: Mapping[str, destinations.Kind]


def check(config: Config) -> Parts:
    """Find everything that can be wrong; ConfigError names file, line, key, remedy."""
    mistakes = Mistakes(config.text)
    parts = _parts(config, mistakes)
    mistakes.raise_any()
    return parts


def examine(
    file: Path | None, *more: Callable[[Config], object]
) -> tuple[Config, Parts]:
    """Read a file and find everything that is wrong with it, what it means included.

    ``more``: further checks, each of which may raise ConfigError.
    """
    read = draft(file)
    parts = _parts(read.config, read.mistakes)
    for each in more:
        with read.mistakes.catching():
            each(read.config)
    read.mistakes.raise_any()
    return read.config, parts


def _parts(config: Config, mistakes: Mistakes) -> Parts:
    """What can be made of it; what is wrong is noted."""
    kinds, plans = {}, {}
    with mistakes.catching():
        settings.check(config)
    for name in config.destinations:
        with mistakes.catching():
            kinds[name] = _kind(config, name, mistakes)
    for name, source in config.sources.items():
        if source.schema is not None:
            with mistakes.catching():
                plans[name] = _plan(name, source.schema, source.violation)
    taken = {
        name: _taken(kind, config.destinations[name].types)
        for name, kind in kinds.items()
    }
    known = {name: config.destinations[name] for name in kinds}
    return Parts(routes=Routes(known, taken), plans=plans, kinds=kinds)


def _plan(name: str, schema: Path, violation: Literal["reject", "flag"]) -> Plan:
    try:
        return load_plan(schema, violation)
    except ConfigError as error:
        raise ConfigError(f"sources.{name}.schema: {error}") from error


def _kind(config: Config, name: str, mistakes: Mistakes) -> destinations.Kind:
    destination, place = config.destinations[name], f"destinations.{name}"
    with mistakes.catching():
        if destination.when is not None:
            Filter(destination.when, place=f"{place}.when")
    try:
        kind = destinations.load(destination.type)
    except ConfigError as error:
        raise ConfigError(f"{place}.{error}") from error
    with mistakes.catching():
        kind.check(destination.settings, place=f"{place}.settings")
    return kind


def _taken(
    kind: destinations.Kind, wanted: tuple[str, ...] | None
) -> frozenset[EventType]:
    types = kind.traits.types
    return types if wanted is None else frozenset(t for t in types if t in wanted)


def topics_of(config: Config) -> list[str]:
    """Every topic that this configuration writes or reads."""
    names = list(config.destinations)
    return [
        "events",
        "refused",
        "outcomes",
        *(f"to.{name}" for name in names),
        *(f"dead.{name}" for name in names),
        *(["suppressed"] if settings.name_of(config) is not None else []),
    ]


def declared_of(parts: Parts) -> Mapping[str, Declared]:
    """What topics need: a destination in total order reads one queue, kept for ever.

    Rereading it from the start gives the same people again (DESIGN 7).
    """
    total = [name for name, kind in parts.kinds.items() if kind.traits.order == "total"]
    queue = Declared(partitions=1, kept="for_ever")
    return {**DECLARED, **{f"to.{name}": queue for name in total}}


def previewing(
    config: Config, parts: Parts, name: str
) -> Callable[[bytes], dict[str, Json]]:
    """How to tell what an event's bytes become at one destination."""
    destination, kind = config.destinations[name], parts.kinds[name]
    kinds = {source: each.kind for source, each in config.sources.items()}
    gate = Gate(destination, kind.traits, source_kinds=kinds, suppressed=Suppressed())
    return lambda value: preview(
        gate,
        lambda delivery: kind.preview(destination, delivery, folder=config.folder),
        value,
    )


def replay_rules(config: Config, parts: Parts, request: Request) -> Rules:
    """Today's rules for a replay; ConfigError for a bad ``--where``."""
    wanted = Filter(request.where, place="--where") if request.where else None
    shown = None if request.to is None else previewing(config, parts, request.to)

    def show(entries: Sequence[Entry]) -> Mapping[str, Json]:
        headers = {name: value.decode() for name, value in entries[0].headers}
        told: dict[str, Json] = {"messageId": headers["messageId"]}
        if shown is not None:
            return {**told, **shown(entries[0].value)}
        routed = [entry.topic for entry in entries[1:]]
        return {**told, "event": orjson.loads(entries[0].value), "to": routed}

    return Rules(
        passes=lambda value: wanted is None or wanted.passes(value),
        routed=lambda event: _is_routed(event, parts, request.to),
        readmit=Readmission(config.sources, parts.routes, parts.plans, config.limits),
        show=show,
    )


def _is_routed(event: Event, parts: Parts, destination: str | None) -> bool:
    decided, _ = route(event, parts.routes)
    return destination in decided.to
