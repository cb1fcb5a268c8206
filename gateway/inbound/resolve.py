"""Normalized + Origin -> Event: who, when, from where.

DESIGN 4.5. What the gateway knows better (received-at, source, version) is written
over whatever the sender put there (P018, P022); the rest is only filled in.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

from gateway.event import (
    Event,
    EventType,
    Json,
    Normalized,
    Origin,
    SourceKind,
    iso,
    person_key,
)
from gateway.notices import Notice

VERSION = 1
SKEW_MS = 5_000  # a clock that far ahead is wrong for certain
SECONDS = 19  # characters of a time up to its seconds
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
CHANNELS: Mapping[SourceKind, str] = {
    "browser": "browser",
    "mobile": "mobile",
    "server": "server",
    "track_api": "server",
}
CLIENTS: frozenset[SourceKind] = frozenset({"browser", "mobile"})

# What ``Event(...)`` does, in half the time.
_event: Callable[[tuple[str, EventType, str, str, str, dict[str, Json]]], Event] = (
    partial(tuple.__new__, Event)
)


def resolve(normalized: Normalized, origin: Origin) -> tuple[Event, tuple[Notice, ...]]:
    """The event; after this nothing about it depends on how it came."""
    body: dict[str, Json] = dict(normalized)
    message_id = body["messageId"] = body.get("messageId") or origin.spare_message_id
    body["context"] = _context(body.get("context"), origin)
    notices = _date(body, origin)
    body["receivedAt"] = origin.received_at
    body["version"] = VERSION
    body["source"] = origin.source
    if (
        "userId" not in body
        and body["type"] == "identify"
        and "anonymousId" not in body
        and "origin" not in body  # there, identifiers say it
    ):
        email = body.get("traits", {}).get("email")
        if email:  # P062: nothing else says who it is
            body["userId"] = email
    kind, key = body["type"], person_key(body)
    source, received_at = origin.source, origin.received_at
    return _event((message_id, kind, source, key, received_at, body)), notices


def _context(given: dict[str, Json] | None, origin: Origin) -> dict[str, Json]:
    """P033, P034: a connection says where a client is, not where a server's user is."""
    context = dict(given) if given else {}
    if context.get("channel") is None:
        context["channel"] = CHANNELS[origin.kind]
    if origin.kind in CLIENTS:
        if origin.ip is not None and context.get("ip") is None:
            context["ip"] = origin.ip
        if origin.user_agent is not None and context.get("userAgent") is None:
            context["userAgent"] = origin.user_agent
    return context


def _date(body: dict[str, Json], origin: Origin) -> tuple[Notice, ...]:
    """P020: the sender's time as sent, unless its clock is wrong, else ours.

    ``prepare`` put the batch's time in ``timestamp`` when the message had none.
    """
    at = body.get("timestamp") or body.get("originalTimestamp")
    if at is None:
        body["timestamp"] = origin.received_at
        body["timestampSource"] = "server"
        return ()
    body["timestamp"] = at
    body["timestampSource"] = "client"
    sent_at = body.get("sentAt")
    if sent_at is None or not _may_be_skewed(sent_at, origin):
        return ()
    ahead_ms = _unix_ms(sent_at) - origin.received_at_ms
    if ahead_ms == 0 or (origin.clock_skew == "ahead" and ahead_ms <= SKEW_MS):
        return ()
    try:
        body["timestamp"] = iso(_unix_ms(at) - ahead_ms)
    except (ValueError, OverflowError):  # outside the calendar: no clock is that wrong
        return (Notice("clock_not_corrected"),)
    body["timestampSource"] = "corrected"
    body.setdefault("originalTimestamp", at)
    return (Notice("clock_corrected"),)


def _may_be_skewed(sent_at: str, origin: Origin) -> bool:
    """Cheap and mostly no: text in UTC compares as time does."""
    if origin.clock_skew == "ahead":
        utc = sent_at.endswith("Z")
        return not utc or sent_at[:SECONDS] > origin.received_at[:SECONDS]
    return origin.clock_skew == "segment"


def _unix_ms(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // MILLISECOND
