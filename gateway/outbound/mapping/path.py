"""What stands at a path of an event, read as JavaScript reads ``a && a.b``.

``MISSING`` is JavaScript's undefined: no key, beside null. A falsy value in the middle
of a path is what the path gives; texts and lists have a ``length`` and items.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeAlias

from gateway.event import Json

Run: TypeAlias = Callable[[Json], Json]
"""Something compiled: what it gives for an event, or for an item of a list."""

SEPARATOR = re.compile(r"""\[(?=["'0-9])|\.|(?<=["'0-9])\]+""")
INDEX = re.compile(r"0|[1-9][0-9]{0,9}")


class _Missing:
    """The one value that no JSON has."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()


@lru_cache(maxsize=1024)  # a path may itself come from an event
def keys_of(path: str) -> tuple[str, ...]:
    """The keys of ``a.b[0]["c"]``; none is the whole event."""
    pieces = filter(None, SEPARATOR.split(path))
    return tuple(each.replace("'", "").replace('"', "") for each in pieces)


def rooted(path: str) -> tuple[str, ...]:
    """The keys of a directive's path, whose ``$.`` is the event."""
    return keys_of(path.replace("$.", "", 1))


def reader(keys: tuple[str, ...]) -> Run:
    """What reads these keys. Events are dicts: all else takes the slower way."""
    if not keys:
        return lambda value: value
    if len(keys) == 1:
        return _one(*keys)
    if len(keys) == 2:  # noqa: PLR2004 -- what most mappings read: traits.x
        return _two(*keys)

    def read(value: Json) -> Json:
        for key in keys:
            value = (
                value.get(key, MISSING)
                if value.__class__ is dict
                else _within(value, key)
            )
        return value

    return read


def _one(key: str) -> Run:
    def read(value: Json) -> Json:
        if value.__class__ is dict:
            return value.get(key, MISSING)
        return _within(value, key)

    return read


def _two(first: str, second: str) -> Run:
    def read(value: Json) -> Json:
        if value.__class__ is dict:
            value = value.get(first, MISSING)
        else:
            value = _within(value, first)
        if value.__class__ is dict:
            return value.get(second, MISSING)
        return _within(value, second)

    return read


def _within(value: Json, key: str) -> Json:
    """What ``value && value[key]`` is of anything but an object."""
    if isinstance(value, (str, list)):
        if value == "":
            return value
        units = value if isinstance(value, list) else utf16(value)
        if key == "length":
            return len(units)
        if INDEX.fullmatch(key) and int(key) < len(units):
            return units[int(key)]
        return MISSING
    return MISSING if value else value


def utf16(text: str) -> list[str]:
    """A text's characters as JavaScript counts them: two beyond U+FFFF, each torn."""
    if text.isascii():
        return list(text)
    raw = text.encode("utf-16-le", "surrogatepass")
    pairs = (raw[at : at + 2] for at in range(0, len(raw), 2))
    return [pair.decode("utf-16-le", "replace") for pair in pairs]
