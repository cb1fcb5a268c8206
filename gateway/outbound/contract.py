"""What a destination is, and what can become of an event there.

A ``Verdict`` is what one attempt gave; an ``Outcome`` is the end of one event at one
destination, written to ``outcomes``. Both unions are closed: a new member fails the
type check at every ``match``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import orjson

from gateway.errors import ConfigError, place_of
from gateway.event import Event, EventType, Json

NOTHING: Mapping[str, Json] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back, secrets masked: kept with a dead letter.

    ``response`` is None when nothing came back (refused, reset, timed out).
    """

    request: Mapping[str, Json]
    response: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has it; ``status`` is its HTTP status, if it speaks HTTP.

    ``detail``, in its outcome, names what of the event it cannot take, never a value.
    """

    status: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """The destination has no request for such an event; nothing was sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now: the same attempt may succeed later, not before ``after_s`` if given.

    ``auth`` marks 401, 403, 407: the breaker opens when two keys get it and nobody is
    served. ``away`` is certain to fail for every event now: it opens at once.
    ``reason`` is a status or the name of an error, never a payload. ``more`` are
    further keys of the dead letter, if it comes to one after all.
    """

    reason: str
    after_s: float | None = None
    status: int | None = None
    auth: bool = False
    exchange: Exchange | None = None
    away: bool = False
    more: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Never: the event is dead-lettered. ``reason`` is one of the dead reasons.

    ``unsent``: it was refused before anything was sent, so it says nothing of the
    destination, and the breaker does not hear of it. ``more`` are further keys of the
    dead letter.
    """

    reason: Literal["rejected", "max_age", "pressure", "bug", "too_large"]
    detail: str = ""
    status: int | None = None
    exchange: Exchange | None = None
    unsent: bool = False
    more: Mapping[str, Json] | None = None


def bug(place: str, error: Exception) -> Rejected:
    """What an exception makes of an event: its type and where, never a value."""
    return Rejected("bug", f"{place}: {type(error).__name__} in {place_of(error)}")


Verdict: TypeAlias = Delivered | Skipped | Retry | Rejected
OutcomeKind = Literal[
    "delivered", "filtered", "skipped", "duplicate", "suppressed", "dead"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one event at one destination, as ``outcomes`` tells it.

    ``reason`` is a code (INTERFACE); ``detail``, for a dead letter, says which error in
    which place, and for a delivery what of the event was left out; ``exchange`` is the
    last thing said.
    """

    kind: OutcomeKind
    reason: str | None = None
    status: int | None = None
    detail: str = ""
    exchange: Exchange | None = None
    more: Mapping[str, Json] | None = None


TRIES_MAX = 20
"""Failed attempts of an event that its outcome tells of: the last ones."""


class Try(NamedTuple):
    """One attempt that failed; times are unix milliseconds, ``error`` no payload."""

    began_ms: int
    ended_ms: int
    status: int | None
    error: str


Order = Literal["person", "none", "total"]
Spelling = Literal["camelCase", "snake_case", "as_sent"]


class Place(NamedTuple):
    """Where an event stands in the destination's topic; and when it came there."""

    partition: int
    offset: int
    appended_at_ms: int


EVENT_BYTES = 65_536  # the largest event: a poll may bring only such
NO_OPTIONS = NOTHING


class Delivery:
    """One event on its way to ``deliver``: what a request may be made of.

    Traits are in the destination's spelling already. ``value`` is the event as JSON:
    the record's own bytes unless a step changed them. ``event`` is read from it when
    somebody asks: of many events nobody does. ``place`` is None for an event that comes
    from no topic (a preview).

    ``fields`` is what a configured mapping makes of it, laid over what the type would
    send: field by field, "" takes one out (``laid_over``); None: nothing is configured.
    ``action`` says which of the type's actions the configuration wants, where a type
    has some. ``only`` names those of several that a replay of a dead letter repeats,
    because the others were done with; None: all.
    """

    __slots__ = (
        "_event",
        "_message_id",
        "action",
        "fields",
        "only",
        "options",
        "place",
        "replay",
        "value",
    )

    def __init__(
        self,
        event: Event | None,
        value: bytes,
        options: Mapping[str, Json] = NO_OPTIONS,
        replay: str | None = None,
        place: Place | None = None,
        fields: Mapping[str, Json] | None = None,
        action: str | None = None,
        *,
        message_id: str | None = None,
        only: frozenset[str] | None = None,
    ) -> None:
        self._event, self._message_id = event, message_id
        self.value, self.options, self.replay = value, options, replay
        self.place, self.fields, self.action = place, fields, action
        self.only = only

    @property
    def event(self) -> Event:
        """The event, read once; KeyError or ValueError where the value is none."""
        if self._event is None:
            self._event = Event.from_bytes(self.value)
        return self._event

    @property
    def message_id(self) -> str:
        """The event's; known without reading it."""
        return self.event.message_id if self._message_id is None else self._message_id

    def changed(self, event: Event, value: bytes) -> "Delivery":
        """The same with another event, whose JSON is this."""
        rest = self.options, self.replay, self.place, self.fields, self.action
        return Delivery(event, value, *rest, only=self.only)

    def with_options(self, options: Mapping[str, Json]) -> "Delivery":
        """The same with what the message says to this destination."""
        rest = self.replay, self.place, self.fields, self.action
        return Delivery(self.event, self.value, options, *rest, only=self.only)

    def mapped(
        self, fields: Mapping[str, Json] | None, action: str | None
    ) -> "Delivery":
        """The same for one of the configuration's actions, with its fields."""
        rest = self.options, self.replay, self.place, fields, action
        return Delivery(self.event, self.value, *rest, only=self.only)


def laid_over(
    own: Mapping[str, Json], fields: Mapping[str, Json] | None
) -> Mapping[str, Json]:
    """What a type would send, with the configured fields; "" takes one out."""
    if fields is None:
        return own
    return {name: each for name, each in {**own, **fields}.items() if each != ""}


def whole(delivery: Delivery) -> bytes:
    """The event, or all that a mapping makes of it, where a type sends just that."""
    fields = delivery.fields
    return delivery.value if fields is None else orjson.dumps(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """What the worker must know of a destination type; declared once, as data.

    ConfigError for bounds that hold less than two batches: one flies, one is filled.
    """

    types: frozenset[EventType]
    batch_events: int = 1
    batch_bytes: int = 1_000_000
    linger_s: float = 0.0
    """So long a batch that is not full waits for more, from its first event on."""
    same_key: Literal["one", "in_order"] = "one"  # what a batch may hold (DESIGN 5.2)
    order: Order = "person"
    concurrency: int | None = None  # an upper bound; None: what the config says
    hold_events: int = 10_000
    """What a worker holds at most (DESIGN 5.5), in events and in their bytes."""
    hold_bytes: int = 67_108_864
    attempt_timeout_s: float | None = None
    """An attempt, all its requests, takes no longer; None: by the config's timeout."""
    attempt_requests: int = 2
    """So many requests one attempt may make, each in its own full time."""
    safe_options: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    """What ``integrations`` may call it, beside its name, type and display names."""
    spelling: Spelling | None = None  # whatever the config says; None: as it says
    sees_suppressed: bool = False  # it is who decides on them (DESIGN §7)

    def __post_init__(self) -> None:
        """A worker that could not fill a batch would wait for ever."""
        if self.hold_events < 2 * self.batch_events:
            raise ConfigError("hold_events must be two batches at least")
        if self.hold_bytes < 2 * max(self.batch_bytes, EVENT_BYTES):
            raise ConfigError(
                "hold_bytes must be two batches, and two events, at least"
            )


@runtime_checkable
class Begins(Protocol):
    """A destination that has something to do before its first event."""

    async def begin(self) -> None:
        """Called at each start of its worker, unless it is paused; never raises."""
        ...


class Destination(Protocol):
    """Receives events; made once per process, used by one worker."""

    @property
    def takes(self) -> Takes:
        """Types, batching and order; constant for the life of the destination."""
        ...

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        """One verdict per event, in the same order.

        Called concurrently, up to the configured concurrency; never with two events
        of one key at once unless its ``takes`` say ``in_order``. Does not raise for a
        remote failure: that is a ``Retry``.
        """
        ...

    async def close(self) -> None:
        """Let go of files and connections; no deliver is under way."""
        ...
