"""What may start: pending events by person, one in flight for each (DESIGN 5.2).

    lane       the pending events of one key, in log order
    new        its first event has not failed and may start
    again      its first event failed, has waited, and may start
    in flight  its first event (``in_order``: its first events) is with a sender
    waiting    its first event failed and has a time before which it is not tried

A lane is in one of these four states, or gone. New lanes and those that are tried again
take turns, and the latter have half of the senders at most: requests that hang do so
again, and somebody new must find a sender. What failed goes alone, so that a batch that
failed for one event's sake fails once.

A lane that failed is a suspect until somebody is served: then it failed alone, or what
failed was the destination, and ``somebody_was_served`` makes it a new one.

Pure: the clock is an argument, nothing here sleeps. Every operation is O(1) or O(log
lanes); only those for an open breaker look at all lanes.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import chain, islice
from operator import attrgetter

from gateway.log.contract import Record
from gateway.outbound.lane import Lane, Pending, one_lane

CROWDED = 1_000  # events of one key that are worth a notice
LOOKED_AT = 256  # lanes, to find one that may be probed
_waits = attrgetter("waits")


class Lanes:
    """Pending events; a key's events leave in order, keys take turns (FIFO).

    ``take`` marks what it returns as in flight; each of those comes back exactly once,
    by ``done`` or by ``retry``.
    """

    def __init__(
        self,
        lane_of: Callable[[Record], object],
        *,
        events: int = 1,
        size: int = 1,
        linger_s: float = 0.0,
        senders: int = 1,
    ) -> None:
        self._lane_of = lane_of
        self._batch = events, size
        self._linger_s = linger_s
        self._together = events if lane_of is one_lane else 1
        self._again_max = max(1, senders // 2)
        self._trying = 0  # lanes in flight that are tried again
        self._lanes: dict[object, Lane] = {}
        self._new: deque[Lane] = deque()
        self._again: deque[Lane] = deque()
        self._again_is_next = False
        self._waiting: list[tuple[float, int, Lane]] = []
        self._blocked: dict[object, Lane] = {}  # in the order of their first failure
        self._suspects: dict[object, Lane] = {}  # failed since somebody was served
        self._pressed: dict[object, Lane] = {}  # of which events were given up
        self._failed_by = ""
        self._turn = 0
        self._probes = self._due_probes = 0  # how often: they take turns
        self.count = 0
        """Events held, those in flight included."""
        self.blocked = 0
        """Events of lanes whose first event failed or made room, all of them."""

    @property
    def alone(self) -> bool:
        """True when all events share one lane."""
        return self._lane_of is one_lane

    @property
    def new(self) -> int:
        """Lanes that have not failed and may start."""
        return len(self._new)

    @property
    def batches(self) -> int:
        """How many senders would find something to take now."""
        again = min(len(self._again), self._again_max - self._trying)
        return -(-len(self._new) // self._batch[0]) + max(0, again)

    @property
    def startable(self) -> int:
        """Events worth having at hand: for a single lane all of them."""
        return self.count if self._lane_of is one_lane else len(self._new)

    @property
    def next_due_s(self) -> float | None:
        """When the next waiting lane may start; None when none waits."""
        return self._waiting[0][0] if self._waiting else None

    def lingers_until_s(self) -> float | None:
        """Until when new events that fill no batch wait for more; None: they do not."""
        if not self._linger_s or not self._new or self._fills_a_batch():
            return None
        return self._new[0].born_s + self._linger_s

    def _fills_a_batch(self) -> bool:
        events, room = self._batch
        if len(self._new) >= events:
            return True
        lane = self._new[0]
        ready = lane.events if self.alone else (each.events[0] for each in self._new)
        for number, pending in enumerate(ready, 1):
            room -= len(pending.record.value)
            if number == events or room <= 0:
                return True
        return False

    def add(self, pending: Pending, now_s: float = 0.0) -> bool:
        """Put an event behind the others of its key; True when the key gets crowded."""
        key = self._lane_of(pending.record)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, born_s=now_s)
            self._new.append(lane)
        lane.events.append(pending)
        self.count += 1
        if lane.failed or lane.pressed:
            self.blocked += 1
        if lane.crowded or len(lane.events) <= CROWDED:
            return False
        lane.crowded = lane.key is not None
        return lane.crowded

    def take(self, now_s: float) -> list[Pending]:
        """The next batch, now in flight; empty when nothing may start."""
        taken: list[Pending] = []
        new, again = self._new, self._again
        ready = bool(new)
        if self._linger_s and (until_s := self.lingers_until_s()) is not None:
            ready = now_s >= until_s
        if again and self._trying < self._again_max:
            self._again_is_next = not self._again_is_next
            if self._again_is_next or not ready:
                self._try_again(again.popleft(), taken, now_s)
                return taken
        if not ready:
            return taken
        events_max, room = self._batch
        while new and len(taken) < events_max:
            lane = new[0]
            if taken and len(lane.events[0].record.value) > room:
                break
            new.popleft()
            room = self._fly(lane, taken, room, now_s)
        return taken

    def _try_again(self, lane: Lane, taken: list[Pending], now_s: float) -> None:
        self._trying += 1
        lane.again = True
        self._fly(lane, taken, self._batch[1], now_s)

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

    def take_newest(self, now_s: float, *, since_s: float) -> list[Pending]:
        """The latest of those that have not failed, if it came after ``since_s``."""
        taken: list[Pending] = []
        if self._new and self._new[-1].born_s >= since_s:
            self._fly(self._new.pop(), taken, self._batch[1], now_s)
        return taken

    def take_new(self, now_s: float, chance: float) -> list[Pending]:
        """A probe of a key that has not failed: the newest, the oldest, any, in turn.

        Every other time the newest: wherever those stand who can be served, among many
        who cannot, one of these is soon among them. ``chance`` is in [0, 1).
        """
        new = self._new
        if not new:
            return []
        self._probes += 1
        newest = len(new) - 1
        place = (newest, 0, newest, int(chance * len(new)))[self._probes % 4]
        lane = new[place]
        del new[place]
        taken: list[Pending] = []
        self._fly(lane, taken, self._batch[1], now_s)
        return taken

    def next_suspect_s(self) -> float:
        """When one of those that have failed may be tried by its own time.

        Infinity: none. It looks at those that were tried longest ago, but few.
        """
        return min(map(_due_s, self._some_suspects()), default=float("inf"))

    def take_suspect(self, now_s: float) -> list[Pending]:
        """A probe of one that has failed and whose own time has come.

        Every other time of one who failed otherwise than the last who did: after an
        outage those are served who failed by it, not those who always fail their way.
        """
        taken: list[Pending] = []
        due = [lane for lane in self._some_suspects() if _due_s(lane) <= now_s]
        if due:
            self._due_probes += 1
            last = self._failed_by if self._due_probes % 2 else None
            lane = min(due, key=lambda each: (each.reason == last, _due_s(each)))
            lane.due_s = None
            self._try_again(lane, taken, now_s)
        return taken

    def _some_suspects(self) -> Iterator[Lane]:
        if self._trying >= self._again_max:
            return iter(())
        return filter(_waits, islice(self._suspects.values(), LOOKED_AT))

    def take_stalest(self, now_s: float) -> list[Pending]:
        """A probe of the least recently tried key, those that failed alone last."""
        idle = [lane for lane in self._lanes.values() if not lane.flying]
        if not idle:
            return []
        lane = min(idle, key=self._staleness)
        if lane.due_s is not None:
            lane.due_s = None
        else:
            (self._again if lane.failed else self._new).remove(lane)
        taken: list[Pending] = []
        self._fly(lane, taken, self._batch[1], now_s)
        return taken

    def _staleness(self, lane: Lane) -> tuple[bool, float]:
        return lane.failed and lane.key not in self._suspects, lane.tried_s

    def done(self, batch: Iterable[Pending]) -> None:
        """These events have ended: the next of their keys may start."""
        for pending in batch:
            lane = self._lanes[self._lane_of(pending.record)]
            if lane.events[0] is pending:
                lane.known = False
                if lane.failed or lane.pressed:
                    self._unblock(lane)
            elif lane.failed or lane.pressed:
                self.blocked -= 1
            lane.events.remove(pending)  # it is the first, or one of the first few
            lane.flying -= 1
            self.count -= 1
            if not lane.flying:
                self._settle_down(lane)

    def _unblock(self, lane: Lane) -> None:
        self.blocked -= len(lane.events)
        lane.failed, lane.pressed = False, 0
        for lanes in (self._blocked, self._suspects, self._pressed):
            lanes.pop(lane.key, None)

    def retry(self, batch: Sequence[Pending], due_s: float) -> None:
        """These failed: they stay first of their keys and wait until ``due_s``."""
        for pending in batch:
            lane = self._lanes[self._lane_of(pending.record)]
            lane.flying -= 1
            self._failed_by = "" if pending.last is None else pending.last.reason
            lane.due_s = due_s if lane.due_s is None else max(due_s, lane.due_s)
            if not lane.failed:
                lane.failed = True
                self.blocked += 0 if lane.pressed else len(lane.events)
                if not lane.known:
                    self._suspects[lane.key] = lane
            elif self._suspects.pop(lane.key, None) is not None:
                self._suspects[lane.key] = lane  # the last that was tried comes last
            if not lane.flying:
                self._settle_down(lane)

    def put_back(self, batch: Sequence[Pending]) -> None:
        """These events were not tried after all: they may start, and first."""
        for pending in reversed(batch):
            lane = self._lanes[self._lane_of(pending.record)]
            lane.flying -= 1
            if not lane.flying:
                self._settle_down(lane, first=True)

    def _settle_down(self, lane: Lane, *, first: bool = False) -> None:
        """Nothing of this lane flies any more: it is gone, waits, or may start."""
        if lane.again:
            lane.again = False
            self._trying -= 1
        if not lane.events:
            self._pressed.pop(lane.key, None)
            del self._lanes[lane.key]
        elif lane.due_s is None:
            lane.born_s = lane.tried_s
            ready = self._again if lane.failed else self._new
            (ready.appendleft if first else ready.append)(lane)
        else:
            self._blocked.setdefault(lane.key, lane)
            self._turn += 1
            heappush(self._waiting, (lane.due_s, self._turn, lane))

    def wake(self, now_s: float) -> None:
        """Let go what has waited long enough."""
        while self._waiting and self._waiting[0][0] <= now_s:
            due_s, _, lane = heappop(self._waiting)
            if lane.waits and lane.due_s == due_s:
                lane.due_s = None
                self._again.append(lane)

    def somebody_was_served(self, *, wake: bool) -> None:
        """No lane is a suspect any more; ``wake``: those that wait begin anew, first.

        The breaker was open: what failed was the destination, perhaps.
        """
        if not self._suspects:
            return
        if wake:
            waiting = filter(_waits, self._suspects.values())
            for lane in sorted(waiting, key=_due_s, reverse=True):
                lane.due_s, lane.failed = None, False
                self.blocked -= 0 if lane.pressed else len(lane.events)
                self._blocked.pop(lane.key, None)
                self._new.appendleft(lane)
        for lane in self._suspects.values():
            lane.known = True
        self._suspects.clear()

    def __iter__(self) -> Iterator[Pending]:
        """All that is held, those in flight included."""
        return chain.from_iterable(lane.events for lane in self._lanes.values())

    def drop(self, is_lost: Callable[[Record], bool]) -> list[Pending]:
        """Forget events that others have now; those in flight stay to their end."""
        dropped: list[Pending] = []
        for lane in list(self._lanes.values()):
            kept = deque(islice(lane.events, lane.flying))
            for pending in islice(lane.events, lane.flying, None):
                (dropped if is_lost(pending.record) else kept).append(pending)
            if lane.failed or lane.pressed:
                self.blocked -= len(lane.events) - len(kept)
            lane.events = kept
            if not kept:
                lane.due_s = None  # its place among the waiting means nothing now
                for lanes in (self._blocked, self._suspects, self._pressed):
                    lanes.pop(lane.key, None)
                del self._lanes[lane.key]
        self._new = deque(lane for lane in self._new if lane.events)
        self._again = deque(lane for lane in self._again if lane.events)
        self.count -= len(dropped)
        return dropped

    def longest_blocked(self, *, suspects: bool) -> Lane | None:
        """The lane that failed first and waits; with or without those under suspicion.

        Else one whose first event is in flight again, or the next one after it, as long
        as there are events behind.
        """
        behind = None
        for lane in chain(self._blocked.values(), self._pressed.values()):
            if suspects or lane.key not in self._suspects:
                if lane.waits:
                    return lane
                if behind is None and 0 < lane.flying < len(lane.events):
                    behind = lane
        return behind

    def give_up(self, *, suspects: bool = True) -> list[Pending]:
        """Let go of that lane's first events, each time of twice as many.

        Where each fails as slowly as the one before it, one at a time would make less
        room than new ones take.
        """
        lane = self.longest_blocked(suspects=suspects)
        if lane is None:
            return []
        number = min(1 << lane.pressed, len(lane.events) - lane.flying)
        batch = list(islice(lane.events, lane.flying, lane.flying + number))
        for pending in batch:
            lane.events.remove(pending)
        self.count -= number
        self.blocked -= number
        lane.pressed += 1
        self._pressed[lane.key] = lane
        if not lane.flying:
            lane.due_s, lane.failed = None, False
            self._blocked.pop(lane.key, None)
            self._suspects.pop(lane.key, None)
            self._settle_down(lane)
        return batch


def _due_s(lane: Lane) -> float:
    return lane.due_s or 0.0
