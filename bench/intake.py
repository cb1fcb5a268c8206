"""Intake: what an accepted event costs, on every server in turn, several rounds."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import load, processes
from bench.load import Shape
from bench.stores import NAMES, Kafka, Sqlite, Store

WARM_UP_S = 2.0
SOURCE = '[sources.bench]\nkind = "server"\nwrite_keys = ["dev"]\n'
SERVER = '[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Something that accepts events and where it puts them."""

    name: str
    url: str
    pid: int
    store: Store
    config: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One server under one load, once."""

    server: str
    shape: str
    events: int  # that reached the archive
    accepted: int
    problem: str  # empty: all that was accepted is in the log
    server_us: float  # CPU an event
    store_us: float | None  # None: no other process, or none that we may look at
    events_per_s: float
    p50_ms: float
    p99_ms: float

    @property
    def named(self) -> str:
        """What it is of."""
        return f"{self.server}, {self.shape}"


def configuration(store: Store) -> str:
    """Default settings, an archive and three destinations that nothing reads."""
    paused = "".join(
        f'[destinations.{name}]\ntype = "file"\npaused = true\n'
        f'settings = {{ path = "{name}.ndjson" }}\n'
        for name in NAMES
    )
    return SERVER + store.toml + SOURCE + paused


@contextmanager
def servers(
    folder: Path, kinds: Sequence[str], bootstrap: str | None, yardsticks: Path | None
) -> Iterator[tuple[list[Server], list[str]]]:
    """All of them, running; and why one is missing."""
    found: list[Server] = []
    missing: list[str] = []
    with ExitStack() as stack:
        for kind in kinds:
            try:
                found.append(_gateway(stack, folder, kind, bootstrap))
            except RuntimeError as error:
                missing.append(f"gateway on {kind}: {error}")
        for name in ("plain", "limit") if yardsticks and bootstrap else ():
            script = (yardsticks or folder) / f"{name}.py"
            try:
                found.append(_reference(stack, folder, script, bootstrap or ""))
            except RuntimeError as error:
                missing.append(f"{name}.py: {error}")
        yield found, missing


def make_store(
    stack: ExitStack, kind: str, folder: Path, bootstrap: str | None
) -> Store:
    """A new log of this kind, removed at the end."""
    if kind == "sqlite":
        return Sqlite(folder)
    if bootstrap is None:
        raise RuntimeError("no broker: --bootstrap HOST:PORT")
    store = Kafka(bootstrap, f"bench-{secrets.token_hex(4)}.")
    stack.callback(store.remove)
    return store


def _gateway(
    stack: ExitStack, folder: Path, kind: str, bootstrap: str | None
) -> Server:
    place = folder / f"gateway-{kind}"
    place.mkdir()
    store = make_store(stack, kind, place, bootstrap)
    config = place / "gateway.toml"
    config.write_text(configuration(store))
    program, url, _ = processes.gateway(config, place / "errors.log")
    stack.enter_context(program)
    name = f"gateway {kind}"
    return Server(name=name, url=url, pid=program.pid, store=store, config=config)


def _reference(stack: ExitStack, folder: Path, script: Path, bootstrap: str) -> Server:
    store = Kafka(bootstrap, f"bench-{secrets.token_hex(4)}.")
    store.create(store.topics)
    stack.callback(store.remove)
    errors = folder / f"{script.stem}.log"
    topics = ",".join(store.topics)
    program, url = processes.reference(
        script, errors, BOOTSTRAP=bootstrap, TOPICS=topics, PARTITIONS="8"
    )
    stack.enter_context(program)
    return Server(
        name=script.stem, url=url, pid=program.pid, store=store, config=script
    )


def measure(
    targets: Sequence[Server], shape: Shape, *, rounds: int, seconds: float, body: Path
) -> Iterator[Sample]:
    """A B C, A B C, ...: whatever slows the machine down slows all of them."""
    for target in targets:
        load.send(target.url, shape, WARM_UP_S, body)
    for _ in range(rounds):
        for target in targets:
            yield _sample(target, shape, seconds, body)


def _sample(target: Server, shape: Shape, seconds: float, body: Path) -> Sample:
    before = target.store.records(target.config)
    server, store = processes.cpu_us([target.pid]), processes.cpu_us(target.store.pids)
    sent = load.send(target.url, shape, seconds, body)
    server = processes.cpu_us([target.pid]) - server
    store = processes.cpu_us(target.store.pids) - store
    after = target.store.records(target.config)
    grown = {topic: after[topic] - before[topic] for topic in after}
    events = next(iter(grown.values()))
    return Sample(
        server=target.name,
        shape=shape.name,
        events=events,
        accepted=sent.accepted,
        problem=_problem(sent, grown, shape),
        server_us=server / max(events, 1),
        store_us=store / max(events, 1) if target.store.pids else None,
        events_per_s=events / sent.seconds,
        p50_ms=sent.p50_ms,
        p99_ms=sent.p99_ms,
    )


def _problem(sent: load.Load, grown: dict[str, int], shape: Shape) -> str:
    """The generator leaves one request a connection unread: that many may be more."""
    found = []
    most = sent.accepted + shape.connections * shape.batch
    for topic, more in grown.items():
        if not sent.accepted <= more <= most:
            found.append(f"{topic} grew by {more}, accepted were {sent.accepted}")
    if sent.refused or sent.broken:
        found.append(f"{sent.refused} requests refused, {sent.broken} broken")
    return "; ".join(found)
