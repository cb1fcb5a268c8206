"""Delivery: what an event costs from the log to a file, a webhook, a vendor."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench import load, processes, targets
from bench.intake import SERVER, SOURCE, make_store
from bench.processes import Program
from bench.stores import PARTITIONS, Kafka, Store
from bench.targets import FILE, KAFKA, LETTERS, WEBHOOK, Target
from gateway.actions import definitions

POLL_S = 0.1
IDLE_S = 120.0
OUT = "out"  # the topic of the destination that is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A backlog, delivered once."""

    log: str
    destination: str
    events: int
    problem: str  # empty: each event came, and came once
    server_us: float
    node_us: float | None
    store_us: float | None
    events_per_s: float  # from ready on
    requests: float | None  # an event, as the sink counts them

    @property
    def named(self) -> str:
        """What it is of."""
        return f"{self.log} to {self.destination}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is measured, and for how long.

    ``actions`` is what ``gateway actions install`` made; without it no vendor is
    measured. ``yardsticks`` is the folder of theirs.
    """

    seconds: float
    rounds: int
    body: Path
    actions: Path | None = None
    yardsticks: Path | None = None


def measure(
    folder: Path, kind: str, bootstrap: str | None, wanted: Wanted
) -> Iterator[Delivered]:
    """Fill a log while its destinations are paused; then let one after the other go."""
    every = targets.chosen(actions=wanted.actions is not None, kafka=kind == "kafka")
    for number in range(wanted.rounds):
        with ExitStack() as stack:
            place = folder / f"delivery-{kind}-{number}"
            place.mkdir()
            if wanted.actions is not None:
                installation = definitions.place(place / definitions.ROOT)
                installation.parent.mkdir(parents=True)
                installation.symlink_to(wanted.actions.resolve())
            store = make_store(stack, kind, place, bootstrap)
            run = Run(place, store, start_sink(stack, place), every)
            events = fill(run, wanted.seconds, wanted.body)
            for target in every:
                yield _drain(run, target, events)
            if isinstance(store, Kafka) and wanted.yardsticks is not None:
                for name in ("plain", "limit"):
                    yield _reference(run, store, wanted.yardsticks, name, events)


def start_sink(stack: ExitStack, place: Path) -> str:
    """Its address."""
    command = [sys.executable, "-m", "bench.sink"]
    sink = stack.enter_context(Program(command, place / "sink.log"))
    return sink.first_line().strip()


class Run(NamedTuple):
    """One log and whom it is delivered to."""

    place: Path
    store: Store
    sink: str
    targets: Sequence[Target]

    def configure(self, running: Target | None) -> Path:
        """The configuration in which one of them is not paused."""
        hosts = ", ".join(f'"{host}" = "{self.sink}"' for host in targets.HOSTS)
        text = SERVER + 'private_destinations = ["127.0.0.0/8"]\n'
        text += f"{self.store.toml}{SOURCE}[egress]\nhosts = {{ {hosts} }}\n"
        for letter, target in zip(LETTERS, (*self.targets, targets.IDLE), strict=False):
            paused = json.dumps(target is not running)
            text += f"[destinations.{letter}]\npaused = {paused}\n"
            text += self._table(target, letter) + "\n"
        file = self.place / "gateway.toml"
        file.write_text(text)
        return file

    def _table(self, target: Target, letter: str) -> str:
        places = {"NAME": letter, "SINK": self.sink}
        if isinstance(self.store, Kafka):
            places["BOOTSTRAP"] = self.store.bootstrap
            places["TOPIC"] = self.store.prefix + OUT
        return re.sub(r"@([A-Z]+)@", lambda found: places[found[1]], target.toml)

    def letter(self, target: Target) -> str:
        """What it is called in the configuration."""
        return LETTERS[self.targets.index(target)]


def fill(run: Run, seconds: float, body: Path) -> int:
    """Write a backlog for so long; how many events it is."""
    config = run.configure(None)
    if isinstance(run.store, Kafka) and KAFKA in run.targets:
        run.store.create([run.store.prefix + OUT])
    program, url, _ = processes.gateway(config, run.place / "errors.log")
    with program:
        load.send(url, load.BATCH, seconds, body)
    return run.store.archived(config)


def _drain(run: Run, target: Target, events: int) -> Delivered:
    config, store = run.configure(target), run.store
    asked = int(get(run.sink))
    store_us = processes.cpu_us(store.pids)
    program, _, admin = processes.gateway(config, run.place / "errors.log")
    with program:
        start = processes.cpu_us([program.pid])  # what it took until it was ready
        began = time.monotonic()
        await_outcomes(admin, run.letter(target), events)
        took = time.monotonic() - began
        server = processes.cpu_us([program.pid]) - start
        node = processes.cpu_us(processes.children(program.pid))
        store_us = processes.cpu_us(store.pids) - store_us
    asked = int(get(run.sink)) - asked
    came = _came(run, target, asked, events)
    return Delivered(
        log=store.kind,
        destination=target.name,
        events=events,
        problem="" if came == events else f"{came} came of {events}",
        server_us=server / max(events, 1),
        node_us=node / max(events, 1) if target.in_node else None,
        store_us=store_us / max(events, 1) if store.pids else None,
        events_per_s=events / took,
        requests=asked / max(events, 1) if asked else None,
    )


def _came(run: Run, target: Target, asked: int, events: int) -> int:
    """How many events are at the other end; each has its outcome anyway."""
    if target is FILE:
        return _lines(run.place / targets.FILE_NAME)
    if target is KAFKA and isinstance(run.store, Kafka):
        (found,) = run.store.ends([run.store.prefix + OUT]).values()
        return found
    return asked // target.requests if target.requests else events


def _reference(
    run: Run, store: Kafka, folder: Path, name: str, events: int
) -> Delivered:
    """A yardstick reads what the webhook got, from the same topic."""
    topic = f"{store.prefix}to.{run.letter(WEBHOOK)}"
    if name == "plain":
        store.create([f"{topic}.outcomes"])
    script = folder / f"deliver_{name}.py"
    asked, store_us = int(get(run.sink)), processes.cpu_us(store.pids)
    done = subprocess.run(
        [sys.executable, str(script), topic, f"{run.sink}/hook", str(events)],
        env={**os.environ, "BOOTSTRAP": store.bootstrap, "PARTITIONS": str(PARTITIONS)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{script.name}: {done.stderr[-1500:]}")
    said = json.loads(done.stdout)
    store_us = processes.cpu_us(store.pids) - store_us
    came = int(get(run.sink)) - asked
    return Delivered(
        log=store.kind,
        destination=f"webhook ({script.stem})",
        events=events,
        problem="" if came == events else f"{came} came of {events}",
        server_us=said["cpu_us"] / max(events, 1),
        node_us=None,
        store_us=store_us / max(events, 1) if store.pids else None,
        events_per_s=events / said["seconds"],
        requests=came / max(events, 1),
    )


def await_outcomes(admin: str, destination: str, events: int) -> None:
    """Until every event has its outcome; RuntimeError when nothing moves any more."""
    seen, moved = 0, time.monotonic()
    while seen < events:
        if (now := outcomes(admin, destination)) > seen:
            seen, moved = now, time.monotonic()
        if time.monotonic() - moved > IDLE_S:
            raise RuntimeError(f"{destination}: stopped at {seen} of {events}")
        time.sleep(POLL_S)


def outcomes(admin: str, destination: str) -> int:
    """How many events this process has delivered to it."""
    wanted = f'gateway_outcomes_total{{destination="{destination}",kind="delivered"}} '
    for line in get(f"{admin}/metrics").splitlines():
        if line.startswith(wanted):
            return int(float(line.removeprefix(wanted)))
    return 0


def get(url: str) -> str:
    """What an address answers; no proxy is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        text: str = response.read().decode()
        return text


def _lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)
