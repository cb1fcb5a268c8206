"""Rows of the ledger as values: events, refused messages, ends; words as texts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gateway.event import Json
from gateway.ledger.contract import Connection
from gateway.ledger.facts import AGAIN, KINDS, digest, packed, unpacked

FOUND_MAX = 100  # of one messageId: what repeats it more often is cut
ENDS_MAX = 500  # of one event
ALL = 2**62
EVENTS = (
    "SELECT e.at, e.digest, e.partition, e.offset, e.appended, e.message,"
    " s.text, t.text, e.person, e.name, r.text FROM events e"
    " JOIN words s ON s.id = e.source JOIN words t ON t.id = e.type"
    " JOIN words r ON r.id = e.route"
)
REFUSED = (
    "SELECT e.at, e.digest, e.partition, e.offset, e.appended, e.message,"
    " s.text, e.more FROM refused e JOIN words s ON s.id = e.source"
)


class Row(NamedTuple):
    """An event or a refused message: where it is, and what is known of it."""

    kind: str  # admitted, refused
    at: int
    digest: int
    partition: int
    offset: int
    appended_at: int
    message_id: str
    source: str
    type: str | None
    person: str | None
    name: str | None
    route: str
    more: Mapping[str, Json]


class EndRow(NamedTuple):
    """What became of an event at one destination; times are unix milliseconds."""

    destination: str
    kind: str
    reason: str | None
    replay: str | None
    mark: str | None
    attempts: int
    first_at: int | None
    ended_at: int
    status: int | None
    appended_at: int
    more: Mapping[str, Json]


class Story(NamedTuple):
    """One occurrence of a message, with its ends in the order of the log."""

    row: Row
    ends: Sequence[EndRow]


class Rows:
    """Reads them on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def story(self, message_id: str) -> list[Story]:
        """Every occurrence of a message id, oldest first, with all its ends.

        What was refused and is admitted by a replay keeps its time: first the refusal.
        """
        text = message_id.encode(errors="replace")
        wanted = digest(text), packed(text)
        where, newest = "digest = ? AND message = ?", "ORDER BY at DESC"
        rows = [
            *self.events(where, wanted, order=newest, limit=FOUND_MAX),
            *self.refused(where, wanted, order=newest, limit=FOUND_MAX),
        ]
        rows.sort(key=lambda r: (r.at, r.kind != "refused", r.partition, r.offset))
        return self.with_ends(rows[:FOUND_MAX])

    def with_ends(self, rows: Sequence[Row]) -> list[Story]:
        """Each with its ends; of copies in one request each gets its own."""
        left: dict[tuple[str, int, int, str], list[EndRow]] = {}
        stories = []
        of_one = Counter(_which(row) for row in rows)
        for row in rows:
            if row.kind == "refused":
                stories.append(Story(row, ()))
                continue
            key = _which(row)
            if key not in left:
                left[key] = self.ends(row)
            mine, left[key] = _first_of_each(left[key], alone=of_one[key] == 1)
            stories.append(Story(row, mine))
        return stories

    def ends(self, row: Row) -> list[EndRow]:
        """What became of the event: what was sent first, then what was a duplicate."""
        found = self._connection.execute(
            "SELECT d.text, e.kind, r.text, p.text, m.text, e.attempts, e.first,"
            " e.ended, e.status, e.appended, e.more, e.at FROM ends e"
            " JOIN words d ON d.id = e.destination JOIN words s ON s.id = e.source"
            " LEFT JOIN words r ON r.id = e.reason LEFT JOIN words p ON p.id = e.replay"
            " LEFT JOIN words m ON m.id = e.mark"
            " WHERE e.at = ? AND e.digest = ? AND s.text = ?"
            " ORDER BY e.kind = 4, e.partition, e.offset LIMIT ?",
            (row.at, row.digest, row.source, ENDS_MAX),
        )
        return [_end(each) for each in found]

    def events(
        self, where: str, values: Sequence[Any], *, order: str = "", limit: int = ALL
    ) -> Iterator[Row]:
        """Events as rows with their words; ``where`` may use the columns of events."""
        asked = f"{EVENTS} WHERE {where} {order} LIMIT ?"
        found = self._connection.execute(asked, (*values, limit))
        for at, key, part, off, appended, message, source, kind, *rest in found:
            person, name, route = rest
            yield Row(
                kind="admitted",
                at=at,
                digest=key,
                partition=part,
                offset=off,
                appended_at=at + appended,
                message_id=unpacked(message),
                source=source,
                type=kind or None,
                person=None if person is None else unpacked(person),
                name=name,
                route=route,
                more={},
            )

    def refused(
        self, where: str, values: Sequence[Any], *, order: str = "", limit: int = ALL
    ) -> Iterator[Row]:
        """Refused messages in the same way."""
        asked = f"{REFUSED} WHERE {where} {order} LIMIT ?"
        found = self._connection.execute(asked, (*values, limit))
        for at, key, part, off, appended, message, source, more in found:
            yield Row(
                kind="refused",
                at=at,
                digest=key,
                partition=part,
                offset=off,
                appended_at=at + appended,
                message_id=unpacked(message),
                source=source,
                type=None,
                person=None,
                name=None,
                route="{}",
                more=orjson.loads(more),
            )


def _which(row: Row) -> tuple[str, int, int, str]:
    """What copies of a message have in common that came in one request."""
    return row.kind, row.at, row.digest, row.source


def _first_of_each(
    ends: Sequence[EndRow], *, alone: bool
) -> tuple[list[EndRow], list[EndRow]]:
    """The first end at each destination, and the others; of one ``alone``, all."""
    mine: list[EndRow] = []
    others: list[EndRow] = []
    seen = set[tuple[str, str | None]]()
    for end in ends:
        which = end.destination, end.replay
        (others if which in seen and not alone else mine).append(end)
        seen.add(which)
    return mine, others


def _end(row: Sequence[Any]) -> EndRow:
    destination, kind, reason, replay, mark, attempts, first, ended, *rest = row
    status, appended, more, at = rest
    told = {} if more is None else orjson.loads(more)
    return EndRow(
        destination=destination,
        kind=KINDS[kind % AGAIN],
        reason=told.get("reason", reason),
        replay=replay,
        mark=mark,
        attempts=attempts,
        first_at=None if first is None else at + first,
        ended_at=at + ended,
        status=status,
        appended_at=at + appended,
        more=told,
    )
