"""What was counted: the account, the minutes for plots, trouble grouped by its reason.

Counts are kept by the minute an event was received in, and written with the rows that
they count. What of a span is less than a whole minute is counted from the rows.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.event import Json, iso
from gateway.ledger import again
from gateway.ledger.contract import Connection
from gateway.ledger.facts import ADMITTED, FILTERED, KINDS, REFUSED, route_of
from gateway.ledger.rows import Row, Rows
from gateway.ledger.write import MINUTE_MS, NONE

FOR_EVER_MS = 2**53
GROUPS_MAX = 200
MINUTES_MAX = 10_080  # of one plot: a week
OPEN_MAX = 10_000  # open events that an account looks at one by one
NAMES: Mapping[int, str] = {ADMITTED: "admitted", REFUSED: "refused", **KINDS}

Counted = Counter[tuple[str, str, int, int]]
"""(source, destination or "", kind, 0 | 1: of a replay) -> events."""
FROM_COUNTS = (
    "SELECT s.text, coalesce(d.text, ''), c.kind, c.replayed, sum(c.events)"
    " FROM counts c JOIN words s ON s.id = c.source"
    " LEFT JOIN words d ON d.id = c.destination"
    " WHERE c.minute >= ? AND c.minute < ? GROUP BY 1, 2, 3, 4"
)
FROM_EVENTS = (
    "SELECT s.text, r.text, n FROM (SELECT source, route, count(*) AS n FROM events"
    " WHERE at >= ? AND at < ? GROUP BY 1, 2) e JOIN words s ON s.id = e.source"
    " JOIN words r ON r.id = e.route"
)
FROM_REFUSED = (
    "SELECT s.text, count(*) FROM refused e JOIN words s ON s.id = e.source"
    " WHERE e.at >= ? AND e.at < ? GROUP BY 1"
)
FROM_ENDS = (
    "SELECT s.text, d.text, e.kind % 16, e.replay IS NOT NULL OR e.kind >= 16, n"
    " FROM (SELECT source, destination, kind, replay, count(*) AS n FROM ends"
    " WHERE at >= ? AND at < ? GROUP BY 1, 2, 3, 4) e"
    " JOIN words s ON s.id = e.source JOIN words d ON d.id = e.destination"
)
HAS_NO_END = (
    "s.text = ? AND e.at >= ? AND e.at < ?"
    " AND NOT EXISTS (SELECT 1 FROM ends x JOIN words d ON d.id = x.destination"
    " WHERE x.at = e.at AND x.digest = e.digest AND x.source = e.source"
    " AND d.text = ? AND x.replay IS NULL)"
)


def counted(connection: Connection, from_ms: int, until_ms: int) -> Counted:
    """What was received in [from, until), by who sent it and where it came to what."""
    first, last = -(-from_ms // MINUTE_MS), until_ms // MINUTE_MS
    if first >= last:
        return _from_rows(connection, from_ms, until_ms)
    found: Counted = Counter()
    for source, name, kind, replayed, events in connection.execute(
        FROM_COUNTS, (first, last)
    ):
        found[source, name, kind, replayed] += events
    found.update(_from_rows(connection, from_ms, first * MINUTE_MS))
    found.update(_from_rows(connection, last * MINUTE_MS, until_ms))
    return found


def _from_rows(connection: Connection, from_ms: int, until_ms: int) -> Counted:
    found: Counted = Counter()
    span = from_ms, until_ms
    if from_ms >= until_ms:
        return found
    for source, route, events in connection.execute(FROM_EVENTS, span):
        found[source, NONE, ADMITTED, 0] += events
        to, no = route_of(route)
        for name in (*to, *no):
            found[source, name, ADMITTED, 0] += events
        for name in no:
            found[source, name, FILTERED, 0] += events
    for source, events in connection.execute(FROM_REFUSED, span):
        found[source, NONE, REFUSED, 0] += events
    for source, name, kind, replayed, events in connection.execute(FROM_ENDS, span):
        found[source, name, kind, replayed] += events
    return found


def per_minute(
    connection: Connection, from_ms: int, until_ms: int
) -> list[dict[str, Json]]:
    """Events a minute, destination and kind, oldest first; of a week at the most."""
    first = max(from_ms // MINUTE_MS, until_ms // MINUTE_MS - MINUTES_MAX)
    found = connection.execute(
        "SELECT c.minute, coalesce(d.text, ''), c.kind, sum(c.events) FROM counts c"
        " LEFT JOIN words d ON d.id = c.destination"
        " WHERE c.minute >= ? AND c.minute < ? AND c.replayed = 0"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        (first, -(-until_ms // MINUTE_MS)),
    )
    return [
        {
            "at": iso(minute * MINUTE_MS),
            "destination": name or None,
            "kind": NAMES.get(kind, str(kind)),
            "events": events,
        }
        for minute, name, kind, events in found
    ]


def dead_groups(
    connection: Connection, from_ms: int, until_ms: int
) -> list[dict[str, Json]]:
    """Dead letters by destination, reason, status and error: the most open first.

    ``error`` is what the last attempt was answered; ``since`` counts what replays of
    them came to, ``open`` the others.
    """
    found = connection.execute(
        "SELECT d.text, r.text, e.status,"  # noqa: S608 -- our own names
        " json_extract(e.more, '$.tries[#-1].error') AS error,"
        " count(*), min(e.at), max(e.at), x.kind, p.text"
        " FROM ends e JOIN words d ON d.id = e.destination"
        " LEFT JOIN words r ON r.id = e.reason"
        f"{again.SINCE} LEFT JOIN words p ON p.id = x.replay WHERE{again.LETTERS}"
        " AND e.at >= ? AND e.at < ?"
        " GROUP BY 1, 2, 3, 4, 8, 9 ORDER BY 5 DESC LIMIT ?",
        (from_ms, until_ms, again.ROWS_MAX),
    )
    return again.folded(found.fetchall())


def refused_groups(
    connection: Connection, from_ms: int, until_ms: int
) -> list[dict[str, Json]]:
    """Refused messages by source and first error: the largest groups first."""
    found = connection.execute(
        "SELECT s.text, r.text, count(*), min(e.at), max(e.at)"
        " FROM refused e JOIN words s ON s.id = e.source"
        " JOIN words r ON r.id = e.reason WHERE e.at >= ? AND e.at < ?"
        " GROUP BY 1, 2 ORDER BY 3 DESC LIMIT ?",
        (from_ms, until_ms, GROUPS_MAX),
    )
    groups = []
    for source, reason, events, first, last in found:
        code, _, pointer = reason.partition(" ")
        groups.append(
            {
                "source": source,
                "code": code,
                "pointer": pointer,
                "events": events,
                "first": iso(first),
                "last": iso(last),
            }
        )
    return groups


class Open(NamedTuple):
    """An event that has not ended at a destination; ``replayed``: what a replay did."""

    row: Row
    replayed: str | None


def open_events(
    connection: Connection,
    source: str,
    destination: str,
    span: tuple[int, int],
) -> list[Open]:
    """Events routed to a destination that never ended there, oldest first; bounded.

    Only minutes whose counts say that there are some are looked into.
    """
    found: list[Open] = []
    rows = Rows(connection)
    for start, stop in _open_minutes(connection, source, destination, span):
        routes = _routes_to(connection, destination)
        where = f"{HAS_NO_END} AND e.route IN ({routes})"
        values = source, start, stop, destination
        left = OPEN_MAX - len(found)
        for row in rows.events(where, values, order="ORDER BY e.at", limit=left):
            ends = [e for e in rows.ends(row) if e.destination == destination]
            found.append(Open(row, ends[-1].kind if ends else None))
        if len(found) >= OPEN_MAX:
            break
    return found


def _open_minutes(
    connection: Connection,
    source: str,
    destination: str,
    span: tuple[int, int],
) -> Iterator[tuple[int, int]]:
    minutes = connection.execute(
        "SELECT c.minute FROM counts c JOIN words s ON s.id = c.source"
        " JOIN words d ON d.id = c.destination WHERE c.minute >= ? AND c.minute <= ?"
        " AND s.text = ? AND d.text = ? AND c.replayed = 0 GROUP BY c.minute"
        " HAVING sum(CASE c.kind WHEN 0 THEN c.events ELSE -c.events END) > 0"
        " ORDER BY c.minute",
        (span[0] // MINUTE_MS, span[1] // MINUTE_MS, source, destination),
    ).fetchall()
    for (minute,) in minutes:
        start, stop = minute * MINUTE_MS, (minute + 1) * MINUTE_MS
        yield max(start, span[0]), min(stop, span[1])


def _routes_to(connection: Connection, destination: str) -> str:
    asked = "SELECT id, text FROM words WHERE text LIKE '{%'"
    found: Sequence[str] = [
        str(number)
        for number, text in connection.execute(asked)
        if destination in route_of(text)[0]
    ]
    return ",".join(found) or "-1"
