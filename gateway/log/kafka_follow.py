"""Following as a group: who has which partition, what is settled, what comes next.

What comes in: assignments from the group's coordinator, records. What goes out:
records, each once; marks, committed as the low-water offset with the runs above it as
the commit's metadata (marks.py). Many settles share one commit: while one is under way
the next ones collect.

A rebalance takes all partitions away and gives some back (aiokafka knows only this
kind). Before, ``on_revoke`` lets the reader finish what is in flight and settles are
waited for, both bounded; after, partitions that came back at once go on where they
were, and ``on_assign`` says which are lost: what is settled of those later is ignored,
their new owner delivers it again. A worker that was frozen finds that the group has
gone on without it: its commits are refused by their generation.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    ConsumerStoppedError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata

from gateway.errors import LogError
from gateway.log.contract import Entry, Record
from gateway.log.kafka_append import Appender
from gateway.log.kafka_client import log_error, naming
from gateway.log.kafka_read import Ranges, read_ranges, reading, record_of
from gateway.log.kafka_topics import Topics
from gateway.log.marks import Marks

SESSION_S = 10.0  # a worker that is silent for so long loses its partitions
HEARTBEAT_S = 2.0
REBALANCE_S = 20.0  # how long the others wait for a member that finishes its work
REVOKE_S = 15.0  # of it, for what is in flight
JOIN_S = SESSION_S + REBALANCE_S + 10.0
STOP_S = 5.0
IDLE_S = 2_000_000.0  # aiokafka would leave a group that polls nothing: never
ENDS_S = 5.0  # how often the ends are asked for: a paused reader fetches nothing
METADATA_BYTES = 4_000  # offset.metadata.max.bytes is 4,096 by default


class Group(NamedTuple):
    """What a subscription is of, and how it reaches the rest of the log."""

    topic: str
    name: str
    topics: Topics
    appender: Appender
    settings: dict[str, Any]
    timeout_s: float
    session_s: float
    tell: Callable[..., None]


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Passes a rebalance on; aiokafka wants a subclass."""

    def __init__(self, subscription: "KafkaSubscription") -> None:
        self._subscription = subscription

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Before the group is joined anew."""
        del revoked
        await self._subscription.revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """After; nothing may be awaited here, no heartbeat is sent meanwhile."""
        self._subscription.assigned(list(assigned))


class KafkaSubscription:
    """``contract.Subscription`` on a consumer group."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._full = group.topics.full(group.topic)
        self._consumer: AIOKafkaConsumer = reading(
            group.settings,
            group_id=group.topics.full(group.name),
            session_timeout_ms=int(group.session_s * 1000),
            heartbeat_interval_ms=int(min(HEARTBEAT_S, group.session_s / 3) * 1000),
            rebalance_timeout_ms=int(REBALANCE_S * 1000),
            max_poll_interval_ms=int(IDLE_S * 1000),
        )
        self.on_revoke: Callable[[], Awaitable[None]] | None = None
        """Stop starting; return when nothing is in flight. Waited for REVOKE_S."""
        self.on_assign: Callable[[frozenset[int]], None] | None = None
        """Forget what is pending of these partitions, and go on."""
        self._marks: dict[int, Marks] = {}
        self._places: dict[int, int] = {}  # the offset to read next
        self._ends: dict[int, int] = {}
        self._generation = -1
        self._ready = asyncio.Event()  # assigned, and the marks are loaded
        self._open = asyncio.Event()  # not paused
        self._open.set()
        self._held: list[Record] = []  # polled, but paused meanwhile
        self._between = False  # two generations: revoked, not yet assigned
        self._settles = 0  # under way
        self._idle = asyncio.Event()
        self._idle.set()
        self._waiting: list[tuple[Sequence[Record], asyncio.Future[None]]] = []
        self._commit_task: asyncio.Task[None] | None = None
        self._load_task: asyncio.Task[None] | None = None
        self._ends_task: asyncio.Task[None] | None = None
        self._error: LogError | None = None

    async def start(self) -> None:
        """Join the group; returns with partitions, or none if others have them all."""
        self._consumer.subscribe([self._full], listener=Listener(self))
        try:
            with naming(f"group {self._group.topics.full(self._group.name)}"):
                async with asyncio.timeout(JOIN_S):
                    await self._consumer.start()
                    await self._ready.wait()
            self._raise_error()
        except BaseException:
            await self.stop()
            raise
        self._ends_task = asyncio.create_task(self._refresh_ends())

    async def stop(self) -> None:
        """Commit what waits, leave the group; in bounded time, whoever is away."""
        self._error = self._error or LogError("kafka: the log is closed")
        if self._commit_task is not None:
            await asyncio.wait([self._commit_task])
        self._ready.set()
        self._open.set()
        for task in (self._load_task, self._ends_task):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        stopping = asyncio.create_task(self._consumer.stop())
        await asyncio.wait([stopping], timeout=STOP_S)
        if not stopping.done():
            stopping.cancel()
            await asyncio.wait([stopping])
            await self._consumer._client.close()  # noqa: SLF001 -- its stop() waits for a broker that is away
        if not stopping.cancelled():
            stopping.exception()

    # Rebalances

    async def revoked(self) -> None:
        """Yield nothing more, let what is in flight settle, in bounded time."""
        if self._load_task is not None:
            self._load_task.cancel()
        was_ready = self._ready.is_set() and self._error is None
        self._ready.clear()
        if was_ready:
            await self._finish()
        self._between = True

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(REVOKE_S):
                if self.on_revoke is not None:
                    await self.on_revoke()
                await self._idle.wait()
        except TimeoutError:
            self._tell("log_revoke_timeout")

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Load the marks in a task of its own: heartbeats must not wait for it."""
        self._load_task = asyncio.create_task(self._load(partitions))

    async def _load(self, partitions: Sequence[TopicPartition]) -> None:
        generation = self._consumer._coordinator.generation  # noqa: SLF001 -- there is no public way to it
        kept = self._marks if generation == self._generation + 1 else {}
        new = [tp for tp in partitions if tp.partition not in kept]
        try:
            marks = await self._committed(new) if new else {}
        except (KafkaError, OSError, LogError) as error:
            self._error = log_error(self._full, error)
            self._ready.set()
            return
        lost = frozenset(self._marks) - {
            tp.partition for tp in partitions if tp.partition in kept
        }
        places = self._places
        self._marks = {
            tp.partition: marks.get(tp) or kept[tp.partition] for tp in partitions
        }
        self._places = {
            number: places[number] if number in kept else mark.mark
            for number, mark in self._marks.items()
        }
        self._held = [record for record in self._held if record.partition not in lost]
        for tp in partitions:
            self._consumer.seek(tp, self._places[tp.partition])
        self._generation = generation
        self._between = False
        if self.on_assign is not None:
            self.on_assign(lost)
        self._ready.set()

    async def _committed(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Marks]:
        """The marks of partitions that are new to us; a new group's are committed."""
        while True:
            try:
                async with asyncio.timeout(self._group.timeout_s):
                    return await self._committed_once(partitions)
            except TimeoutError:
                self._tell("log_unavailable", error="the group's marks cannot be read")
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(0.1)

    async def _committed_once(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Marks]:
        stored = await self._group.topics.committed(self._group.name, partitions)
        first = await self._consumer.beginning_offsets(list(partitions))
        ends = await self._consumer.end_offsets(list(partitions))
        self._ends |= {tp.partition: end for tp, end in ends.items()}
        marks = {}
        for tp in partitions:
            offset, metadata = stored.get(tp) or OffsetAndMetadata(-1, "")
            if offset < 0:
                marks[tp] = Marks(first[tp])
                continue
            marks[tp] = self._decoded(tp, offset, metadata)
            if offset < first[tp]:
                self._tell_gap(tp, offset, first[tp])
                marks[tp].skip(offset, first[tp])
            elif offset > ends[tp]:
                self._tell_gap(tp, offset, first[tp])
                marks[tp] = Marks(first[tp])
        fresh = {
            tp: OffsetAndMetadata(mark.mark, "")
            for tp, mark in marks.items()
            if tp not in stored or stored[tp].offset < 0
        }
        if fresh:
            await self._consumer.commit(fresh)
        return marks

    def _decoded(self, tp: TopicPartition, offset: int, metadata: str) -> Marks:
        try:
            return Marks.decode(offset, metadata)
        except ValueError:  # somebody else committed: the offset counts
            self._tell("log_marks_unreadable", partition=tp.partition, offset=offset)
            return Marks(offset)

    # Reading

    async def poll(self, *, limit: int, timeout_s: float) -> Sequence[Record]:
        """What is fetched already, else the next that comes, without the settled."""
        self._raise_error()
        if limit < 1:
            return []
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    await self._ready.wait()
                    await self._open.wait()
                    self._raise_error()
                    if records := await self._next(limit, deadline):
                        return records
        except TimeoutError:
            return []

    async def _next(self, limit: int, deadline: float) -> list[Record]:
        """What the consumer has now; empty when it must be asked again."""
        if not self._held:
            left_s = deadline - asyncio.get_running_loop().time()
            try:
                found = await self._consumer.getmany(
                    timeout_ms=max(0, int(left_s * 1000)), max_records=limit
                )
            except OffsetOutOfRangeError as error:
                await self._pass_gap(error.args[0])
                return []
            except NoOffsetForPartitionError:
                return []  # it was fetched before the marks were loaded
            except ConsumerStoppedError as error:
                raise LogError("kafka: the log is closed") from error
            except KafkaError as error:
                raise log_error(self._full, error) from error
            self._take(found)
            await self._pass_trailing()
        if not self._open.is_set() or not self._ready.is_set():
            return []
        records, self._held = self._held[:limit], self._held[limit:]
        if not records:
            await asyncio.sleep(0)
        return records

    def _take(self, found: Any) -> None:
        """Leave out the settled; offsets that hold no record are passed for good."""
        for tp, records in found.items():
            marks = self._marks.get(tp.partition)
            if marks is None:
                continue
            place = self._places[tp.partition]
            for record in records:
                marks.skip(place, record.offset)
                place = record.offset + 1
                if not marks.is_settled(record.offset):
                    self._held.append(record_of(self._group.topic, record))
            self._places[tp.partition] = place

    async def _pass_trailing(self) -> None:
        """Offsets at the end that hold no record: a transaction's marker, compaction.

        The consumer's position is above what it has handed out only by those.
        """
        if not self._ready.is_set():
            return
        for number, marks in self._marks.items():
            position = await self._consumer.position(self._tp(number))
            marks.skip(self._places[number], position)
            self._places[number] = max(self._places[number], position)

    async def _pass_gap(self, ranges: Any) -> None:
        """Records were deleted before we read them: say so, go on from the oldest."""
        with naming(self._full):
            first = await self._consumer.beginning_offsets(list(ranges))
        for tp, offset in ranges.items():
            marks = self._marks.get(tp.partition)
            if marks is None:
                continue
            self._tell_gap(tp, offset, first[tp])
            if offset > first[tp]:  # the topic was made anew
                marks = self._marks[tp.partition] = Marks(first[tp])
            marks.skip(offset, first[tp])
            self._places[tp.partition] = first[tp]
            self._consumer.seek(tp, first[tp])

    def pause(self) -> None:
        """Yield nothing until ``resume``; the group's membership needs no polling."""
        self._open.clear()

    def resume(self) -> None:
        """Go on where it stopped."""
        self._open.set()

    async def before_committed(self, limit: int) -> AsyncIterator[Record]:
        """From our partitions in equal shares, each oldest first."""
        partitions = {self._tp(number): marks for number, marks in self._marks.items()}
        with naming(self._full):
            first = await self._consumer.beginning_offsets(list(partitions))
        ranges = _shared(partitions, first, limit)
        async for record in read_ranges(
            self._group.settings, self._group.topic, ranges
        ):
            yield record

    # Settling

    async def settle(
        self, records: Sequence[Record], entries: Sequence[Entry] = ()
    ) -> None:
        """Entries first; then the marks, with those of all who settle meanwhile."""
        self._raise_error()
        self._settles += 1
        self._idle.clear()
        try:
            if entries:
                await self._group.appender.append(entries, capped=False)
            if records:
                await self._mark(records)
        finally:
            self._settles -= 1
            if not self._settles:
                self._idle.set()

    async def _mark(self, records: Sequence[Record]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((records, done))
        if self._commit_task is None or self._commit_task.done():
            self._commit_task = asyncio.create_task(self._commit())
        await done

    async def _commit(self) -> None:
        """Commit all that waits, until nothing waits."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            error: LogError | None = None
            try:
                async with asyncio.timeout(self._group.timeout_s):
                    await self._commit_marks(
                        [r for records, _ in waiting for r in records]
                    )
            except (KafkaError, OSError, TimeoutError, LogError) as cause:
                error = log_error(f"commit of {self._group.name}", cause)
            for _, done in waiting:
                if done.done():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(LogError(str(error)))

    async def _commit_marks(self, records: Sequence[Record]) -> None:
        """Of partitions that we have; the others are their new owner's."""
        if self._between:  # nobody knows yet whose the partitions are
            await self._ready.wait()
        offsets: dict[int, list[int]] = {}
        for record in records:
            if record.partition in self._marks:
                offsets.setdefault(record.partition, []).append(record.offset)
        commit = {}
        for number, settled in offsets.items():
            marks = self._marks[number].copy()
            marks.settle_all(settled)
            commit[self._tp(number)] = OffsetAndMetadata(marks.mark, fitting(marks))
        if commit:
            await self._consumer.commit(commit)
            for number, settled in offsets.items():
                if number in self._marks:
                    self._marks[number].settle_all(settled)

    # How it stands

    @property
    def runs(self) -> int:
        """Settled runs above the mark, the most of any partition."""
        return max((marks.runs for marks in self._marks.values()), default=0)

    @property
    def lag(self) -> int:
        """From the ends last heard of: fetched, written from here, or asked for."""
        return sum(
            max(self._end(number) - marks.mark - marks.above, 0)
            for number, marks in self._marks.items()
        )

    def _end(self, number: int) -> int:
        tp = self._tp(number)
        fetched = self._consumer.highwater(tp) if self._ready.is_set() else None
        written = self._group.appender.ends.get(tp, 0)
        return max(fetched or 0, written, self._ends.get(number, 0))

    async def _refresh_ends(self) -> None:
        while True:
            await asyncio.sleep(ENDS_S)
            if not self._ready.is_set() or not self._marks:
                continue
            try:
                async with asyncio.timeout(ENDS_S):
                    ends = await self._consumer.end_offsets(
                        list(map(self._tp, self._marks))
                    )
            except (KafkaError, OSError, TimeoutError):
                continue
            self._ends |= {tp.partition: end for tp, end in ends.items()}

    def _tp(self, number: int) -> TopicPartition:
        return TopicPartition(self._full, number)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise LogError(str(self._error))

    def _tell(self, code: str, **fields: Any) -> None:
        self._group.tell(
            code, topic=self._group.topic, group=self._group.name, **fields
        )

    def _tell_gap(self, tp: TopicPartition, start: int, stop: int) -> None:
        self._tell(
            "log_gap",
            partition=tp.partition,
            offset=start,
            oldest=stop,
            records=max(stop - start, 0),
        )


def fitting(marks: Marks) -> str:
    """The runs as commit metadata, the highest left out where a broker takes no more.

    What is left out comes back after a crash; 400 runs (DESIGN 5.5) mostly fit.
    """
    text = marks.encode()
    if len(text) <= METADATA_BYTES:
        return text
    return text[: text.rindex(",", 0, METADATA_BYTES)]


def _shared(
    marks: dict[TopicPartition, Marks], first: dict[TopicPartition, int], limit: int
) -> Ranges:
    """``limit`` in equal shares; what one partition cannot fill the others may."""
    sizes = {
        tp: sum(stop - start for start, stop in mark.newest(first[tp], limit))
        for tp, mark in marks.items()
    }
    ranges = {}
    for left, tp in zip(
        range(len(sizes), 0, -1), sorted(sizes, key=sizes.__getitem__), strict=True
    ):
        share = min(sizes[tp], -(-limit // left))
        limit -= share
        if share > 0:
            ranges[tp] = marks[tp].newest(first[tp], share)
    return ranges
