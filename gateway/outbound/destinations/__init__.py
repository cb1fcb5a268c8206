"""The destination types that come with the gateway: one file each, which ends in KIND.

``type = "webhook"`` is the module ``webhook`` of this folder; a type with a dot in it,
``type = "my_package.my_module"``, is a module of your own. See ``Kind`` (kind.py) for
what a type says of itself; ``docs/how-to`` has the steps.
"""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

from gateway.errors import ConfigError
from gateway.mistakes import meant
from gateway.outbound.kind import Kind

NOTHING: Mapping[str, Kind[Any]] = MappingProxyType({})


def names() -> tuple[str, ...]:
    """The types that come with the gateway."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def load(type_: str, more: Mapping[str, Kind[Any]] = NOTHING) -> Kind[Any]:
    """The kind of a type; ConfigError lists the known ones.

    ``more`` are the types that wings bring.
    """
    known = sorted({*names(), *more})
    if type_ in more:
        return more[type_]
    if type_ in known:
        return _kind(f"{__name__}.{type_}", type_)
    parts = type_.split(".")
    if len(parts) == 1 or not all(map(str.isidentifier, parts)):
        listed = f"{', '.join(known)}{meant(type_, known)}"
        raise ConfigError(f"type: {type_!r} is not known; known are: {listed}")
    return _kind(type_, type_)


def _kind(module: str, type_: str) -> Kind[Any]:
    try:
        found = getattr(import_module(module), "KIND", None)
    except ImportError as error:
        raise ConfigError(f"type: {type_!r} cannot be imported: {error}") from error
    if not isinstance(found, Kind):
        raise ConfigError(f"type: {type_!r} has no KIND = Kind(...)")
    return found
