"""Growth: what an event costs as the log gets longer, and as the people get more.

A log is filled and delivered up to the wanted size; then the same number of events is
taken in and delivered again, and only that is measured. What a start costs (the dedupe
window is rebuilt before the first delivery) is a column of its own.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import load, processes
from bench.delivery import Run, await_outcomes, get, outcomes, start_sink
from bench.intake import make_store
from bench.load import BATCH, PEOPLE, SINGLE, Shape
from bench.targets import WEBHOOK

EVENTS = (10_000, 100_000, 1_000_000)
HUGE = 10_000_000
KEYS = (1_000, 10_000, 100_000, 1_000_000)
PIECE, PIECE_S = 100_000, 2.0  # events that a piece of a fill has at most, perhaps
BEGUN_S = 0.02
SIZE = 'size = "100GB"\n'  # nothing is deleted while it grows


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """One size of the log: what an event costs there."""

    log: str
    events: int  # in the archive, before what is measured
    keys: int  # people who take turns
    single_us: float
    batch_us: float
    intake_store_us: float | None  # of the batches
    delivery_us: float
    delivery_store_us: float | None
    begun_s: float  # from ready to the first delivery
    problem: str  # empty: all that was taken in was delivered

    @property
    def named(self) -> str:
        """What it is of."""
        return f"{self.log}, {self.events} events, {self.keys} people"


def measure(
    folder: Path,
    kind: str,
    bootstrap: str | None,
    *,
    events: Sequence[int],
    keys: Sequence[int],
    seconds: float,
    body: Path,
) -> Iterator[Grown]:
    """Rows of a growing log, then a log for each number of people."""
    with ExitStack() as stack:
        growing = _Growing(stack, folder / f"events-{kind}", kind, bootstrap, body)
        for size in events:
            yield growing.at(size, PEOPLE, seconds)
    for number in keys:
        with ExitStack() as stack:
            place = folder / f"keys-{kind}-{number}"
            growing = _Growing(stack, place, kind, bootstrap, body)
            yield growing.at(max(number, EVENTS[1]), number, seconds)


class _Growing:
    """One log and its webhook."""

    def __init__(
        self,
        stack: ExitStack,
        place: Path,
        kind: str,
        bootstrap: str | None,
        body: Path,
    ) -> None:
        place.mkdir()
        store = make_store(stack, kind, place, bootstrap)
        if kind == "sqlite":
            store.toml += SIZE
        self.run = Run(place, store, start_sink(stack, place), [WEBHOOK])
        self.body = body
        self.errors = place / "errors.log"
        self.begun = False

    def at(self, size: int, people: int, seconds: float) -> Grown:
        """Grow to this size, then measure there."""
        self._grow(size, people)
        before = self._events()
        single_us, _ = self._take_in(SINGLE, people, seconds)
        batch_us, store_us = self._take_in(BATCH, people, seconds)
        there = self._events()
        backlog = there - int(get(self.run.sink))
        delivery_us, delivery_store_us, begun_s = self._deliver(backlog)
        came = int(get(self.run.sink))
        return Grown(
            log=self.run.store.kind,
            events=before,
            keys=people,
            single_us=single_us,
            batch_us=batch_us,
            intake_store_us=store_us,
            delivery_us=delivery_us,
            delivery_store_us=delivery_store_us,
            begun_s=begun_s,
            problem="" if came == there else f"{came} came of {there}",
        )

    def _events(self) -> int:
        return self.run.store.archived(self.run.configure(None)) if self.begun else 0

    def _grow(self, size: int, people: int) -> None:
        """Take in what is missing and deliver it: nothing of it waits."""
        have = self._events()
        program, url, admin = processes.gateway(
            self.run.configure(WEBHOOK), self.errors
        )
        self.begun, taken = True, 0
        with program:
            while size - have - taken > PIECE:
                sent = load.send(url, BATCH, PIECE_S, self.body, people)
                taken += sent.accepted
                if not sent.accepted:
                    raise RuntimeError(f"{sent.refused} refused, {sent.broken} broken")
            if (rest := size - have - taken) > 0:
                load.post(url, rest, self.body, people)
                taken += rest
            await_outcomes(admin, self.run.letter(WEBHOOK), taken)

    def _take_in(
        self, shape: Shape, people: int, seconds: float
    ) -> tuple[float, float | None]:
        """Microseconds an event: the gateway's, the broker's."""
        store = self.run.store
        before = self._events()
        program, url, _ = processes.gateway(self.run.configure(None), self.errors)
        with program:
            used = processes.cpu_us([program.pid])
            store_us = processes.cpu_us(store.pids)
            load.send(url, shape, seconds, self.body, people)
            used = processes.cpu_us([program.pid]) - used
            store_us = processes.cpu_us(store.pids) - store_us
        taken = max(1, self._events() - before)
        return used / taken, store_us / taken if store.pids else None

    def _deliver(self, backlog: int) -> tuple[float, float | None, float]:
        """Microseconds an event once it has begun, and how long that took."""
        store, letter = self.run.store, self.run.letter(WEBHOOK)
        program, _, admin = processes.gateway(self.run.configure(WEBHOOK), self.errors)
        with program:
            ready = time.monotonic()
            while not (begun := outcomes(admin, letter)):
                time.sleep(BEGUN_S)
            begun_s = time.monotonic() - ready
            used = processes.cpu_us([program.pid])
            store_us = processes.cpu_us(store.pids)
            await_outcomes(admin, letter, backlog)
            used = processes.cpu_us([program.pid]) - used
            store_us = processes.cpu_us(store.pids) - store_us
        events = max(1, backlog - begun)
        return used / events, store_us / events if store.pids else None, begun_s
