"""Who follows closely gets what is new from memory: what is in the file, no other."""

import asyncio
import random
from collections.abc import Callable

import pytest

from gateway.errors import LogError
from gateway.log.contract import Entry, Record, Span
from gateway.log.sqlite.fresh import FRESH_MAX, Grown, fresh_of, taken
from gateway.log.sqlite.log import SqliteLog
from gateway.log.sqlite.read import Reader
from tests.log.backends import SqliteBackend, numbered, values
from tests.whole import until

TOPIC = "to.crm"
ROUTED = (("source", b"web"), ("route", b'{"to":["crm"]}'))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each question to the file."""
    ask, found = Reader.ask, list[int]()

    async def counted(self: Reader, question: Callable[..., object]) -> object:
        found.append(1)
        return await ask(self, question)

    monkeypatch.setattr(Reader, "ask", counted)
    return found


async def write(log: SqliteLog, total: int, chance: random.Random) -> None:
    """So many, in pieces that are handed over and in pieces that are read."""
    sent = 0
    while sent < total:
        count = min(chance.choice((1, 1, 2, 5, 40)), total - sent)
        await log.append(numbered(count, start=sent))
        sent += count
        await asyncio.sleep(chance.choice((0, 0, 0.002)))


async def in_file(log: SqliteLog) -> list[Record]:
    return [record async for record in log.scan(TOPIC, Span())]


async def test_who_waits_at_the_end_gets_what_is_new_without_a_question_to_the_file(
    sqlite: SqliteBackend, asked: list[int]
) -> None:
    async with sqlite.opened() as log, log.subscribe(TOPIC, group="crm") as reading:
        poll = asyncio.create_task(reading.poll(limit=10, timeout_s=10))
        await asyncio.sleep(0)
        shared = Entry(TOPIC, b"k", b"v", ROUTED)
        await log.append([shared, shared._replace(topic="events"), *numbered(2)])
        found = list(await poll)
        assert asked == []
        assert found == await in_file(log)
        assert found[0].headers == ROUTED


async def test_who_is_behind_reads_the_file(
    sqlite: SqliteBackend, asked: list[int]
) -> None:
    async with sqlite.opened() as log, log.subscribe(TOPIC, group="crm") as reading:
        await log.append(numbered(2))
        await log.append(numbered(2, start=2))
        assert values(await reading.poll(limit=10, timeout_s=10)) == list("0123")
        assert asked == [1]


async def test_what_failed_beside_it_is_never_handed_over(
    sqlite: SqliteBackend,
) -> None:
    async with sqlite.opened() as log, log.subscribe(TOPIC, group="crm") as reading:
        poll = asyncio.create_task(reading.poll(limit=10, timeout_s=10))
        await asyncio.sleep(0)
        unfit = Entry(TOPIC, b"k", b"lost", (("a", 5),))  # type: ignore[arg-type]
        failed, _ = await asyncio.gather(
            log.append([unfit]), log.append(numbered(1)), return_exceptions=True
        )
        assert isinstance(failed, LogError)
        assert list(await poll) == await in_file(log)


async def test_much_at_once_is_read_from_the_file(
    sqlite: SqliteBackend, asked: list[int]
) -> None:
    async with sqlite.opened() as log, log.subscribe(TOPIC, group="crm") as reading:
        await log.append(numbered(FRESH_MAX + 1))
        assert len(await reading.poll(limit=99, timeout_s=10)) == FRESH_MAX + 1
        assert asked == [1]


async def test_what_is_settled_does_not_come_back_from_memory(
    sqlite: SqliteBackend,
) -> None:
    async with sqlite.opened() as log:
        async with log.subscribe(TOPIC, group="crm") as reading:
            await log.append(numbered(3))
            zero, one, _ = await reading.poll(limit=10, timeout_s=10)
            await reading.settle([one])
            await reading.settle([zero])
        async with log.subscribe(TOPIC, group="crm") as reading:
            assert values(await reading.poll(limit=10, timeout_s=10)) == ["2"]


@pytest.mark.parametrize("seed", range(20))
async def test_a_follower_sees_each_record_once_and_in_order_however_they_come(
    sqlite: SqliteBackend, seed: int
) -> None:
    chance, total = random.Random(seed), 120
    async with sqlite.opened() as log, log.subscribe(TOPIC, group="crm") as reading:
        writing = asyncio.create_task(write(log, total, chance))
        found: list[Record] = []
        while len(found) < total:
            records = await reading.poll(limit=chance.randint(1, 30), timeout_s=10)
            found += records
            if chance.random() < 0.3:
                await reading.settle(records)
        await writing
        assert found == await in_file(log)


async def followed(log: SqliteLog, late_s: float, found: list[Record]) -> None:
    async for record in log.scan(TOPIC, Span(), follow=True, late_s=late_s):
        found.append(record)  # noqa: PERF401 -- it never ends


@pytest.mark.parametrize("late_s", [0.0, 0.02])
@pytest.mark.parametrize("seed", range(5))
async def test_a_scan_that_follows_sees_each_record_once_and_in_order(
    sqlite: SqliteBackend, seed: int, late_s: float
) -> None:
    chance, total, found = random.Random(seed), 120, list[Record]()
    async with sqlite.opened() as log:
        following = asyncio.create_task(followed(log, late_s, found))
        await write(log, total, chance)
        await until(lambda: len(found) >= total)
        following.cancel()
        await asyncio.wait([following])
        assert found == await in_file(log)


async def test_a_scan_at_the_end_asks_no_question(
    sqlite: SqliteBackend, asked: list[int]
) -> None:
    found = list[Record]()
    async with sqlite.opened(topics=[TOPIC]) as log:
        following = asyncio.create_task(followed(log, 0.0, found))
        await asyncio.sleep(0)
        for number in range(3):
            await log.append(numbered(1, start=number))
            await until(lambda: len(found) == number + 1)  # noqa: B023 -- awaited here
        assert asked == []
        following.cancel()
        await asyncio.wait([following])


async def test_who_may_be_told_late_asks_once_for_what_came_meanwhile(
    sqlite: SqliteBackend, asked: list[int]
) -> None:
    found = list[Record]()
    async with sqlite.opened(topics=[TOPIC]) as log:
        following = asyncio.create_task(followed(log, 2.0, found))
        await asyncio.sleep(0)
        for number in range(3):
            await log.append(numbered(FRESH_MAX + 1, start=number * (FRESH_MAX + 1)))
        await until(lambda: len(found) == 3 * (FRESH_MAX + 1))
        assert asked == [1]
        following.cancel()
        await asyncio.wait([following])


def test_too_much_is_none_and_others_topics_are_not_kept() -> None:
    grown = Grown(5, {TOPIC: 7, "events": 3})
    some = [[Entry(TOPIC, b"k", b"a"), Entry("events", b"k", b"a")]]
    some.append([Entry(TOPIC, b"k", b"b")])
    expected = [
        Record(TOPIC, 0, 7, b"k", b"a", (), 5),
        Record(TOPIC, 0, 8, b"k", b"b", (), 5),
    ]
    assert fresh_of(some, grown, {TOPIC}) == {TOPIC: expected}
    assert fresh_of([*some, numbered(FRESH_MAX)], grown, {TOPIC}) == {}


def test_taken_is_all_of_a_span_or_nothing() -> None:
    fresh = [Record(TOPIC, 0, n, b"k", b"v", (), 5) for n in (7, 8, 9)]
    assert taken(fresh, (7, 10), 9) == fresh
    assert taken(fresh, (8, 10), 1) == fresh[1:2]
    assert taken(fresh, (8, 9), 9) == fresh[1:2]
    assert taken(fresh, (6, 10), 9) == ()
    assert taken(fresh, (7, 11), 9) == ()
    assert taken((), (7, 10), 9) == ()
