"""Finds in the log what the ledger only refers to: an event, a dead letter, who waits.

A record is looked for at the time of its append, where SQLite and Kafka have an index.
Every look is bounded; what is not found within the bound counts as gone.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import TypeAlias

from gateway.errors import LogError
from gateway.log.contract import EventLog, Record, Span

RECORDS_MAX = 20_000
LOOK_S = 2.0
NEAR_MS = 5_000  # two topics' appends of one event are no further apart: the deadline
Wanted: TypeAlias = Callable[[Record], bool]


async def at_place(
    log: EventLog, topic: str, partition: int, offset: int, appended_ms: int
) -> Record | None:
    """The record at a place; None when the log has it no more."""

    def wanted(record: Record) -> bool:
        return record.offset == offset and record.partition == partition

    return await _first(log, topic, (appended_ms, appended_ms + 1), wanted)


async def of_message(
    log: EventLog,
    topic: str,
    *,
    message_id: str,
    received_at: str,
    appended_ms: int,
) -> Record | None:
    """The record about one occurrence of a message, appended about then."""
    pairs = {
        ("messageId", message_id.encode(errors="replace")),
        ("receivedAt", received_at.encode()),
    }

    def wanted(record: Record) -> bool:
        return pairs <= set(record.headers)

    same = appended_ms, appended_ms + 1  # on SQLite it was one transaction
    near = appended_ms - NEAR_MS, appended_ms + NEAR_MS
    found = await _first(log, topic, same, wanted)
    return found or await _first(log, topic, near, wanted)


async def _first(
    log: EventLog, topic: str, span: tuple[int, int], wanted: Wanted
) -> Record | None:
    records = log.scan(topic, Span(from_ms=span[0], until_ms=span[1]))
    count = 0
    try:
        async with asyncio.timeout(LOOK_S), aclosing(records):  # type: ignore[type-var]  # they are generators
            async for record in records:
                if wanted(record):
                    return record
                count += 1
                if count >= RECORDS_MAX:
                    return None
    except (TimeoutError, LogError):
        return None
    return None
