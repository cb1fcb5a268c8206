"""What the ledger asks of a database: SQL with ``?``, and few things beside.

The statements are such as SQLite and PostgreSQL understand alike; where one of them
lacks a word, its backend teaches it. So: TRUE and FALSE for 1 and 0, no empty list
behind IN, no negative LIMIT; ON CONFLICT names its columns, unless it does nothing; a
column on the right of its SET names its table; ``max`` and ``min`` of two or three
whole numbers only; keywords in capitals, because ``offset`` is a column of ours.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import GatewayError

SCHEMA = Path(__file__).with_name("schema.sql")
VERSION = 3
"""Of the tables. Older ones are made anew: the log has what was in them."""
NEWER = "it is of a newer gateway: use that one, or rebuild it"


class LedgerError(GatewayError):
    """The ledger cannot be used now; nothing of the log is lost by that."""


class ElsewhereError(LedgerError):
    """Another process keeps the ledger: on Kafka one of several does."""


class Found(Protocol):
    """What a statement gave, in order."""

    def __iter__(self) -> Iterator[Any]:
        """Row by row."""

    def fetchone(self) -> Any:
        """The next row; None: there is no more."""

    def fetchall(self) -> list[Any]:
        """All that are left."""

    @property
    def rowcount(self) -> int:
        """Rows that were deleted."""


class Connection(Protocol):
    """Statements one after another; each is durable at once unless in a transaction."""

    def execute(self, asked: str, values: Sequence[Any] = (), /) -> Found:
        """Run one statement."""

    def executemany(self, asked: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Run it for every row; nothing is given back."""

    def each(self, asked: str, rows: Iterable[Sequence[Any]], /) -> Collection[Any]:
        """What it gives for every row, all in one."""

    def transaction(self) -> AbstractContextManager[None]:
        """All of it becomes durable, or nothing."""

    def used_bytes(self) -> int:
        """Bytes in use, without the room that what was deleted has left behind."""

    def remake(self) -> None:
        """Drop every table, and make them again, empty: a new ``life``."""

    def close(self) -> None:
        """Let go of it, whatever its state."""


class Backend(Protocol):
    """Where a ledger is; nothing is opened by naming it."""

    where: str
    """For errors: no secret."""
    errors: tuple[type[Exception], ...]
    """What its connections raise when they cannot do what is asked."""

    def open(self, *, writes: bool) -> Connection:
        """A connection that reads, or the only one that writes.

        One that writes makes the tables where there are none. ElsewhereError: another
        process has it. LedgerError: there is no ledger to read.
        """

    def said(self, error: Exception) -> str:
        """One of ``errors`` for the operator."""
