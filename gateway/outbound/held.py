"""The pending events of a run, polled and not yet settled: what may come, what may go.

Lanes say what could start, the breaker what may, and bounds what there is room for. Who
waits for news of it (the poller, idle senders, the timer) is woken here, so that nobody
looks in vain and nothing is forgotten.
"""

import asyncio
from collections.abc import Callable, Sequence

from gateway.config import DestinationConfig
from gateway.log.contract import Record
from gateway.outbound.bells import Alarm, Idle, happens
from gateway.outbound.breaker import Breaker, Probe
from gateway.outbound.clock import Clock
from gateway.outbound.contract import EVENT_BYTES, Takes
from gateway.outbound.flights import Flights
from gateway.outbound.lane import Pending, lane_of
from gateway.outbound.lanes import Lanes

PENDING_RUNS = 400  # gaps in what is settled (DESIGN 5.5): the marks hold as many
AHEAD_EVENTS = 256  # one poll brings as many: it costs the same for one
PROBE_EVENTS = 128  # as many more with each probe in vain: somebody else may be served
PRESSED_EVENTS = 16  # given up at once, and of as many: at most
SPARE = 16  # the part of the bounds that is kept for those an open breaker needs


class Held:
    """Every event that was polled is here until it is settled, or somebody else's.

    What ``take`` and its kind return is in flight; each of those comes back once, by
    ``done``, ``retry`` or ``put_back``. What is done stays counted until ``settled``.
    """

    def __init__(
        self,
        config: DestinationConfig,
        takes: Takes,
        *,
        breaker: Breaker,
        flights: Flights,
        alarm: Alarm,
        clock: Clock,
        runs: Callable[[], int],
    ) -> None:
        self._lanes = Lanes(
            lane_of(takes, config.order),
            events=takes.batch_events,
            size=takes.batch_bytes,
            linger_s=takes.linger_s,
            senders=flights.senders,
        )
        self._paused = config.paused
        self._breaker = breaker
        self._flights = flights
        self._alarm = alarm
        self._clock = clock
        self._runs = runs
        self._hold = takes.hold_events, takes.hold_bytes
        self._events = 0
        self._size = 0
        self._opened_with = 0  # events held when the breaker opened
        self._idle = Idle()
        self._room_news = asyncio.Event()
        ahead = 2 * flights.senders * takes.batch_events
        self._enough = min(ahead, takes.hold_events // 2)

    @property
    def events(self) -> int:
        """How many are held."""
        return self._events

    @property
    def settling(self) -> int:
        """How many of them have ended and are not durable yet."""
        return self._events - self._lanes.count

    @property
    def alone(self) -> bool:
        """True when all events share one lane."""
        return self._lanes.alone

    def find(self, message_id: bytes, received_at: bytes) -> Pending | None:
        """One that has not ended, by its headers; a replay of it is another event."""
        wanted = {("messageId", message_id), ("receivedAt", received_at)}
        for pending in self._lanes:
            headers = pending.record.headers
            if wanted.issubset(headers) and "replay" not in dict(headers):
                return pending
        return None

    def add(self, record: Record, now_s: float) -> bool:
        """Hold an event; True when its key has too many."""
        self._count(record)
        return self._lanes.add(Pending(record), now_s)

    def add_ended(self, record: Record) -> None:
        """Count one that needs no attempt, until it is settled."""
        self._count(record)

    def _count(self, record: Record) -> None:
        self._events += 1
        self._size += len(record.value)

    def settled(self, records: Sequence[Record]) -> None:
        """These are durable: let them go."""
        self._let_go(records)
        self.nudge_poller()

    def lose(self, partitions: frozenset[int]) -> None:
        """Let go of what is others' now, and go on with the rest."""
        dropped = self._lanes.drop(lambda record: record.partition in partitions)
        self._let_go([pending.record for pending in dropped])
        self.wake_senders()
        self.nudge_poller()

    def _let_go(self, records: Sequence[Record]) -> None:
        self._events -= len(records)
        self._size -= sum(len(record.value) for record in records)

    def take(self, now_s: float) -> list[Pending]:
        """What goes next while the breaker is closed; what lingers has an alarm."""
        batch = self._lanes.take(now_s)
        if not batch and (until_s := self._lanes.lingers_until_s()) is not None:
            self._alarm.set(until_s)
        return batch

    def take_newest(self, now_s: float, *, since_s: float) -> list[Pending]:
        """Somebody who has not failed and came after ``since_s``: the last of them."""
        return self._lanes.take_newest(now_s, since_s=since_s)

    def may_probe(self) -> Probe | None:
        """What an open breaker lets go now."""
        lanes, now_s = self._lanes, self._clock.monotonic()
        return self._breaker.may_probe(
            now_s, new=lanes.new > 0, due_s=lanes.next_suspect_s()
        )

    def take_probe(self, probe: Probe, now_s: float) -> list[Pending]:
        """What goes as this probe."""
        if probe == "new":
            return self._lanes.take_new(now_s, self._clock.chance())
        if probe == "due":
            return self._lanes.take_suspect(now_s)
        return self._lanes.take_stalest(now_s)

    def done(self, batch: Sequence[Pending]) -> None:
        """These have ended: the next of their keys may start."""
        self._lanes.done(batch)

    def retry(self, pending: Pending, due_s: float) -> None:
        """It failed: it stays the first of its key and waits until ``due_s``."""
        self._lanes.retry([pending], due_s)
        self._alarm.set(due_s)
        self.nudge_poller()

    def put_back(self, batch: Sequence[Pending]) -> None:
        """These were not tried after all: they may start, and first."""
        self._lanes.put_back(batch)

    def give_up(self) -> list[Pending]:
        """The first events of the longest blocked: a few of many.

        In the room of one event, one event would be polled. While the breaker is open,
        only what failed while others were served may go.
        """
        lanes, suspects = self._lanes, self._breaker.closed
        times = min(PRESSED_EVENTS, max(1, lanes.blocked // PRESSED_EVENTS))
        return [each for _ in range(times) for each in lanes.give_up(suspects=suspects)]

    def breaker_opened(self) -> None:
        """Count what is brought for its probes from what is held now."""
        self._opened_with = self._events

    def somebody_was_served(self, *, wake: bool) -> None:
        """Nobody is a suspect any more; ``wake``: nor needs to wait."""
        self._lanes.somebody_was_served(wake=wake)

    def room(self) -> int:
        """How many records to poll: what the senders will soon need, within the bounds.

        While the breaker is open (DESIGN 5.3): what it takes to probe somebody new.
        """
        if self._paused:
            return 0
        if not self._breaker.closed:
            return self._room_for_probes()
        if self._lanes.startable >= self._enough and not self._flights.is_slow():
            return 0
        return min(max(AHEAD_EVENTS, self._enough), self._free())

    def _room_for_probes(self) -> int:
        """More with each probe in vain: those who can be served may stand far behind.

        In a single lane, or when it is away for everybody, one event is enough.
        """
        if self._lanes.alone or self._breaker.cause == "away":
            return 0 if self._lanes.count else 1
        if not self._lanes.new:
            return min(AHEAD_EVENTS, self._free(spare=0))
        if self._flights.hung_lately:
            return min(AHEAD_EVENTS, self._free())  # probes in vain take their time
        ahead = AHEAD_EVENTS + PROBE_EVENTS * self._breaker.tried
        ahead += self._opened_with - self._events
        return min(AHEAD_EVENTS, ahead, self._free())

    def _free(self, spare: int = SPARE) -> int:
        """How many events fit within the bounds, less a part to spare."""
        (events, size), runs = self._hold, PENDING_RUNS
        if spare:
            events -= events // spare
            size -= size // spare
            runs -= runs // spare
        return min(
            events - self._events,
            (size - self._size) // EVENT_BYTES,
            runs - self._runs(),
        )

    def is_full(self) -> bool:
        """At a bound: nothing can be polled until something ends."""
        return (self._free() if self._breaker.closed else self._free(spare=0)) <= 0

    def is_pressed(self) -> bool:
        """At a bound, nothing can start, and it is blocked events that fill it.

        Not while a settle is under way: it may make room. While the breaker is open,
        only what failed while others were served may go.
        """
        lanes, closed = self._lanes, self._breaker.closed
        return (
            lanes.blocked > 0
            and self.is_full()
            and not (lanes.batches if closed else lanes.new)
            and not self.settling
            and lanes.blocked * 2 >= self._events
            and lanes.longest_blocked(suspects=closed) is not None
        )

    def nudge_poller(self) -> None:
        """Wake the poller if there is something for it to do."""
        if not self._room_news.is_set() and (self.room() > 0 or self.is_pressed()):
            self._room_news.set()

    async def wait_for_room(self, within_s: float) -> bool:
        """Wait until there may be room; False when there is none in time."""
        self._room_news.clear()
        return await happens(self._room_news, within_s)

    async def wait_for_work(self) -> None:
        """Return when a sender should look again."""
        await self._idle.wait()

    def wake_senders(self, *, all_of_them: bool = False) -> None:
        """Wake as many idle senders as there is work for."""
        if not self._idle:
            return
        if all_of_them:
            self._idle.wake(len(self._idle))
        elif self._breaker.closed:
            self._idle.wake(self._lanes.batches)
        elif self.may_probe() is not None:
            self._idle.wake(1)
        else:
            self._alarm.set(self.next_probe_s())

    def wake_lanes(self, now_s: float) -> None:
        """Let go what has waited long enough; an open breaker probes instead."""
        if self._breaker.closed:
            self._lanes.wake(now_s)

    def next_due_s(self, now_s: float) -> float:
        """When one that waits may start, while the breaker is closed; or infinity."""
        due_s, until_s = self._lanes.next_due_s, self._lanes.lingers_until_s()
        if until_s is None or until_s <= now_s:
            return float("inf") if due_s is None else due_s
        return until_s if due_s is None else min(due_s, until_s)

    def next_probe_s(self) -> float:
        """When an open breaker may be probed next; infinity when it takes news."""
        breaker, times = self._breaker, [float("inf")]
        if breaker.probe_at_s is not None:
            times.append(breaker.probe_at_s)
        if breaker.new_at_s is not None:
            times.append(max(breaker.due_at_s, self._lanes.next_suspect_s()))
            times += [breaker.new_at_s] if self._lanes.new else []
        return min(times)
