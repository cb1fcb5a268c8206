"""Delivery: what an event costs from the log to a file, and to a webhook."""

import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import load, processes
from bench.intake import SERVER, SOURCE, make_store
from bench.processes import Program
from bench.stores import Store

POLL_S = 0.1
IDLE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A backlog, delivered once."""

    log: str
    destination: str
    events: int
    problem: str  # empty: each event came, and came once
    server_us: float
    store_us: float | None
    events_per_s: float


def measure(
    folder: Path, kind: str, bootstrap: str | None, *, seconds: float, rounds: int
) -> Iterator[Delivered]:
    """Fill a log while its destinations are paused; then let one after the other go."""
    for number in range(rounds):
        with ExitStack() as stack:
            place = folder / f"delivery-{kind}-{number}"
            place.mkdir()
            store = make_store(stack, kind, place, bootstrap)
            command = [sys.executable, "-m", "bench.sink"]
            sink = stack.enter_context(Program(command, place / "sink.log"))
            hook = sink.first_line().strip()
            events = _fill(place, store, hook, seconds)
            for name in ("file", "webhook"):
                yield _drain(place, store, name, hook, events)


def _configuration(store: Store, hook: str, running: str) -> str:
    return (
        SERVER
        + 'private_destinations = ["127.0.0.0/8"]\n'
        + store.toml
        + SOURCE
        + '[destinations.a]\ntype = "file"\nsettings = { path = "a.ndjson" }\n'
        + f"paused = {json.dumps(running != 'file')}\n"
        + f'[destinations.b]\ntype = "webhook"\nsettings = {{ url = "{hook}" }}\n'
        + f"paused = {json.dumps(running != 'webhook')}\n"
        + '[destinations.c]\ntype = "file"\nsettings = { path = "c.ndjson" }\n'
        + "paused = true\n"
    )


def _fill(place: Path, store: Store, hook: str, seconds: float) -> int:
    config = place / "gateway.toml"
    config.write_text(_configuration(store, hook, "none"))
    program, url, _ = processes.gateway(config, place / "errors.log")
    with program:
        load.send(url, load.BATCH, seconds)
    return next(iter(store.records(config).values()))


def _drain(place: Path, store: Store, name: str, hook: str, events: int) -> Delivered:
    config = place / "gateway.toml"
    config.write_text(_configuration(store, hook, name))
    destination = {"file": "a", "webhook": "b"}[name]
    before = processes.cpu_us(store.pids)
    began = time.monotonic()
    program, _, admin = processes.gateway(config, place / "errors.log")
    with program:
        start = processes.cpu_us([program.pid])  # what it took until it was ready
        _await_outcomes(admin, destination, events)
        took = time.monotonic() - began
        server = processes.cpu_us([program.pid]) - start
        store_us = processes.cpu_us(store.pids) - before
    came = _lines(place / "a.ndjson") if name == "file" else int(_get(hook))
    return Delivered(
        log=store.kind,
        destination=name,
        events=events,
        problem="" if came == events else f"{came} came of {events}",
        server_us=server / max(events, 1),
        store_us=store_us / max(events, 1) if store.pids else None,
        events_per_s=events / took,
    )


def _await_outcomes(admin: str, destination: str, events: int) -> None:
    """Until every event has its outcome; RuntimeError when nothing moves any more."""
    wanted = f'gateway_outcomes_total{{destination="{destination}",kind="delivered"}} '
    seen, moved = 0.0, time.monotonic()
    while seen < events:
        for line in _get(f"{admin}/metrics").splitlines():
            if line.startswith(wanted) and float(line.removeprefix(wanted)) > seen:
                seen, moved = float(line.removeprefix(wanted)), time.monotonic()
        if time.monotonic() - moved > IDLE_S:
            raise RuntimeError(f"{destination}: stopped at {seen:.0f} of {events}")
        time.sleep(POLL_S)


def _get(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        text: str = response.read().decode()
        return text


def _lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)
