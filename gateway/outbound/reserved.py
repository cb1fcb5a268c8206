"""Reserved traits at a destination: which field each becomes, and in which form.

A destination type declares a table, trait -> ``Field``, as data: its own code places
traits by it, and the matrix of the docs is made of it. What comes in: an event's
traits. What goes out: the fields, the traits that keep their own names, and the names
of those whose value the destination cannot take.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from gateway.event import Json
from gateway.traits import read_date, read_text

Form: TypeAlias = Callable[[Json], Json]
"""The value as the destination wants it; None: it cannot be."""
DETAIL_CHARS = 1_000
WHOLE_BELOW = 2**31


def as_it_is(value: Json) -> Json:
    """Any value, unchanged."""
    return value


def text(value: Json) -> Json:
    """A text, or a number as people write it."""
    read = read_text(value)
    return read if isinstance(read, str) else None


def iso_date(value: Json) -> Json:
    """Any form of a date as ISO 8601."""
    return read_date(value)


def unix_s(value: Json) -> int | None:
    """Any form of a date as whole seconds since 1970."""
    at_ms = unix_ms(value)
    return None if at_ms is None else at_ms // 1_000


def unix_ms(value: Json) -> int | None:
    """Any form of a date as milliseconds since 1970."""
    read = read_date(value)
    if not isinstance(read, str):
        return None
    return round(datetime.fromisoformat(read).timestamp() * 1_000)


def whole(value: Json) -> int | None:
    """A number without its fraction, of 32 bits."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if is_number and abs(value) < WHOLE_BELOW else None


FORMS: Mapping[Form, str] = {
    as_it_is: "",
    text: "a text",
    iso_date: "ISO 8601",
    unix_s: "unix seconds",
    unix_ms: "unix milliseconds",
    whole: "a whole number",
}
"""How the docs call them."""


class Field(NamedTuple):
    """Where a trait goes: the destination's name for it, and its form."""

    name: str
    form: Form = as_it_is


class Placed(NamedTuple):
    """``fields`` are the destination's, ``own`` the traits that keep their names."""

    fields: dict[str, Json]
    own: dict[str, Json]
    lost: list[str]
    """What could not be placed and why, never a value."""


def placed(traits: Json, table: Mapping[str, Field], *, nulls: bool = True) -> Placed:
    """Traits by a table; both spellings are known, whichever the destination gets.

    A null keeps its place, to be emptied there, unless there are no ``nulls``. What was
    taken out of `address` or the like leaves the rest of it under its own name.
    """
    own = dict(traits) if isinstance(traits, dict) else {}
    found = Placed({}, own, [])
    for path, (name, form) in table.items():
        for spelt in _spellings(path):
            holder, key = _holder(own, spelt)
            if holder is None or key not in holder:
                continue
            value = _taken(own, spelt)
            if name in found.fields:  # another spelling of it, or another trait
                continue
            read = None if value is None else form(value)
            if value is not None and read is None:
                found.lost.append(f"traits.{path} (not {FORMS[form]})")
            elif read is not None or nulls:
                found.fields[name] = read
    return found


def _taken(own: dict[str, Json], spelt: tuple[str, ...]) -> Json:
    """The value, taken out; what it stood in is copied first, for others share it."""
    if len(spelt) == 1:
        return own.pop(spelt[0])
    outer, key = spelt
    inner = dict(own[outer])
    value = inner.pop(key)
    if inner:
        own[outer] = inner
    else:
        del own[outer]
    return value


def _holder(
    own: dict[str, Json], spelt: tuple[str, ...]
) -> tuple[dict[str, Json] | None, str]:
    holder: Json = own if len(spelt) == 1 else own.get(spelt[0])
    return (holder if isinstance(holder, dict) else None), spelt[-1]


@lru_cache(maxsize=256)
def _spellings(path: str) -> tuple[tuple[str, ...], ...]:
    """`address.postalCode` as its keys, in camelCase and in snake_case."""
    keys = tuple(path.split("."))
    snake = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", keys[-1]).lower()
    both = [keys, (*keys[:-1], snake)]
    return tuple(dict.fromkeys(both))


def full_name(traits: Mapping[str, Json]) -> str | None:
    """`name`, else what there is of the first and the last name."""
    name = traits.get("name")
    if isinstance(name, str) and name:
        return name
    parts = [
        traits.get("firstName") or traits.get("first_name"),
        traits.get("lastName") or traits.get("last_name"),
    ]
    return " ".join(part for part in parts if isinstance(part, str) and part) or None


def left_out(lost: list[str]) -> str:
    """For an outcome's detail: what of the event the destination does not have."""
    return f"not sent: {', '.join(lost)}"[:DETAIL_CHARS] if lost else ""


def at_ms(body: Mapping[str, Json]) -> int:
    """When it happened, in unix milliseconds; else when it was received."""
    happened = unix_ms(body.get("timestamp"))
    return happened if happened is not None else unix_ms(body["receivedAt"]) or 0


def event_name(body: Mapping[str, Json]) -> str:
    """A track's event; a page or screen where only events are has one of its name."""
    if body["type"] == "track":
        return str(body.get("event") or "Unnamed")
    kind = str(body["type"]).title()
    return f"Viewed {body['name']}" if body.get("name") else f"Loaded a {kind}"


def from_context(
    body: Mapping[str, Json], table: Mapping[tuple[str, ...], str]
) -> Iterator[tuple[str, Json]]:
    """What the context has at each place, under the destination's name for it."""
    for place, name in table.items():
        value: Json = body.get("context")
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            yield name, value
