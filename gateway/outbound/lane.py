"""One key's events, and how keys are told apart.

Where events of a person must leave in order a lane is a person; else it is an event; or
all events share one, where a batch is all or nothing.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.log.contract import Record
from gateway.outbound.contract import TRIES_MAX, Order, Retry, Takes, Try
from gateway.outbound.headers import Names, named


@dataclass(slots=True, eq=False)
class Pending:
    """One event the worker holds; the only thing here that changes.

    ``first_attempt_ms`` is wall clock, for the outcome; ``age_from_s`` is the clock
    that stands still while the breaker is open, for max_age. The parsed event is not
    kept: it is several times its bytes.
    """

    record: Record
    attempts: int = 0
    first_attempt_ms: int | None = None
    last_attempt_ms: int | None = None
    age_from_s: float = 0.0
    last: Retry | None = None
    tries: list[Try] | None = None
    names: Names | None = None

    def named(self) -> Names:
        """What its headers say: asked before the attempt, and again at its end."""
        if self.names is None:
            self.names = named(self.record)
        return self.names

    def attempt(self, now_ms: int, age_from_s: float) -> None:
        """It is tried now; its age is counted from the first time."""
        self.attempts += 1
        self.last_attempt_ms = now_ms
        if self.first_attempt_ms is None:
            self.first_attempt_ms = now_ms
            self.age_from_s = age_from_s

    def failed(self, verdict: Retry, now_ms: int) -> None:
        """It was told to come again: so it will say, in its outcome."""
        self.last = verdict
        if self.tries is None:
            self.tries = []
        elif len(self.tries) >= TRIES_MAX:
            del self.tries[0]
        began_ms = now_ms if self.last_attempt_ms is None else self.last_attempt_ms
        self.tries.append(Try(began_ms, now_ms, verdict.status, verdict.reason))


@dataclass(slots=True, eq=False)
class Lane:
    """The pending events of one key; ``due_s`` is None unless it waits."""

    key: object
    events: deque[Pending] = field(default_factory=deque)
    flying: int = 0
    due_s: float | None = None
    tried_s: float = float("-inf")
    born_s: float = 0.0  # since when its first event could start
    failed: bool = False
    known: bool = False  # it failed, and others were served since: it fails alone
    again: bool = False
    crowded: bool = False
    pressed: int = 0  # how often events of it were given up to make room

    @property
    def waits(self) -> bool:
        """Nothing of it flies, and its first event has a time before which it stays."""
        return self.due_s is not None and not self.flying

    @property
    def reason(self) -> str:
        """Why its first event failed last; empty: it has not."""
        last = self.events[0].last
        return "" if last is None else last.reason


def one_lane(_: Record) -> object:
    """All events in one lane: a batch is the next events of the log."""
    return None


def lane_a_person(record: Record) -> object:
    """A lane for each person key."""
    return record.key


def lane_an_event(record: Record) -> object:
    """No order: each event has its own lane."""
    return record.partition, record.offset


def lane_of(takes: Takes, order: Order) -> Callable[[Record], object]:
    """How events are told apart, by what the destination and its config declare."""
    if takes.same_key == "in_order" or takes.order == "total":
        return one_lane
    return lane_an_event if order == "none" else lane_a_person
