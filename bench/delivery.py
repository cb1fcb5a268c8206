"""Delivery: what an event costs from the log to a file, a webhook, an action."""

import json
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench import load, processes
from bench.intake import SERVER, SOURCE, make_store
from bench.processes import Program
from bench.stores import Store
from gateway.actions import definitions

POLL_S = 0.1
IDLE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A destination that is measured.

    It makes so many requests of one identify; 0: of many of them together, so that
    what came is known from the outcomes alone.
    """

    name: str
    toml: str
    requests: int = 1


FILE = Target(name="file", toml='type = "file"\nsettings = {{ path = "a.ndjson" }}')
IDLE = Target(name="idle", toml='type = "file"\nsettings = {{ path = "c.ndjson" }}')
WEBHOOK = Target(
    name="webhook", toml='type = "webhook"\nsettings = {{ url = "{sink}/hook" }}'
)
ACTIONS = (
    Target(
        name="actions:customerio",
        toml='type = "actions:customerio"\n'
        'settings = {{ siteId = "bench", apiKey = "of the bench" }}',
    ),
    Target(
        name="actions:mixpanel",
        toml='type = "actions:mixpanel"\n'
        'settings = {{ projectToken = "bench", apiSecret = "of the bench" }}',
        requests=2,
    ),
)
NATIVE = (
    Target(
        name="customerio",
        toml='type = "customerio"\n'
        'settings = {{ site_id = "bench", api_key = "of the bench" }}',
        requests=0,
    ),
    Target(
        name="mixpanel",
        toml='type = "mixpanel"\n'
        'settings = {{ project_token = "bench", api_secret = "of the bench" }}',
        requests=0,
    ),
)
LETTERS = "abcdefgh"  # what they are called in the configuration
HOSTS = ("track.customer.io", "api.mixpanel.com")


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
    events_per_s: float


def measure(
    folder: Path,
    kind: str,
    bootstrap: str | None,
    *,
    seconds: float,
    rounds: int,
    actions: Path | None = None,
) -> Iterator[Delivered]:
    """Fill a log while its destinations are paused; then let one after the other go.

    ``actions`` is what ``gateway actions install`` made; without it none is measured.
    """
    targets = [FILE, WEBHOOK, *((*NATIVE, *ACTIONS) if actions else ())]
    for number in range(rounds):
        with ExitStack() as stack:
            place = folder / f"delivery-{kind}-{number}"
            place.mkdir()
            if actions is not None:
                installation = definitions.place(place)
                installation.parent.mkdir(parents=True)
                installation.symlink_to(actions.resolve())
            store = make_store(stack, kind, place, bootstrap)
            command = [sys.executable, "-m", "bench.sink"]
            sink = stack.enter_context(Program(command, place / "sink.log"))
            at = sink.first_line().strip().removesuffix("/hook")
            run = Run(place, store, at, targets)
            events = _fill(run, seconds)
            for target in targets:
                yield _drain(run, target, events)


class Run(NamedTuple):
    """One log and whom it is delivered to."""

    place: Path
    store: Store
    sink: str
    targets: Sequence[Target]

    def configure(self, running: Target | None) -> Path:
        """The configuration in which one of them is not paused."""
        hosts = ", ".join(f'"{host}" = "{self.sink}"' for host in HOSTS)
        text = SERVER + 'private_destinations = ["127.0.0.0/8"]\n'
        text += f"{self.store.toml}{SOURCE}[egress]\nhosts = {{ {hosts} }}\n"
        for number, target in enumerate((*self.targets, IDLE)):
            paused = json.dumps(target is not running)
            text += f"[destinations.{LETTERS[number]}]\npaused = {paused}\n"
            text += target.toml.format(sink=self.sink) + "\n"
        file = self.place / "gateway.toml"
        file.write_text(text)
        return file


def _fill(run: Run, seconds: float) -> int:
    config = run.configure(None)
    program, url, _ = processes.gateway(config, run.place / "errors.log")
    body = run.place / "identify.json"
    text = load.BODY.read_text()  # its sender forbids one that is measured here
    body.write_text(text.replace('"Mixpanel":false', '"Nobody":false'))
    with program:
        load.send(url, load.BATCH, seconds, body)
    return next(iter(run.store.records(config).values()))


def _drain(run: Run, target: Target, events: int) -> Delivered:
    config, store = run.configure(target), run.store
    asked = int(_get(run.sink))
    before = processes.cpu_us(store.pids)
    began = time.monotonic()
    program, _, admin = processes.gateway(config, run.place / "errors.log")
    with program:
        start = processes.cpu_us([program.pid])  # what it took until it was ready
        _await_outcomes(admin, LETTERS[run.targets.index(target)], events)
        took = time.monotonic() - began
        server = processes.cpu_us([program.pid]) - start
        node = processes.cpu_us(processes.children(program.pid))
        store_us = processes.cpu_us(store.pids) - before
    if target is FILE:
        came = _lines(run.place / "a.ndjson")
    elif target.requests:
        came = (int(_get(run.sink)) - asked) // target.requests
    else:
        came = events  # each has its outcome
    return Delivered(
        log=store.kind,
        destination=target.name,
        events=events,
        problem="" if came == events else f"{came} came of {events}",
        server_us=server / max(events, 1),
        node_us=node / max(events, 1) if target in ACTIONS else None,
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
