"""The destination types: one file each, its name is its registration.

``type = "webhook"`` is the module ``webhook`` of this folder; a type with a dot in it,
``type = "my_package.my_module"``, is a module of your own. A module has:

    its docstring   the user's documentation
    Settings        a frozen dataclass of ``setting(doc=..., example=...)`` fields
    TRAITS          which types it takes, how it batches (contract.Traits)
    check           (settings, place) -> ConfigError if a value is wrong; opens nothing
    build           (settings, name, folder, send) -> Destination; opens nothing yet
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

from gateway.config import DestinationConfig
from gateway.errors import ConfigError
from gateway.event import Json
from gateway.mistakes import meant
from gateway.outbound.contract import Delivery, Destination, Traits, read_settings
from gateway.outbound.http import NoResponse, Request, Send

PARTS = ("Settings", "TRAITS", "check", "build")


@runtime_checkable
class Previews(Protocol):
    """A destination that can show what it would send."""

    def preview(self, delivery: Delivery) -> Mapping[str, Json]:
        """What one event becomes, secrets masked."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """One destination type, loaded."""

    type: str
    module: ModuleType

    @property
    def traits(self) -> Traits:
        """What every destination of this type takes, whatever its settings."""
        traits: Traits = self.module.TRAITS
        return traits

    @property
    def doc(self) -> str:
        """What the type does, for its user."""
        return self.module.__doc__ or ""

    def settings(self, raw: Mapping[str, Any], *, place: str) -> Any:
        """The settings, read and checked; ConfigError names the key. Opens nothing."""
        settings = read_settings(self.module.Settings, raw, place=place)
        self.module.check(settings, place)
        return settings

    def check(self, raw: Mapping[str, Any], *, place: str) -> None:
        """Raise ConfigError for settings that cannot work. Opens nothing."""
        self.settings(raw, place=place)

    def build(
        self, config: DestinationConfig, *, folder: Path, send: Send
    ) -> Destination:
        """What a worker delivers to; it opens what it needs at its first event."""
        place = f"destinations.{config.name}.settings"
        settings = self.settings(config.settings, place=place)
        destination: Destination = self.module.build(
            settings, name=config.name, folder=folder, send=send
        )
        return destination

    def preview(
        self, config: DestinationConfig, delivery: Delivery, *, folder: Path
    ) -> Mapping[str, Json]:
        """What one event becomes here, secrets masked; sends nothing."""
        destination = self.build(config, folder=folder, send=_refuse)
        return (
            destination.preview(delivery) if isinstance(destination, Previews) else {}
        )


async def _refuse(request: Request) -> NoResponse:
    del request
    return NoResponse("preview")


def names() -> tuple[str, ...]:
    """The types that come with the gateway."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def load(type_: str) -> Kind:
    """The module of a type; ConfigError lists the known ones."""
    known = names()
    parts = type_.split(".")
    if type_ not in known and (
        len(parts) == 1 or not all(map(str.isidentifier, parts))
    ):
        raise ConfigError(
            f"type: {type_!r} is not known; known are: {', '.join(known)}"
            f"{meant(type_, known)}"
        )
    module_name = f"{__name__}.{type_}" if type_ in known else type_
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"type: {type_!r} cannot be imported: {error}") from error
    if missing := [part for part in PARTS if not hasattr(module, part)]:
        raise ConfigError(f"type: {type_!r} has no {', '.join(missing)}")
    return Kind(type_, module)
