"""Following as a group: who has which partition, and what comes next.

What comes in: assignments from the group's coordinator, records. What goes out:
records, each once, without the settled.

A rebalance takes all partitions away and gives some back (aiokafka knows only this
kind). Before, ``on_revoke`` lets the reader finish what is in flight and settles are
waited for, both bounded; after, partitions that came back at once go on where they
were, and ``on_assign`` says which are lost: what is settled of those later is ignored.
A worker that was frozen finds that the group has gone on without it and says so
(``log_group_lost``): its commits are refused by their generation.

Membership is not static: aiokafka 0.14 names the instance when it joins, but not when
it commits or leaves, and no setting could tell two workers of one host apart. A worker
that stops leaves, so the others go on at once; one that dies is missed after SESSION_S.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    ConsumerStoppedError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from gateway.errors import LogError
from gateway.log.contract import Entry, Past, Record
from gateway.log.kafka import ends as kafka_ends
from gateway.log.kafka.ends import Ends
from gateway.log.kafka.marks import Group, newest, restore
from gateway.log.kafka.read import read_ranges, record_of, stop_consumer
from gateway.log.kafka.rebalance import REBALANCE_S, Listener, join, member
from gateway.log.kafka.settle import Offsets, Settler
from gateway.log.kafka.wire.borrowed import generation_of, has_ended, trouble_of
from gateway.log.kafka.wire.client import log_error, naming
from gateway.log.marks import Marks
from gateway.log.trouble import Trouble

SESSION_S = 10.0  # a worker that is silent for so long loses its partitions
REVOKE_S = 15.0  # of REBALANCE_S, for what is in flight
JOIN_S = SESSION_S + REBALANCE_S + 10.0
HEAL_S = 1.0  # between attempts to join anew


class KafkaSubscription:
    """``contract.Subscription`` on a consumer group."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._full = group.topics.full(group.topic)
        self._consumer = self._made()
        self.on_revoke: Callable[[], Awaitable[None]] | None = None
        self.on_overdue: Callable[[], None] | None = None
        self.on_assign: Callable[[frozenset[int], frozenset[int]], None] | None = None
        self._settler = Settler(group, self._assigned_marks, self._commit)
        self._settles = 0  # under way
        self._idle = asyncio.Event()  # none is
        self._idle.set()
        self._marks: dict[int, Marks] = {}
        self._places: dict[int, int] = {}  # the offset to read next
        self._ends = Ends(group)
        self._generation = -1
        self._staying: set[int] = set()  # ours without a break since they were loaded
        self._ready = asyncio.Event()  # assigned, and the marks are restored
        self._between = False  # two generations: nobody knows what is whose
        self._open = asyncio.Event()  # not paused
        self._open.set()
        self._held: list[Record] = []  # taken from the consumer, not yet yielded
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._error: LogError | None = None
        self._reading = Trouble(group.say, "log_read_failed", "log_read_recovered")
        self._settling = Trouble(group.say, "log_settle_failed", "log_settle_recovered")

    def _made(self) -> AIOKafkaConsumer:
        return member(self._group, Listener(self.revoked, self.assigned))

    async def start(self) -> None:
        """Join the group; returns with partitions, or none if others have them all."""
        try:
            await self._join()
            self._raise_error()
        except BaseException:
            await self.stop()
            raise
        self._tasks["watch"] = asyncio.create_task(self._watch())

    async def _join(self) -> None:
        place = f"group {self._group.topics.full(self._group.name)}"
        await join(self._consumer, self._ready, place, JOIN_S)

    async def stop(self) -> None:
        """Commit what waits, leave the group; in bounded time, whoever is away."""
        self._error = self._error or LogError("kafka: the log is closed")
        await self._settler.finish()
        self._ready.set()
        self._open.set()
        for task in self._tasks.values():
            task.cancel()
            await asyncio.wait([task])
        await stop_consumer(self._consumer)

    # Rebalances

    async def revoked(self) -> None:
        """Yield nothing more; let what is in flight settle, in bounded time.

        Who was expelled can settle nothing, and others deliver it already.
        """
        if loading := self._tasks.get("load"):
            loading.cancel()
        was_ready = self._ready.is_set() and self._error is None
        self._ready.clear()
        if was_ready:
            member = generation_of(self._consumer) >= 0
            try:
                async with asyncio.timeout(REVOKE_S if member else 0.0):
                    if self.on_revoke is not None:
                        await self.on_revoke()
                    await self._idle.wait()
            except TimeoutError:
                if member:
                    self._group.say("log_revoke_timeout")
                    if self.on_overdue is not None:
                        self.on_overdue()
        self._between = True
        self._settler.give_up()

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Restore the marks in a task of its own: heartbeats must not wait for it."""
        generation = generation_of(self._consumer)
        if generation != self._generation + 1:  # others may have had them since
            if self._staying:
                self._group.say("log_group_lost", partitions=sorted(self._staying))
            self._staying = set()
        self._staying &= {tp.partition for tp in partitions}
        self._generation = generation
        self._tasks["load"] = asyncio.create_task(self._load(partitions))

    async def _load(self, partitions: Sequence[TopicPartition]) -> None:
        try:
            await self._restore(partitions)
        except Exception as error:  # noqa: BLE001 -- whatever it is: who is not ready never polls again
            self._break(log_error(self._full, error))

    async def _restore(self, partitions: Sequence[TopicPartition]) -> None:
        kept = self._staying
        new = [tp for tp in partitions if tp.partition not in kept]
        restored = await restore(self._group, self._consumer, new)
        lost = frozenset(self._marks.keys() - kept)
        self._marks = {n: self._marks[n] for n in kept} | dict(restored.marks)
        self._places = {n: self._places[n] for n in kept} | {
            number: marks.mark for number, marks in restored.marks.items()
        }
        self._ends.known |= restored.ends
        self._held = [record for record in self._held if record.partition in kept]
        for tp in partitions:
            self._consumer.seek(tp, self._places[tp.partition])
        self._staying, self._between = {tp.partition for tp in partitions}, False
        if self.on_assign is not None:
            self.on_assign(lost, frozenset(tp.partition for tp in new))
        self._ready.set()

    def _break(self, error: LogError) -> None:
        """The membership is over: whoever joins hears of it, who has joined heals."""
        if "watch" not in self._tasks:
            self._error = error
            self._ready.set()
        elif (healing := self._tasks.get("heal")) is None or healing.done():
            self._group.say("log_follow_failed", error=str(error))
            self._ready.clear()
            self._tasks["heal"] = asyncio.create_task(self._heal())

    async def _heal(self) -> None:
        """Join anew until it works; what was ours is lost, as after a crash."""
        while True:
            try:
                await stop_consumer(self._consumer)
                self._consumer, self._generation = self._made(), -1
                await self._join()
            except Exception as error:  # noqa: BLE001 -- whatever it is: nobody else heals
                self._reading.failed(log_error(self._full, error))
                await asyncio.sleep(HEAL_S)
            else:
                return

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
            await self._pass_trailing()
            return []

    async def _next(self, limit: int, deadline: float) -> list[Record]:
        """What the consumer has now; empty when it must be asked again."""
        if not self._held:
            await self._fetch(limit, deadline)
        if not self._open.is_set() or not self._ready.is_set():
            return []
        records, self._held = self._held[:limit], self._held[limit:]
        if not records:
            await asyncio.sleep(0)
        return records

    async def _fetch(self, limit: int, deadline: float) -> None:
        left_s = max(0.0, deadline - asyncio.get_running_loop().time())
        try:
            found = await self._consumer.getmany(
                timeout_ms=int(left_s * 1000), max_records=limit
            )
        except OffsetOutOfRangeError as error:
            if self._ready.is_set():
                await self._pass_gap(error.args[0])
        except NoOffsetForPartitionError:
            return  # it was asked for before the marks were restored
        except ConsumerStoppedError as error:
            raise LogError("kafka: the log is closed") from error
        except KafkaError as error:
            raise self._failed(error) from error
        else:
            self._reading.passed()
            # Between two assignments aiokafka starts at the commit again, below what
            # was yielded: that is dropped, and the consumer is put where it was.
            if self._ready.is_set():
                self._take(found)
                await self._pass_trailing()

    def _failed(self, error: KafkaError) -> LogError:
        failed = log_error(self._full, error)
        self._reading.failed(failed)
        if has_ended(self._consumer):
            self._break(failed)
        return failed

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
            return  # positions are not known yet: asking would wait
        for number, marks in self._marks.items():
            position = await self._consumer.position(self._tp(number))
            marks.skip(self._places[number], position)
            self._places[number] = max(self._places[number], position)

    async def _pass_gap(self, places: dict[TopicPartition, int]) -> None:
        """Records were deleted before we read them: say so, go on from the oldest."""
        generation = self._generation
        with naming(self._full):
            first = await self._consumer.beginning_offsets(list(places))
        if generation != self._generation or not self._ready.is_set():
            return  # a rebalance came: its marks say where to go on
        for tp, offset in places.items():
            marks = self._marks.get(tp.partition)
            if marks is None:
                continue
            self._group.say_gap(tp, offset, first[tp])
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

    async def before_committed(
        self,
        limit: int,
        headers: tuple[str, ...],
        partitions: Collection[int] | None = None,
    ) -> AsyncIterator[Sequence[Past]]:
        """From our partitions in equal shares, each oldest first."""
        marks = {
            self._tp(number): mark
            for number, mark in self._marks.items()
            if partitions is None or number in partitions
        }
        with naming(self._full):
            first = await self._consumer.beginning_offsets(list(marks))
        ranges = newest(marks, first, limit)
        async for found in read_ranges(self._group.settings, ranges, headers):
            yield found

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
                await self._settler.settle(records)
            self._settling.passed()
        except LogError as error:
            self._settling.failed(error)
            raise
        finally:
            self._settles -= 1
            if not self._settles:
                self._idle.set()

    async def _commit(self, offsets: Offsets) -> None:
        """Refused between memberships: a commit of no generation is taken at once."""
        if generation_of(self._consumer) < 0:
            raise LogError(f"kafka: group {self._group.name} is being joined")
        await self._consumer.commit(dict(offsets))

    async def _assigned_marks(self) -> dict[int, Marks]:
        if self._between:
            await self._ready.wait()
        return self._marks

    # How it stands

    @property
    def runs(self) -> int:
        """Settled runs above the mark, the most of any partition."""
        return max((marks.runs for marks in self._marks.values()), default=0)

    @property
    def lag(self) -> int:
        """Records this group has not settled, by the ends last heard of."""
        return self._ends.lag(self._marks, self._fetched)

    def _fetched(self, tp: TopicPartition) -> int | None:
        return self._consumer.highwater(tp) if self._ready.is_set() else None

    @property
    def problem(self) -> str | None:
        """Why it cannot read or settle now; it goes on trying."""
        return self._reading.error or self._settling.error

    @property
    def overdue(self) -> bool:
        """What is not settled is so old that retention will soon delete it."""
        return self._ends.overdue

    async def _watch(self) -> None:
        """Now and then: what fails while nobody fetches, and how far behind it is."""
        while True:
            await asyncio.sleep(kafka_ends.ENDS_S)
            if (trouble := trouble_of(self._consumer)) is not None:
                self._failed(trouble)
            if self._ready.is_set() and self._marks:
                await self._ends.refresh(self._consumer, self._marks)

    def _tp(self, number: int) -> TopicPartition:
        return TopicPartition(self._full, number)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise LogError(str(self._error))
