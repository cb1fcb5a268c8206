"""The ledger's thread: one connection on a thread of its own, and questions to it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.errors import GatewayError
from gateway.ledger.contract import Backend, Connection, LedgerError
from gateway.ledger.file import File
from gateway.ledger.settings import Ledger

T = TypeVar("T")


class Store:
    """One connection and its thread; opened by the first question.

    ``writes``: makes the tables where there are none, and keeps other writers out.
    """

    def __init__(self, backend: Backend, *, writes: bool) -> None:
        self.backend = backend
        self._writes = writes
        name = "ledger-writer" if writes else "ledger-reader"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: Connection | None = None

    @classmethod
    def of(cls, settings: Ledger, *, writes: bool) -> "Store":
        """Where the configuration has it."""
        return cls(_backend(settings), writes=writes)

    async def ask(self, question: Callable[[Connection], T]) -> T:
        """Run ``question`` on the thread; LedgerError when nobody can answer.

        A question that writes begins and ends its own transactions; one that fails
        leaves none open.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._answer, question)

    def answer(self, question: Callable[[Connection], T]) -> T:
        """The same, while the caller waits: for who has nothing else to do."""
        return self._thread.submit(self._answer, question).result()

    async def close(self) -> None:
        """Answer what was asked, then let go of the connection and the thread."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._let_go)
        self._thread.shutdown(wait=False)

    def end(self) -> None:
        """The same, while the caller waits."""
        self._thread.submit(self._let_go).result()
        self._thread.shutdown()

    def _answer(self, question: Callable[[Connection], T]) -> T:
        backend = self.backend
        try:
            if self._connection is None:
                self._connection = backend.open(writes=self._writes)
            return question(self._connection)
        except backend.errors as error:
            self._let_go()
            raise LedgerError(f"{backend.where}: {backend.said(error)}") from error
        except GatewayError:
            raise  # of what was asked, not of who was asked
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _backend(settings: Ledger) -> Backend:
    if settings.url is None:
        return File(settings.file)
    from gateway.ledger.postgres import Database  # noqa: PLC0415 -- a driver few need

    return Database(settings.url)


def remade(connection: Connection) -> str:
    """Drop all that is there and begin a new life; its name."""
    connection.remake()
    return life_of(connection)


def life_of(connection: Connection) -> str:
    """The name of this ledger's life: another one after it was made anew."""
    row = connection.execute("SELECT value FROM facts WHERE name = 'life'").fetchone()
    return str(row[0])
