"""The store: SQLite in one file, or PostgreSQL; one code for both.

Opened at its first use, migrated then. A store that is away is a ``StoreError``; an
error that is about the rows themselves is a bug and stays what it is.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic.config import Config as AlembicConfig
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.errors import ConfigError, GatewayError

MIGRATIONS = Path(__file__).with_name("migrations")
CONNECT_S = 5.0
COMMAND_S = 30.0
READ_S = 5.0  # one question; who asks for a look-up waits, and others for its reader
READERS = 4
STEPS = 100_000  # of SQLite's machine, between two looks at the clock
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=5000",
    "cache_size=-65536",  # KB: indexes are hit at random places
    "wal_autocheckpoint=8000",  # pages: a hot page is copied back once, not each time
)
# PostgreSQL's classes of states that say something of the server, not of the rows:
# connection, authorization, rolled back, resources, not in state, operator, system.
AWAY = ("08", "28", "3D", "40", "53", "55", "57", "58")


TOO_LONG = f"a question took longer than {READ_S:g} s: ask for less"


class StoreError(GatewayError):
    """The store cannot be used now; nothing was changed, asking again is safe."""


def url_of(text: str, folder: Path) -> URL:
    """``workspace.url`` with its driver and an absolute path, or ConfigError."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        message = "workspace.url: not sqlite:///FILE or postgresql://USER@HOST/NAME"
        raise ConfigError(message) from error
    if url.drivername == "sqlite" and url.database:
        path = folder / url.database
        return url.set(drivername="sqlite+aiosqlite", database=str(path))
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+asyncpg")
    message = f"workspace.url: {url.drivername} is not sqlite or postgresql"
    raise ConfigError(message)


class Store:
    """Transactions on the tables; ``writing`` ones exclude each other on SQLite."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._writer: AsyncEngine | None = None
        self._reader: AsyncEngine | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: all of it becomes durable, or nothing (StoreError)."""
        async with _store_errors():
            await self._open()
            assert self._writer is not None
            async with self._writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A consistent view; sees every transaction that ended before.

        A question that takes longer than READ_S is a StoreError.
        """
        async with _store_errors():
            await self._open()
            assert self._reader is not None
            async with self._reader.begin() as connection:
                try:
                    yield connection
                except TimeoutError as error:
                    raise StoreError(TOO_LONG) from error

    async def close(self) -> None:
        """Let go of every connection."""
        for engine in (self._writer, self._reader):
            if engine is not None:
                await engine.dispose()
        self._writer = self._reader = None

    async def _open(self) -> None:
        if self._reader is not None:
            return
        async with self._opening:
            if self._reader is not None:
                return
            writer = self._engine(1, "BEGIN IMMEDIATE")
            try:
                async with writer.begin() as connection:
                    await connection.run_sync(_migrate)
            except BaseException:
                await writer.dispose()
                raise
            self._writer = writer
            self._reader = self._engine(READERS, "BEGIN", bounded=True)

    def _engine(
        self, connections: int, begin: str, *, bounded: bool = False
    ) -> AsyncEngine:
        """``bounded``: no statement takes longer than READ_S."""
        common: dict[str, Any] = {
            "pool_size": connections,
            "max_overflow": 0,
            "pool_timeout": CONNECT_S,
        }
        if self._url.get_backend_name() == "postgresql":
            within_s = READ_S if bounded else COMMAND_S
            arguments = {"timeout": CONNECT_S, "command_timeout": within_s}
            return create_async_engine(
                self._url, connect_args=arguments, pool_pre_ping=True, **common
            )
        path = Path(self._url.database or "")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)  # it holds people's data
        engine = create_async_engine(self._url, **common)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        if bounded:
            _bound_sqlite(engine)
        event.listen(
            engine.sync_engine,
            "begin",
            lambda connection: connection.exec_driver_sql(begin) and None,
        )
        return engine


def _prepare_sqlite(connection: Any, record: ConnectionPoolEntry) -> None:
    """Transactions begin when we say so; a commit is on the disk."""
    del record
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _bound_sqlite(engine: AsyncEngine) -> None:
    """End a statement that takes longer than READ_S, on the thread that runs it."""

    def connected(connection: Any, record: ConnectionPoolEntry) -> None:
        def late() -> bool:
            until_s: float = record.info.get("until_s", math.inf)
            return time.monotonic() > until_s

        connection.run_async(lambda raw: raw.set_progress_handler(late, STEPS))

    def asked(connection: Connection, *_: object) -> None:
        connection.info["until_s"] = time.monotonic() + READ_S

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "before_cursor_execute", asked)


def _migrate(connection: Connection) -> None:
    """Bring the tables up to date; a store that is newer than this code is refused."""
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(settings)
    if connection.dialect.name == "postgresql":  # two processes may start at once
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7355608)")

    def steps(revision: Any, context: Any) -> Any:
        del context
        return scripts._upgrade_revs("head", revision)  # noqa: SLF001 -- what env.py templates call

    environment = EnvironmentContext(settings, scripts, fn=steps)
    environment.configure(connection=connection)
    environment.run_migrations()


@asynccontextmanager
async def _store_errors() -> AsyncIterator[None]:
    try:
        yield
    except CommandError as error:
        message = f"its tables are not of this version: {error}"
        raise StoreError(message) from error
    except (OSError, TimeoutError, PoolTimeout) as error:
        raise StoreError(type(error).__name__) from error
    except SQLAlchemyError as error:
        if not is_away(error):
            raise
        cause = getattr(error, "orig", None) or error
        name = getattr(cause, "sqlite_errorname", "")
        if name == "SQLITE_INTERRUPT":
            raise StoreError(TOO_LONG) from error
        raise StoreError(type(cause).__name__) from error


def is_away(error: SQLAlchemyError) -> bool:
    """The store is the cause, not the rows: the same again may succeed later."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    if isinstance(error, IntegrityError | DataError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(AWAY)
    return type(error).__name__ in ("OperationalError", "InterfaceError")
