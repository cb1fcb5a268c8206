"""Reading without a group: ranges of offsets, and a topic's span of time.

What comes in: partitions and ranges. What goes out: records, each partition in its
order; of several partitions the one with the oldest record goes first, as far as
fetched. Every reading has a consumer of its own, which ends with it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.log.contract import Past, Record, Span
from gateway.log.kafka.wire.borrowed import (
    close_client,
    forget_fetched,
    steady_consumer,
)
from gateway.log.kafka.wire.client import naming

REQUEST_S = 30.0  # beyond the longest a join waits at the broker (follow.py)
STOP_S = 5.0
ANSWER_S = 10.0  # for what a broker answers at once
PARTITION_BYTES = 1_048_576
FETCH_BYTES = 8_388_608
POLL_RECORDS = 500
POLL_MS = 200
WAIT_MS = 500  # a broker answers then, if nothing came

Ranges = Mapping[TopicPartition, Sequence[tuple[int, int]]]


def reading(
    settings: Mapping[str, Any], *, late_s: float = 0.0, **more: Any
) -> AIOKafkaConsumer:
    """A consumer that commits nothing by itself and never skips in silence.

    ``late_s``: brokers gather so long, or until a partition has as much as it may.
    """
    consumer = AIOKafkaConsumer(
        **settings,
        **more,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=int(REQUEST_S * 1000),
        max_partition_fetch_bytes=PARTITION_BYTES,
        fetch_max_bytes=FETCH_BYTES,
        fetch_min_bytes=PARTITION_BYTES if late_s else 1,
        fetch_max_wait_ms=int(late_s * 1000) or WAIT_MS,
    )
    return steady_consumer(consumer)


@asynccontextmanager
async def reader(
    settings: Mapping[str, Any],
    partitions: Sequence[TopicPartition],
    late_s: float = 0.0,
) -> AsyncIterator[AIOKafkaConsumer]:
    """A groupless consumer of these partitions."""
    consumer = reading(settings, late_s=late_s)
    try:
        async with asyncio.timeout(ANSWER_S):
            await consumer.start()
        consumer.assign(list(partitions))
        yield consumer
    finally:
        await stop_consumer(consumer)


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group if it is in one; in bounded time, whoever is away."""
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait([stopping], timeout=STOP_S)
    if not stopping.done():
        stopping.cancel()
        await asyncio.wait([stopping])
        await close_client(consumer)
    forget_fetched(consumer)
    if not stopping.cancelled():
        stopping.exception()


def record_of(topic: str, found: "ConsumerRecord[bytes, bytes]") -> Record:
    """The record in the log's words; a tombstone has an empty value."""
    return Record(
        topic,
        found.partition,
        found.offset,
        found.key or b"",
        found.value or b"",
        tuple(found.headers),
        found.timestamp,
    )


async def read_ranges(
    settings: Mapping[str, Any], ranges: Ranges, headers: tuple[str, ...]
) -> AsyncIterator[Sequence[Past]]:
    """The records whose offsets lie in the ranges, which rise in each partition.

    A broker sends whole records: keys and values are let go unread.
    """
    if not ranges:
        return
    async with reader(settings, list(ranges)) as consumer:
        place = {tp: parts[0][0] for tp, parts in ranges.items()}
        for tp, offset in place.items():
            consumer.seek(tp, offset)
        while place:
            found = await consumer.getmany(
                *place, timeout_ms=POLL_MS, max_records=POLL_RECORDS
            )
            found = {tp: _within_any(got, ranges[tp]) for tp, got in found.items()}
            yield [_past(record, headers) for record in _oldest_first(found)]
            await _advance(consumer, place, ranges)


def _within_any(
    records: "Sequence[ConsumerRecord[bytes, bytes]]",
    ranges: Sequence[tuple[int, int]],
) -> "Sequence[ConsumerRecord[bytes, bytes]]":
    """Those of a partition, in their order, that lie in one of its ranges."""
    for start, stop in ranges:  # mostly all of them in the same one
        if not records or start <= records[0].offset <= records[-1].offset < stop:
            return records
    return [
        record
        for record in records
        if any(start <= record.offset < stop for start, stop in ranges)
    ]


def _past(found: "ConsumerRecord[bytes, bytes]", headers: tuple[str, ...]) -> Past:
    own = dict(found.headers)
    picked = tuple([own.get(name, b"") for name in headers])
    return Past(found.partition, found.offset, found.timestamp, picked)


async def _advance(
    consumer: AIOKafkaConsumer, place: dict[TopicPartition, int], ranges: Ranges
) -> None:
    """Skip what lies between ranges; let go of partitions that are done."""
    for tp in list(place):
        position = await consumer.position(tp)
        left = [(start, stop) for start, stop in ranges[tp] if stop > position]
        if not left:
            del place[tp]
            consumer.pause(tp)
        elif left[0][0] > position:
            consumer.seek(tp, left[0][0])


def _oldest_first(
    found: "Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]",
) -> "list[ConsumerRecord[bytes, bytes]]":
    """Merged by time, the order of each partition kept: sorting is stable."""
    if len(found) == 1:
        return list(*found.values())
    every = []
    for records in found.values():
        at_ms = 0
        for record in records:  # times may fall where a producer's clock counts
            at_ms = max(at_ms, record.timestamp)
            every.append((at_ms, record))
    every.sort(key=lambda pair: pair[0])
    return [record for _, record in every]


async def read_span(
    settings: Mapping[str, Any],
    topic: str,
    partitions: Sequence[TopicPartition],
    span: Span,
    *,
    late_s: float | None,
) -> AsyncGenerator[Record, None]:
    """The records appended in ``span``, up to where the topic ends now, or for ever.

    For ever: with ``late_s``, which is how late they may come.
    """
    follow = late_s is not None
    async with reader(settings, partitions, late_s or 0.0) as consumer:
        ranges = await bounds(consumer, partitions, span)
        for tp, (start, _) in ranges.items():
            consumer.seek(tp, start)
        left = {tp: stop for tp, (start, stop) in ranges.items() if start < stop}
        while follow or left:
            with naming(topic):
                found = await consumer.getmany(
                    *(() if follow else left),
                    timeout_ms=POLL_MS,
                    max_records=POLL_RECORDS,
                )
            for record in _oldest_first(found):
                tp = TopicPartition(record.topic, record.partition)
                if not follow and record.offset >= ranges[tp][1]:
                    continue
                if follow and _beyond(record, span):
                    return
                if _within(record, span):
                    yield record_of(topic, record)
            if not follow:
                await _let_go(consumer, left)


async def _let_go(consumer: AIOKafkaConsumer, left: dict[TopicPartition, int]) -> None:
    for tp, stop in list(left.items()):
        if await consumer.position(tp) >= stop:
            del left[tp]
            consumer.pause(tp)


def _beyond(record: "ConsumerRecord[bytes, bytes]", span: Span) -> bool:
    return span.until_ms is not None and record.timestamp >= span.until_ms


def _within(record: "ConsumerRecord[bytes, bytes]", span: Span) -> bool:
    early = span.from_ms is not None and record.timestamp < span.from_ms
    return not early and not _beyond(record, span)


async def bounds(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], span: Span
) -> dict[TopicPartition, tuple[int, int]]:
    """Where each partition begins and ends for ``span``, from the brokers' indexes.

    The first record of a time is found by offset; the end is where the topic ends now,
    or the first record not before ``until_ms``.
    """
    async with asyncio.timeout(ANSWER_S):
        first = await consumer.beginning_offsets(list(partitions))
        ends = await consumer.end_offsets(list(partitions))
        starts = await _at(consumer, partitions, span.from_ms, first, ends)
        stops = await _at(consumer, partitions, span.until_ms, ends, ends)
    return {tp: (starts[tp], stops[tp]) for tp in partitions}


async def _at(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
    at_ms: int | None,
    default: Mapping[TopicPartition, int],
    beyond: Mapping[TopicPartition, int],
) -> Mapping[TopicPartition, int]:
    if at_ms is None:
        return default
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, max(at_ms, 0)))
    return {tp: at.offset if (at := found[tp]) else beyond[tp] for tp in partitions}
