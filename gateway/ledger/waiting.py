"""Which events that have not ended at a destination never came to its topic.

On Kafka an append is not atomic across topics: what stands in the archive may be
missing where its destination reads. On SQLite that cannot be.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import aclosing

from gateway.errors import LogError
from gateway.event import iso
from gateway.ledger.rows import Row
from gateway.log.contract import EventLog, Span, TopicState
from gateway.topics import EVENTS, OUTCOMES, REFUSED, to

TOPICS = (EVENTS, REFUSED, OUTCOMES)
"""What a ledger follows."""

SETTLED_S = 30.0  # who is younger may still be on the way to its topic
NEAR_MS = 5_000  # two topics' appends of one event are no further apart: the deadline
RECORDS_MAX = 200_000  # of a topic, in one look
LOOK_S = 10.0
ALONE_MS = 1


def group_of(life: str) -> str:
    """The name under which a ledger follows the log."""
    return f"ledger.{life}"


def lag_of(states: Sequence[TopicState], topic: str, group: str) -> int | None:
    """Records that a group has not settled; None while nobody knows."""
    for state in states:
        if state.name == topic:
            lags = [each.lag for each in state.groups if each.name == group]
            return lags[0] if lags else None
    return None


def behind(states: Sequence[TopicState], life: str) -> int:
    """Records that the ledger has not read yet; of a new one all that there are."""
    records = {each.name: each.records for each in states}
    lags = {topic: lag_of(states, topic, group_of(life)) for topic in TOPICS}
    return sum(records.get(t, 0) if lag is None else lag for t, lag in lags.items())


async def unconfirmed(
    log: EventLog,
    states: Sequence[TopicState],
    life: str,
    destination: str,
    rows: Sequence[Row],
) -> list[Row]:
    """Those of ``rows`` that nobody will deliver; the others wait, or are under way.

    Nothing is said of what is young, nor while the ledger has outcomes to read. An
    event that is not found within the bound counts as waiting.
    """
    before_ms = time.time() * 1000 - SETTLED_S * 1000
    old = [row for row in rows if row.appended_at < before_ms]
    if not old or lag_of(states, OUTCOMES, group_of(life)) != 0:
        return []
    if lag_of(states, to(destination), destination) == 0:
        return old  # nothing waits there, and every outcome has been read
    waiting = await _waiting(log, to(destination), old)
    return [] if waiting is None else [row for row in old if _pair(row) not in waiting]


async def waits(log: EventLog, destination: str, row: Row) -> bool:
    """Whether one event stands in the topic of a destination, or may be on its way."""
    if time.time() * 1000 - row.appended_at < SETTLED_S * 1000:
        return True
    for near_ms in (0, NEAR_MS // 50, NEAR_MS):  # on SQLite it was one transaction
        found = await _waiting(log, to(destination), [row], near_ms=near_ms)
        if found is None or _pair(row) in found:
            return True
    return False


async def _waiting(
    log: EventLog, topic: str, rows: Sequence[Row], *, near_ms: int = NEAR_MS
) -> Collection[tuple[bytes, bytes]] | None:
    """(messageId, receivedAt) of what the topic got at about that time.

    None when there is too much of it, or the log cannot be read.
    """
    times = [row.appended_at for row in rows]
    span = Span(from_ms=min(times) - near_ms, until_ms=max(times) + near_ms + ALONE_MS)
    found = set[tuple[bytes, bytes]]()
    records = log.scan(topic, span)
    try:
        async with asyncio.timeout(LOOK_S), aclosing(records):  # type: ignore[type-var]  # they are generators
            count = 0
            async for record in records:
                headers = dict(record.headers)
                at = headers.get("receivedAt", b"")
                found.add((headers.get("messageId", b""), at))
                count += 1
                if count >= RECORDS_MAX:
                    return None
    except (TimeoutError, LogError):
        return None
    return found


def _pair(row: Row) -> tuple[bytes, bytes]:
    return row.message_id.encode(errors="replace"), iso(row.at).encode()
