"""The reader: a thread with a connection that only reads, and its four questions.

What comes in: a topic's number and ranges of offsets. What goes out: Records, at most
``limit`` and about 8 MB of values at a time, so that no read transaction outlives a
question.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from gateway.errors import LogError
from gateway.log.contract import Headers, Past, Record
from gateway.log.sqlite.rows import decode, picker

CHUNK_BYTES = 8_388_608
CHUNK_RECORDS = 500
PAST_RECORDS = 2_000  # some 150 bytes each
BUSY_S = 1.0

SELECT = (
    "SELECT r.offset, b.key, b.value, b.headers, r.headers, r.appended"
    " FROM records r JOIN bodies b ON b.id = r.body"
    " WHERE r.topic = ? AND r.offset >= ? AND r.offset < ?"
    " ORDER BY r.offset LIMIT ?"
)
SELECT_PAST = (
    "SELECT r.offset, r.appended, b.headers, r.headers"
    " FROM records r JOIN bodies b ON b.id = r.body"
    " WHERE r.topic = ? AND r.offset >= ? AND r.offset < ?"
    " ORDER BY r.offset LIMIT ?"
)
PROBE = (
    "SELECT offset, appended FROM records"
    " WHERE topic = ? AND offset >= ? AND offset < ? ORDER BY offset LIMIT 1"
)

# What ``Record(...)`` and ``Past(...)`` do, in half the time.
_record: Callable[[tuple[str, int, int, bytes, bytes, Headers, int]], Record] = partial(
    tuple.__new__, Record
)
_past: Callable[[tuple[int, int, int, tuple[bytes, ...]]], Past] = partial(
    tuple.__new__, Past
)

T = TypeVar("T")
Ranges = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some records, where to go on, and the offsets passed that hold no record."""

    records: list[Record]
    next: int
    gaps: list[tuple[int, int]]


class Reader:
    """Owns the thread; a question waits for those asked before it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._questions: SimpleQueue[
            tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]] | None
        ] = SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._stopped = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(
            target=self._run, name="log-reader", daemon=True
        )
        self._thread.start()

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``question`` on the thread; LogError when SQLite cannot answer it."""
        if self._stopped:
            raise LogError(f"{self._path}: the log is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._questions.put((question, future))
        return await future

    async def stop(self) -> None:
        """Answer what was asked, then close and end the thread."""
        self._stopped = True
        self._questions.put(None)
        await self._ended
        self._thread.join()

    def _run(self) -> None:
        while (item := self._questions.get()) is not None:
            question, future = item
            answer, error = None, None
            if not future.cancelled():
                try:
                    answer = question(self._connected())
                except Exception as failure:  # noqa: BLE001 -- told to whoever asked
                    error = LogError(f"{self._path}: {_said(failure)}")
                    with suppress(sqlite3.Error):
                        self._close()
            self._tell(future, answer, error)
            # Nothing is held while waiting for the next question: these are megabytes.
            item = question = answer = None  # type: ignore[assignment]  # let go
        with suppress(sqlite3.Error):
            self._close()
        self._tell(self._ended, None, None)

    def _tell(
        self, future: asyncio.Future[Any], answer: object, error: LogError | None
    ) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(_resolve, future, answer, error)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw",  # a file that is gone is not made
                uri=True,
                timeout=BUSY_S,
                isolation_level=None,
            )
            self._connection.execute("PRAGMA query_only = ON")
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _said(failure: Exception) -> str:
    """What went wrong, and what helps where the file itself is damaged."""
    codes = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    code = getattr(failure, "sqlite_errorcode", 0) & 0xFF
    if code in codes or isinstance(failure, ValueError | IndexError):
        return (
            f"{failure}: the file is damaged; save what can still be read with "
            "`gateway read`, stop the gateway and restore a backup"
        )
    return str(failure)


def read(
    connection: sqlite3.Connection,
    topic: tuple[int, str],
    ranges: Ranges,
    limit: int,
    until_ms: int | None = None,
) -> Chunk:
    """The first records in ``ranges``; at least one when there is one.

    A record appended at ``until_ms`` or later ends it: ``next`` is then its offset.
    """
    records: list[Record] = []
    gaps: list[tuple[int, int]] = []
    left, size = limit, 0
    following = ranges[0][0] if ranges else 0
    topic_id, name = topic
    for start, stop in ranges:
        following = start
        rows = connection.execute(SELECT, (topic_id, start, stop, left))
        for offset, key, value, common, own, at_ms in rows:
            if until_ms is not None and at_ms >= until_ms:
                return Chunk(records, offset, gaps)
            if offset > following:
                gaps.append((following, offset))
            headers = decode(common) + decode(own)
            records.append(_record((name, 0, offset, key, value, headers, at_ms)))
            following = offset + 1
            size += len(value)
            left -= 1
            if size >= CHUNK_BYTES or not left:
                rows.close()
                return Chunk(records, following, gaps)
        if following < stop:
            gaps.append((following, stop))
            following = stop
    return Chunk(records, following, gaps)


def past(
    connection: sqlite3.Connection,
    topic_id: int,
    span: tuple[int, int],
    headers: tuple[str, ...],
) -> list[Past]:
    """The first records in ``span`` without key and value, PAST_RECORDS at most."""
    rows = connection.execute(SELECT_PAST, (topic_id, *span, PAST_RECORDS))
    pick = picker(headers)
    return [
        _past((0, offset, at_ms, pick(common, own)))
        for offset, at_ms, common, own in rows
    ]


def offset_at(
    connection: sqlite3.Connection, topic_id: int, span: tuple[int, int], at_ms: int
) -> int:
    """The first offset in ``span`` appended at ``at_ms`` or later, else its end.

    Times never fall within a topic, so this is a binary search and needs no index.
    """
    low, high = span
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(PROBE, (topic_id, middle, high)).fetchone()
        if row is None or row[1] >= at_ms:
            high = middle
        else:
            low = row[0] + 1
    return low


def _resolve(
    future: asyncio.Future[Any], answer: object, error: LogError | None
) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(answer)
