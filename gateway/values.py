"""TOML values to typed fields; whatever does not fit is named with its place.

What comes in: a parsed table and a dataclass. What goes out: the dataclass, or a
ConfigError that says which key, what is wrong with it, and what would fit. What is
wrong with one key is noted, and the next one is read.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass
from ipaddress import ip_network
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from gateway.errors import ConfigError
from gateway.mistakes import Mistakes, Unfit, meant, unknown

NAME = re.compile(r"[a-z0-9-]{1,50}")
ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
NOT_FILLED = re.compile(r"\$([A-Z_][A-Z0-9_]*)|(?s:.*)\$\{[^{}]*\}(?s:.*)")
SIZE_UNITS = {"B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
QUANTITY = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")
COUNT_MAX = 2**31
PORT_MAX = 65_535


def quantity(value: Any, units: Mapping[str, float], place: str = "") -> Any:
    """A size in bytes (or a plain number), or a duration in seconds, with its unit."""
    sizes = units is SIZE_UNITS
    if sizes and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in units or not float(match[1]):
        example = '"500MB" or a number of bytes' if sizes else '"5s", "10m" or "7d"'
        kind = "size" if sizes else "duration"
        text = f"is not a {kind}: write {example}; units are {', '.join(units)}"
        raise Unfit(place, value, text)
    amount = float(match[1]) * units[match[2]]
    return int(amount) if sizes else amount


def in_bytes(default: int | str) -> Any:
    """A field in bytes."""
    return field(default=quantity(default, SIZE_UNITS), metadata={"unit": "size"})


def in_seconds(default: str, key: str) -> Any:
    """A field in seconds, called ``key`` in the file."""
    value = quantity(default, DURATION_UNITS)
    return field(default=value, metadata={"unit": "duration", "key": key})


def texts() -> Any:
    """A field of some texts; one alone may stand there without a list."""
    return field(default=(), metadata={"unit": "texts"})


def named(key: str) -> Any:
    """A field that the table's own name fills."""
    return field(metadata={"key": key, "unit": "name"})


T = TypeVar("T")


def read_named(
    cls: type[T], table: Any, place: str, folder: Path, mistakes: Mistakes
) -> dict[str, T]:
    """Each table under ``place``, by its name; those that cannot be are missing."""
    found: dict[str, T] = {}
    with mistakes.catching():
        for name, values in _expect_table(table, place).items():
            where = f"{place}.{name}"
            if not NAME.fullmatch(name):
                text = f"{where}: a name is [a-z0-9-], 50 characters at most"
                mistakes.add(ConfigError(text))
                continue
            value = read(cls, values, where, folder, mistakes, name=name)
            if value is not None:
                found[name] = value
    return found


def read(
    cls: type[T],
    table: Any,
    place: str,
    folder: Path,
    mistakes: Mistakes,
    name: str = "",
) -> T | None:
    """One table as ``cls``; a key that is wrong is noted and has its default.

    None when that cannot be: it is no table, or a key is missing.
    """
    if not isinstance(table, dict):
        mistakes.add(ConfigError(Unfit(place, table, "is not a table").hidden))
        return None
    hints = get_type_hints(cls)
    declared = {
        f.metadata.get("key", f.name): f
        for f in fields(cast("Any", cls))
        if f.metadata.get("unit") != "name"
    }
    with mistakes.catching():
        refuse_unknown(table, declared, place)
    values: dict[str, Any] = {"name": name} if name else {}
    complete = True
    for key, f in declared.items():
        where, hint = f"{place}.{key}", hints[f.name]
        needed = f.default is MISSING and f.default_factory is MISSING
        if isinstance(f.default, Path):
            values[f.name] = folder / f.default
        if key in table and is_dataclass(hint):
            inner = cast("type[Any]", hint)
            value = read(inner, table[key], where, folder, mistakes)
            values |= {} if value is None else {f.name: value}
        elif key in table:
            secret = not f.repr or bool(f.metadata.get("secret"))
            with mistakes.catching(secret=secret):
                values[f.name] = _value(table[key], hint, f, where, folder)
            complete &= not needed or f.name in values
        elif needed:
            example = f.metadata.get("example")
            hint = f"; for example {key} = {example}" if example else ""
            mistakes.add(ConfigError(f"{where}: missing{hint}"))
            complete = False
    return cls(**values) if complete else None


def _value(value: Any, hint: Any, f: Field[Any], place: str, folder: Path) -> Any:
    unit = f.metadata.get("unit")
    if unit == "texts":
        return _items([value] if isinstance(value, str) else value, str, place)
    if unit is not None:
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
        names = {str: "a text", bool: "true or false", list: "a list", dict: "a table"}
        error = Unfit(place, value, f"is not {names.get(wanted, wanted.__name__)}")
        if wanted in (list, dict):  # whatever it is, it stands in the wrong place
            raise ConfigError(error.hidden)
        raise error
    return value


def _expect_table(value: Any, place: str) -> Any:
    return _expect(value, dict, place)


def _count(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Unfit(place, value, "is not a whole number above 0")
    if value > COUNT_MAX:
        raise Unfit(place, value, f"is more than {COUNT_MAX}")
    return value


def one_of(value: Any, known: Sequence[Any], place: str) -> Any:
    """The value, which must be one of those known."""
    if value not in known:
        names = ", ".join(map(str, known))
        raise Unfit(place, value, f"is not one of {names}{meant(value, known)}")
    return value


def refuse_unknown(table: Mapping[str, Any], known: Any, place: str) -> None:
    """Raise for the keys that nobody knows; say which are known."""
    texts = [unknown(place, key, known) for key in table if key not in known]
    if texts:
        raise ConfigError(*texts)


def substitute(
    value: Any, environment: Mapping[str, str], place: str, mistakes: Mistakes
) -> Any:
    """Every text with its ``${NAME}`` filled from the environment."""
    if isinstance(value, dict):
        return {
            k: substitute(v, environment, f"{place}.{k}" if place else k, mistakes)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [substitute(v, environment, place, mistakes) for v in value]
    if not isinstance(value, str):
        return value
    if NOT_FILLED.fullmatch(ENVIRONMENT.sub("", value)):
        text = f"{place}: only ${{NAME}} is filled from the environment"
        mistakes.add(ConfigError(text))

    def from_environment(match: re.Match[str]) -> str:
        found = environment.get(match[1])
        if found is not None:
            mistakes.text.fill(place, match[0], found)
            return found
        text = f"{place}: the environment variable {match[1]} is not set"
        mistakes.add(ConfigError(text))
        return match[0]

    return ENVIRONMENT.sub(from_environment, value)


def check_network(network: str, place: str) -> None:
    """Raise for what is no address range."""
    try:
        ip_network(network)
    except ValueError:
        raise Unfit(place, network, _why_no_network(network)) from None


def _why_no_network(network: str) -> str:
    try:
        whole = ip_network(network, strict=False)
    except ValueError:
        return 'is not an address range such as "10.0.0.0/8"'
    return f"has bits beyond its mask: write {whole}"


def address(text: str, place: str) -> tuple[str, int]:
    """``HOST:PORT`` (``[::1]:8080`` for IPv6) as its two parts."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise Unfit(place, text, "is not HOST:PORT")
    return host.strip("[]"), int(port)
