"""The two backends as tests open them, and what is put into a log and found there."""

import asyncio
import itertools
import os
import sqlite3
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.config import LogConfig
from gateway.errors import LogError
from gateway.log.contract import Entry, EventLog, Past, Record, Span
from gateway.log.kafka.lanes import At
from gateway.log.kafka.log import KafkaLog, open_kafka
from gateway.log.sqlite.fresh import Grown
from gateway.log.sqlite.log import SqliteLog, open_sqlite
from gateway.log.sqlite.retention import Keeping
from gateway.notices import NoticeCode
from gateway.topics import declaring
from tests.log.broker.kafka import Node

MEGABYTE = 1_000_000
SESSION_S = 6.0  # a busy machine must not cost a worker its partitions
PATIENCE_S = 30.0  # how long a cause may take to show on a busy machine
BUDGETS = {
    "retention_s": 3600.0,
    "size": 1_000 * MEGABYTE,
    "refused_size": 100 * MEGABYTE,
    "outcomes_size": 100 * MEGABYTE,
    "dead_size": 100 * MEGABYTE,
}


class SqliteBackend:
    """A log file in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.db"
        self.told: list[tuple[str, dict[str, Any]]] = []

    def tell(self, code: NoticeCode, /, **fields: Any) -> None:
        self.told.append((code, fields))

    async def open(self, **changes: Any) -> SqliteLog:
        """Open it, with small limits where a test wants to reach them."""
        budgets: dict[str, Any] = {
            name: changes.pop(name, value) for name, value in BUDGETS.items()
        }
        if isinstance(clock := changes.get("clock"), Clock):
            changes.setdefault("steady", clock.steady)
        return await open_sqlite(
            self.path,
            Keeping(
                retention_s=budgets["retention_s"],
                size=budgets["size"],
                declared=declaring(LogConfig(**budgets)),
            ),
            tell=self.tell,
            **changes,
        )

    @asynccontextmanager
    async def opened(self, **changes: Any) -> AsyncIterator[SqliteLog]:
        log = await self.open(**changes)
        try:
            yield log
        finally:
            await log.close()

    def spawn(self, job: str) -> subprocess.Popen[str]:
        """Do ``job`` (see child.py) in a process of its own."""
        return spawn(job, str(self.path))

    @contextmanager
    def stuck(self, log: EventLog) -> Iterator[Callable[[], bool]]:
        """The store hangs until the end; the answer says whether it has begun to."""
        assert isinstance(log, SqliteLog)
        tables, gate, begun = log._tables, threading.Event(), threading.Event()
        write = tables.write

        def wait(changes: Any, now_ms: int) -> Grown:
            begun.set()
            gate.wait()
            return write(changes, now_ms)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tables, "write", wait)
            try:
                yield begun.is_set
            finally:
                gate.set()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another process, a backup perhaps, is writing."""
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()


class KafkaBackend:
    """Topics of their own on the session's broker: a prefix nobody else has."""

    numbers = itertools.count()

    def __init__(self, node: Node) -> None:
        self.node = node
        self.prefix = f"t{next(self.numbers)}."
        self.told: list[tuple[str, dict[str, Any]]] = []

    def config(self, **changes: Any) -> LogConfig:
        ours: dict[str, Any] = {
            "bootstrap_servers": self.node.address,
            "partitions": 3,
            "replication_factor": 1,
            "prefix": self.prefix,
        }
        return LogConfig(kind="kafka", **ours | changes)

    def tell(self, code: NoticeCode, /, **fields: Any) -> None:
        self.told.append((code, fields))

    async def open(self, **changes: Any) -> KafkaLog:
        """Open it. What hangs in a test must not hang in the making of its topic."""
        config = changes.pop("config", None) or self.config()
        if "append_timeout_s" in changes:  # a JVM that was frozen needs a moment
            changes["append_timeout_s"] = max(changes["append_timeout_s"], 0.5)
        return await open_kafka(
            config,
            topics=changes.pop("topics", ["to.crm"]),
            declared=changes.pop("declared", None),
            session_s=changes.pop("session_s", SESSION_S),
            tell=self.tell,
            **changes,
        )

    @asynccontextmanager
    async def opened(self, **changes: Any) -> AsyncIterator[KafkaLog]:
        log = await self.open(**changes)
        try:
            yield log
        finally:
            await log.close()

    def spawn(self, job: str) -> subprocess.Popen[str]:
        """Do ``job`` (see child.py) in a process of its own."""
        return spawn(job, f"kafka|{self.node.address}|{self.prefix}")

    @contextmanager
    def stuck(self, log: EventLog) -> Iterator[Callable[[], bool]]:
        """The broker is frozen until the end; True once a batch waits for it."""
        assert isinstance(log, KafkaLog)
        self.node.freeze()
        try:
            yield lambda: any(lane.at is At.FLIGHT for lane in log._appender._lanes)
        finally:
            self.node.thaw()
            self.node.wait()


def spawn(job: str, place: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("child.py")), job, place],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        stdout=subprocess.PIPE,
        text=True,
    )


Backend = SqliteBackend | KafkaBackend


def entry(topic: str = "to.crm", key: str = "ann", value: str = "{}") -> Entry:
    return Entry(topic, key.encode(), value.encode(), (("source", b"web"),))


def numbered(count: int, topic: str = "to.crm", start: int = 0) -> list[Entry]:
    return [entry(topic, value=str(n)) for n in range(start, start + count)]


def values(records: Any) -> list[str]:
    return [record.value.decode() for record in records]


async def past(
    subscription: Any, limit: int, headers: tuple[str, ...] = ()
) -> list[Past]:
    """What was settled last, in one list."""
    chunks = [each async for each in subscription.before_committed(limit, headers)]
    return [record for chunk in chunks for record in chunk]


async def scanned(log: EventLog, topic: str = "to.crm", **span: Any) -> list[Record]:
    return [record async for record in log.scan(topic, Span(**span))]


def spread(count: int, start: int = 0, topic: str = "to.crm") -> list[Entry]:
    """Entries with as many keys, so that every partition has some."""
    return [
        entry(topic, key=f"k{n}", value=str(n)) for n in range(start, start + count)
    ]


async def polled(subscription: Any, count: int) -> list[Record]:
    """The next ``count`` records of a subscription."""
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(records) < count:
            records += await subscription.poll(limit=count, timeout_s=0.5)
    return records


@asynccontextmanager
async def administrating(node: Node) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=node.address)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def configure(node: Node, topic: str, **configs: str) -> None:
    """Change the settings of a topic as an operator does."""
    named = {name.replace("_", "."): value for name, value in configs.items()}
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, named)
    async with administrating(node) as admin:
        await admin.alter_configs([resource])


async def taken(action: Callable[[], Awaitable[object]]) -> None:
    """Do it until the log takes it: one that was away may need a moment."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await action()
            except LogError:
                await asyncio.sleep(0.01)
            else:
                return


class Stream:
    """Appends that come whatever became of those before, as requests do.

    Each has something for every partition, as a large batch has.
    """

    def __init__(self, log: EventLog, topics: Sequence[str]) -> None:
        self._log, self._topics = log, topics
        self._tasks = asyncio.TaskGroup()
        self.begun = self.newest = 0
        self.kept: list[str] = []

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._feeding = self._tasks.create_task(self._feed())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._feeding.cancel()
        await self._tasks.__aexit__(kind, error, trace)

    async def _feed(self) -> None:
        while True:
            self.begun += 1
            self._tasks.create_task(self._append(self.begun))
            await asyncio.sleep(0.001)

    async def _append(self, number: int) -> None:
        keys = [f"k{n}" for n in range(5)]
        with suppress(LogError):
            await self._log.append(
                [entry(t, key, str(number)) for t in self._topics for key in keys]
            )
            self.kept.append(str(number))
            self.newest = max(self.newest, number)

    async def flows(self) -> None:
        """Until some that have not begun yet are kept."""
        goal = self.begun + 300
        await until(lambda: self.newest >= goal)


class Entries(list[Entry]):
    """A list whose end can be seen."""


async def refuse(log: EventLog) -> list[weakref.ref[Entries]]:
    """Append twenty times, in vain; what was handed over, for who looks after it."""
    handed = [Entries(numbered(3)) for _ in range(20)]
    appends = [log.append(entries) for entries in handed]
    results = await asyncio.gather(*appends, return_exceptions=True)
    assert all(isinstance(result, LogError) for result in results)
    return [weakref.ref(entries) for entries in handed]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something that another task does has happened."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


class Clock:
    """Time goes on by ``now += s``; ``wrong_by`` is how far somebody has set it off."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.wrong_by = 0.0

    def steady(self) -> float:
        return self.now

    def __call__(self) -> float:
        return self.now + self.wrong_by


async def upkeep(log: SqliteLog) -> None:
    """Let the writer look what may be deleted, and finish with it."""
    log._upkeep.behind = True  # as if there were something left to do
    for _ in range(2):  # when the second is durable, the first one's upkeep is done
        await log._submit()
    await until(lambda: not log._upkeep.behind)


def big(topic: str, number: int = 0) -> Entry:
    return Entry(topic, b"k", b"%d" % number + b"x" * 10_000)


def count(sqlite: SqliteBackend, table: str) -> int:
    with sqlite3.connect(sqlite.path) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    connection.close()
    assert isinstance(found, int)
    return found


async def state(log: SqliteLog, name: str) -> Any:
    return next(topic for topic in await log.topics() if topic.name == name)


async def settle_all(log: SqliteLog, topic: str, group: str) -> None:
    async with log.subscribe(topic, group=group) as subscription:
        while records := await subscription.poll(limit=500, timeout_s=0):
            await subscription.settle(records)
