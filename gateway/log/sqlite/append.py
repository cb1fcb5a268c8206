"""The writer: a thread that commits everything that waits in one transaction.

What comes in: requests (appends, settled offsets, pings), each with one future. What
goes out: the futures' results, one call into the event loop per transaction. While one
transaction is synced, the next one's requests wait; where many do, a moment more makes
of two transactions one. Who comes alone waits for nobody.
"""

import asyncio
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import LogError
from gateway.log.contract import Entry
from gateway.log.sqlite import wal
from gateway.log.sqlite.files import Files
from gateway.log.sqlite.fresh import Grown
from gateway.log.sqlite.lock import Lock
from gateway.log.sqlite.retention import Upkeep
from gateway.log.sqlite.tables import Tables

# What a request's own values can make SQLite raise; everything else is the store's.
CALLER_ERRORS = (sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError)
MANY = 8  # requests of one transaction
GATHER_S = 0.001  # so long it waits for more, where many came the last time
IDLE_S = 1.0  # how often an idle writer looks whether something may be deleted


@dataclass(slots=True, eq=False)
class Request:
    """What one caller waits for."""

    future: "asyncio.Future[str | None]"
    entries: Sequence[Entry] = ()
    size: int = 0
    deadline: float = 0.0
    topics: Sequence[str] = ()
    group: tuple[str, str] | None = None
    offsets: Sequence[int] = ()
    gaps: Sequence[tuple[int, int]] = ()


@dataclass(slots=True, eq=False)
class Written:
    """What became of a group of requests; ``errors`` has those that failed.

    ``grown``: what each transaction added.
    """

    requests: Sequence[Request]
    errors: dict[Request, str]
    grown: Sequence[Grown] = ()


class Writer:
    """Owns the thread, the connection that writes, and the lock file."""

    def __init__(
        self,
        path: Path,
        tables: Tables,
        upkeep: Upkeep,
        report: Callable[[Written], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.lock: Lock | None = None
        self.last_error = ""
        self.lost = ""
        """Why nothing is written any more: a file that was taken away."""
        self.wal_lost_bytes = 0
        """What was acknowledged before the start, and cannot be read."""
        self._files = Files(path)
        self._looked_at = 0.0
        self._path = path
        self._tables = tables
        self._upkeep = upkeep
        self._report = report
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._free = threading.Condition()
        self._queue: OrderedDict[Request, None] = OrderedDict()
        self._taken: OrderedDict[Request, None] = OrderedDict()
        self._many_came = False
        self._closing = False
        # A daemon, so that a disk that hangs for ever cannot keep the process alive.
        self._thread = threading.Thread(
            target=self._run, name="log-writer", daemon=True
        )

    async def start(self) -> None:
        """Take the lock and open the file; LogError says why that cannot be."""
        self._thread.start()
        try:
            await self._opened
        except BaseException:
            with self._free:
                self._closing = True
                self._free.notify()
            self._thread.join()
            raise

    def put(self, request: Request) -> None:
        """Hand over a request; its future is resolved once it is durable."""
        with self._free:
            self._queue[request] = None
            self._free.notify()

    def drop(self, request: Request) -> bool:
        """Take a request back; False when its transaction has begun."""
        with self._free:
            return self._queue.pop(request, self) is None

    def expire(self, now: float) -> tuple[list[Request], list[Request]]:
        """Requests past their deadline: those taken back, those being written."""
        dropped = []
        with self._free:
            while self._queue:
                request = next(iter(self._queue))
                if request.deadline > now:
                    break
                del self._queue[request]
                dropped.append(request)
            return dropped, [r for r in self._taken if r.deadline <= now]

    def next_deadline(self) -> float | None:
        """When ``expire`` has something to do again."""
        with self._free:
            waiting = next(iter(self._queue), None)
            taken = next((r for r in self._taken if not r.future.done()), None)
        deadlines = [request.deadline for request in (waiting, taken) if request]
        return min(deadlines, default=None)

    async def stop(self, timeout_s: float) -> bool:
        """Write what waits, then end the thread; False when it did not end in time."""
        with self._free:
            self._closing = True
            self._free.notify()
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._ended)
        except TimeoutError:
            return False
        self._thread.join()
        return True

    def _run(self) -> None:
        try:
            try:
                self._open()
            except Exception as error:  # noqa: BLE001 -- told to whoever opens
                self._call(_fail, self._opened, self._explain(error))
                return
            self._call(_succeed, self._opened)
            while self._turn():
                pass
        finally:
            self._close()
            self._call(_succeed, self._ended)

    def _turn(self) -> bool:
        """One transaction of requests, then some upkeep; False at the end."""
        group = self._take(0 if self._upkeep.behind else IDLE_S)
        if time.monotonic() - self._looked_at >= IDLE_S:
            self._look()
        if group:
            written = self._write(group)
            with self._free:
                self._taken = OrderedDict()
            self._call(self._report, written)
        elif self._closing:
            return False
        try:
            if self._tables.is_open and not self.lost:
                rows = sum(len(request.entries) for request in group)
                size = sum(request.size for request in group)
                self._upkeep.run(self._clock(), rows, size)
        except Exception as error:  # noqa: BLE001 -- appends go on, it is tried again
            self._upkeep.behind = False
            self._upkeep.trouble.failed(self._explain(error))
            self._recover(error)
        return True

    def _look(self) -> None:
        """Now and then: are the files still there? If they come back, all is well."""
        self._looked_at = time.monotonic()
        self.lost = self._files.lost()
        if self.lost:
            self._upkeep.behind = False

    def _take(self, timeout_s: float) -> Sequence[Request]:
        with self._free:
            if not self._queue and not self._closing:
                self._free.wait(timeout_s)
        if self._many_came and not self._closing:
            time.sleep(GATHER_S)
        with self._free:
            self._many_came = len(self._queue) >= MANY
            self._taken, self._queue = self._queue, OrderedDict()
            return list(self._taken)

    def _write(self, group: Sequence[Request]) -> Written:
        """Write a group; when one request's values are unusable, each by itself."""
        if not self._tables.is_open:
            self._look()  # what is opened again must be what was open
        if self.lost:  # the connection stays: what it holds is nowhere else
            self.last_error = self.lost
            return Written(group, dict.fromkeys(group, self.lost))
        try:
            if not self._tables.is_open:
                self._tables.open()
                self._files.note()
            grown = self._tables.write(group, int(self._clock() * 1000))
        except Exception as error:  # noqa: BLE001 -- this thread must not die
            store = isinstance(error, (sqlite3.Error, OSError))
            if len(group) > 1 and (not store or isinstance(error, CALLER_ERRORS)):
                return _joined([self._write([request]) for request in group])
            # Text alone: a failure kept in this frame, whose error's traceback holds
            # this frame, would keep the whole group until cycles are collected.
            return Written(group, dict.fromkeys(group, self._recover(error)))
        self.last_error = ""
        return Written(group, {}, [grown])

    def _recover(self, error: Exception) -> str:
        """Start the next transaction with a new connection; what went wrong."""
        with suppress(sqlite3.Error):
            self._tables.abandon()
        self._files.closed()
        self.last_error = str(self._explain(error))
        return self.last_error

    def _explain(self, error: Exception) -> LogError:
        if isinstance(error, LogError):
            return error
        name = "" if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: "
        failure = LogError(f"{self._path}: {name}{error}")
        failure.__cause__ = error
        return failure

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lock = Lock(self._path)
        before = wal.look(self._path)
        self._tables.open()
        self.wal_lost_bytes = wal.lost_bytes(self._path, before)
        self._files.note()
        self._upkeep.run(self._clock())  # a log that was full still is

    def _close(self) -> None:
        self._upkeep.end()
        try:
            self._tables.close()
        except sqlite3.Error as error:
            self._recover(error)  # the WAL keeps what the file has not got yet
        if self.lock is not None:
            self.lock.release()

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(function, *arguments)


def _joined(parts: Sequence[Written]) -> Written:
    return Written(
        [request for part in parts for request in part.requests],
        {request: error for part in parts for request, error in part.errors.items()},
        [grown for part in parts for grown in part.grown],
    )


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: LogError) -> None:
    if not future.done():
        future.set_exception(error)
