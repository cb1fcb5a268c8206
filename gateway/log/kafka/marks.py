"""The marks of a consumer group, as they stand in its commits.

What comes in: partitions that were assigned. What goes out: their marks, restored from
the low-water offset and the runs in its metadata; a new group's start is committed. A
mark that points to records which are no longer there is a gap, and gaps are loud.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from gateway.log.kafka.append import Appender
from gateway.log.kafka.read import Ranges
from gateway.log.kafka.topics import Topics
from gateway.log.marks import Marks
from gateway.notices import NoticeCode, Say

METADATA_BYTES = 4_000  # offset.metadata.max.bytes is 4,096 by default
RETRY_S = 0.1


class Group(NamedTuple):
    """What a subscription is of, and how it reaches the rest of the log."""

    topic: str
    name: str
    topics: Topics
    appender: Appender
    settings: dict[str, Any]
    timeout_s: float
    session_s: float
    tell: Say

    def say(self, code: NoticeCode, /, **fields: Any) -> None:
        """Tell the operator, naming topic and group."""
        self.tell(code, topic=self.topic, group=self.name, **fields)

    def say_gap(self, tp: TopicPartition, start: int, stop: int) -> None:
        """Records were deleted before they were read, or the topic was made anew."""
        records = max(stop - start, 0)
        self.say(
            "log_gap",
            partition=tp.partition,
            offset=start,
            oldest=stop,
            records=records,
        )
        self.topics.gaps[f"{tp} {self.name}"] = (
            f"{tp.topic} {tp.partition}: {records} records were deleted unread by "
            f"{self.name}, up to offset {stop}"
        )


class Restored(NamedTuple):
    """What is known of partitions once they are ours."""

    marks: Mapping[int, Marks]
    ends: Mapping[int, int]


async def restore(
    group: Group, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> Restored:
    """Ask until the brokers answer; other errors are raised."""
    if not partitions:
        return Restored({}, {})
    while True:
        try:
            async with asyncio.timeout(group.timeout_s):
                return await _restore_once(group, consumer, partitions)
        except TimeoutError:
            group.say("log_unavailable", error="the group's marks cannot be read")
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(RETRY_S)


async def _restore_once(
    group: Group, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> Restored:
    stored = await group.topics.committed(group.name, partitions)
    first = await consumer.beginning_offsets(list(partitions))
    ends = await consumer.end_offsets(list(partitions))
    marks, fresh = {}, {}
    for tp in partitions:
        at = stored[tp]
        if at.offset < 0:
            fresh[tp] = OffsetAndMetadata(first[tp], "")
            marks[tp.partition] = Marks(first[tp])
        else:
            marks[tp.partition] = _placed(group, tp, at, (first[tp], ends[tp]))
    if fresh:
        await consumer.commit(fresh)
    return Restored(marks, {tp.partition: end for tp, end in ends.items()})


def _placed(
    group: Group, tp: TopicPartition, at: OffsetAndMetadata, there: tuple[int, int]
) -> Marks:
    """The stored marks, if what they point to is still there."""
    first, end = there
    if at.offset > end:
        group.say_gap(tp, at.offset, first)
        return Marks(first)
    marks = decoded(at)
    if marks is None:  # somebody else has committed: the offset counts
        group.say("log_marks_unreadable", partition=tp.partition, offset=at.offset)
        marks = Marks(at.offset)
    if at.offset < first:
        group.say_gap(tp, at.offset, first)
        marks.skip(at.offset, first)
    return marks


def decoded(at: OffsetAndMetadata) -> Marks | None:
    """The marks of a commit; None if its metadata is not ours."""
    try:
        return Marks.decode(at.offset, at.metadata)
    except ValueError:
        return None


def fitting(marks: Marks) -> str:
    """The runs as commit metadata, the highest left out where a broker takes no more.

    What is left out comes back after a crash; 400 runs (DESIGN 5.5) mostly fit.
    """
    text = marks.encode()
    if len(text) <= METADATA_BYTES:
        return text
    return text[: text.rindex(",", 0, METADATA_BYTES)]


def newest(
    marks: Mapping[TopicPartition, Marks],
    first: Mapping[TopicPartition, int],
    limit: int,
) -> Ranges:
    """``limit`` in equal shares; what one partition cannot fill the others may."""
    sizes = {
        tp: sum(stop - start for start, stop in mark.newest(first[tp], limit))
        for tp, mark in marks.items()
    }
    ranges, left = {}, len(sizes)
    for tp in sorted(sizes, key=sizes.__getitem__):
        share = min(sizes[tp], -(-limit // left))
        limit, left = limit - share, left - 1
        if share > 0:
            ranges[tp] = marks[tp].newest(first[tp], share)
    return ranges
