"""The ledger in an SQLite file.

By hand: a thousand events a second are four thousand rows, and what stands between them
and the file would cost more than the file. WAL, synchronous FULL: a group of rows and
the place in the log up to which they were read become durable together.
"""

import contextlib
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.ledger.contract import NEWER, SCHEMA, VERSION, ElsewhereError, LedgerError

BUSY_S = 5.0
CACHE_KB = 32_768
PID_DIGITS = 20
CHECKPOINT_PAGES = 4_000


class FileConnection(sqlite3.Connection):
    """``contract.Connection``: SQLite's own, which speaks the protocol already."""

    lock: int | None = None
    """Of one that writes: the open lock file."""

    def each(
        self, asked: str, rows: Iterable[Sequence[Any]], /
    ) -> Collection[tuple[Any, ...]]:
        """What the statement gives for every row."""
        return [found for row in rows for found in self.execute(asked, row)]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it becomes durable, or nothing."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def used_bytes(self) -> int:
        """What was deleted is used again before the file grows."""

        def pragma(name: str) -> int:
            return int(self.execute(f"PRAGMA {name}").fetchone()[0])

        return (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")

    def remake(self) -> None:
        """Drop all that is there, and make the empty tables: nobody sees it without."""
        names = self.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        self.make("".join([f"DROP TABLE IF EXISTS {name};\n" for (name,) in names]))

    def make(self, first: str = "") -> None:
        """The empty tables; a ``life`` of its own, under which it follows the log."""
        self.executescript(
            f"BEGIN IMMEDIATE;\n{first}{SCHEMA.read_text(encoding='utf-8')}\n"
            f"INSERT INTO facts VALUES ('life', '{secrets.token_hex(4)}');\n"
            f"PRAGMA user_version = {VERSION};\nCOMMIT;"
        )

    def close(self) -> None:
        """Let go of the file and its lock."""
        lock, self.lock = self.lock, None
        with contextlib.suppress(sqlite3.Error):
            super().close()
        if lock is not None:
            os.close(lock)


class File:
    """``contract.Backend``: a file, and one beside it that keeps other writers out."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)

    def open(self, *, writes: bool) -> FileConnection:
        """The file; made by one that writes where there is none."""
        lock = self._taken() if writes else None
        try:
            connection = self._connected()
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise
        connection.lock = lock
        try:
            self._prepare(connection, writes=writes)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self) -> FileConnection:
        if not self.path.exists():
            raise self._not_yet()
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,  # a pool's thread; nobody else has it
            factory=FileConnection,
        )

    def _not_yet(self) -> LedgerError:
        return LedgerError(f"{self.where}: no ledger here yet")

    def _prepare(self, connection: FileConnection, *, writes: bool) -> None:
        """Its tables are made by one that writes where there are none."""
        connection.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise LedgerError(f"{self.where}: {NEWER}")
        if not writes:
            if version != VERSION:
                raise self._not_yet()
            connection.execute("PRAGMA query_only = ON")
            return
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        if version == 0:
            connection.make()
        elif version < VERSION:
            connection.remake()

    def _taken(self) -> int:
        """The file is ours: of several processes on Kafka one keeps the ledger."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.touch(mode=0o600)  # it holds people's keys
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(lock, PID_DIGITS, 0).decode(errors="replace")
            os.close(lock)
            who = f", process {owner}" if owner else ""
            text = f"{self.where}: another process keeps this ledger{who}"
            raise ElsewhereError(text) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d" % os.getpid(), 0)
        return lock

    def said(self, error: Exception) -> str:
        """A damaged file with its remedy."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            remedy = "the file is damaged; `gateway ledger rebuild` makes it anew"
            return f"{error}: {remedy}"
        return str(error)
