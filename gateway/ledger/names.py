"""Which kinds of events each source sends, by the hour: how many, how steadily.

A kind is a type, with the event's name where it has one; ``""`` for both is all that
its source sends. ``gap`` is the longest silence within the hour, so that with ``first``
and ``last`` every silence is known. Names are chosen by who sends: beyond 1,000 of a
source they count as one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.ledger.contract import Connection
from gateway.ledger.facts import Admitted

HOUR_MS = 3_600_000
NAMES_MAX = 1_000  # of one source
KINDS_MAX = 1_000  # told at once
OTHERS = "(others)"
PUT = (
    "INSERT INTO names AS n VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (hour, source, type, name) DO UPDATE SET"
    " events = n.events + excluded.events,"
    " gap = max(n.gap, excluded.gap, excluded.first - n.last),"
    " first = min(n.first, excluded.first), last = max(n.last, excluded.last)"
)
CATALOGUE = (
    "SELECT s.text, coalesce(t.text, ''), n.name,"
    " sum(n.events), min(n.first), max(n.last)"
    " FROM names n JOIN words s ON s.id = n.source LEFT JOIN words t ON t.id = n.type"
    " WHERE n.hour >= ? AND n.hour < ? AND n.type <> 0 AND (? = '' OR s.text = ?)"
    " GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC LIMIT ?"
)
# The second longest silence: the longest may be the outage that was told of last.
STEADINESS = (
    "WITH hours AS (SELECT *, lag(last) OVER kind AS before FROM names WHERE hour >= ?"
    "  WINDOW kind AS (PARTITION BY source, type, name ORDER BY hour)),"
    " silences AS (SELECT source, type, name, events, first, last,"
    "  max(gap, coalesce(first - before, 0)) AS silence FROM hours),"
    " ranked AS (SELECT *, row_number() OVER"
    "  (PARTITION BY source, type, name ORDER BY silence DESC) AS place FROM silences)"
    " SELECT s.text, coalesce(t.text, ''), r.name, sum(r.events), min(r.first),"
    "  max(r.last), coalesce(max(CASE r.place WHEN 2 THEN r.silence END), 0)"
    " FROM ranked r JOIN words s ON s.id = r.source LEFT JOIN words t ON t.id = r.type"
    " GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT ?"
)
LATEST = (
    "SELECT s.text, coalesce(t.text, ''), n.name, max(n.last) FROM names n"
    " JOIN words s ON s.id = n.source LEFT JOIN words t ON t.id = n.type"
    " WHERE n.hour >= ? GROUP BY 1, 2, 3"
)


class Kind(NamedTuple):
    """What is sent: who sends it, its type, its name; empty: all of the source."""

    source: str
    type: str
    name: str


class Sent(NamedTuple):
    """How often a kind came, when first and last (unix milliseconds)."""

    kind: Kind
    events: int
    first: int
    last: int


class Steady(NamedTuple):
    """The same, with its usual longest silence in milliseconds."""

    sent: Sent
    silence: int


@dataclass(slots=True)
class _Hour:
    """What one group of records adds to a kind's hour."""

    events: int
    first: int
    last: int
    gap: int = 0

    def add(self, at: int) -> None:
        self.gap = max(self.gap, at - self.last)
        self.events += 1
        self.first, self.last = min(self.first, at), max(self.last, at)


class Names:
    """Remembers which names of a source have a place of their own."""

    def __init__(self) -> None:
        self._known: dict[str, set[tuple[str, str]]] = {}

    def forget(self) -> None:
        """The tables are not what they were."""
        self._known.clear()

    def put(
        self,
        connection: Connection,
        events: Iterable[Admitted],
        word: Callable[[str], int],
    ) -> None:
        """Count these events, within a transaction of the caller's."""
        hours: dict[tuple[int, str, str, str], _Hour] = {}
        for event in events:
            at, source = event.place.at, event.source
            name = self.name_of(connection, event)
            for key in (
                (at // HOUR_MS, source, event.type, name),
                (at // HOUR_MS, source, "", ""),
            ):
                if (hour := hours.get(key)) is None:
                    hours[key] = _Hour(1, at, at)
                else:
                    hour.add(at)
        rows = [
            (
                *(hour, word(source), word(kind) if kind else 0, name),
                *(each.events, each.first, each.last, each.gap),
            )
            for (hour, source, kind, name), each in hours.items()
        ]
        connection.executemany(PUT, rows)

    def name_of(self, connection: Connection, event: Admitted) -> str:
        """The name under which an event counts."""
        source, kind, name = event.source, event.type, event.name or ""
        if not name:
            return name
        known = self._known.get(source)
        if known is None:
            known = self._known[source] = set(_kept(connection, source))
        if (kind, name) not in known:
            if len(known) >= NAMES_MAX:
                return OTHERS
            known.add((kind, name))
        return name


def _kept(connection: Connection, source: str) -> Sequence[tuple[str, str]]:
    asked = (
        "SELECT DISTINCT t.text, n.name FROM names n JOIN words s ON s.id = n.source"
        " JOIN words t ON t.id = n.type WHERE s.text = ? AND n.name NOT IN ('', ?)"
        " LIMIT ?"
    )
    found = connection.execute(asked, (source, OTHERS, NAMES_MAX))
    return [(kind, name) for kind, name in found]


def tidied(connection: Connection, before_ms: int) -> None:
    """Forget the hours that ended before; within a transaction of the caller's."""
    connection.execute("DELETE FROM names WHERE hour < ?", (before_ms // HOUR_MS,))


def catalogue(
    connection: Connection, from_ms: int, until_ms: int, source: str = ""
) -> list[Sent]:
    """What came in the hours of [from, until): by source, the most frequent first."""
    span = from_ms // HOUR_MS, -(-until_ms // HOUR_MS), source, source
    found = connection.execute(CATALOGUE, (*span, KINDS_MAX))
    return [Sent(Kind(*row[:3]), *row[3:]) for row in found]


def steadiness(connection: Connection, from_ms: int) -> list[Steady]:
    """The most frequent kinds since, each with its usual longest silence."""
    found = connection.execute(STEADINESS, (from_ms // HOUR_MS, KINDS_MAX))
    return [Steady(Sent(Kind(*row[:3]), *row[3:6]), row[6]) for row in found]


def latest(connection: Connection, from_ms: int) -> dict[Kind, int]:
    """When each kind that came since came last."""
    found = connection.execute(LATEST, (from_ms // HOUR_MS,))
    return {Kind(*row[:3]): row[3] for row in found}
