"""Scale: two processes beside one, on Kafka: intakes that share a port, and workers.

The broker, the sink and whoever posts have the same processors, so that a small machine
shows less than twice as much: the ratio is of what was measured here.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import load, processes
from bench.delivery import IDLE_S, POLL_S, Run, fill, outcomes, start_sink
from bench.intake import make_store
from bench.processes import Program
from bench.targets import WEBHOOK

COUNTS = (1, 2)
FIRST = 0.1  # of a backlog: by then every worker has its partitions


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """So many processes of a role, once."""

    role: str
    processes: int
    events: int
    problem: str  # empty: all that was accepted, or had to be delivered, was counted
    server_us: float
    store_us: float | None
    events_per_s: float

    @property
    def named(self) -> str:
        """What it is of."""
        return f"{self.processes} x {self.role}"


def measure(
    folder: Path, bootstrap: str | None, *, seconds: float, rounds: int, body: Path
) -> Iterator[Scaled]:
    """Each count on a log of its own; a backlog is as long as ``seconds`` fill."""
    for number in range(rounds):
        for count in COUNTS:
            with ExitStack() as stack:
                place = folder / f"scale-{number}-{count}"
                place.mkdir()
                store = make_store(stack, "kafka", place, bootstrap)
                run = Run(place, store, start_sink(stack, place), [WEBHOOK])
                yield _taken_in(run, count, seconds, body)
                yield _delivered(run, count, fill(run, seconds, body))


def _taken_in(run: Run, count: int, seconds: float, body: Path) -> Scaled:
    port = processes.free_port()
    config = run.configure(None)
    text = config.read_text().replace('listen = "127.0.0.1:0"', _at(port), 1)
    config.write_text(text)
    with ExitStack() as stack:
        started = [_start(stack, run, "intake") for _ in range(count)]
        before, archived = _used(run, started), run.store.archived(config)
        sent = load.send(f"http://127.0.0.1:{port}", load.BATCH, seconds, body)
        used = _used(run, started)
        events = run.store.archived(config) - archived
    return _scaled(
        "intake",
        started,
        events,
        problem="" if events >= sent.accepted else f"{events} of {sent.accepted}",
        used=(used[0] - before[0], used[1] - before[1]),
        seconds=sent.seconds,
        store=bool(run.store.pids),
    )


def _at(port: int) -> str:
    return f'listen = "127.0.0.1:{port}"'


def _delivered(run: Run, count: int, events: int) -> Scaled:
    run.configure(WEBHOOK)
    with ExitStack() as stack:
        started = [_start(stack, run, "worker") for _ in range(count)]
        admins = [admin for _, admin in started]
        first = _await(run, admins, int(events * FIRST))
        began, before = time.monotonic(), _used(run, started)
        done = _await(run, admins, events)
        took, used = time.monotonic() - began, _used(run, started)
    return _scaled(
        "worker",
        started,
        done - first,
        problem="" if done >= events else f"{done} of {events}",
        used=(used[0] - before[0], used[1] - before[1]),
        seconds=took,
        store=bool(run.store.pids),
    )


def _await(run: Run, admins: Sequence[str], events: int) -> int:
    """How many they have delivered together, once it is as many."""
    seen, moved = 0, time.monotonic()
    while seen < events:
        now = sum(outcomes(admin, run.letter(WEBHOOK)) for admin in admins)
        if now > seen:
            seen, moved = now, time.monotonic()
        if time.monotonic() - moved > IDLE_S:
            break
        time.sleep(POLL_S)
    return seen


def _start(stack: ExitStack, run: Run, role: str) -> tuple[Program, str]:
    """A process of this role, and its admin address."""
    config = run.place / "gateway.toml"
    program, admin = processes.role(config, role, run.place / "errors.log")
    stack.enter_context(program)
    return program, admin


def _used(run: Run, started: Sequence[tuple[Program, str]]) -> tuple[float, float]:
    """CPU of the processes and of the broker so far, in microseconds."""
    ours = processes.cpu_us([program.pid for program, _ in started])
    return ours, processes.cpu_us(run.store.pids)


def _scaled(
    role: str,
    started: Sequence[object],
    events: int,
    *,
    problem: str,
    used: tuple[float, float],
    seconds: float,
    store: bool,
) -> Scaled:
    return Scaled(
        role=role,
        processes=len(started),
        events=events,
        problem=problem,
        server_us=used[0] / max(events, 1),
        store_us=used[1] / max(events, 1) if store else None,
        events_per_s=events / max(seconds, 1e-9),
    )
