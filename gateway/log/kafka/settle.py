"""Settling: one commit for all who settle while the last one is under way.

What comes in: records that are done. What goes out: a commit of the low-water mark
with the runs above it, then the marks themselves: they show only what is durable.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from gateway.errors import LogError
from gateway.log.contract import Record
from gateway.log.kafka.marks import Group, fitting
from gateway.log.kafka.wire.client import log_error
from gateway.log.marks import Marks

Offsets = Mapping[TopicPartition, OffsetAndMetadata]


class Settler:
    """The settles under way of one subscription."""

    def __init__(
        self,
        group: Group,
        assigned: Callable[[], Awaitable[Mapping[int, Marks]]],
        commit: Callable[[Offsets], Awaitable[None]],
    ) -> None:
        self._group = group
        self._full = group.topics.full(group.topic)
        self._commit_offsets = commit
        self._assigned = assigned
        self._waiting: list[tuple[Sequence[Record], asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._deadline: asyncio.Timeout | None = None  # of the commit under way

    async def settle(self, records: Sequence[Record]) -> None:
        """Return when the marks are committed; else LogError, and they are not set."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((records, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        await done

    async def finish(self) -> None:
        """Return when nothing is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def give_up(self) -> None:
        """A rebalance waits no longer for the commit under way.

        aiokafka asks again until a commit is taken; in the next generation it would
        move the marks of partitions that others have by then.
        """
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())

    async def _run(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            place = f"commit of {self._group.name}"
            error: LogError | None = log_error(place, None)  # until it is known better
            try:
                async with asyncio.timeout(self._group.timeout_s) as self._deadline:
                    await self._commit([r for records, _ in waiting for r in records])
                error = None
            except Exception as cause:  # noqa: BLE001 -- whatever it is, those who wait must hear of it
                error = log_error(place, cause)
            finally:
                self._deadline = None
                self._tell([done for _, done in waiting], error)

    def _tell(
        self, waiting: Sequence[asyncio.Future[None]], error: LogError | None
    ) -> None:
        for done in waiting:
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(LogError(str(error)))

    async def _commit(self, records: Sequence[Record]) -> None:
        """Of the partitions we have; what was polled of others is their new owner's."""
        marks = await self._assigned()
        settled: dict[int, list[int]] = {}
        for record in records:
            if record.partition in marks:
                settled.setdefault(record.partition, []).append(record.offset)
        offsets = {}
        for number, done in settled.items():
            after = marks[number].copy()
            after.settle_all(done)
            place = TopicPartition(self._full, number)
            offsets[place] = OffsetAndMetadata(after.mark, fitting(after))
        if offsets:
            await self._commit_offsets(offsets)
        for number, done in settled.items():
            marks[number].settle_all(done)
