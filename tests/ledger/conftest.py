"""A ledger of its own, of each kind, and records for it."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.contract import Backend, Connection, Found
from gateway.ledger.file import File
from gateway.ledger.postgres import Database
from gateway.ledger.queries import Queries
from gateway.ledger.store import Store
from gateway.ledger.write import Writer
from gateway.log.contract import Record
from tests.ledger.records import Made
from tests.workspace.postgres.server import Server

numbers = itertools.count(1)
KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.service)]
SQLITE_ONLY = pytest.mark.parametrize("new", ["sqlite"], indirect=True)
WORDED = {
    "events": (5, 6, 7),
    "refused": (5, 6),
    "ends": (5, 6, 8, 9, 10),
    "counts": (1, 2),
    "places": (),
    "names": (1, 2),
    "looks": (1, 2),
    "fields": (1, 2),
}
"""Columns that are the numbers of words."""


class Through:
    """``contract.Connection``: the store's own, each statement on its thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, asked: str, values: Sequence[Any] = (), /) -> Found:
        return self._store.answer(lambda c: c.execute(asked, values))

    def executemany(self, asked: str, rows: Iterable[Sequence[Any]], /) -> object:
        return self._store.answer(lambda c: c.executemany(asked, rows))

    def each(self, asked: str, rows: Iterable[Sequence[Any]], /) -> Collection[Any]:
        return self._store.answer(lambda c: c.each(asked, rows))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        entered = self._store.answer(lambda c: c.transaction())
        self._store.answer(lambda _: entered.__enter__())
        try:
            yield
        except BaseException as error:
            cause = error
            self._store.answer(lambda _: entered.__exit__(type(cause), cause, None))
            raise
        self._store.answer(lambda _: entered.__exit__(None, None, None))

    def used_bytes(self) -> int:
        return self._store.answer(lambda c: c.used_bytes())

    def remake(self) -> None:
        self._store.answer(lambda c: c.remake())

    def close(self) -> None:
        raise AssertionError


class Desk:
    """Writes records, and asks."""

    def __init__(self, backend: Backend) -> None:
        self.store = Store(backend, writes=True)
        self.writer = Writer()
        self.connection: Connection = Through(self.store)

    @property
    def ask(self) -> Queries:
        return Queries(self.connection)

    def take(self, *records: Record) -> None:
        for topic in ("events", "refused", "outcomes"):
            mine = [each for each in records if each.topic == topic]
            self.take_as(topic, mine)

    def take_as(self, topic: str, records: Sequence[Record]) -> None:
        self.store.answer(lambda c: self.writer.take(c, topic, records))

    def dump(self) -> dict[str, list[tuple[object, ...]]]:
        """All that is kept, with texts for the numbers of words."""
        words = dict(self.connection.execute("SELECT id, text FROM words"))
        told = {}
        for table, worded in WORDED.items():
            rows = [
                tuple(
                    words.get(value, value) if place in worded else value
                    for place, value in enumerate(row)
                )
                for row in self.connection.execute(f"SELECT * FROM {table}")
            ]
            told[table] = sorted(rows, key=repr)
        return told


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture(scope="session")
def databases(postgres: Server) -> Sequence[str]:
    """Made once: each test begins with empty tables in them."""
    return [postgres.make_database(f"desk{number}") for number in range(2)]


@pytest.fixture(params=KINDS)
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Backend]:
    """Where an empty ledger may be: of each kind, two at once at most."""
    if request.param == "sqlite":
        return lambda: File(tmp_path / f"ledger{next(numbers)}.db")
    left = itertools.cycle(request.getfixturevalue("databases"))

    def emptied() -> Backend:
        backend = Database(next(left))
        store = Store(backend, writes=True)
        store.answer(lambda c: c.remake())
        store.end()
        return backend

    return emptied


@pytest.fixture
def desk(new: Callable[[], Backend]) -> Iterator[Desk]:
    desk = Desk(new())
    yield desk
    desk.store.end()


@pytest.fixture(params=KINDS)
def ledger(request: pytest.FixtureRequest) -> str:
    """What a configuration says of a ledger of each kind."""
    if request.param == "sqlite":
        return ""
    server: Server = request.getfixturevalue("postgres")
    return f'[ledger]\nurl = "{server.make_database(f"ledger{next(numbers)}")}"\n'
