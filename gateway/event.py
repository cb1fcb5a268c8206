"""The event and the values it grows from: message -> Raw -> Checked -> Normalized.

The three NewTypes cost nothing at run time; they let the type checker prove the
order of the stages. ``Event`` is what the log keeps and the destinations read.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple, NewType, Self, get_args

import orjson

EPOCH, MS = datetime.fromtimestamp(0, UTC), timedelta(milliseconds=1)
Json = Any
Raw = NewType("Raw", dict[str, Any])
Checked = NewType("Checked", dict[str, Any])
Normalized = NewType("Normalized", dict[str, Any])

EventType = Literal["identify", "track", "page", "screen", "group", "alias", "person"]
SourceKind = Literal["browser", "mobile", "server", "track_api"]
ClockSkew = Literal["ahead", "segment", "off"]
InvalidTraits = Literal["reject", "keep"]
OnUnplanned = Literal["allow", "flag", "reject"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
PIPELINE_TYPES = EVENT_TYPES[:-1]
"""All but ``person``, which only the Track API sends."""
EVENT_FIELDS = (
    *("type", "event", "name", "category", "traits", "properties", "context"),
    *("userId", "anonymousId", "groupId", "previousId", "messageId", "source"),
    *("timestamp", "originalTimestamp", "sentAt", "receivedAt", "integrations"),
)
"""What an expression over an event may mean: a field of another name is a doubt."""


@lru_cache(maxsize=64)  # several requests share a millisecond
def iso(at_ms: int) -> str:
    """Unix milliseconds as every time we write: UTC, milliseconds, ``Z``."""
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(at_s: int) -> str:
    """Thousands of events share a second; writing it costs more than the rest."""
    return datetime.fromtimestamp(at_s, UTC).isoformat()[:-6]  # without +00:00


def unix_ms(text: str) -> int:
    """Unix milliseconds of a time that somebody asks with: ISO 8601; no offset: UTC.

    ValueError for what is none, and for what ``iso`` could not write: an offset may
    lead out of the years 1 to 9999.
    """
    at = datetime.fromisoformat(text)
    try:
        return (at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC) - EPOCH) // MS
    except OverflowError:
        raise ValueError(text) from None


class Origin(NamedTuple):
    """What the intake knows beside the message; the stages have no clock of their own.

    ``received_at`` is ``iso(received_at_ms)``, made once a request.
    """

    source: str
    kind: SourceKind
    received_at: str
    received_at_ms: int
    spare_message_id: str
    ip: str | None = None
    user_agent: str | None = None
    clock_skew: ClockSkew = "ahead"
    invalid_traits: InvalidTraits = "reject"


class Event(NamedTuple):
    """One admitted event; ``body`` is the canonical JSON that every reader sees.

    ``key`` is the person key: userId (emails lower-cased), else anonymousId, else
    the message id (DESIGN §3).
    """

    message_id: str
    type: EventType
    source: str
    key: str
    received_at: str
    body: dict[str, Json]

    def to_bytes(self) -> bytes:
        """The one serialization; every entry of the event shares these bytes."""
        return b"%b" % orjson.dumps(self.body)  # see ``exact``; a call costs more

    @classmethod
    def from_bytes(cls, value: bytes) -> Self:
        """The event of a record's value."""
        body = orjson.loads(value)
        return cls(
            message_id=body["messageId"],
            type=body["type"],
            source=body["source"],
            key=person_key(body),
            received_at=body["receivedAt"],
            body=body,
        )


def exact(written: bytes) -> bytes:
    """The same bytes in no more memory than they need.

    orjson's keep the room it wrote them in, eight times as much: what waits for the log
    would take that of the memory that ``limits.waiting_bytes`` allows.
    """
    return b"%b" % written


def person_key(body: dict[str, Json]) -> str:
    """What a person's events are ordered by; emails of any case are one key."""
    user_id: str | None = body.get("userId")
    if user_id:
        return user_id.lower() if "@" in user_id else user_id
    key: str = body.get("anonymousId") or body["messageId"]
    return key
