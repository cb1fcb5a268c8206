"""The ledger's file: a connection on a thread of its own, and questions to it.

SQLite by hand: a thousand events a second are four thousand rows, and what stands
between them and the file would cost more than the file. WAL, synchronous FULL: a group
of rows and the place in the log up to which they were read become durable together.
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gateway.errors import GatewayError

SCHEMA = Path(__file__).with_name("schema.sql")
VERSION = 3
BUSY_S = 5.0
CACHE_KB = 32_768
CHECKPOINT_PAGES = 4_000
T = TypeVar("T")


class LedgerError(GatewayError):
    """The ledger cannot be used now; nothing of the log is lost by that."""


class ElsewhereError(LedgerError):
    """Another process keeps the ledger: on Kafka one of several does."""


class Store:
    """One connection and its thread; opened by the first question.

    ``writes``: makes the file where there is none, and keeps other writers out.
    """

    def __init__(self, path: Path, *, writes: bool) -> None:
        self.path = path
        self._writes = writes
        name = "ledger-writer" if writes else "ledger-reader"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None
        self._lock: int | None = None

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``question`` on the thread; LedgerError when SQLite cannot answer.

        A question that writes begins and ends its own transactions; one that fails
        leaves none open.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.answer, question)

    def answer(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The same on the caller's thread: for a command, which has nobody to stop."""
        try:
            return question(self._opened())
        except (sqlite3.Error, OSError) as error:
            self._let_go()
            raise LedgerError(f"{self.path}: {_said(error)}") from error
        except BaseException:
            self._let_go()
            raise

    async def close(self) -> None:
        """Answer what was asked, then let go of the file and the thread."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._let_go)
        self._thread.shutdown(wait=False)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._writes:
                self._take()
            elif not self.path.exists():
                raise LedgerError(f"{self.path}: no ledger here yet")
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_S,
                isolation_level=None,
                check_same_thread=False,  # a pool's thread; nobody else has it
            )
            self._connection = connection
            _prepare(connection, writes=self._writes)
        return self._connection

    def _take(self) -> None:
        """The file is ours: of several processes on Kafka one keeps the ledger."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.touch(mode=0o600)  # it holds people's keys
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            text = f"{self.path}: another process keeps this ledger"
            raise ElsewhereError(text) from error
        self._lock = lock

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        lock, self._lock = self._lock, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        if lock is not None:
            os.close(lock)


def _prepare(connection: sqlite3.Connection, *, writes: bool) -> None:
    connection.execute(f"PRAGMA cache_size = -{CACHE_KB}")
    if not writes:
        connection.execute("PRAGMA query_only = ON")
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise LedgerError("it is of a newer gateway: use that one, or rebuild it")
    if version == 0:
        make(connection)
    elif version < VERSION:
        remade(connection)  # the log has what was in it


def make(connection: sqlite3.Connection) -> None:
    """The empty tables; a ``life`` of its own, under which it follows the log."""
    connection.executescript(
        f"BEGIN IMMEDIATE;\n{SCHEMA.read_text(encoding='utf-8')}\n"
        f"INSERT INTO facts VALUES ('life', '{secrets.token_hex(4)}');\n"
        f"PRAGMA user_version = {VERSION};\nCOMMIT;"
    )


def remade(connection: sqlite3.Connection) -> str:
    """Drop all that is there and begin a new life; its name."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    drops = [f"DROP TABLE IF EXISTS {name};" for (name,) in names]
    connection.executescript("BEGIN IMMEDIATE;" + "".join(drops) + "COMMIT;")
    make(connection)
    return life_of(connection)


def life_of(connection: sqlite3.Connection) -> str:
    """The name of this ledger's life: another one after it was made anew."""
    row = connection.execute("SELECT value FROM facts WHERE name = 'life'").fetchone()
    return str(row[0])


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it becomes durable, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _said(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return f"{error}: the file is damaged; `gateway ledger rebuild` makes it anew"
    return str(error)
