"""A record as the one JSON line that ``gateway read`` prints (INTERFACE)."""

import orjson

from gateway.event import Json, iso
from gateway.log.contract import EventLog, Record


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
