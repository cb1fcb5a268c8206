"""Any order of calls, against lists: what the log holds, what a group has settled."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.log.contract import Entry, Record, Subscription
from tests.chance import examples
from tests.log.backends import (
    Backend,
    KafkaBackend,
    SqliteBackend,
    past,
    scanned,
    values,
)
from tests.log.broker.kafka import Node

TOPICS = ("events", "to.a", "to.b")
READERS = {"to.a": "a", "to.b": "b"}
topics = st.sampled_from(TOPICS)
followed = st.sampled_from(sorted(READERS))
numbers = st.integers(0, 2**30)


class Machine(RuleBasedStateMachine):
    make: Callable[[Path], Backend]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.backend = type(self).make(Path(self.folder.name))
        self.kept: dict[str, list[str]] = {topic: [] for topic in TOPICS}
        self.settled: dict[str, set[int]] = {topic: set() for topic in READERS}
        self.polled: dict[str, list[Record]] = {topic: [] for topic in READERS}
        self.subscriptions: dict[str, Subscription] = {}
        self.count = 0
        self.run(self.open())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def open(self) -> None:
        self.log = await self.backend.open(topics=TOPICS)
        self.stacks = {topic: AsyncExitStack() for topic in READERS}
        for topic in READERS:
            await self.follow(topic)

    async def follow(self, topic: str) -> None:
        self.subscriptions[topic] = await self.stacks[topic].enter_async_context(
            self.log.subscribe(topic, group=READERS[topic])
        )
        self.polled[topic] = []

    async def close(self) -> None:
        for stack in self.stacks.values():
            await stack.aclose()
        await self.log.close()

    def teardown(self) -> None:
        self.run(self.close())
        self.loop.close()
        self.folder.cleanup()

    def entries(self, names: list[str]) -> list[Entry]:
        self.count += 1
        value = str(self.count).encode()
        return [Entry(name, b"k", value) for name in names]

    def keep(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.kept[entry.topic].append(entry.value.decode())

    @rule(appends=st.lists(st.lists(topics, max_size=5), min_size=1, max_size=5))
    def append(self, appends: list[list[str]]) -> None:
        made = [self.entries(names) for names in appends]

        async def together() -> None:
            await asyncio.gather(*map(self.log.append, made))

        self.run(together())
        for entries in made:
            self.keep(entries)

    @rule(topic=followed, limit=st.integers(1, 5))
    def poll(self, topic: str, limit: int) -> None:
        start = self.polled[topic][-1].offset + 1 if self.polled[topic] else 0
        unsettled = set(range(start, len(self.kept[topic]))) - self.settled[topic]
        expected = sorted(unsettled)[:limit]
        records = self.run(self.polled_of(topic, len(expected)))
        assert [record.offset for record in records] == expected
        for record in records:
            assert record.value.decode() == self.kept[topic][record.offset]
        self.polled[topic] += records

    async def polled_of(self, topic: str, count: int) -> list[Record]:
        """A store in this process answers at once, a broker in several pieces."""
        subscription, records = self.subscriptions[topic], list[Record]()
        while len(records) < count:
            wait_s = 0 if isinstance(self.backend, SqliteBackend) else 5
            left = count - len(records)
            found = await subscription.poll(limit=left, timeout_s=wait_s)
            assert found
            records += found
        if not count:
            assert list(await subscription.poll(limit=1, timeout_s=0)) == []
        return records

    @rule(topic=followed, pick=numbers, names=st.lists(topics, max_size=2))
    def settle(self, topic: str, pick: int, names: list[str]) -> None:
        records = [r for i, r in enumerate(self.polled[topic]) if pick >> (i % 30) & 1]
        entries = self.entries(names)
        self.run(self.subscriptions[topic].settle(records, entries))
        self.settled[topic].update(record.offset for record in records)
        self.keep(entries)

    @rule(topic=followed, limit=st.integers(1, 8))
    def before_committed(self, topic: str, limit: int) -> None:
        async def read() -> list[int]:
            before = await past(self.subscriptions[topic], limit)
            return [record.offset for record in before]

        assert self.run(read()) == sorted(self.settled[topic])[-limit:]

    @rule(topic=followed)
    def follow_again(self, topic: str) -> None:
        self.run(self.stacks[topic].aclose())
        self.run(self.follow(topic))

    @rule()
    def reopen(self) -> None:
        self.run(self.close())
        self.run(self.open())

    @rule(topic=topics)
    def scan(self, topic: str) -> None:
        assert values(self.run(scanned(self.log, topic))) == self.kept[topic]

    @invariant()
    def marks_are_the_settled(self) -> None:
        for topic, subscription in self.subscriptions.items():
            settled = self.settled[topic]
            assert subscription.lag == len(self.kept[topic]) - len(settled)
            starts = sum(n > 0 and n - 1 not in settled for n in settled)
            assert subscription.runs == starts

    @invariant()
    def records_are_counted(self) -> None:
        for state in self.run(self.log.topics()):
            assert state.records == len(self.kept[state.name])


def check(make: Callable[[Path], Backend], *, runs: int) -> None:
    case = type("Machine", (Machine,), {"make": staticmethod(make)}).TestCase  # type: ignore[attr-defined]  # hypothesis makes it
    case.settings = settings(max_examples=runs, stateful_step_count=25)
    case("runTest").runTest()


def test_sqlite_is_its_lists() -> None:
    check(SqliteBackend, runs=examples(40))


@pytest.mark.service
def test_kafka_is_its_lists(node: Node) -> None:
    check(lambda _: KafkaBackend(node), runs=8)
