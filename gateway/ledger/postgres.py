"""The ledger in PostgreSQL, in a schema of its own.

The driver is asynchronous, the ledger's questions are not: a connection owns an event
loop, which runs on the store's thread for as long as a statement takes. One process
writes: it holds an advisory lock for as long as its session lives, and what a session
has not committed dies with it.
"""

import asyncio
import contextlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Collection, Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from gateway.ledger.contract import NEWER, SCHEMA, VERSION, ElsewhereError, LedgerError
from gateway.ledger.dialect import number, storable, tables, translated
from gateway.ledger.settings import shown

BESIDE = Path(__file__).with_name("postgres.sql")
NAME = "gateway_ledger"
LOCK = int.from_bytes(b"ledger", "big")  # of the database: the schema's name is fixed
CONNECT_S = 5.0
COMMAND_S = 30.0
CLOSE_S = 2.0
STATEMENTS_MAX = 200  # prepared at once; some have lists of numbers in their text
SESSION = f"""
SET search_path = {NAME};
SET application_name = 'gateway ledger';
SET tcp_keepalives_idle = 30;  -- a machine that is gone must not keep the lock
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SET idle_in_transaction_session_timeout = '60s';
"""
READS = (
    "SET default_transaction_read_only = on; SET plan_cache_mode = force_custom_plan"
)
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = ?"
MEASURE = """
UPDATE sizes SET share = now.share FROM (
  SELECT relation, pg_total_relation_size(relation::regclass) / bytes::float8 AS share
  FROM sizes WHERE bytes > 0
) now WHERE now.relation = sizes.relation
AND (sizes.share IS NULL OR sizes.share > now.share)
"""
USED = """
SELECT (SELECT coalesce(sum(bytes * share), 0) FROM sizes)
  + (SELECT sum(pg_total_relation_size(tablename::regclass)) FROM pg_tables
     WHERE schemaname = ? AND tablename NOT IN (SELECT relation FROM sizes))
"""
MANY = re.compile(
    r"(INSERT INTO \w+(?: \([^)]*\))?) VALUES \([?, ]+\)( ON CONFLICT DO NOTHING)"
)
T = TypeVar("T")


def _encoded(text: str) -> bytes:
    return storable(text).encode()


def _storable(column: Sequence[str | None]) -> list[str | None]:
    """An array's own encoder is the driver's: its texts are looked at before."""
    return [None if each is None else storable(each) for each in column]


class Answer:
    """``contract.Found``: all rows are here."""

    def __init__(self, rows: Sequence[Any], status: str) -> None:
        self._rows = iter(rows)
        self._status = status

    def __iter__(self) -> Iterator[Any]:
        """Those that are left."""
        return self._rows

    def fetchone(self) -> Any:
        """The next one, or None."""
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        """Those that are left."""
        return list(self._rows)

    @property
    def rowcount(self) -> int:
        """Of ``DELETE 12``: twelve."""
        return int(self._status.rpartition(" ")[2])


class DatabaseConnection:
    """``contract.Connection``: a session, and the loop that it lives on."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._statements = OrderedDict[str, PreparedStatement]()
        try:
            self._session = self._wait(
                asyncpg.connect(url, timeout=CONNECT_S, command_timeout=COMMAND_S)
            )
        except BaseException:
            self._loop.close()
            raise

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    @property
    def encoding(self) -> str:
        """Of the database's texts."""
        return str(self._session.get_settings().server_encoding)

    def prepare(self) -> None:
        """Make the session ours."""
        self.script(SESSION)
        self._wait(self._codecs())

    async def _codecs(self) -> None:
        await self._session.set_type_codec(
            "text",
            schema="pg_catalog",
            encoder=_encoded,
            decoder=bytes.decode,
            format="binary",
        )
        await self._session.set_type_codec(
            "numeric", schema="pg_catalog", encoder=str, decoder=number
        )

    def script(self, text: str) -> None:
        """Statements without values, all or none."""
        self._wait(self._session.execute(text))

    def execute(self, asked: str, values: Sequence[Any] = (), /) -> Answer:
        """Run one statement and read all that it gives."""
        statement = self._statement(translated(asked))
        rows = self._wait(statement.fetch(*values))
        return Answer(rows, statement.get_statusmsg())

    def executemany(self, asked: str, rows: Iterable[Sequence[Any]], /) -> None:
        """In one go; rows that may only be new as columns, in one statement."""
        given = list(rows)
        if not given:
            return
        if (many := MANY.fullmatch(asked)) is None:
            self._wait(self._statement(translated(asked)).executemany(given))
            return
        types = self._statement(translated(asked)).get_parameters()
        columns = [f"${n}::{each.name}[]" for n, each in enumerate(types, start=1)]
        at_once = f"{many[1]} SELECT * FROM unnest({','.join(columns)}){many[2]}"  # noqa: S608 -- our own names
        values: list[Sequence[Any]] = list(zip(*given, strict=True))
        for place, each in enumerate(types):
            if each.name == "text":
                values[place] = _storable(values[place])
        self._wait(self._statement(at_once).fetch(*values))

    def each(self, asked: str, rows: Iterable[Sequence[Any]], /) -> Collection[Any]:
        """What the statement gives for every row."""
        given = list(rows)
        statement = self._statement(translated(asked))
        return self._wait(statement.fetchmany(given)) if given else []

    def _statement(self, asked: str) -> PreparedStatement:
        statement = self._statements.get(asked)
        if statement is None:
            statement = self._wait(self._session.prepare(asked))
            self._statements[asked] = statement
            if len(self._statements) > STATEMENTS_MAX:
                self._statements.popitem(last=False)
        self._statements.move_to_end(asked)
        return statement

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it becomes durable, or nothing."""
        self.script("BEGIN")
        try:
            yield
        except BaseException:
            with contextlib.suppress(*Database.errors):  # gone with its session
                self.script("ROLLBACK")
            raise
        self.script("COMMIT")

    def used_bytes(self) -> int:
        """What rows take as densely as they ever lay.

        Files of tables do not shrink: the server's autovacuum gives the room of what
        was deleted to what comes next. ``sizes`` knows what is in them.
        """
        self.script(MEASURE)
        return int(self.execute(USED, (NAME,)).fetchone()[0])

    def remake(self) -> None:
        """Drop our tables, and make them again, empty."""
        with self.transaction():
            names = [f"{NAME}.{name}" for (name,) in self.execute(TABLES, (NAME,))]
            if names:
                self.script(f"DROP TABLE {', '.join(names)}")
            self._make()

    def make(self) -> None:
        """The empty tables in their schema; a ``life`` of their own."""
        with self.transaction():
            self._make()

    def _make(self) -> None:
        asked = "SELECT 1 FROM pg_namespace WHERE nspname = ?"
        if self.execute(asked, (NAME,)).fetchone() is None:
            self.script(f"CREATE SCHEMA {NAME}")
        self.script(tables(SCHEMA.read_text(encoding="utf-8")))
        self.script(BESIDE.read_text(encoding="utf-8"))
        facts = [("life", secrets.token_hex(4)), ("version", str(VERSION))]
        for fact in facts:
            self.execute("INSERT INTO facts VALUES (?, ?)", fact)

    def version(self) -> int | None:
        """Of the tables; None: there are none."""
        there = self.execute("SELECT to_regclass(?)::text", (f"{NAME}.facts",))
        if there.fetchone()[0] is None:
            return None
        asked = "SELECT value FROM facts WHERE name = 'version'"
        return int(self.execute(asked).fetchone()[0])

    def take(self) -> bool:
        """Whether the ledger is ours to write, for as long as the session lives."""
        row = self.execute("SELECT pg_try_advisory_lock(?)", (LOCK,)).fetchone()
        return bool(row[0])

    def close(self) -> None:
        """Say goodbye if anybody listens."""
        self._statements.clear()
        try:
            self._wait(self._session.close(timeout=CLOSE_S))
        except Database.errors:
            self._session.terminate()
        finally:
            self._loop.close()


class Database:
    """``contract.Backend``: a database, by its URL."""

    errors: tuple[type[Exception], ...] = (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    )

    def __init__(self, url: str) -> None:
        self._url = url
        self.where = shown(url)

    def open(self, *, writes: bool) -> DatabaseConnection:
        """A session; its tables are made by one that writes where there are none."""
        connection = DatabaseConnection(self._url)
        try:
            connection.prepare()
            self._begin(connection, writes=writes)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: DatabaseConnection, *, writes: bool) -> None:
        if connection.encoding != "UTF8":
            text = f"the database's encoding is {connection.encoding}, not UTF8"
            raise LedgerError(f"{self.where}: {text}")
        if writes and not connection.take():
            raise ElsewhereError(f"{self.where}: another process keeps this ledger")
        version = connection.version()
        if version is not None and version > VERSION:
            raise LedgerError(f"{self.where}: {NEWER}")
        if not writes:
            if version != VERSION:
                raise LedgerError(f"{self.where}: no ledger here yet")
            connection.script(READS)
        elif version is None:
            connection.make()
        elif version < VERSION:
            connection.remake()

    def said(self, error: Exception) -> str:
        """What the server said, without the values it may have said it of."""
        if isinstance(error, asyncpg.InsufficientPrivilegeError):
            needs = f"CREATE on this database, or to own its schema {NAME}"
            return f"{error.args[0]}: the user needs {needs}"
        if isinstance(error, asyncpg.PostgresError | OSError) and error.args:
            return str(error) if isinstance(error, OSError) else str(error.args[0])
        return type(error).__name__
