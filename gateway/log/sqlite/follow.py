"""Reading without waiting in vain: a group's subscription, and a scan.

What comes in: the topic's state, which the writer keeps, and word that it has grown.
What goes out: records, through the reader; settled offsets, through the writer.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Protocol

from gateway.errors import LogError
from gateway.log.contract import Entry, Past, Record, Span
from gateway.log.marks import Marks
from gateway.log.sqlite.fresh import taken
from gateway.log.sqlite.read import (
    CHUNK_RECORDS,
    Chunk,
    Ranges,
    Reader,
    T,
    offset_at,
    past,
    read,
)
from gateway.log.sqlite.tables import Topic
from gateway.log.trouble import Trouble
from gateway.notices import Say


class Settle(Protocol):
    """How a subscription reaches the writer."""

    def __call__(
        self,
        entries: Sequence[Entry],
        group: tuple[str, str],
        offsets: Sequence[int],
        gaps: Ranges,
    ) -> Awaitable[None]:
        """Write entries and marks in one transaction."""
        ...


class Bell:
    """Rung when a topic has grown, and when the log is closed."""

    def __init__(self) -> None:
        self.closed = False
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake who waits."""
        self._event.set()

    async def wait(self, until: Callable[[], bool]) -> None:
        """Return when ``until`` holds; LogError when the log is closed."""
        while True:
            self._event.clear()
            if self.closed:
                message = "the log is closed"
                raise LogError(message)
            if until():
                return
            await self._event.wait()


class SqliteSubscription:
    """``contract.Subscription`` on SQLite: a place in a topic and a group's marks."""

    def __init__(
        self, topic: Topic, group: str, reader: Reader, settle: Settle, say: Say
    ) -> None:
        self.bell = Bell()
        self.reading = Trouble(say, "log_read_failed", "log_read_recovered")
        # Nobody else can be a member of a group here: neither is ever called.
        self.on_revoke: Callable[[], Awaitable[None]] | None = None
        self.on_overdue: Callable[[], None] | None = None
        self.on_assign: Callable[[frozenset[int], frozenset[int]], None] | None = None
        self._topic = topic
        self._group = group
        self._reader = reader
        self._settle = settle
        self._place = self._marks.mark  # the offset to read next
        self._gaps: list[tuple[int, int]] = []  # seen, to be written with the marks
        self._paused = False

    async def poll(self, *, limit: int, timeout_s: float) -> Sequence[Record]:
        """The next unsettled records; SQLite is asked only for what is not new."""
        if limit < 1:
            return []
        try:
            async with asyncio.timeout(timeout_s):
                await self.bell.wait(self._has_more)
        except TimeoutError:
            return []
        end = self._topic.next
        ranges = list(self._marks.unsettled(self._place, end))
        if len(ranges) == 1 and (found := taken(self._topic.fresh, ranges[0], limit)):
            self._place = found[-1].offset + 1
            return found
        chunk = await self._read(ranges, limit)
        self._place = chunk.next
        self._gaps += chunk.gaps
        return chunk.records

    async def _read(self, ranges: Ranges, limit: int) -> Chunk:
        topic = self._topic.id, self._topic.name
        return await self._ask(partial(read, topic=topic, ranges=ranges, limit=limit))

    async def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            answer = await self._reader.ask(question)
        except LogError as error:
            if not self.bell.closed:
                self.reading.failed(error)
            raise
        self.reading.passed()
        return answer

    async def settle(
        self, records: Sequence[Record], entries: Sequence[Entry] = ()
    ) -> None:
        """One transaction for the entries and the marks."""
        gaps, self._gaps = self._gaps, []
        offsets = [record.offset for record in records]
        try:
            await self._settle(entries, (self._topic.name, self._group), offsets, gaps)
        except BaseException:
            self._gaps += gaps
            raise

    def pause(self) -> None:
        """Yield nothing until ``resume``."""
        self._paused = True

    def resume(self) -> None:
        """Go on where it stopped."""
        self._paused = False
        self.bell.ring()

    async def before_committed(
        self,
        limit: int,
        headers: tuple[str, ...],
        partitions: Collection[int] | None = None,
    ) -> AsyncIterator[Sequence[Past]]:
        """Read from the ``limit``-th newest settled offset up, a chunk at a time."""
        del partitions  # there is one
        for start, stop in self._marks.newest(self._topic.first, limit):
            place = start
            while found := await self._past((place, stop), headers):
                yield found
                place = found[-1].offset + 1

    async def _past(
        self, span: tuple[int, int], headers: tuple[str, ...]
    ) -> Sequence[Past]:
        """Cut and picked on the reader's thread, so that the loop is free meanwhile."""
        topic = self._topic.id
        return await self._ask(
            lambda connection: past(connection, topic, span, headers)
        )

    @property
    def runs(self) -> int:
        """Settled runs above the mark."""
        return self._marks.runs

    @property
    def lag(self) -> int:
        """Arithmetic, as offsets have no gaps but those that are settled."""
        marks = self._marks
        return self._topic.next - marks.mark - marks.above

    @property
    def _marks(self) -> Marks:
        return self._topic.groups[self._group]

    def _has_more(self) -> bool:
        """Skip what is settled, so that SQLite is asked only for what is not."""
        if self._paused:
            return False
        unsettled = self._marks.unsettled(self._place, self._topic.next)
        self._place = next(unsettled, (self._topic.next, 0))[0]
        return self._place < self._topic.next


async def scan(
    topic: Topic, span: Span, reader: Reader, bell: Bell, *, late_s: float | None
) -> AsyncIterator[Record]:
    """The records of ``span``; without ``late_s`` it ends where the topic ends now.

    Else it waits for more, and gathers so long what it has to ask the reader for.
    """
    end = topic.next
    place = topic.first
    many = False
    if span.from_ms is not None:
        bounds, at_ms = (place, end), span.from_ms
        place = await reader.ask(lambda c: offset_at(c, topic.id, bounds, at_ms))
    while late_s is not None or place < end:
        if late_s is not None:
            await bell.wait(partial(_has_grown, topic, place))
            if found := _at_hand(topic, place, span):
                for record in found:
                    yield record
                place = found[-1].offset + 1
                continue
            if late_s and not many:  # else it would fall behind
                await asyncio.sleep(late_s)
            end = topic.next
        chunk = await reader.ask(
            partial(
                read,
                topic=(topic.id, topic.name),
                ranges=[(place, end)],
                limit=CHUNK_RECORDS,
                until_ms=span.until_ms,
            )
        )
        for record in chunk.records:
            yield record
        if chunk.next == place:  # the next record is beyond ``until_ms``
            return
        place, many = chunk.next, len(chunk.records) == CHUNK_RECORDS


def _at_hand(topic: Topic, place: int, span: Span) -> Sequence[Record]:
    """What was just written, if it is little; else it is read."""
    if span.until_ms is not None:
        return ()
    return taken(topic.fresh, (place, topic.next), CHUNK_RECORDS)


def _has_grown(topic: Topic, place: int) -> bool:
    return topic.next > place
