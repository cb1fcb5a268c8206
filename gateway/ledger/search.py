"""Which events were there: newest first, page by page, however many there are.

A search passes over a bounded number of rows. One that finds little in them answers
with what it has and the place to go on from, so that no question lasts.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.errors import ConfigError
from gateway.ledger.contract import Connection
from gateway.ledger.facts import DELIVERED, ENDS, FILTERED, digest, packed, route_of
from gateway.ledger.rows import Row, Rows, Story

PAGE, PAGE_MAX = 50, 500
CHUNK = 5_000  # rows passed over at once
LOOKED_AT_MAX = 50_000  # in one search
KEY = "at, digest, partition, offset"
DOWN = "ORDER BY e.at DESC, e.digest DESC, e.partition DESC, e.offset DESC"
CURSOR = re.compile(r"(\d{1,18})\.(\d{1,18})\.(-?\d{1,18})\.(-?\d{1,18})")
END = (2**62, 0, 0, 0)
NO_WORD = -1  # a list must not be empty
KINDS = ("admitted", "refused", "pending", *ENDS)
Key = tuple[int, int, int, int]
HAS_END = (
    "EXISTS (SELECT 1 FROM ends x WHERE x.at = e.at AND x.digest = e.digest"
    " AND x.source = e.source"
)
AMONG_ENDS = (
    "(e.at, e.digest) IN (SELECT x.at, x.digest FROM ends x WHERE x.destination = ?"
    " AND x.kind = ? AND x.kind <> 1"
    " AND (x.at, x.digest) <= (?, ?) AND (x.at, x.digest) >= (?, ?))"
)
Route = tuple[tuple[str, ...], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is wanted; None: anything. Times are unix milliseconds, on receivedAt.

    ``kind`` is one of ``KINDS``. ``text`` is a part of an event's name, in any case.
    ``before`` is where the last page ended.
    """

    person: str | None = None
    source: str | None = None
    destination: str | None = None
    kind: str | None = None
    type: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    text: str | None = None
    before: str | None = None
    limit: int = PAGE

    def check(self) -> None:
        """Raise ConfigError for what cannot be asked."""
        if self.kind is not None and self.kind not in KINDS:
            raise ConfigError(f"kind: {self.kind!r} is not one of {', '.join(KINDS)}")
        if self.kind == "pending" and self.destination is None:
            raise ConfigError("kind: pending needs a destination")
        if self.before is not None and not CURSOR.fullmatch(self.before):
            raise ConfigError("before: is not what a page before had as its next")
        check_span(self.from_ms, self.until_ms)
        if not 1 <= self.limit <= PAGE_MAX:
            raise ConfigError(f"limit: is not a number from 1 to {PAGE_MAX}")


def check_span(from_ms: int | None, until_ms: int | None) -> None:
    """Raise ConfigError for an end before its beginning: nothing would be found."""
    if from_ms is not None and until_ms is not None and until_ms < from_ms:
        raise ConfigError("until: is before from, so that nothing lies between")


class Page(NamedTuple):
    """Some events, newest first; ``next`` is the place to go on from, None: the end."""

    found: Sequence[Story]
    next: str | None


class _Part(NamedTuple):
    """What one table gave, and the key down to which it was looked through."""

    rows: list[Row]
    reached: Key | None


def search(connection: Connection, wanted: Search) -> Page:
    """The newest of those that are wanted, before the place that is given."""
    before = _place(wanted.before)
    if wanted.until_ms is not None:
        before = min(before, (wanted.until_ms, -1, -1, -1))
    parts = []
    if wanted.kind != "refused":
        parts.append(_Events(connection, wanted).part(before))
    if wanted.kind in (None, "refused") and _may_be_refused(wanted):
        parts.append(_refused(connection, wanted, before))
    floor = max((p.reached for p in parts if p.reached is not None), default=None)
    rows = [row for part in parts for row in part.rows]
    rows = [row for row in rows if floor is None or _key(row) >= floor]
    rows.sort(key=_key, reverse=True)
    more = floor
    if len(rows) > wanted.limit:
        rows = rows[: wanted.limit]
        more = _key(rows[-1])
    following = None if more is None else ".".join(map(str, more))
    return Page(Rows(connection).with_ends(rows), following)


def _may_be_refused(wanted: Search) -> bool:
    """Nothing is known of a refused message's person, type, name or way."""
    of_events = wanted.person, wanted.destination, wanted.type, wanted.text
    return all(each is None for each in of_events)


def _place(text: str | None) -> Key:
    match = None if text is None else CURSOR.fullmatch(text)
    if match is None:
        return END
    at, key, partition, offset = map(int, match.groups())
    return at, key, partition, offset


def _keys(person: str) -> Sequence[str]:
    """What a person's events may be kept under: emails of any case are one key."""
    return tuple({person, person.lower()}) if "@" in person else (person,)


def _key(row: Row) -> Key:
    return row.at, row.digest, row.partition, row.offset


class _Events:
    """A search among events: the index that leads, and what else must hold."""

    def __init__(self, connection: Connection, wanted: Search) -> None:
        self._connection, self._wanted = connection, wanted
        self._rows = Rows(connection)
        self._lead, self._lead_values = self._leading()
        self._filters: list[str] = []
        self._values: list[Any] = []
        self._add_filters()

    def _word(self, text: str) -> int:
        """A word's number; ``NO_WORD`` for one that is in no row."""
        asked = "SELECT id FROM words WHERE text = ?"
        row = self._connection.execute(asked, (text,)).fetchone()
        return NO_WORD if row is None else int(row[0])

    def _leading(self) -> tuple[str, list[Any]]:
        wanted = self._wanted
        if wanted.person is not None:
            keys = [each.encode(errors="replace") for each in _keys(wanted.person)]
            marks = ", ".join("?" * len(keys))
            values = [*map(digest, keys), *map(packed, keys)]
            return f"who IN ({marks}) AND person IN ({marks})", values
        if wanted.source is not None:
            return "source = ?", [self._word(wanted.source)]
        return "TRUE", []

    def _must(self, condition: str, *values: Any) -> None:
        self._filters.append(condition)
        self._values += values

    def _add_filters(self) -> None:
        wanted = self._wanted
        if wanted.source is not None:
            self._must("e.source = ?", self._word(wanted.source))
        if wanted.type is not None:
            self._must("e.type = ?", self._word(wanted.type))
        if wanted.text is not None:
            escaped = re.sub(r"([\\%_])", r"\\\1", wanted.text)
            self._must("lower(e.name) LIKE lower(?) ESCAPE '\\'", f"%{escaped}%")
        if wanted.destination is not None:
            self._at_destination(wanted.destination, wanted.kind)
        elif (kind := ENDS.get(wanted.kind or "")) is not None:
            route = self._routes(None) if kind == FILTERED else "FALSE"
            self._must(f"({route} OR {HAS_END} AND x.kind = ?))", kind)

    def _at_destination(self, name: str, kind: str | None) -> None:
        here = f"{HAS_END} AND x.destination = ?"
        word = self._word(name)
        if kind == "pending":
            self._must(self._routes(name, "to"))
            self._must(f"NOT {here} AND x.replay IS NULL)", word)
        elif (end := ENDS.get(kind or "")) is not None:
            route = self._routes(name, "no") if end == FILTERED else "FALSE"
            self._must(f"({route} OR {here} AND x.kind = ?))", word, end)
        else:
            self._must(f"({self._routes(name, 'to', 'no')} OR {here}))", word)

    def _routes(self, name: str | None, *parts: str) -> str:
        """A condition: the routing decision has the destination in one of these.

        Without a name: it left out any.
        """
        asked = "SELECT id, text FROM words WHERE text LIKE '{%'"
        found = [
            str(number)
            for number, text in self._connection.execute(asked)
            if _has(route_of(text), name, parts)
        ]
        return f"e.route IN ({','.join(found) or NO_WORD})"

    def part(self, before: Key) -> _Part:
        """The newest before a place, and how far it looked."""
        wanted, rows = self._wanted, list[Row]()
        leads = self._end_of_ends if self._by_ends else self._end_of_events
        for _ in range(LOOKED_AT_MAX // CHUNK):
            end = leads(before)
            rows += self._between(before, end, wanted.limit + 1 - len(rows))
            if end is None:
                return _Part(rows, None)
            if len(rows) > wanted.limit:
                return _Part(rows, _key(rows[-1]))
            before = end
        return _Part(rows, before)

    def _between(self, before: Key, end: Key | None, limit: int) -> Iterator[Row]:
        conditions = [
            self._lead,
            "e.at <= ?",
            f"({_of_e(KEY)}) < (?, ?, ?, ?)",
            f"({_of_e(KEY)}) >= (?, ?, ?, ?)",
            *self._filters,
        ]
        floor = end or (self._wanted.from_ms or 0, -1, -1, -1)
        values = [*self._lead_values, before[0], *before, *floor, *self._values]
        if self._by_ends:
            conditions.append(AMONG_ENDS)
            values += [*self._ended(), *before[:2], *floor[:2]]
        where = " AND ".join(conditions)
        return self._rows.events(where, values, order=DOWN, limit=limit)

    def _end_of_events(self, before: Key) -> Key | None:
        """The key at which the next rows' chunk ends; None: it is the last one."""
        asked = (
            f"SELECT {KEY} FROM events WHERE {self._lead} AND at <= ? AND at >= ?"  # noqa: S608 -- our own names
            f" AND ({KEY}) < (?, ?, ?, ?)"
            " ORDER BY at DESC, digest DESC, partition DESC, offset DESC"
            " LIMIT 1 OFFSET ?"
        )
        oldest = self._wanted.from_ms or 0
        values = [*self._lead_values, before[0], oldest, *before, CHUNK]
        row = self._connection.execute(asked, values).fetchone()
        return None if row is None else (row[0], row[1], row[2], row[3])

    @property
    def _by_ends(self) -> bool:
        """What was not delivered has an index of its own.

        But for what was filtered: of what the intake left out no end tells.
        """
        kind = ENDS.get(self._wanted.kind or "", DELIVERED)
        named = self._wanted.destination is not None and self._wanted.person is None
        return named and kind not in (DELIVERED, FILTERED)

    def _ended(self) -> tuple[int, int]:
        wanted = self._wanted
        return self._word(wanted.destination or ""), ENDS[wanted.kind or ""]

    def _end_of_ends(self, before: Key) -> Key | None:
        """The same by ends: a page's worth of them, and copies of a request beside."""
        wanted = self._wanted
        asked = (
            "SELECT at, digest FROM ends WHERE destination = ? AND kind = ?"
            " AND kind <> 1"  # said, or SQLite does not take the index of these
            " AND at <= ? AND at >= ? AND (at, digest) <= (?, ?)"
            " ORDER BY at DESC, digest DESC LIMIT 1 OFFSET ?"
        )
        values = (
            *self._ended(),
            before[0],
            wanted.from_ms or 0,
            *before[:2],
            4 * wanted.limit,
        )
        row = self._connection.execute(asked, values).fetchone()
        return None if row is None else (row[0], row[1], -1, -1)


def _has(route: Route, name: str | None, parts: Sequence[str]) -> bool:
    to, no = route
    if name is None:
        return bool(no)
    return ("to" in parts and name in to) or ("no" in parts and name in no)


def _of_e(columns: str) -> str:
    return ", ".join(f"e.{each}" for each in columns.split(", "))


def _refused(connection: Connection, wanted: Search, before: Key) -> _Part:
    """Refused messages: few, and each search has an index that serves it."""
    where, values = [f"({_of_e(KEY)}) < (?, ?, ?, ?)"], list[Any](before)
    if wanted.from_ms is not None:
        where.append("e.at >= ?")
        values.append(wanted.from_ms)
    if wanted.source is not None:
        where.append("s.text = ?")
        values.append(wanted.source)
    found = Rows(connection).refused(
        " AND ".join(where), values, order=DOWN, limit=wanted.limit + 1
    )
    rows = list(found)
    full = len(rows) > wanted.limit
    return _Part(rows, _key(rows[-1]) if full else None)
