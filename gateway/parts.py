"""What a configuration means: the parts that the rooms are made of, checked.

Pure: nothing is opened, so `gateway check`, `explain` and a dry replay need no more.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway import topics
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.event import EventType, Json
from gateway.inbound.check import Plan, load_plan
from gateway.inbound.route import Routes
from gateway.outbound import destinations
from gateway.outbound.attempt import Gate
from gateway.outbound.kind import Configured
from gateway.outbound.preview import preview
from gateway.outbound.suppressed import Suppressed
from gateway.outbound.when import Filter
from gateway.workspace import settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the configuration means, checked; made without opening anything."""

    routes: Routes
    plans: Mapping[str, Plan]
    configured: Mapping[str, Configured[Any]]


def check(config: Config) -> Parts:
    """Find everything that can be wrong; ConfigError names file, key and remedy."""
    with _in_file(config):
        settings.check(config)
        configured = {name: _configured(config, name) for name in config.destinations}
        taken = {
            name: _taken(each, config.destinations[name].types)
            for name, each in configured.items()
        }
        plans = {
            name: load_plan(source.schema, source.violation)
            for name, source in config.sources.items()
            if source.schema is not None
        }
    routes = Routes(config.destinations, taken)
    return Parts(routes=routes, plans=plans, configured=configured)


@contextlib.contextmanager
def _in_file(config: Config) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        name = config.file or "built-in default"
        raise ConfigError(f"{name}: {error}") from error


def _configured(config: Config, name: str) -> Configured[Any]:
    destination, place = config.destinations[name], f"destinations.{name}"
    try:
        kind = destinations.load(destination.type)
    except ConfigError as error:
        raise ConfigError(f"{place}.{error}") from error
    if destination.when is not None:
        Filter(destination.when, place=f"{place}.when")
    return kind.configured(destination.settings, name=name, folder=config.folder)


def _taken(
    configured: Configured[Any], wanted: tuple[str, ...] | None
) -> frozenset[EventType]:
    types = configured.traits.types
    return types if wanted is None else frozenset(t for t in types if t in wanted)


def topics_of(config: Config) -> list[str]:
    """Every topic that this configuration writes or reads."""
    people = settings.name_of(config) is not None
    return topics.of(config.destinations, [topics.SUPPRESSED] if people else [])


def declared_of(config: Config, parts: Parts) -> topics.Declare:
    """What topics need: a destination in total order reads one queue, kept for ever.

    Rereading it from the start gives the same people again (DESIGN 7).
    """
    total = [n for n, each in parts.configured.items() if each.traits.order == "total"]
    return topics.declaring(
        config.log, {topics.to(name): topics.one_queue(name) for name in total}
    )


def previewing(
    config: Config, parts: Parts, name: str
) -> Callable[[bytes], dict[str, Json]]:
    """How to tell what an event's bytes become at one destination."""
    destination, configured = config.destinations[name], parts.configured[name]
    kinds = {source: each.kind for source, each in config.sources.items()}
    gate = Gate(
        destination, configured.traits, source_kinds=kinds, suppressed=Suppressed()
    )
    return lambda value: preview(gate, configured.preview, value)
