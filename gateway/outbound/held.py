"""What one run of a worker holds, and who waits for news of it.

The poller adds, the senders take, the settler lets go; the bell of each is rung here,
so that nobody looks in vain and nothing is forgotten. One object per run of one
destination: a run that ended by a bug leaves nothing behind for the next.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from gateway.config import DestinationConfig
from gateway.log.contract import Record, Subscription
from gateway.metrics import Metrics
from gateway.notices import Notice, Notices
from gateway.outbound.breaker import FAILING_KEYS, Breaker, Probe
from gateway.outbound.contract import Outcome, Traits
from gateway.outbound.failure import Trouble
from gateway.outbound.lane import Pending, lane_of
from gateway.outbound.lanes import Lanes
from gateway.outbound.seen import Seen
from gateway.outbound.settle import Attempts, Settled, Settler, entries_of, plainly

PENDING_EVENTS = 10_000  # DESIGN 5.5: what a worker holds at most
PENDING_BYTES = 67_108_864
PENDING_RUNS = 400
EVENT_BYTES = 65_536  # the largest event: a poll may bring only such
LANDING_S = 0.02  # how often a rebalance looks whether all is settled
AHEAD_EVENTS = 256  # one poll brings as many: it costs the same for one
PROBE_EVENTS = 128  # as many more with each probe in vain: somebody else may be served
KEPT = 4  # the part of the senders that is kept for who came last
SPARE = 16  # the part of the bounds that is kept for those an open breaker needs


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time and chance, so that a test can choose them.

    ``monotonic`` is seconds, ``wall_ms`` unix milliseconds, ``chance`` in [0, 1).
    """

    monotonic: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = _wall_ms
    chance: Callable[[], float] = random.random


class Held:
    """The pending events of a run: polled and not yet settled, within bounds."""

    def __init__(
        self,
        config: DestinationConfig,
        traits: Traits,
        subscription: Subscription,
        *,
        stop: asyncio.Event,
        metrics: Metrics,
        notices: Notices,
        trouble: Trouble,
        clock: Clock,
    ) -> None:
        delivery = config.delivery
        self.name = config.name
        self.paused = config.paused
        self.clock = clock
        self.stop = stop
        self.subscription = subscription
        self.senders = min(
            delivery.concurrency, traits.concurrency or delivery.concurrency
        )
        self.lanes = Lanes(
            lane_of(traits, config.order),
            events=traits.batch_events,
            size=traits.batch_bytes,
            senders=self.senders,
        )
        keys = 1 if self.lanes.alone else FAILING_KEYS  # in one lane: everybody's
        self.breaker = Breaker(delivery.probe_every_s, failing_keys=keys)
        self.seen = Seen(entries=delivery.dedupe_entries, age_s=delivery.dedupe_s)
        self.settler = Settler(
            subscription, name=config.name, notices=notices, settled=self._let_go
        )
        self.events = 0
        """Events held: polled and not yet durably settled."""
        self.size = 0
        """Bytes of them."""
        self.room_news = asyncio.Event()
        self.alarm = asyncio.Event()
        self.alarm_at_s = float("inf")
        self.trouble = trouble
        self.slow_until_s = float("-inf")
        self.opened_with = 0  # events held when the breaker opened
        self.halted = False
        """A rebalance is under way: nothing is started."""
        self.flying = 0  # batches that senders have taken and not yet settled
        # New partitions whose dedupe window is not rebuilt yet, and partitions that
        # were lost while polled records were on their way in.
        self.to_remember: set[int] = set()
        self.lost: set[int] = set()
        self.under_way: set[asyncio.Timeout] = set()  # the deadlines of attempts
        self._landed = asyncio.Event()
        self._dedupe_entries = delivery.dedupe_entries
        subscription.on_revoke = self.halt
        subscription.on_overdue = self.cut
        subscription.on_assign = self.go_on
        self._enough = min(2 * self.senders * traits.batch_events, PENDING_EVENTS // 2)
        self._idle: deque[asyncio.Future[None]] = deque()
        self._metrics = metrics
        self._notices = notices

    async def halt(self) -> None:
        """Before a rebalance: start nothing, let what flies land and be settled."""
        self.halted = True
        while self.flying or self.settler.waiting:
            self._landed.clear()
            await happens(self._landed, LANDING_S)

    def cut(self) -> None:
        """End all attempts: the group waits no more, and others get their events.

        A request that lands after another worker's would undo a person's order.
        """
        now_s = asyncio.get_running_loop().time()
        for deadline in self.under_way:
            if not deadline.expired():
                deadline.reschedule(now_s)

    def landed(self) -> None:
        """A sender is done with its batch."""
        self.flying -= 1
        if not self.flying:
            self._landed.set()

    def go_on(self, lost: frozenset[int], new: frozenset[int]) -> None:
        """After a rebalance: what is pending of lost partitions is others' now."""
        for pending in self.lanes.drop(lambda record: record.partition in lost):
            self.events -= 1
            self.size -= len(pending.record.value)
        self.lost |= lost
        self.to_remember |= new
        self.halted = False
        self.wake_senders()
        self.nudge_poller()

    async def remember(self, partitions: Collection[int] | None = None) -> None:
        """Rebuild the dedupe window from what was settled last (DESIGN 5.4)."""
        count, limit = 0, self._dedupe_entries
        async for record in self.subscription.before_committed(limit, partitions):
            self.seen.is_duplicate(record)
            count += 1
            if count % AHEAD_EVENTS == 0:
                await asyncio.sleep(0)

    def admit(self, records: Sequence[Record]) -> None:
        """Take in what was polled; duplicates are judged here, in log order (5.4)."""
        now_s = self.clock.monotonic()
        for record in records:
            self.events += 1
            self.size += len(record.value)
            if self.seen.is_duplicate(record):
                self.end(Pending(record), Outcome(kind="duplicate"))
            elif self.lanes.add(Pending(record), now_s):
                self.post("key_crowded")
        if records:
            self.wake_senders()

    def end(self, pending: Pending, outcome: Outcome) -> None:
        """The event has ended: hand its outcome to the settler."""
        self._metrics.outcomes[self.name, outcome.kind] += 1
        attempts = Attempts(
            pending.attempts, pending.first_attempt_ms, pending.last_attempt_ms
        )
        record, at_ms = pending.record, self.clock.wall_ms()
        try:
            entries = entries_of(self.name, record, outcome, attempts, at_ms)
        except Exception as error:  # noqa: BLE001 -- one event's end ends no worker
            outcome = plainly(outcome, error)
            self.post("bug", outcome.detail)
            entries = entries_of(self.name, record, outcome, attempts, at_ms)
        self.settler.add(record, entries)

    def _let_go(self, group: Sequence[Settled]) -> None:
        self.events -= len(group)
        self.size -= sum(len(settled.record.value) for settled in group)
        self.nudge_poller()

    def room(self) -> int:
        """How many records to poll: what the senders will soon need, within the bounds.

        While the breaker is open (DESIGN 5.3): what it takes to probe somebody new.
        """
        if self.paused:
            return 0
        if not self.breaker.closed:
            return self._room_for_probes()
        if self.lanes.startable >= self._enough and not self.is_slow():
            return 0
        return min(max(AHEAD_EVENTS, self._enough), self._free())

    def _room_for_probes(self) -> int:
        """More with each probe in vain: those who can be served may stand far behind.

        In a single lane, or when it is away for everybody, one event is enough.
        """
        if self.lanes.alone or self.breaker.cause == "away":
            return 0 if self.lanes.count else 1
        if not self.lanes.new:
            return min(AHEAD_EVENTS, self._free(spare=0))
        ahead = self.opened_with + AHEAD_EVENTS + PROBE_EVENTS * self.breaker.tried
        return min(AHEAD_EVENTS, ahead - self.events, self._free())

    def _free(self, spare: int = SPARE) -> int:
        """How many events fit within the bounds, less a part to spare."""
        events, size, runs = PENDING_EVENTS, PENDING_BYTES, PENDING_RUNS
        if spare:
            events -= events // spare
            size -= size // spare
            runs -= runs // spare
        return min(
            events - self.events,
            (size - self.size) // EVENT_BYTES,
            runs - self.subscription.runs,
        )

    def is_full(self) -> bool:
        """At a bound: nothing can be polled until something ends."""
        return (self._free() if self.breaker.closed else self._free(spare=0)) <= 0

    def is_pressed(self) -> bool:
        """At a bound, nothing can start, and it is blocked events that fill it.

        Not while a settle is under way: it may make room. While the breaker is open,
        only what failed while others were served may go.
        """
        lanes = self.lanes
        return (
            self.is_full()
            and not (lanes.batches if self.breaker.closed else lanes.new)
            and not self.settler.waiting
            and lanes.blocked * 2 >= self.events
            and lanes.longest_blocked(suspects=self.breaker.closed) is not None
        )

    def is_slow(self) -> bool:
        """Requests hung and failed of late, and most senders are under way.

        Some may hang for one person's sake: the few that are left are kept for those
        who came last, wherever they stand.
        """
        busy = self.flying >= self.senders - self.senders // KEPT
        return busy and self.clock.monotonic() < self.slow_until_s

    def may_probe(self) -> Probe | None:
        """What an open breaker lets go now."""
        lanes, now_s = self.lanes, self.clock.monotonic()
        return self.breaker.may_probe(
            now_s, new=lanes.new > 0, due_s=lanes.next_suspect_s()
        )

    def take_probe(self, probe: Probe) -> list[Pending]:
        """What goes as this probe."""
        now_s = self.clock.monotonic()
        if probe == "new":
            return self.lanes.take_new(now_s, self.clock.chance())
        if probe == "due":
            return self.lanes.take_suspect(now_s)
        return self.lanes.take_stalest(now_s)

    def tell_breaker(self) -> None:
        """Say what there is to say of the breaker."""
        self.trouble.breaker_is(self.breaker.cause, self.clock.monotonic())

    def nudge_poller(self) -> None:
        """Wake the poller if there is something for it to do."""
        if not self.room_news.is_set() and (self.room() > 0 or self.is_pressed()):
            self.room_news.set()

    async def wait_for_work(self) -> None:
        """Return when a sender should look again."""
        future = asyncio.get_running_loop().create_future()
        self._idle.append(future)
        await future

    def wake_senders(self, *, all_of_them: bool = False) -> None:
        """Wake as many idle senders as there is work for."""
        if not self._idle:
            return
        if all_of_them:
            count = len(self._idle)
        elif self.breaker.closed:
            count = self.lanes.batches
        else:
            count = int(self.may_probe() is not None)
            if not count:
                self.set_alarm(self.next_probe_s())
        while count > 0 and self._idle:
            future = self._idle.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1

    def next_probe_s(self) -> float:
        """When an open breaker may be probed next; infinity when it takes news."""
        breaker, times = self.breaker, [float("inf")]
        if breaker.probe_at_s is not None:
            times.append(breaker.probe_at_s)
        if breaker.new_at_s is not None:
            due_s = max(breaker.due_at_s, self.lanes.next_suspect_s())
            times.append(max(breaker.new_at_s, 0.0 if self.lanes.new else due_s))
        return min(times)

    def set_alarm(self, at_s: float) -> None:
        """Let the timer look at the lanes and the breaker at this time."""
        if at_s < self.alarm_at_s:
            self.alarm.set()

    def post(self, code: str, name: str = "") -> None:
        """Post a notice of this destination."""
        self._notices.post(self.name, Notice(code, name))


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Wait for an event; False when it has not happened in time."""
    try:
        async with asyncio.timeout(None if within_s == float("inf") else within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
