"""What the conformance suite needs of a backend; a second one adds a parameter."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.log.contract import Entry, EventLog, Record, Span
from gateway.log.sqlite_log import SqliteLog, open_sqlite
from gateway.log.sqlite_retention import Budgets

MEGABYTE = 1_000_000
BUDGETS = {
    "retention_s": 3600.0,
    "size": 1_000 * MEGABYTE,
    "refused_size": 100 * MEGABYTE,
    "outcomes_size": 100 * MEGABYTE,
    "dead_size": 100 * MEGABYTE,
    "keep": ("suppressed",),
}


class SqliteBackend:
    """A log file in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.db"
        self.told: list[tuple[str, dict[str, Any]]] = []

    async def open(self, **changes: Any) -> SqliteLog:
        """Open it, with small limits where a test wants to reach them."""
        budgets = {name: changes.pop(name, value) for name, value in BUDGETS.items()}
        return await open_sqlite(
            self.path,
            Budgets(**budgets),
            tell=lambda code, **fields: self.told.append((code, fields)),
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
        child = Path(__file__).with_name("child.py")
        return subprocess.Popen(
            [sys.executable, str(child), job, str(self.path)],
            cwd=Path(__file__).parents[2],
            env={"PYTHONPATH": "."},
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def stuck(self, log: EventLog) -> Iterator[Callable[[], bool]]:
        """The store hangs until the end; the answer says whether it has begun to."""
        assert isinstance(log, SqliteLog)
        tables, gate, begun = log._tables, threading.Event(), threading.Event()
        write = tables.write

        def wait(changes: Any, now_ms: int) -> set[str]:
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


Backend = SqliteBackend


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return {"sqlite": SqliteBackend}[request.param](tmp_path)


@pytest.fixture
async def log(backend: Backend) -> AsyncIterator[EventLog]:
    async with backend.opened() as log:
        yield log


@pytest.fixture
def sqlite(tmp_path: Path) -> SqliteBackend:
    return SqliteBackend(tmp_path)


def entry(topic: str = "to.crm", key: str = "ann", value: str = "{}") -> Entry:
    return Entry(topic, key.encode(), value.encode(), (("source", b"web"),))


def numbered(count: int, topic: str = "to.crm", start: int = 0) -> list[Entry]:
    return [entry(topic, value=str(n)) for n in range(start, start + count)]


def values(records: Any) -> list[str]:
    return [record.value.decode() for record in records]


async def scanned(log: EventLog, topic: str = "to.crm", **span: Any) -> list[Record]:
    return [record async for record in log.scan(topic, Span(**span))]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something that another task does has happened."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)
