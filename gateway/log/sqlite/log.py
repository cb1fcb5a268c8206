"""The log on SQLite: what the event loop sees of the writer and the reader.

What comes in: the calls of contract.py. What goes out: requests to the writer thread,
questions to the reader thread. Nothing here blocks, and all of it runs on one loop.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import (
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from gateway.errors import LogError
from gateway.log.contract import Entry, GroupState, Record, Span, TopicState
from gateway.log.sqlite.append import Request, Writer, Written
from gateway.log.sqlite.follow import Bell, SqliteSubscription, scan
from gateway.log.sqlite.fresh import fresh_of
from gateway.log.sqlite.read import Ranges, Reader
from gateway.log.sqlite.retention import Keeping, Upkeep
from gateway.log.sqlite.rows import weigh
from gateway.log.sqlite.tables import Tables, Topic
from gateway.log.trouble import Trouble
from gateway.notices import NoticeCode, Say, untold

ENTRIES = attrgetter("entries")
OFFSET_BYTES = 32  # what a settled offset holds while it waits: an estimate


class SqliteLog:
    """``contract.EventLog`` on one SQLite file. Made by ``open_sqlite``."""

    def __init__(
        self,
        path: Path,
        keeping: Keeping,
        *,
        append_timeout_s: float,
        waiting_bytes: int,
        tell: Say,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path = path.resolve()
        self._append_timeout_s = append_timeout_s
        self._waiting_bytes_max = waiting_bytes
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        # Half of the deadline: whoever waits for a locked file still learns the cause.
        self._declared = keeping.declared
        self._tables = Tables(
            path, busy_timeout_s=append_timeout_s / 2, declared=keeping.declared
        )
        self._upkeep = Upkeep(self._tables, keeping, self._tell_from_thread, steady)
        self._writer = Writer(
            path, self._tables, self._upkeep, self._written, clock=clock
        )
        self._reader: Reader | None = None
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._bells: defaultdict[str, set[Bell]] = defaultdict(set)
        self._reading: dict[tuple[str, str], Trouble] = {}
        self._closed = False
        self._failing = False

    async def open(self, topics: Iterable[str]) -> None:
        """Start the threads and make the topics that are missing."""
        await self._writer.start()
        if lost := self._writer.wal_lost_bytes:
            self._tell("log_wal_damaged", path=f"{self._path}-wal", bytes=lost)
        self._reader = Reader(self._path)
        try:
            if missing := set(topics) - self._tables.topics.keys():
                await self._submit(topics=sorted(missing))
        except BaseException:
            await self.close()
            raise

    async def append(self, entries: Sequence[Entry]) -> None:
        """One request, one future; the writer commits it with whatever else waits."""
        if not entries:
            return
        size = weigh(entries)
        if self._waiting_bytes and self._waiting_bytes + size > self._waiting_bytes_max:
            message = f"{self._path}: {self._waiting_bytes} bytes wait to be written"
            raise LogError(message, "overloaded")
        await self._submit(entries=entries, size=size)

    @property
    def weaknesses(self) -> Sequence[str]:
        """What was lost before the start; else a file is as safe as its disk."""
        if not (lost := self._writer.wal_lost_bytes):
            return ()
        said = f"{lost} bytes of what was answered 200 are lost"
        return (f"{self._path}-wal was damaged at the start: {said}",)

    def has_room(self) -> bool:
        """False while as many bytes wait as may."""
        return self._waiting_bytes < self._waiting_bytes_max

    @property
    def waiting_bytes(self) -> int:
        """Handed to ``append`` or ``settle`` and not yet durable or given up."""
        return self._waiting_bytes

    @asynccontextmanager
    async def subscribe(
        self, topic: str, *, group: str, holds: bool = True
    ) -> AsyncIterator[SqliteSubscription]:
        """Follow a topic; a group that somebody follows already is a LogError."""
        reader, subscribed = self._open_reader(), self._tables.subscribed
        if (topic, group) in subscribed:
            message = f"{self._path}: group {group} of {topic} is already subscribed"
            raise LogError(message)
        subscribed.add((topic, group))
        if not holds:
            self._tables.loose.add((topic, group))
        try:
            await self._submit(group=(topic, group))
            say = partial(self._tell, topic=topic, group=group)
            subscription = SqliteSubscription(
                self._tables.topics[topic], group, reader, self._settle, say
            )
            self._reading[topic, group] = subscription.reading
            with self._hearing(topic, subscription.bell):
                yield subscription
        finally:
            self._reading.pop((topic, group), None)
            subscribed.discard((topic, group))
            self._tables.loose.discard((topic, group))

    async def scan(
        self, topic: str, span: Span, *, follow: bool = False, late_s: float = 0.0
    ) -> AsyncIterator[Record]:
        """Read through the reader; a topic that nobody has written to is empty."""
        reader, bell = self._open_reader(), Bell()
        with self._hearing(topic, bell):
            if follow:
                await bell.wait(lambda: topic in self._tables.topics)
            if known := self._tables.topics.get(topic):
                late = late_s if follow else None
                async for record in scan(known, span, reader, bell, late_s=late):
                    yield record

    async def topics(self) -> Sequence[TopicState]:
        """From memory; the writer keeps the counts."""
        known = list(self._tables.topics.values())
        return [_state(topic) for topic in sorted(known, key=lambda topic: topic.name)]

    async def ping(self) -> None:
        """Write a row, so that a full or read-only disk is noticed.

        A topic that a worker cannot read is the whole log's trouble: it is damaged.
        """
        if self._upkeep.full:
            raise self._full()
        if lost := self._writer.lost:
            raise LogError(lost)
        for (topic, group), reading in self._reading.items():
            if reading.error is not None:
                raise LogError(f"{group} cannot read {topic}: {reading.error}")
        await self._submit()

    async def close(self) -> None:
        """Refuse what is new, write what waits, end both threads."""
        if self._closed:
            return
        self._closed = True
        for bell in [bell for bells in self._bells.values() for bell in bells]:
            bell.closed = True
            bell.ring()
        if self._reader is not None:
            await self._reader.stop()
        if not await self._writer.stop(self._append_timeout_s):
            self._tell("log_close_timeout", path=self._path)
        self._expire(float("inf"))
        if self._timer is not None:
            self._timer.cancel()

    def announce(self, *, admin: str, token: str) -> None:
        """Write into the lock file how the commands reach this process."""
        if self._writer.lock is not None:
            self._writer.lock.announce(admin, token)

    async def _submit(self, **values: Any) -> None:
        """Wait for the writer; a caller that is cancelled takes its request back."""
        if self._closed:
            message = f"{self._path}: the log is closed"
            raise LogError(message)
        if self._upkeep.full and self._grows_it(values.get("entries", ())):
            raise self._full()
        request = Request(self._loop.create_future(), **values)
        request.deadline = self._loop.time() + self._append_timeout_s
        self._waiting_bytes += request.size
        self._writer.put(request)
        if self._timer is None:
            self._timer = self._loop.call_at(request.deadline, self._on_deadline)
        try:
            # A text, not an exception: one would hold this frame, which holds the
            # future, and such a ring keeps the entries until the collector comes.
            problem = await request.future
        except asyncio.CancelledError:
            if self._writer.drop(request):
                self._waiting_bytes -= request.size
            raise
        if problem is not None:
            raise LogError(problem)

    async def _settle(
        self,
        entries: Sequence[Entry],
        group: tuple[str, str],
        offsets: Sequence[int],
        gaps: Ranges,
    ) -> None:
        """Not held to the cap: a worker that cannot settle could never drain the log.

        What workers hold is bounded by themselves (DESIGN 5.5).
        """
        size = weigh(entries) + OFFSET_BYTES * len(offsets)
        await self._submit(
            entries=entries, size=size, group=group, offsets=offsets, gaps=gaps
        )

    def _grows_it(self, entries: Sequence[Entry]) -> bool:
        """False for outcomes, dead letters and what was refused: settling drains it."""
        return any(self._declared(entry.topic).holds_unread for entry in entries)

    def _full(self) -> LogError:
        return LogError(f"{self._path}: {self._upkeep.full}")

    def _written(self, written: Written) -> None:
        """On the loop, once per transaction: bytes, followers, then who waits."""
        self._tell_followers(written)
        for request in written.requests:
            self._waiting_bytes -= request.size
            if request.future.done():
                continue
            request.future.set_result(written.errors.get(request))
        self._tell_of(written)

    def _tell_followers(self, written: Written) -> None:
        """What is new, if it is little; of several transactions they read it."""
        names = {name for grown in written.grown for name in grown.first}
        wanted = names & self._bells.keys()
        fresh: Mapping[str, Sequence[Record]] = {}
        if wanted and len(written.grown) == 1:
            (grown,) = written.grown
            # Written one by one, others of them may have failed.
            kept = [each for each in written.requests if each not in written.errors]
            fresh = fresh_of(map(ENTRIES, kept), grown, wanted)
        for name in names:
            self._tables.topics[name].fresh = fresh.get(name, ())
        for bell in [bell for name in wanted for bell in self._bells[name]]:
            bell.ring()

    def _tell_of(self, written: Written) -> None:
        failing = len(written.errors) == len(written.requests)
        if failing and not self._failing:
            self._tell("log_write_failed", error=next(iter(written.errors.values())))
        elif self._failing and not failing:
            self._tell("log_write_recovered", path=self._path)
        self._failing = failing

    def _on_deadline(self) -> None:
        """One timer for all requests: they expire in the order in which they came."""
        self._timer = None
        self._expire(self._loop.time())
        if (deadline := self._writer.next_deadline()) is not None:
            self._timer = self._loop.call_at(deadline, self._on_deadline)

    def _expire(self, now: float) -> None:
        dropped, writing = self._writer.expire(now)
        self._waiting_bytes -= sum(request.size for request in dropped)
        cause = self._writer.last_error or "the disk is slow, or stuck"
        for request in [*dropped, *writing]:
            if not request.future.done():
                seconds = self._append_timeout_s
                message = f"{self._path}: not durable within {seconds:g} s: {cause}"
                request.future.set_result(message)

    @contextmanager
    def _hearing(self, topic: str, bell: Bell) -> Iterator[None]:
        """Ring ``bell`` whenever the topic grows."""
        self._bells[topic].add(bell)
        try:
            yield
        finally:
            self._bells[topic].discard(bell)
            if not self._bells[topic]:
                del self._bells[topic]

    def _open_reader(self) -> Reader:
        if self._closed or self._reader is None:
            message = f"{self._path}: the log is closed"
            raise LogError(message)
        return self._reader

    def _tell_from_thread(self, code: NoticeCode, /, **fields: Any) -> None:
        self._loop.call_soon_threadsafe(lambda: self._tell(code, **fields))


async def open_sqlite(
    path: Path,
    keeping: Keeping,
    *,
    topics: Iterable[str] = (),
    append_timeout_s: float = 5.0,
    waiting_bytes: int = 67_108_864,
    tell: Say = untold,
    clock: Callable[[], float] = time.time,
    steady: Callable[[], float] = time.monotonic,
) -> SqliteLog:
    """Open the log file, made if missing; LogError when another process has it.

    ``clock`` is the time of day, ``steady`` one that nobody sets.
    """
    log = SqliteLog(
        path,
        keeping,
        append_timeout_s=append_timeout_s,
        waiting_bytes=waiting_bytes,
        tell=tell,
        clock=clock,
        steady=steady,
    )
    await log.open(topics)
    return log


def _state(topic: Topic) -> TopicState:
    groups = [
        GroupState(
            name=name,
            committed=marks.mark,
            lag=topic.next - marks.mark - marks.above,
        )
        for name, marks in sorted(topic.groups.items())
    ]
    return TopicState(
        name=topic.name,
        partitions=1,
        records=topic.records,
        bytes=topic.bytes,
        groups=tuple(groups),
    )
