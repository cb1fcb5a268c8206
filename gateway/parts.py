"""Makes the parts of a process from its configuration, and checks them.

Pure: nothing is opened, so `gateway check`, `explain` and a dry replay need no more.
"""

import asyncio
from collections import ChainMap
from collections.abc import (
    AsyncIterator,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from gateway import topics
from gateway.config import DEFAULT, Config, DestinationConfig, Source, draft, parse
from gateway.errors import ConfigError
from gateway.event import Event, EventType, Json
from gateway.inbound.intake import Rules
from gateway.inbound.plan import Plan, load_plan
from gateway.inbound.route import Routes, route
from gateway.mistakes import Mistakes, Text
from gateway.outbound import destinations, transform
from gateway.outbound.gate import Gate
from gateway.outbound.kind import Configured, Kind, Tables
from gateway.outbound.preview import preview
from gateway.outbound.reach import Reach
from gateway.outbound.suppressed import Suppressed
from gateway.outbound.when import Filter
from gateway.wing import Shows, Wing
from gateway.wings import WINGS
from gateway.workable import unworkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the configuration means, checked; made without opening anything."""

    rules: Rules
    configured: Mapping[str, Configured[Any]]
    wings: Sequence[Wing] = ()
    doubts: Sequence[str] = ()
    """What works, but hardly as it was meant: `gateway check` tells it."""


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
    configured: dict[str, Configured[Any]] = {}
    plans: dict[str, Plan] = {}
    wings = wings_of(config, mistakes)
    for wing in wings:
        with mistakes.catching():
            wing.check()
    for error in unworkable(config):
        mistakes.add(error)
    for name in config.destinations:
        with mistakes.catching():
            made = _configured(config, name, kinds_of(wings), mistakes)
            configured |= {} if made is None else {name: made}
    for error in [*_unreachable(config, configured), *_shared(config, configured)]:
        mistakes.add(error)
    for name, source in config.sources.items():
        with mistakes.catching():
            plans |= _plan(name, source)
    taken = {
        name: _taken(each, config.destinations[name])
        for name, each in configured.items()
    }
    known = {name: config.destinations[name] for name in configured}
    names = {name: each.takes.names for name, each in configured.items()}
    routes = Routes(known, taken, names)
    rules = Rules(routes=routes, plans=plans, limits=config.limits)
    return Parts(
        rules=rules, configured=configured, wings=wings, doubts=mistakes.doubts
    )


def _unreachable(
    config: Config, made: Mapping[str, Configured[Any]]
) -> Iterator[ConfigError]:
    """URLs with an address in them that the sender would refuse to connect to."""
    reach = Reach(config.server.private_destinations)
    for each in made.values():
        for place, url in each.urls():
            network = reach.refused(urlsplit(url).hostname or "")
            if network is not None:
                text = f"{place}: its host is no public address; if it may be sent to: "
                key = f'server.private_destinations = ["{network}"]'
                yield ConfigError(text + key)


def _shared(
    config: Config, made: Mapping[str, Configured[Any]]
) -> Iterator[ConfigError]:
    """Files that more than one would write."""
    log = config.log
    owners = {log.path.resolve(): "log.path"} if log.kind == "sqlite" else {}
    for name, each in made.items():
        if config.destinations[name].enabled and (file := each.file) is not None:
            place = f"destinations.{name}.settings"
            owner = owners.setdefault(file.resolve(), place)
            if owner != place:
                yield ConfigError(f"{place}: {owner} writes this file, too")


def wings_of(config: Config, mistakes: Mistakes) -> list[Wing]:
    """What the configuration makes of each wing; nothing is opened."""
    modules = map(import_module, WINGS.values())
    return [module.wing(config, mistakes) for module in modules]


def kinds_of(wings: Sequence[Wing]) -> Mapping[str, Kind[Any]]:
    """The types of destinations that wings bring; some are made when asked for."""
    return ChainMap(*[cast("dict[str, Kind[Any]]", wing.kinds) for wing in wings])


def known_kinds() -> dict[str, Kind[Any]]:
    """Every type of destination that this gateway knows, by name."""
    config = parse(DEFAULT, folder=Path())
    own = {name: destinations.load(name) for name in destinations.names()}
    return dict(sorted({**own, **kinds_of(wings_of(config, Mistakes(Text())))}.items()))


def _plan(name: str, source: Source) -> dict[str, Plan]:
    """Its tracking plan, if it has one."""
    schema, on_unplanned = source.schema, source.on_unplanned
    if schema is None:
        if on_unplanned == "allow":
            return {}
        text = f'"{on_unplanned}" needs a tracking plan: set schema, or remove this key'
        raise ConfigError(f"sources.{name}.on_unplanned: {text}")
    try:
        return {name: load_plan(schema, source.violation, on_unplanned)}
    except ConfigError as error:
        raise ConfigError(f"sources.{name}.schema: {error}") from error


def _configured(
    config: Config, name: str, more: Mapping[str, Kind[Any]], mistakes: Mistakes
) -> Configured[Any] | None:
    destination, place = config.destinations[name], f"destinations.{name}"
    with mistakes.catching():
        if destination.when is not None:
            Filter(destination.when, place=f"{place}.when")
    with mistakes.catching():
        if destination.transform is not None:
            transform.load(destination.transform, place=f"{place}.transform")
    try:
        kind = destinations.load(destination.type, more)
    except ConfigError as error:
        raise ConfigError(f"{place}.{error}") from error
    return kind.drafted(
        destination.settings,
        name=name,
        folder=config.folder,
        mistakes=mistakes,
        tables=Tables(destination.actions, destination.oauth, destination.env),
    )


def _taken(
    configured: Configured[Any], destination: DestinationConfig
) -> frozenset[EventType]:
    """What is routed to it; a transform may make of an event what a table wants."""
    types, wanted = configured.takes.types, destination.types
    if configured.shape is not None and destination.transform is None:
        types &= configured.shape.types
    return types if wanted is None else frozenset(t for t in types if t in wanted)


def topics_of(config: Config, parts: Parts) -> list[str]:
    """Every topic that this configuration writes or reads."""
    more = [name for wing in parts.wings for name in wing.topics]
    return topics.of(config.destinations, more)


def declared_of(config: Config, parts: Parts) -> topics.Declare:
    """What topics need: a destination in total order reads one queue, kept for ever.

    Rereading it from the start gives the same people again (DESIGN 7).
    """
    total = [n for n, each in parts.configured.items() if each.takes.order == "total"]
    queues = {topics.to(name): topics.one_queue(name) for name in total}
    own = {name: need for wing in parts.wings for name, need in wing.topics.items()}
    return topics.declaring(config.log, {**queues, **own})


class Previews(Protocol):
    """Tells what an event's bytes become at one destination."""

    async def __call__(
        self, value: bytes, only: frozenset[str] | None = None, /
    ) -> dict[str, Json]:
        """As ``preview`` tells it; ``only`` of its actions."""
        ...


@asynccontextmanager
async def previewing(
    config: Config, parts: Parts, name: str
) -> AsyncIterator[Previews]:
    """What tells what an event's bytes become at one destination."""
    gate = gate_of(config, parts, name)
    async with parts.configured[name].showing() as show:

        async def tell(
            value: bytes, only: frozenset[str] | None = None, /
        ) -> dict[str, Json]:
            return await preview(gate, show, value, only)

        yield tell


@asynccontextmanager
async def all_previews(config: Config, parts: Parts) -> AsyncIterator[Shows]:
    """What tells what an event's bytes become at any destination; opened when asked."""
    opened: dict[str, Previews] = {}
    opening = asyncio.Lock()
    async with AsyncExitStack() as stack:

        async def tell(name: str, value: bytes) -> dict[str, Json]:
            async with opening:
                if name not in opened:
                    made = previewing(config, parts, name)
                    opened[name] = await stack.enter_async_context(made)
            return await opened[name](value)

        yield tell


@asynccontextmanager
async def becoming(config: Config, parts: Parts, name: str) -> AsyncIterator[Previews]:
    """The same, asked of what the intake routes: why an event is not meant for it."""
    routes = parts.rules.routes
    async with previewing(config, parts, name) as tell:

        async def told(
            value: bytes, only: frozenset[str] | None = None, /
        ) -> dict[str, Json]:
            event = Event.from_bytes(value)
            no = route(event, routes)[0].no.get(name)
            if no is not None:
                return {"sent": False, "reason": no}
            return await tell(value, only)

        yield told


def gate_of(config: Config, parts: Parts, name: str) -> Gate:
    """A destination's gate outside a worker: nobody is known to be suppressed."""
    return Gate(
        config.destinations[name],
        parts.configured[name].takes,
        source_kinds=config.source_kinds,
        suppressed=Suppressed(),
        more=parts.configured[name].steps,
    )
