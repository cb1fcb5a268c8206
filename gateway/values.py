"""TOML values to typed fields; whatever does not fit is named with its place.

What comes in: a parsed table and a dataclass. What goes out: the dataclass, or a
ConfigError that says which key, what is wrong with it, and what would fit.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass
from ipaddress import ip_network
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from gateway.errors import ConfigError

NAME = re.compile(r"[a-z0-9-]{1,50}")
ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
SIZE_UNITS = {"B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
QUANTITY = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")
COUNT_MAX = 2**31
NAMES = {str: "a text", bool: "true or false", list: "a list", dict: "a table"}
PORT_MAX = 65_535


def quantity(value: Any, units: Mapping[str, float], place: str = "") -> Any:
    """A size in bytes (or a plain number), or a duration in seconds, with its unit."""
    sizes = units is SIZE_UNITS
    if sizes and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in units or not float(match[1]):
        example = '"500MB" or a number of bytes' if sizes else '"5s", "10m" or "7d"'
        message = (
            f"{place}: {value!r} is not a {'size' if sizes else 'duration'}: "
            f"write {example}; units are {', '.join(units)}"
        )
        raise ConfigError(message)
    amount = float(match[1]) * units[match[2]]
    return int(amount) if sizes else amount


def in_bytes(default: int | str) -> Any:
    """A field in bytes."""
    return field(default=quantity(default, SIZE_UNITS), metadata={"unit": "size"})


def in_seconds(default: str, key: str) -> Any:
    """A field in seconds, called ``key`` in the file."""
    value = quantity(default, DURATION_UNITS)
    return field(default=value, metadata={"unit": "duration", "key": key})


def named(key: str) -> Any:
    """A field that the table's own name fills."""
    return field(metadata={"key": key, "unit": "name"})


T = TypeVar("T")


def read_named(cls: type[T], table: Any, place: str, folder: Path) -> dict[str, T]:
    """Each table under ``place``, by its name."""
    _expect_table(table, place)
    for name in table:
        if not NAME.fullmatch(name):
            message = f"{place}.{name}: a name is [a-z0-9-], 50 characters at most"
            raise ConfigError(message)
    return {
        name: read(cls, values, f"{place}.{name}", folder, name=name)
        for name, values in table.items()
    }


def read(cls: type[T], table: Any, place: str, folder: Path, name: str = "") -> T:
    """One table as ``cls``."""
    _expect_table(table, place)
    hints = get_type_hints(cls)
    declared = {
        f.metadata.get("key", f.name): f
        for f in fields(cast("Any", cls))
        if f.metadata.get("unit") != "name"
    }
    refuse_unknown(table, declared, place)
    values: dict[str, Any] = {"name": name} if name else {}
    for key, f in declared.items():
        where = f"{place}.{key}"
        if key in table:
            values[f.name] = _read_one(table[key], hints[f.name], f, where, folder)
        elif f.default is MISSING and f.default_factory is MISSING:
            example = f.metadata.get("example")
            hint = f"; for example {key} = {example}" if example else ""
            message = f"{where}: missing{hint}"
            raise ConfigError(message)
        elif isinstance(f.default, Path):
            values[f.name] = folder / f.default
    return cls(**values)


def _read_one(value: Any, hint: Any, f: Field[Any], place: str, folder: Path) -> Any:
    """One value; what is wrong with a secret is told without showing it."""
    try:
        return _value(value, hint, f, place, folder)
    except ConfigError:
        if not f.metadata.get("secret"):
            raise
    wanted = NAMES.get(get_origin(hint) or hint, "what it must be")
    message = f"{place}: the value (a secret, not shown) is not {wanted}"
    raise ConfigError(message)


def _value(value: Any, hint: Any, f: Field[Any], place: str, folder: Path) -> Any:
    if (unit := f.metadata.get("unit")) is not None:
        units = SIZE_UNITS if unit == "size" else DURATION_UNITS
        return quantity(value, units, place)
    if isinstance(hint, UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if hint is Path:
        return folder / _expect(value, str, place)
    if get_origin(hint) is Literal:
        return one_of(value, get_args(hint), place)
    if get_origin(hint) is tuple:
        return _items(value, get_args(hint)[0], place)
    if is_dataclass(hint):
        return read(cast("type[Any]", hint), value, place, folder)
    if hint is int:
        return _count(value, place)
    if get_origin(hint) is not None:
        return _expect_table(value, place)
    return _expect(value, hint, place)


def _items(value: Any, item: Any, place: str) -> tuple[Any, ...]:
    wanted = item if isinstance(item, type) else dict
    _expect(value, list, place)
    return tuple(_expect(each, wanted, f"{place}[{i}]") for i, each in enumerate(value))


def _expect(value: Any, wanted: type, place: str) -> Any:
    if not isinstance(value, wanted) or (wanted is not bool and value is True):
        message = f"{place}: {value!r} is not {NAMES.get(wanted, wanted.__name__)}"
        raise ConfigError(message)
    return value


def _expect_table(value: Any, place: str) -> Any:
    return _expect(value, dict, place)


def _count(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        message = f"{place}: {value!r} is not a whole number above 0"
        raise ConfigError(message)
    if value > COUNT_MAX:
        message = f"{place}: {value!r} is more than {COUNT_MAX}"
        raise ConfigError(message)
    return value


def one_of(value: Any, known: Sequence[Any], place: str) -> Any:
    """The value, which must be one of those known."""
    if value not in known:
        message = f"{place}: {value!r} is not one of {', '.join(map(str, known))}"
        raise ConfigError(message)
    return value


def refuse_unknown(table: Any, known: Any, place: str) -> None:
    """Raise for a key that nobody knows; say which are known."""
    for key in _expect_table(table, place or "the file"):
        if key not in known:
            where = f"{place}.{key}" if place else key
            message = f"{where}: unknown key; known are: {', '.join(known)}"
            raise ConfigError(message)


def substitute(value: Any, environment: Mapping[str, str], place: str) -> Any:
    """Every text with its ``${NAME}`` filled from the environment."""
    if isinstance(value, dict):
        return {
            k: substitute(v, environment, f"{place}.{k}" if place else k)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [substitute(v, environment, place) for v in value]
    if not isinstance(value, str):
        return value

    def from_environment(match: re.Match[str]) -> str:
        try:
            return environment[match[1]]
        except KeyError:
            message = f"{place}: the environment variable {match[1]} is not set"
            raise ConfigError(message) from None

    return ENVIRONMENT.sub(from_environment, value)


def check_network(network: str, place: str) -> None:
    """Raise for what is no address range."""
    try:
        ip_network(network)
    except ValueError as error:
        message = f"{place}: {error}"
        raise ConfigError(message) from None


def address(text: str, place: str) -> tuple[str, int]:
    """``HOST:PORT`` (``[::1]:8080`` for IPv6) as its two parts."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > PORT_MAX:
        message = f"{place}: {text!r} is not HOST:PORT"
        raise ConfigError(message)
    return host.strip("[]"), int(port)
