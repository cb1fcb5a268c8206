"""The newest records of a topic, with a bounded look back: the log reads forward only.

Ever wider windows of the past are read until one holds enough; one that holds far too
much is narrowed again. So a page costs a few times what it shows, however long the log
and however fast it grows.
"""

import time
from collections.abc import Sequence
from heapq import heappush, heappushpop

from gateway.log.contract import EventLog, Record, Span

BACK_S = (1.0, 5.0, 30.0, 180.0, 1_200.0, 7_200.0, 86_400.0, 604_800.0)
MANY = 20  # times what is wanted: a window with more is narrowed
NARROWER = 24  # halvings: from a week to what came in one moment


async def newest(log: EventLog, topic: str, limit: int) -> list[Record]:
    """At most so many records, the newest first; LogError when it cannot be read."""
    now_ms = time.time_ns() // 1_000_000
    few_s = 0.0
    for back_s in BACK_S:
        found, whole = await _since(log, topic, now_ms - int(back_s * 1_000), limit)
        if not whole:
            return await _narrowed(log, topic, limit, now_ms, (few_s, back_s))
        if len(found) >= limit:
            return found
        few_s = back_s
    found, whole = await _since(log, topic, None, limit)
    if whole:
        return found
    return await _narrowed(log, topic, limit, now_ms, (few_s, 100 * BACK_S[-1]))


async def _narrowed(
    log: EventLog, topic: str, limit: int, now_ms: int, window_s: tuple[float, float]
) -> list[Record]:
    """Between a window with too few and one with far too many."""
    few_s, many_s = window_s
    for _ in range(NARROWER):
        middle_s = (few_s + many_s) / 2
        from_ms = now_ms - int(middle_s * 1_000)
        found, whole = await _since(log, topic, from_ms, limit)
        if whole and len(found) >= limit:
            return found
        if whole:
            few_s = middle_s
        else:
            many_s = middle_s
    found, _ = await _since(log, topic, now_ms - int(many_s * 1_000), limit, whole=True)
    return found


async def _since(
    log: EventLog, topic: str, from_ms: int | None, limit: int, *, whole: bool = False
) -> tuple[list[Record], bool]:
    """The newest of a window, newest first; and whether it was read to its end.

    On Kafka partitions come side by side, some far ahead of others: what was read last
    need not be the newest.
    """
    kept: list[tuple[int, int, Record]] = []
    read = 0
    async for record in log.scan(topic, Span(from_ms=from_ms)):
        each = record.appended_at_ms, read, record
        heappush(kept, each) if read < limit else heappushpop(kept, each)
        read += 1
        if read > limit * MANY and not whole:
            return [], False
    return [record for _, _, record in sorted(kept, reverse=True)], True


def header(record: Record, name: str) -> str | None:
    """A header of a record as text; None when it has none."""
    for key, value in record.headers:
        if key == name:
            return value.decode(errors="replace")
    return None


async def count_of(log: EventLog, names: Sequence[str]) -> dict[str, int]:
    """How many records topics hold, by name; those that are not there have none."""
    known = {each.name: each.records for each in await log.topics()}
    return {name: known.get(name, 0) for name in names}
