"""What may start: pending events by person, one in flight for each (DESIGN 5.2).

    lane       the pending events of one key, in log order
    ready      its first event may start
    in flight  its first event (``in_order``: its first events) is with a sender
    waiting    its first event failed and has a time before which it is not tried

A lane is in one of these three states, or gone. Pure: the clock is an argument, nothing
here sleeps. Every operation is O(1) or O(log lanes); only ``take_stalest``, for probes,
looks at all lanes.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import islice

from gateway.log.contract import Record
from gateway.outbound.contract import Order, Retry, Traits

CROWDED = 1_000  # events of one key that are worth a notice


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


@dataclass(slots=True, eq=False)
class Lane:
    """The pending events of one key; ``due_s`` is None unless it waits."""

    key: object
    events: deque[Pending] = field(default_factory=deque)
    flying: int = 0
    due_s: float | None = None
    tried_s: float = float("-inf")
    crowded: bool = False

    @property
    def waits(self) -> bool:
        """Nothing of it flies, and its first event has a time before which it stays."""
        return self.due_s is not None and not self.flying


def one_lane(_: Record) -> object:
    """All events in one lane: a batch is the next events of the log."""
    return None


def lane_a_person(record: Record) -> object:
    """A lane for each person key."""
    return record.key


def lane_an_event(record: Record) -> object:
    """No order: each event has its own lane."""
    return record.partition, record.offset


def lane_of(traits: Traits, order: Order) -> Callable[[Record], object]:
    """How events are told apart, by what the destination and its config declare."""
    if traits.same_key == "in_order" or traits.order == "total":
        return one_lane
    return lane_an_event if order == "none" else lane_a_person


class Lanes:
    """Pending events; a key's events leave in order, keys take turns (FIFO).

    ``take`` marks what it returns as in flight; each of those comes back exactly once,
    by ``done`` or by ``retry``.
    """

    def __init__(
        self, lane_of: Callable[[Record], object], *, events: int = 1, size: int = 1
    ) -> None:
        self._lane_of = lane_of
        self._batch = events, size
        self._together = events if lane_of is one_lane else 1
        self._lanes: dict[object, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._waiting: list[tuple[float, int, Lane]] = []
        self._blocked: dict[object, Lane] = {}  # in the order of their first failure
        self._turn = 0
        self.count = 0
        """Events held, those in flight included."""
        self.blocked = 0
        """Events in lanes that wait, those behind the first included."""

    @property
    def ready(self) -> int:
        """Lanes that may start now."""
        return len(self._ready)

    @property
    def startable(self) -> int:
        """Events worth having at hand: for a single lane all of them."""
        return self.count if self._lane_of is one_lane else len(self._ready)

    @property
    def next_due_s(self) -> float | None:
        """When the next waiting lane may start; None when none waits."""
        return self._waiting[0][0] if self._waiting else None

    def add(self, pending: Pending) -> bool:
        """Put an event behind the others of its key; True when the key gets crowded."""
        key = self._lane_of(pending.record)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
            self._ready.append(lane)
        lane.events.append(pending)
        self.count += 1
        if lane.waits:
            self.blocked += 1
        if lane.crowded or len(lane.events) <= CROWDED:
            return False
        lane.crowded = lane.key is not None
        return lane.crowded

    def take(self, now_s: float) -> list[Pending]:
        """The next batch, now in flight; empty when nothing is ready."""
        taken: list[Pending] = []
        ready, (events_max, room) = self._ready, self._batch
        while ready and len(taken) < events_max:
            lane = ready[0]
            if taken and len(lane.events[0].record.value) > room:
                break
            ready.popleft()
            room = self._fly(lane, taken, room, now_s)
        return taken

    def _fly(self, lane: Lane, taken: list[Pending], room: int, now_s: float) -> int:
        for pending in lane.events:
            size = len(pending.record.value)
            if lane.flying == self._together or (taken and size > room):
                break
            taken.append(pending)
            lane.flying += 1
            room -= size
        lane.tried_s = now_s
        return room

    def take_stalest(self, now_s: float) -> list[Pending]:
        """The head of the least recently tried key: a half-open breaker's probe."""
        idle = [lane for lane in self._lanes.values() if not lane.flying]
        if not idle:
            return []
        lane = min(idle, key=lambda lane: lane.tried_s)
        if lane.due_s is None:
            self._ready.remove(lane)
        else:
            self._stop_waiting(lane)
        taken: list[Pending] = []
        self._fly(lane, taken, self._batch[1], now_s)
        return taken

    def done(self, batch: Iterable[Pending]) -> None:
        """These events have ended: the next of their keys may start."""
        for pending in batch:
            lane = self._lanes[self._lane_of(pending.record)]
            if lane.events[0] is pending:
                self._blocked.pop(lane.key, None)
            lane.events.remove(pending)  # it is the first, or one of the first few
            lane.flying -= 1
            self.count -= 1
            if not lane.flying:
                self._settle_down(lane)

    def retry(self, batch: Sequence[Pending], due_s: float) -> None:
        """These failed: they stay first of their keys and wait until ``due_s``."""
        for pending in batch:
            lane = self._lanes[self._lane_of(pending.record)]
            lane.flying -= 1
            lane.due_s = due_s if lane.due_s is None else max(due_s, lane.due_s)
            if not lane.flying:
                self._settle_down(lane)

    def put_back(self, batch: Sequence[Pending]) -> None:
        """These events were not tried after all: they are ready, and first again."""
        for pending in batch:
            lane = self._lanes[self._lane_of(pending.record)]
            lane.flying -= 1
            if not lane.flying and lane.due_s is None:
                self._ready.appendleft(lane)
            elif not lane.flying:
                self._settle_down(lane)

    def _settle_down(self, lane: Lane) -> None:
        """Nothing of this lane flies any more: it is gone, waits, or is ready."""
        if not lane.events:
            del self._lanes[lane.key]
        elif lane.due_s is None:
            self._ready.append(lane)
        else:
            self._blocked.setdefault(lane.key, lane)
            self._turn += 1
            self.blocked += len(lane.events)
            heappush(self._waiting, (lane.due_s, self._turn, lane))

    def wake(self, now_s: float) -> None:
        """Make ready what has waited long enough."""
        while self._waiting and self._waiting[0][0] <= now_s:
            due_s, _, lane = heappop(self._waiting)
            if lane.waits and lane.due_s == due_s:
                self._stop_waiting(lane)
                self._ready.append(lane)

    def wake_all(self) -> None:
        """Make ready all that waits, in the order it was due."""
        self.wake(float("inf"))

    def _stop_waiting(self, lane: Lane) -> None:
        lane.due_s = None
        self.blocked -= len(lane.events)

    def drop(self, is_lost: Callable[[Record], bool]) -> list[Pending]:
        """Forget events that others have now; those in flight stay to their end."""
        dropped: list[Pending] = []
        for lane in list(self._lanes.values()):
            kept = deque(islice(lane.events, lane.flying))
            waits = lane.waits
            for pending in islice(lane.events, lane.flying, None):
                (dropped if is_lost(pending.record) else kept).append(pending)
            if waits:
                self.blocked -= len(lane.events) - len(kept)
            lane.events = kept
            if not kept:
                lane.due_s = None  # its place among the waiting means nothing now
                self._blocked.pop(lane.key, None)
                del self._lanes[lane.key]
        self._ready = deque(lane for lane in self._ready if lane.events)
        self.count -= len(dropped)
        return dropped

    def take_longest_blocked(self) -> Pending | None:
        """The waiting event that failed first, now in flight."""
        for lane in self._blocked.values():
            if lane.waits:
                self._stop_waiting(lane)
                lane.flying = 1
                return lane.events[0]
        return None
