"""Traces: spans made by hand, of the requests and events that the dice chose.

Where nothing is traced there is no ``Tracer``, and each place that could make a span
asks just that. What a sender's ``traceparent`` says (W3C Trace Context) decides before
the dice. The context goes with an event in a header of its record, so that a delivery,
perhaps by another process, is a part of the same trace.

A span is a value; ``telemetry/`` sends them on. They wait in a bounded queue, and what
finds it full is counted and gone.
"""

import random
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from gateway.event import Json

HEADER = "traceparent"
QUEUE_SPANS = 4_096
PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
SAMPLED, UNKNOWN_VERSION, FIRST_VERSION = 1, "ff", "00"
TRACE_BITS, SPAN_BITS = 128, 64

Kind = Literal["server", "internal", "producer", "consumer"]


class Context(NamedTuple):
    """Where in which trace something belongs."""

    trace_id: int
    span_id: int
    sampled: bool = True

    def header(self) -> str:
        """As a ``traceparent`` says it."""
        flags = SAMPLED if self.sampled else 0
        return f"{FIRST_VERSION}-{self.trace_id:032x}-{self.span_id:016x}-{flags:02x}"


class Span(NamedTuple):
    """Something that was done; times are unix nanoseconds, without ``parent`` 0."""

    name: str
    kind: Kind
    context: Context
    parent: int
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Json]
    failed: str = ""
    """Why it failed, or empty: a status or the name of an error, never a payload."""


def parsed(text: str | None) -> Context | None:
    """What a ``traceparent`` says; None for what is none, or of no version."""
    found = None if text is None else PARENT.fullmatch(text)
    if found is None or found[1] == UNKNOWN_VERSION:
        return None
    if found[5] is not None and found[1] == FIRST_VERSION:
        return None  # only later versions may say more
    context = Context(int(found[2], 16), int(found[3], 16), bool(int(found[4], 16) & 1))
    return context if context.trace_id and context.span_id else None


class Tracer:
    """Decides what is traced, and keeps the spans until they are taken.

    ``one_in``: of so many requests one is traced, unless a ``traceparent`` decides;
    ``follows``: whether it may.
    """

    def __init__(
        self,
        *,
        one_in: int,
        follows: bool,
        chance: Callable[[], float] = random.random,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._one_in, self._follows = one_in, follows
        self._chance, self.now_ns = chance, now_ns
        self._spans: deque[Span] = deque()
        self.lost = 0
        """Spans that found the queue full."""

    def begin(self, name: str, headers: Mapping[str, str]) -> "Trace | None":
        """A request's trace; None when it is not traced."""
        parent = parsed(headers.get(HEADER)) if self._follows else None
        if parent is None:
            if self._chance() * self._one_in >= 1:
                return None
            return Trace(self, name, Context(_id(TRACE_BITS), _id(SPAN_BITS)), 0)
        if not parent.sampled:
            return None
        own = Context(parent.trace_id, _id(SPAN_BITS))
        return Trace(self, name, own, parent.span_id)

    def attempted(
        self,
        name: str,
        carried: bytes,
        start_ns: int,
        attributes: Mapping[str, Json],
        failed: str = "",
    ) -> None:
        """A delivery, or what took its place, of an event that carries a context."""
        parent = parsed(carried.decode("ascii", "replace"))
        if parent is not None and parent.sampled:
            own = Context(parent.trace_id, _id(SPAN_BITS))
            end_ns = self.now_ns()
            self.add(
                Span(
                    name,
                    "consumer",
                    own,
                    parent.span_id,
                    start_ns,
                    end_ns,
                    attributes,
                    failed,
                )
            )

    def add(self, span: Span) -> None:
        """Keep it until it is taken."""
        if len(self._spans) >= QUEUE_SPANS:
            self.lost += 1
        else:
            self._spans.append(span)

    def take(self, most: int) -> Sequence[Span]:
        """The oldest that wait."""
        return [self._spans.popleft() for _ in range(min(most, len(self._spans)))]


class Trace:
    """One request that is traced."""

    __slots__ = ("_context", "_name", "_parent", "_start_ns", "_tracer")

    def __init__(
        self, tracer: Tracer, name: str, context: Context, parent: int
    ) -> None:
        self._tracer, self._name = tracer, name
        self._context, self._parent = context, parent
        self._start_ns = tracer.now_ns()

    @property
    def carried(self) -> tuple[str, bytes]:
        """The header that takes it along with an event."""
        return HEADER, self._context.header().encode()

    def did(self, name: str, start_ns: int, attributes: Mapping[str, Json]) -> None:
        """A part of it is done."""
        own = Context(self._context.trace_id, _id(SPAN_BITS))
        end_ns, parent = self._tracer.now_ns(), self._context.span_id
        span = Span(name, "producer", own, parent, start_ns, end_ns, attributes)
        self._tracer.add(span)

    def end(self, attributes: Mapping[str, Json], failed: str = "") -> None:
        """The request is answered."""
        self._tracer.add(
            Span(
                self._name,
                "server",
                self._context,
                self._parent,
                self._start_ns,
                self._tracer.now_ns(),
                attributes,
                failed,
            )
        )

    def now_ns(self) -> int:
        """The time, for ``did``."""
        return self._tracer.now_ns()


def _id(bits: int) -> int:
    """An id that is not 0."""
    return random.getrandbits(bits) or 1
