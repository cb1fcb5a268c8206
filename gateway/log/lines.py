"""Records as the JSON lines that ``gateway read`` prints, by receivedAt (INTERFACE)."""

from collections.abc import AsyncIterator
from datetime import datetime

import orjson

from gateway.event import Json, iso
from gateway.log.contract import EventLog, Record, Span

CLOCKS_MS = 30_000  # the log's clock may be so far behind the one of receivedAt
PASSED_OVER = 10_000  # records without a line, until there is a sign of life


async def lines(
    log: EventLog, topic: str, span: Span, *, follow: bool
) -> AsyncIterator[bytes]:
    """What was received in ``span``, a line each; an empty one: it is still looking.

    A replay appends late what was received long ago: so all is read that was appended
    since, but a follower ends with what is appended at its end.
    """
    from_ms = None if span.from_ms is None else max(0, span.from_ms - CLOCKS_MS)
    looked = Span(from_ms=from_ms, until_ms=span.until_ms if follow else None)
    passed = 0
    async for record in log.scan(topic, looked, follow=follow):
        if _is_within(record, span):
            yield line(record)
        elif (passed := passed + 1) % PASSED_OVER == 0:
            yield b"\n"


def _is_within(record: Record, span: Span) -> bool:
    if span.from_ms is None and span.until_ms is None:
        return True
    at_ms = _received_ms(record)
    after = span.from_ms is None or at_ms >= span.from_ms
    return after and (span.until_ms is None or at_ms < span.until_ms)


def _received_ms(record: Record) -> int:
    """Of a record that does not say: when it was appended."""
    received = dict(record.headers).get("receivedAt", b"").decode(errors="replace")
    try:
        return round(datetime.fromisoformat(received).timestamp() * 1000)
    except ValueError:
        return record.appended_at_ms


def line(record: Record) -> bytes:
    """The record as JSON with a newline; what is no JSON inside stays text."""
    shown = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": _text(record.key),
        "headers": {name: _header(name, value) for name, value in record.headers},
        "value": _value(record.value),
        "appendedAt": iso(record.appended_at_ms),
    }
    return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE)


def _header(name: str, value: bytes) -> Json:
    return _value(value) if name == "route" else _text(value)


def _value(value: bytes) -> Json:
    if not value:
        return None  # a tombstone of a compacted topic
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return _text(value)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


async def missing(log: EventLog, topic: str) -> str | None:
    """What to say of a topic that is not there; None when it is."""
    known = [each.name for each in await log.topics()]
    if topic in known:
        return None
    return f"there is no topic {topic!r}; known are: {', '.join(sorted(known))}"
