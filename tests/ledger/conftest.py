"""A ledger in a file of its own, and records for it."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.ledger.queries import Queries
from gateway.ledger.store import Store
from gateway.ledger.write import Writer
from gateway.log.contract import Record
from tests.ledger.records import Made

TABLES = (
    *("events", "refused", "ends", "counts", "places"),
    *("names", "looks", "fields"),
)


class Desk:
    """Writes records, and asks."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path, writes=True)
        self.writer = Writer()

    @property
    def connection(self) -> sqlite3.Connection:
        return self.store.answer(lambda connection: connection)

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
        worded = {"source", "type", "route", "destination", "reason", "replay", "mark"}
        told = {}
        for table in TABLES:
            found = self.connection.execute(f"SELECT * FROM {table}")
            names = [each[0] for each in found.description]
            rows = [
                tuple(
                    words.get(value, value) if name in worded else value
                    for name, value in zip(names, row, strict=True)
                )
                for row in found
            ]
            told[table] = sorted(rows, key=repr)
        return told


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "ledger.db")
    yield desk
    desk.store._let_go()
    desk.store._thread.shutdown()
