"""What a configuration means: the parts that the rooms are made of, checked.

Pure: nothing is opened, so `gateway check`, `explain` and a dry replay need no more.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gateway.config import Config
from gateway.errors import ConfigError
from gateway.event import EventType, Json
from gateway.inbound.check import Plan, load_plan
from gateway.inbound.route import Routes
from gateway.log import DECLARED, Declared
from gateway.outbound import destinations
from gateway.outbound.attempt import Gate
from gateway.outbound.preview import preview
from gateway.outbound.suppressed import Suppressed
from gateway.outbound.when import Filter
from gateway.workspace import settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the configuration means, checked; made without opening anything."""

    routes: Routes
    plans: Mapping[str, Plan]
    kinds: Mapping[str, destinations.Kind]


def check(config: Config) -> Parts:
    """Find everything that can be wrong; ConfigError names file, key and remedy."""
    with _in_file(config):
        settings.check(config)
        kinds = {name: _kind(config, name) for name in config.destinations}
        taken = {
            name: _taken(kind, config.destinations[name].types)
            for name, kind in kinds.items()
        }
        plans = {
            name: load_plan(source.schema, source.violation)
            for name, source in config.sources.items()
            if source.schema is not None
        }
    return Parts(routes=Routes(config.destinations, taken), plans=plans, kinds=kinds)


@contextlib.contextmanager
def _in_file(config: Config) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        name = config.file or "built-in default"
        raise ConfigError(f"{name}: {error}") from error


def _kind(config: Config, name: str) -> destinations.Kind:
    destination, place = config.destinations[name], f"destinations.{name}"
    try:
        kind = destinations.load(destination.type)
    except ConfigError as error:
        raise ConfigError(f"{place}.{error}") from error
    kind.check(destination.settings, place=f"{place}.settings")
    if destination.when is not None:
        Filter(destination.when, place=f"{place}.when")
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
