"""Which traits and properties each kind of event has, by the day: their types, a form.

Of each kind the first 500 events of a day are looked at, then one in sixteen. A dice of
the message's id says which, so that whatever goes on being sent is met, and a ledger
that is made anew looks at the same; on Kafka, where partitions come in any order, at
nearly the same. How many were looked at is kept beside what was found: a share is one
of these. An example keeps its form and loses its content.

Senders choose the names: beyond 100 fields of a kind, or 5,000 of a source in a day,
they count as one.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from gateway.event import Json
from gateway.ledger.contract import Connection
from gateway.ledger.facts import Admitted
from gateway.ledger.names import OTHERS, Kind
from gateway.traits import canonical

DAY_MS = 86_400_000
EVERY_ONE = 500  # of a kind, in a day
DICE = 15  # beyond these, one in 16: no bit of this mask in the digest
FIELDS_MAX = 100  # of one kind in a day
SOURCE_MAX = 5_000  # of all kinds of a source in a day
DAYS_MAX = 64  # (day, source) of which the names are remembered
ROWS_MAX = 50_000  # told at once: a field has one for each of its types
PATH_CHARS = 200
EXAMPLE_CHARS = 28
INSIDE = ("traits", "properties")
LETTER, DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
TYPES: Mapping[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
}
"""As JSON Schema calls them."""

PUT_LOOK = (
    "INSERT INTO looks VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (day, source, type, name) DO UPDATE SET"
    " events = looks.events + excluded.events, looked = looks.looked + excluded.looked"
)
PUT_FIELD = (
    "INSERT INTO fields VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (day, source, type, name, path, json_type) DO UPDATE SET"
    " events = fields.events + excluded.events,"
    " first = CASE WHEN excluded.first < fields.first"
    "  THEN excluded.first ELSE fields.first END,"
    " last = CASE WHEN excluded.last > fields.last"
    "  THEN excluded.last ELSE fields.last END"
)
LOOKS_OF_A_DAY = (
    "SELECT t.text, l.name, l.events FROM looks l JOIN words s ON s.id = l.source"
    " JOIN words t ON t.id = l.type WHERE l.day = ? AND s.text = ?"
)
PATHS_OF_A_DAY = (
    "SELECT DISTINCT t.text, f.name, f.path FROM fields f"
    " JOIN words s ON s.id = f.source JOIN words t ON t.id = f.type"
    " WHERE f.day = ? AND s.text = ?"
)
LOOKED = (
    "SELECT s.text, t.text, l.name, sum(l.looked) FROM looks l"
    " JOIN words s ON s.id = l.source JOIN words t ON t.id = l.type"
    " WHERE l.day >= ? AND l.day < ? AND (? = '' OR s.text = ?)"
    " GROUP BY 1, 2, 3 LIMIT ?"
)
FOUND = (
    "SELECT s.text, t.text, f.name, f.path, f.json_type, sum(f.events), min(f.first),"
    " max(f.last), min(f.example) FROM fields f"
    " JOIN words s ON s.id = f.source JOIN words t ON t.id = f.type"
    " WHERE f.day >= ? AND f.day < ? AND (? = '' OR s.text = ?)"
    " GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 6 DESC, 4, 5 LIMIT ?"
)
NameOf = Callable[[Connection, Admitted], str]


@dataclass(slots=True)
class Field:
    """One trait or property: in how many events, of which types, when; its form.

    ``types`` in the order of their frequency; ``example`` is one of the first of them.
    """

    events: int
    first: int
    last: int
    example: str
    types: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Looked:
    """How many events of a kind were looked at, and what they had, by path."""

    events: int = 0
    fields: dict[str, Field] = field(default_factory=dict)


class Found(NamedTuple):
    """``whole``: there is no more than is told."""

    kinds: Mapping[Kind, Looked]
    whole: bool


@dataclass(slots=True)
class _Kind:
    """How many of a kind came in a day so far, and the fields that have a place."""

    events: int = 0
    looked: int = 0
    paths: set[str] = field(default_factory=set)
    came: int = 0  # in this group of records


@dataclass(slots=True)
class _Day:
    """The kinds of a source in a day."""

    kinds: dict[tuple[str, str], _Kind] = field(default_factory=dict)
    fields: int = 0

    def kind(self, which: tuple[str, str]) -> _Kind:
        found = self.kinds.get(which)
        if found is None:
            found = self.kinds[which] = _Kind()
        return found

    def path(self, kind: _Kind, path: str) -> str:
        """The path under which a field counts."""
        if path in kind.paths:
            return path
        full = len(kind.paths) >= FIELDS_MAX or self.fields >= SOURCE_MAX
        if full or len(path) > PATH_CHARS:
            return f"{path.partition('.')[0]}.{OTHERS}"
        kind.paths.add(path)
        self.fields += 1
        return path


@dataclass(slots=True)
class _Seen:
    """What one group of records adds to a field of one type."""

    events: int
    first: int
    last: int
    example: str


class Fields:
    """Looks at events; remembers which fields of a day have a place of their own."""

    def __init__(self) -> None:
        self._days: dict[tuple[int, str], _Day] = {}

    def forget(self) -> None:
        """The tables are not what they were."""
        self._days.clear()

    def put(
        self,
        connection: Connection,
        events: Iterable[Admitted],
        word: Callable[[str], int],
        name_of: NameOf,
    ) -> None:
        """Look at some of these events, within a transaction of the caller's."""
        came: dict[tuple[int, str, str, str], _Kind] = {}
        found: dict[tuple[int, str, str, str, str, str], _Seen] = {}
        for event in events:
            at, day = event.place.at, event.place.at // DAY_MS
            which = day, event.source, event.type, name_of(connection, event)
            of_day = self._day(connection, day, event.source)
            kind = came[which] = of_day.kind(which[2:])
            kind.came += 1
            if not is_looked_at(kind.events + kind.came, event.place.digest):
                continue
            kind.looked += 1
            for path, value in fields_of(event.type, event.value):
                key = *which, of_day.path(kind, path), TYPES[type(value)]
                _add(found, key, at, value)
        looks = []
        for which, kind in came.items():
            looks.append((*which, kind.came, kind.looked))
            kind.events += kind.came
            kind.came = kind.looked = 0
        _put(connection, word, PUT_LOOK, looks)
        rows = [
            (*key, each.events, each.first, each.last, each.example)
            for key, each in found.items()
        ]
        _put(connection, word, PUT_FIELD, rows)

    def _day(self, connection: Connection, day: int, source: str) -> _Day:
        known = self._days.get((day, source))
        if known is None:
            if len(self._days) >= DAYS_MAX:
                self._days.pop(next(iter(self._days)))
            known = self._days[day, source] = _kept(connection, day, source)
        return known


def _add(
    found: dict[tuple[int, str, str, str, str, str], _Seen],
    key: tuple[int, str, str, str, str, str],
    at: int,
    value: Json,
) -> None:
    seen = found.get(key)
    if seen is None:
        found[key] = _Seen(1, at, at, masked(value))
        return
    seen.events += 1
    seen.first, seen.last = min(seen.first, at), max(seen.last, at)


def _put(
    connection: Connection,
    word: Callable[[str], int],
    put: str,
    rows: Iterable[tuple[object, ...]],
) -> None:
    worded = [
        (day, word(str(source)), word(str(kind)), *rest)
        for day, source, kind, *rest in rows
    ]
    connection.executemany(put, worded)


def _kept(connection: Connection, day: int, source: str) -> _Day:
    known = _Day()
    for kind, name, events in connection.execute(LOOKS_OF_A_DAY, (day, source)):
        known.kind((kind, name)).events = events
    for kind, name, path in connection.execute(PATHS_OF_A_DAY, (day, source)):
        if not path.endswith(f".{OTHERS}"):
            known.kind((kind, name)).paths.add(path)
            known.fields += 1
    return known


def is_looked_at(number: int, digest: int) -> bool:
    """Whether an event is: the so-manieth of its kind in a day, by its message's id."""
    return number <= EVERY_ONE or not digest & DICE


def fields_of(kind: str, value: bytes) -> Iterator[tuple[str, Json]]:
    """Each trait and property of an event, by its path; none of what is no event.

    Of an identify under the names and types that a tracking plan is judged by: outside
    pipelines they stand in the log as they were sent.
    """
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError:
        return
    for inside in INSIDE:
        values = event.get(inside) if isinstance(event, dict) else None
        if not isinstance(values, dict):
            continue
        if kind == "identify" and inside == "traits" and "origin" in event:
            values = canonical(values).traits
        for name, each in values.items():
            yield f"{inside}.{name}", each


def masked(value: Json) -> str:
    """What a value looks like, without what it says: ``xxx.99@xxxxxxx.xxx``."""
    if isinstance(value, bool) or value is None:
        return orjson.dumps(value).decode()
    if isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    text = str(value)[: EXAMPLE_CHARS + 1]
    shown = DIGIT.sub("9", LETTER.sub("x", text))
    return shown if len(shown) <= EXAMPLE_CHARS else f"{shown[:EXAMPLE_CHARS]}…"


def tidied(connection: Connection, before_ms: int) -> None:
    """Forget the days that ended before; within a transaction of the caller's."""
    before = (before_ms // DAY_MS,)
    connection.execute("DELETE FROM looks WHERE day < ?", before)
    connection.execute("DELETE FROM fields WHERE day < ?", before)


def found(
    connection: Connection, from_ms: int, until_ms: int, source: str = ""
) -> Found:
    """What was found in the days of [from, until): the most frequent fields first."""
    span = from_ms // DAY_MS, -(-until_ms // DAY_MS), source, source
    kinds: dict[Kind, Looked] = {}
    for *kind, looked in connection.execute(LOOKED, (*span, ROWS_MAX)):
        kinds[Kind(*kind)] = Looked(int(looked))
    rows = connection.execute(FOUND, (*span, ROWS_MAX + 1)).fetchall()
    for row in rows[:ROWS_MAX]:
        sent, of_type, name, path, json_type, events, first, last, example = row
        here = kinds.setdefault(Kind(sent, of_type, name), Looked()).fields
        if (seen := here.get(path)) is None:
            seen = here[path] = Field(0, first, last, example)
        seen.events += int(events)
        seen.first, seen.last = min(seen.first, first), max(seen.last, last)
        seen.types[json_type] = int(events)
    return Found(kinds, whole=len(rows) <= ROWS_MAX)
