"""The tables as the writer sees them: load, insert, mark, delete; each a transaction.

What comes in: appends, settled offsets, what may go. What goes out: nothing; when a
method returns, its change is durable, and when it raises nothing has changed. Only the
writer thread calls it; the event loop reads ``topics`` (whole numbers and whole Marks,
replaced after the commit and never changed in place).
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from gateway.log.contract import Entry, Record
from gateway.log.marks import Marks
from gateway.log.sqlite.files import sync_folder
from gateway.log.sqlite.fresh import Grown
from gateway.log.sqlite.read import offset_at
from gateway.log.sqlite.rows import BODY_COLUMNS, RECORD_COLUMNS, Rows, TopicRows
from gateway.topics import Declare

SCHEMA_VERSION = 1
CHECKPOINT_PAGES = 4_000  # 16 MB: a page changed often is copied back seldom
JOURNAL_BYTES = 67_108_864  # what the WAL file is cut to after a burst
CACHE_KIB = 16_384
AHEAD_MS = 86_400_000  # a day: no clock is wrong by so much that is not badly wrong
ROWS_PER_STATEMENT = (256, 64, 16, 4, 1)

INSERT_BODY = "INSERT INTO bodies VALUES {}"
INSERT_RECORD = "INSERT INTO records VALUES {}"
# Not replaced: the index of names would be written each time, a page more.
SAVE_TOPIC = (
    "INSERT INTO topics VALUES {} ON CONFLICT (id) DO UPDATE"
    " SET first = excluded.first, next = excluded.next,"
    " records = excluded.records, bytes = excluded.bytes"
)
SAVE_GROUP = "INSERT OR REPLACE INTO groups VALUES {}"
TOPIC_COLUMNS = 6
GROUP_COLUMNS = 4
IN_RANGE = "FROM records WHERE topic = ?1 AND offset BETWEEN ?2 AND ?3"
UNREFER = f"""UPDATE bodies SET refs = refs - gone.n
    FROM (SELECT body, count(*) AS n {IN_RANGE} GROUP BY body) AS gone
    WHERE bodies.id = gone.body"""  # noqa: S608 -- a constant
DELETE_BODIES = f"""DELETE FROM bodies
    WHERE id IN (SELECT body {IN_RANGE}) AND refs <= 0"""  # noqa: S608 -- a constant
STEP_BACK = (
    "UPDATE records SET appended = max(?1, coalesce((SELECT appended FROM records"
    " WHERE topic = ?2 AND offset < ?3 ORDER BY offset DESC LIMIT 1), 0))"
    " WHERE topic = ?2 AND offset >= ?3 AND offset < ?4"
)
DELETE_RECORDS = f"DELETE {IN_RANGE}"


@dataclass(slots=True, eq=False)
class Topic:
    """What is known of a topic without asking SQLite."""

    id: int
    name: str
    first: int = 0
    next: int = 0
    records: int = 0
    bytes: int = 0
    groups: dict[str, Marks] = field(default_factory=dict)
    fresh: Sequence[Record] = ()
    """What the last transaction added, if that was little; the event loop's."""

    def row(self) -> list[Any]:
        """As it stands in the table."""
        return [self.id, self.name, self.first, self.next, self.records, self.bytes]


class Change(Protocol):
    """What one caller asks to be written; topics and groups are made if new."""

    @property
    def entries(self) -> Sequence[Entry]: ...  # noqa: D102 -- said above
    @property
    def topics(self) -> Sequence[str]: ...  # noqa: D102 -- beside those of entries
    @property
    def group(self) -> tuple[str, str] | None: ...  # noqa: D102 -- topic and name
    @property
    def offsets(self) -> Sequence[int]: ...  # noqa: D102 -- settled ones
    @property
    def gaps(self) -> Sequence[tuple[int, int]]: ...  # noqa: D102 -- [start, stop)


class Tables:
    """The writer's connection. After an error: ``abandon``, then ``open`` again."""

    def __init__(self, path: Path, *, busy_timeout_s: float, declared: Declare) -> None:
        self._declared = declared
        self.topics: dict[str, Topic] = {}
        self.subscribed: set[tuple[str, str]] = set()  # the event loop's to change
        self.loose: set[tuple[str, str]] = set()  # of these, those that hold nothing
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._connection: sqlite3.Connection | None = None
        self._next_body = 1
        self._last_ms = 0

    @property
    def is_open(self) -> bool:
        """False until ``open`` succeeds and after ``abandon``."""
        return self._connection is not None

    def open(self) -> None:
        """Connect, make the tables in a new file, and learn what is there."""
        self._path.touch(mode=0o600)  # people's data; SQLite's other files follow it
        connection = sqlite3.connect(
            self._path, timeout=self._busy_timeout_s, isolation_level=None
        )
        try:
            self._prepare(connection)
            self._load(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def abandon(self) -> None:
        """Close the connection after an error: the next transaction starts anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Copy the WAL back into the file and close."""
        if self._connection is not None:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.abandon()

    def write(self, changes: Sequence[Change], now_ms: int) -> Grown:
        """Insert all entries and marks in one transaction."""
        rows = Rows(self._next_body, max(now_ms, self._last_ms))
        for change in changes:
            names = {entry.topic for entry in change.entries}.union(change.topics)
            if change.group is not None:
                names.add(change.group[0])
            for name in names.difference(rows.topics):
                rows.topics[name] = self._place(name, len(rows.topics))
            rows.add(change.entries)
        marks = self._marks(changes)
        places = rows.topics.values()
        records = list(chain.from_iterable(place.records for place in places))
        topics = list(chain.from_iterable(self._grown(place) for place in places))
        groups: list[Any] = []
        for (topic, name), m in marks.items():
            groups += (rows.topics[topic].id, name, m.mark, m.encode())
        with self.transaction() as connection:
            _insert(connection, INSERT_BODY, BODY_COLUMNS, rows.bodies)
            _insert(connection, INSERT_RECORD, RECORD_COLUMNS, records)
            _insert(connection, SAVE_TOPIC, TOPIC_COLUMNS, topics)
            _insert(connection, SAVE_GROUP, GROUP_COLUMNS, groups)
            if not rows.topics:
                connection.execute(
                    "INSERT OR REPLACE INTO pings VALUES (1, ?)", (now_ms,)
                )
        return self._publish(rows, marks)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; an error leaves no transaction open."""
        connection = self._connection
        if connection is None:
            message = "the connection is closed"
            raise sqlite3.OperationalError(message)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @property
    def newest_ms(self) -> int:
        """When the newest record was appended; unix milliseconds, 0 for none."""
        return self._last_ms

    def step_back(self, now_ms: int, limit: int) -> bool:
        """Take back times of a clock that was once ahead; True while there are some.

        What lies more than a day ahead of now was appended at the latest now. From the
        oldest up, so that times never fall within a topic; only then new ones do.
        """
        if self._last_ms <= now_ms + AHEAD_MS:
            return False
        with self.transaction() as connection:
            for topic in self.topics.values():
                span = topic.first, topic.next
                start = offset_at(connection, topic.id, span, now_ms + AHEAD_MS + 1)
                stop = min(topic.next, start + limit)
                connection.execute(STEP_BACK, (now_ms, topic.id, start, stop))
                limit -= stop - start
                if not limit:
                    return True
        self._last_ms = now_ms
        return True

    def live_bytes(self) -> int:
        """What the file's pages hold, those free for reuse left out."""
        connection = self._connection
        if connection is None:
            return 0
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def oldest(
        self, topic: Topic, start: int, stop: int, limit: int
    ) -> list[tuple[int, int, int]]:
        """Offset, bytes, appended time of the oldest records in ``[start, stop)``."""
        if self._connection is None or start >= stop:
            return []
        sql = (
            "SELECT offset, bytes, appended FROM records"
            " WHERE topic = ? AND offset >= ? AND offset < ? ORDER BY offset LIMIT ?"
        )
        return self._connection.execute(sql, (topic.id, start, stop, limit)).fetchall()

    def freed_by(self, topic: Topic, first: int, last: int) -> int:
        """The bytes of the bodies that only these records still refer to."""
        if self._connection is None:
            return 0
        sql = (
            "SELECT total(r.bytes) FROM records r JOIN bodies b ON b.id = r.body"
            " WHERE r.topic = ? AND r.offset BETWEEN ? AND ? AND b.refs = 1"
        )
        values = (topic.id, first, last)
        return int(self._connection.execute(sql, values).fetchone()[0])

    def delete(
        self, topic: Topic, rows: Sequence[tuple[int, int, int]], first: int
    ) -> dict[str, Marks | None]:
        """Delete ``rows`` (all there is from the first to the last of them).

        ``first`` becomes the topic's: groups that had not settled what lies below it
        are carried along (their marks are returned), as there is nothing to read.
        A group without a reader and without anything above it is forgotten: None.
        """
        left = Topic(
            topic.id,
            topic.name,
            first,
            topic.next,
            topic.records - len(rows),
            topic.bytes - sum(row[1] for row in rows),
        )
        carried = self._carried(topic, first)
        with self.transaction() as connection:
            for sql in (UNREFER, DELETE_BODIES, DELETE_RECORDS):
                connection.execute(sql, (topic.id, rows[0][0], rows[-1][0]))
            _insert(connection, SAVE_TOPIC, TOPIC_COLUMNS, left.row())
            for name, marks in carried.items():
                if marks is None:
                    sql = "DELETE FROM groups WHERE topic = ? AND name = ?"
                    connection.execute(sql, (topic.id, name))
                else:
                    row = [topic.id, name, marks.mark, marks.encode()]
                    _insert(connection, SAVE_GROUP, GROUP_COLUMNS, row)
        topic.first, topic.records, topic.bytes = left.first, left.records, left.bytes
        for name, marks in carried.items():
            if marks is None:
                del topic.groups[name]
            else:
                topic.groups[name] = marks
        return carried

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            _create(connection)
        elif version != SCHEMA_VERSION:
            message = f"is of version {version}, this gateway knows {SCHEMA_VERSION}"
            raise sqlite3.DatabaseError(message)
        connection.execute("PRAGMA journal_mode = WAL")  # a VACUUM INTO has none
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
        sync_folder(self._path.parent)

    def _load(self, connection: sqlite3.Connection) -> None:
        """Read the state; known topics stay the same objects: subscribers have them."""
        highest = connection.execute("SELECT max(id) FROM bodies").fetchone()[0]
        self._next_body = (highest or 0) + 1
        names: dict[int, Topic] = {}
        for row in connection.execute("SELECT * FROM topics").fetchall():
            topic = self.topics.setdefault(row[1], Topic(row[0], row[1]))
            topic.id, _, topic.first, topic.next, topic.records, topic.bytes = row
            names[topic.id] = topic
            last = connection.execute(
                "SELECT appended FROM records WHERE topic = ?"
                " ORDER BY offset DESC LIMIT 1",
                (topic.id,),
            ).fetchone()
            self._last_ms = max(self._last_ms, last[0] if last else 0)
        for topic_id, name, mark, runs in connection.execute("SELECT * FROM groups"):
            names[topic_id].groups[name] = Marks.decode(mark, runs)

    def _place(self, name: str, new: int) -> TopicRows:
        """Where a topic's next record goes. Ids of new topics follow the known ones."""
        if topic := self.topics.get(name):
            return TopicRows(topic.id, name, topic.next)
        highest = max((topic.id for topic in self.topics.values()), default=0)
        return TopicRows(highest + 1 + new, name, 0)

    def _marks(self, changes: Sequence[Change]) -> dict[tuple[str, str], Marks]:
        """Copies of the groups' marks with what is settled now."""
        marks: dict[tuple[str, str], Marks] = {}
        for change in changes:
            if change.group is None:
                continue
            if change.group not in marks:
                marks[change.group] = self._current(*change.group)
            marks[change.group].settle_all(change.offsets)
            for gap in change.gaps:
                marks[change.group].skip(*gap)
        return marks

    def _current(self, topic_name: str, name: str) -> Marks:
        topic = self.topics.get(topic_name)
        if topic is None:
            return Marks()
        marks = topic.groups.get(name)
        return marks.copy() if marks else Marks(topic.first)

    def _grown(self, place: TopicRows) -> tuple[Any, ...]:
        topic = self.topics.get(place.name) or Topic(place.id, place.name)
        added = place.next - topic.next
        records, size = topic.records + added, topic.bytes + place.bytes
        return place.id, place.name, topic.first, place.next, records, size

    def _carried(self, topic: Topic, first: int) -> dict[str, Marks | None]:
        carried: dict[str, Marks | None] = {}
        for name, old in topic.groups.items():
            if old.mark < first:
                marks = old.copy()
                marks.skip(marks.mark, first)
                reader = (topic.name, name) in self.subscribed
                own = self._declared(topic.name).reader == name
                kept = reader or marks.top > first or own
                carried[name] = marks if kept else None
        return carried

    def _publish(self, rows: Rows, marks: dict[tuple[str, str], Marks]) -> Grown:
        """After the commit: make the new state known."""
        self._next_body, self._last_ms = rows.next_body, rows.now_ms
        first = {n: place.start for n, place in rows.topics.items() if place.records}
        for name, place in rows.topics.items():
            _, _, _, following, records, size = self._grown(place)
            topic = self.topics.setdefault(name, Topic(place.id, name))
            topic.next, topic.records, topic.bytes = following, records, size
        for (topic_name, name), group_marks in marks.items():
            self.topics[topic_name].groups[name] = group_marks
        return Grown(rows.now_ms, first)


def _insert(
    connection: sqlite3.Connection, sql: str, columns: int, values: list[Any]
) -> None:
    """Insert a flat list of rows with few, prepared statements."""
    place = 0
    for count in ROWS_PER_STATEMENT:
        width = columns * count
        while len(values) - place >= width:
            statement = _statement(sql, columns, count)
            connection.execute(statement, values[place : place + width])
            place += width


@cache
def _statement(sql: str, columns: int, count: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return sql.format(", ".join([row] * count))


def _create(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        message = "is a database, but not a log"
        raise sqlite3.DatabaseError(message)
    connection.execute("PRAGMA journal_mode = WAL")
    schema = (
        resources.files("gateway.log.sqlite").joinpath("schema.sql").read_text("utf-8")
    )
    connection.executescript(f"BEGIN IMMEDIATE; {schema} COMMIT;")
