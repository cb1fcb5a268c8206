"""Records into rows: a group of one topic in one transaction, each record once.

The place up to which a topic was followed is written with its rows. What comes again
after a crash stands at or below it and is passed over, so that following twice, or from
the start into an empty ledger, gives the same rows and the same counts.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

from gateway.ledger import facts
from gateway.ledger.contract import Connection
from gateway.ledger.facts import AGAIN, Admitted, End, Place, Refused
from gateway.ledger.fields import Fields
from gateway.ledger.names import Names
from gateway.log.contract import Record
from gateway.topics import EVENTS, OUTCOMES, REFUSED

MINUTE_MS = 60_000
TURN_RECORDS = 20  # a fraction of a millisecond
WORDS_MAX = 100_000  # a text beyond is kept as OTHER: who sends chooses some of them
OTHER = "(other)"
NONE = ""

PUT_EVENT = "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
PUT_REFUSED = "INSERT INTO refused VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
PUT_END = (
    "INSERT INTO ends VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
)
PUT_COUNT = (
    "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (minute, source, destination, kind, replayed)"
    " DO UPDATE SET events = counts.events + excluded.events"
)
PUT_PLACE = (
    "INSERT INTO places VALUES (?, ?, ?)"
    " ON CONFLICT (topic, partition) DO UPDATE SET offset = excluded.offset"
)
PUT_FACT = (
    "INSERT INTO facts VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
PUT_WORD = "INSERT INTO words (id, text) VALUES (?, ?)"
HAS_ENDED = (
    "SELECT at, digest, source, destination FROM ends WHERE at = ? AND digest = ?"
    " AND source = ? AND destination = ? AND replay IS NULL AND kind <> 4 LIMIT 1"
)
Counts = Counter[tuple[int, str, str, int, int]]
Word = Callable[[str], int]
T = TypeVar("T")


class Writer:
    """Writes on the store's thread; remembers the words it has seen.

    ``repeats``: an outcome may come twice. On SQLite none does: it and its mark are one
    transaction.
    """

    def __init__(self, *, repeats: bool = True) -> None:
        self._words: dict[str, int] = {}
        self._names, self._fields = Names(), Fields()
        self._seen_on: Connection | None = None
        self._repeats = repeats

    def take(
        self, connection: Connection, topic: str, records: Sequence[Record]
    ) -> None:
        """What these records say becomes durable, with the place they go up to."""
        if connection is not self._seen_on:
            self.forget()  # another process may have written meanwhile
            self._seen_on = connection
        try:
            with connection.transaction():
                self._take(connection, topic, records)
        except BaseException:
            self.forget()  # some were not written after all
            raise

    def forget(self) -> None:
        """The tables were made anew, or are not as they were meant to be."""
        self._words.clear()
        self._names.forget()
        self._fields.forget()

    def _take(
        self, connection: Connection, topic: str, records: Sequence[Record]
    ) -> None:
        places = dict(
            connection.execute(
                "SELECT partition, offset FROM places WHERE topic = ?", (topic,)
            )
        )
        new = [each for each in records if each.offset > places.get(each.partition, -1)]
        floor = floor_of(connection)

        def word(text: str) -> int:
            return self._word(connection, text)

        counts: Counts = Counter()
        each = gently(new)
        if topic == EVENTS:
            events = kept(map(facts.admitted, each), floor)
            put_events(connection, events, word, counts)
            self._names.put(connection, events, word)
            self._fields.put(connection, gently(events), word, self._names.name_of)
        elif topic == REFUSED:
            put_refused(connection, kept(map(facts.refused, each), floor), word, counts)
        elif topic == OUTCOMES:
            ends = kept(map(facts.end, each), floor)
            again = repeated(connection, ends, word) if self._repeats else frozenset()
            put_ends(connection, ends, word, counts, again)
            if missed := missed_among(new, places):
                newest = max(missed, missed_of(connection))
                connection.execute(PUT_FACT, ("missed", str(newest)))
        put_counts(connection, counts, word)
        last = {each.partition: each.offset for each in new}
        rows = [(topic, partition, offset) for partition, offset in last.items()]
        connection.executemany(PUT_PLACE, rows)

    def _word(self, connection: Connection, text: str) -> int:
        if (known := self._words.get(text)) is not None:
            return known
        number = _found(connection, text)
        if number is None:
            (last,) = connection.execute("SELECT max(id) FROM words").fetchone()
            number = (last or 0) + 1
            if number > WORDS_MAX and text != OTHER:
                return self._word(connection, OTHER)
            connection.execute(PUT_WORD, (number, text))
        self._words[text] = number
        return number


def _found(connection: Connection, text: str) -> int | None:
    row = connection.execute("SELECT id FROM words WHERE text = ?", (text,)).fetchone()
    return None if row is None else int(row[0])


def gently(records: Iterable[T]) -> Iterator[T]:
    """The same; now and then another thread has its turn.

    Only one thread of Python's runs at a time, and one that computes is asked to leave
    after 5 ms: a request would wait for so long.
    """
    for number, record in enumerate(records):
        if not number % TURN_RECORDS:
            time.sleep(0)
        yield record


def floor_of(connection: Connection) -> int:
    """Nothing received before is kept: it was deleted for its age or for room."""
    return _time_of(connection, "floor")


def missed_of(connection: Connection) -> int:
    """Until when outcomes were deleted before they were read (unix ms); 0: none was.

    Of an event that was appended by then, an end may never be known.
    """
    return _time_of(connection, "missed")


def _time_of(connection: Connection, name: str) -> int:
    """A fact that is a time (unix ms); 0: it is none yet."""
    asked = "SELECT value FROM facts WHERE name = ?"
    row = connection.execute(asked, (name,)).fetchone()
    return 0 if row is None else int(row[0])


def missed_among(records: Iterable[Record], places: Mapping[int, int]) -> int:
    """When the newest record came before which others are missing; 0: none are.

    ``places``: up to where each partition was read. The offsets of a topic that is only
    appended to leave none out; what the log has deleted is missing.
    """
    missed, last = 0, dict(places)
    for record in records:
        if record.offset > last.get(record.partition, -1) + 1:
            missed = max(missed, record.appended_at_ms)
        last[record.partition] = record.offset
    return missed


def kept(found: "Iterable[Admitted | Refused | End | None]", floor: int) -> list[Any]:
    """Those that say something, and that are not too old already."""
    return [each for each in found if each is not None and each.place.at >= floor]


def put_events(
    connection: Connection,
    events: Sequence[Admitted],
    word: Word,
    counts: Counts,
) -> None:
    """Rows of ``events``, and for every destination that it was one more."""
    rows = []
    routes: Counter[tuple[int, str, str]] = Counter()
    for place, source, kind, route, message, person, who, name, _ in events:
        routes[place.at // MINUTE_MS, source, route] += 1
        rows.append(
            (*place, word(source), word(kind), word(route), message, person, who, name)
        )
    connection.executemany(PUT_EVENT, rows)
    for (minute, source, route), times in routes.items():
        counts[minute, source, NONE, facts.ADMITTED, 0] += times
        to, no = facts.route_of(route)
        for name in (*to, *no):
            counts[minute, source, name, facts.ADMITTED, 0] += times
        for name in no:
            counts[minute, source, name, facts.FILTERED, 0] += times


def put_refused(
    connection: Connection,
    refused: Sequence[Refused],
    word: Word,
    counts: Counts,
) -> None:
    """Rows of ``refused``."""
    rows = []
    for place, source, reason, message, more in refused:
        counts[place.at // MINUTE_MS, source, NONE, facts.REFUSED, 0] += 1
        rows.append((*place, word(source), word(reason), message, more))
    connection.executemany(PUT_REFUSED, rows)


def repeated(
    connection: Connection, ends: Sequence[End], word: Word
) -> AbstractSet[Place]:
    """Those of an event that has ended at the destination before; no duplicates."""
    new = [e for e in ends if e.replay is None and e.kind != facts.DUPLICATE]
    keys = [
        (e.place.at, e.place.digest, word(e.source), word(e.destination)) for e in new
    ]
    ended = set(map(tuple, connection.each(HAS_ENDED, keys)))
    found = set[Place]()
    for end, which in zip(new, keys, strict=True):
        if which in ended:
            found.add(end.place)
        ended.add(which)
    return found


def put_ends(
    connection: Connection,
    ends: Sequence[End],
    word: Word,
    counts: Counts,
    again: AbstractSet[Place],
) -> None:
    """Rows of ``ends``; those of replays, and repeated ones, are counted apart."""

    def maybe(text: str | None) -> int | None:
        return None if text is None else word(text)

    rows = []
    for place, source, destination, kind, reason, replay, mark, *rest in ends:
        repeats = place in again
        apart = int(repeats or replay is not None)
        counts[place.at // MINUTE_MS, source, destination, kind, apart] += 1
        ids = word(source), word(destination), kind + AGAIN * repeats
        rows.append((*place, *ids, maybe(reason), maybe(replay), maybe(mark), *rest))
    connection.executemany(PUT_END, rows)


def put_counts(connection: Connection, counts: Counts, word: Word) -> None:
    """Add to what was counted before."""
    rows = [
        (minute, word(source), word(name) if name else 0, kind, again, times)
        for (minute, source, name, kind, again), times in counts.items()
    ]
    connection.executemany(PUT_COUNT, rows)
