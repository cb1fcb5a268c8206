"""What the log on SQLite deletes, and when: age, budgets, a size."""

from typing import Any

import pytest

from gateway.errors import LogError
from gateway.log.contract import Entry, Record
from gateway.log.sqlite.gaps import Gaps
from gateway.log.sqlite.log import SqliteLog
from tests.log.backends import (
    MEGABYTE,
    Clock,
    SqliteBackend,
    big,
    count,
    entry,
    numbered,
    scanned,
    settle_all,
    state,
    until,
    upkeep,
    values,
)

# Age


async def test_age_deletes_what_nobody_needs(sqlite: SqliteBackend) -> None:
    clock = Clock()
    async with sqlite.opened(clock=clock, retention_s=100) as log:
        for topic in ("events", "to.read", "to.unread", "outcomes", "dead.read"):
            await log.append(numbered(2_500, topic))
        await log.append(numbered(3, "suppressed"))
        await settle_all(log, "to.read", "read")
        async with log.subscribe("to.unread", group="unread") as subscription:
            records = await subscription.poll(limit=10, timeout_s=5)
            await subscription.settle([*records[:4], records[6]])
        clock.now += 60
        await log.append(numbered(1, "events"))
        clock.now += 60
        await upkeep(log)
        left = {topic.name: topic.records for topic in await log.topics()}
        assert left == {
            "events": 1,
            "to.read": 0,
            "to.unread": 2_496,
            "outcomes": 0,
            "dead.read": 0,
            "suppressed": 3,
        }
        assert count(sqlite, "records") == sum(left.values())


async def test_a_subscribed_group_holds_the_archive(sqlite: SqliteBackend) -> None:
    clock = Clock()
    async with sqlite.opened(clock=clock, retention_s=10) as log:
        await log.append(numbered(10, "events"))
        async with log.subscribe("events", group="replay.1") as subscription:
            records = await subscription.poll(limit=10, timeout_s=5)
            await subscription.settle(records[:4])
            clock.now += 60
            await upkeep(log)
            assert len(await scanned(log, "events")) == 6
        clock.now += 60
        await upkeep(log)
        events = await state(log, "events")
        assert (events.records, events.groups) == (0, ())


async def test_a_group_that_holds_nothing_keeps_nothing(
    sqlite: SqliteBackend,
) -> None:
    """So a reader that lags never fills the log: it goes on behind the gap."""
    clock = Clock()
    async with sqlite.opened(clock=clock, retention_s=10) as log:
        await log.append(numbered(10, "events"))
        async with log.subscribe("events", group="l", holds=False) as subscription:
            records = await subscription.poll(limit=4, timeout_s=5)
            await subscription.settle(records)
            clock.now += 60
            await upkeep(log)
            assert await scanned(log, "events") == []
            await log.append(numbered(1, "events"))
            (record,) = await subscription.poll(limit=10, timeout_s=5)
            await subscription.settle([record])
            assert record.offset == 10
            assert subscription.lag == 0


async def test_a_body_goes_with_its_last_record(sqlite: SqliteBackend) -> None:
    value = b"x" * 1_000
    clock = Clock()
    async with sqlite.opened(clock=clock, retention_s=10) as log:
        await log.append(
            [Entry(topic, b"k", value) for topic in ("events", "to.a", "to.a", "to.b")]
        )
        await settle_all(log, "to.a", "a")
        clock.now += 60
        await upkeep(log)
        assert (await state(log, "events")).records == 0
        assert (await state(log, "to.a")).records == 0
        assert values(await scanned(log, "to.b")) == [value.decode()]
        assert (count(sqlite, "bodies"), count(sqlite, "records")) == (1, 1)
        await settle_all(log, "to.b", "b")
        clock.now += 60
        await upkeep(log)
        assert (count(sqlite, "bodies"), count(sqlite, "records")) == (0, 0)


async def test_offsets_go_on_after_everything_is_deleted(sqlite: SqliteBackend) -> None:
    clock = Clock()
    async with sqlite.opened(clock=clock, retention_s=10) as log:
        await log.append(numbered(5, "events"))
        clock.now += 60
        await upkeep(log)
        assert await scanned(log, "events") == []
    async with sqlite.opened(clock=clock, retention_s=10) as log:
        await log.append(numbered(1, "events"))
        (record,) = await scanned(log, "events")
        assert record.offset == 5
        async with log.subscribe("events", group="new") as subscription:
            assert subscription.lag == 1


async def test_budgets_drop_the_oldest_read_or_not(sqlite: SqliteBackend) -> None:
    value = b"x" * 1_000
    budgets = {
        "refused_size": 50_000,
        "outcomes_size": 20_000,
        "dead_size": 100_000,
    }
    async with (
        sqlite.opened(**budgets) as log,
        log.subscribe("outcomes", group="account") as subscription,
    ):
        for topic in ("refused", "outcomes", "dead.a", "dead.b"):
            await log.append([Entry(topic, b"k", value) for _ in range(150)])
        await upkeep(log)
        sizes = {topic.name: topic.bytes for topic in await log.topics()}
        assert 48_000 < sizes["refused"] <= 50_000
        assert 18_000 < sizes["outcomes"] <= 20_000
        assert 98_000 < sizes["dead.a"] + sizes["dead.b"] <= 100_000
        assert sizes["dead.b"] == 100_000 // 1_041 * 1_041  # the older one went
        # What was dropped is no longer waited for.
        records = await subscription.poll(limit=500, timeout_s=5)
        assert subscription.lag == len(records) < 20
        await subscription.settle(records)
        assert (subscription.lag, subscription.runs) == (0, 0)
    gaps = [fields for code, fields in sqlite.told if code == "log_gap"]
    assert sum(gap["records"] for gap in gaps) == 150 - len(records)
    assert len(gaps) <= 2  # at once, and the rest at the end


def test_gaps_are_told_at_once_and_then_once_a_minute() -> None:
    told, now_s = list[tuple[str, int]](), 0.0

    def tell(code: str, /, **fields: Any) -> None:
        assert code == "log_gap"
        told.append((fields["group"], fields["records"]))

    gaps = Gaps(tell, lambda: now_s)
    for second in range(150):
        now_s = float(second)
        gaps.add("outcomes", "ledger", 10)
        if second == 30:
            gaps.add("outcomes", "mine", 5)
        gaps.tell()
    assert told == [("ledger", 10), ("mine", 5), ("ledger", 600), ("ledger", 600)]
    gaps.tell(every=True)
    assert told[4:] == [("ledger", 290)]
    gaps.tell(every=True)
    assert len(told) == 5


# Size


async def fill(log: SqliteLog, *topics: str) -> int:
    """Append until the log is full; how many were taken."""
    for taken in range(2_000):
        event = big(topics[0], taken)
        if log._upkeep.full:
            with pytest.raises(LogError, match="the log is full") as caught:
                await log.append([event._replace(topic=topic) for topic in topics])
            assert caught.value.code == "log_unavailable"
            return taken
        await log.append([event._replace(topic=topic) for topic in topics])
        await until(lambda: not log._upkeep.behind)
    raise AssertionError("never full")


async def test_over_size_the_settled_goes_first(sqlite: SqliteBackend) -> None:
    async with sqlite.opened(size=2 * MEGABYTE) as log:
        for number in range(600):
            await log.append([big(topic, number) for topic in ("events", "to.a")])
            if number % 20 == 0:
                await settle_all(log, "to.a", "a")
        await upkeep(log)
        events = await scanned(log, "events")
        assert 50 < len(events) < 200
        assert values(events)[-1].startswith("599x")
        # What was delivered is kept about as long: it tells duplicates (DESIGN 5.4).
        assert abs(len(await scanned(log, "to.a")) - len(events)) < 30
        await log.ping()
    assert sqlite.path.stat().st_size < 3 * MEGABYTE


async def test_unread_events_fill_the_log(sqlite: SqliteBackend) -> None:
    async with sqlite.opened(size=2 * MEGABYTE) as log:
        taken = await fill(log, "events", "to.crm")
        assert 150 < taken < 250
        with pytest.raises(
            LogError, match=r"unread events in to\.crm; raise log\.size"
        ):
            await log.ping()
        assert len(await scanned(log, "to.crm")) == taken  # none was deleted
        # The archive of what is unread is not deleted in vain.
        assert len(await scanned(log, "events")) == taken
        # What drains the log is taken.
        for topic in ("outcomes", "dead.crm", "refused"):
            await log.append([entry(topic)])
        async with log.subscribe("to.crm", group="crm") as subscription:
            records = await subscription.poll(limit=100, timeout_s=5)
            outcomes = [entry("outcomes") for _ in records]
            await subscription.settle(records, outcomes)
        await upkeep(log)
        await log.ping()
        await log.append([big("events"), big("to.crm")])
    codes = [code for code, _ in sqlite.told]
    assert codes == ["log_full", "log_has_room"]


async def test_a_full_log_is_full_after_a_restart(sqlite: SqliteBackend) -> None:
    async with sqlite.opened(size=MEGABYTE) as log:
        await fill(log, "to.crm")
    async with sqlite.opened(size=MEGABYTE) as log:
        with pytest.raises(LogError, match="full"):
            await log.append([big("to.crm")])
    async with sqlite.opened(size=2 * MEGABYTE) as log:
        await log.append([big("to.crm")])


async def test_one_blocked_event_does_not_fill_the_log(sqlite: SqliteBackend) -> None:
    async with (
        sqlite.opened(size=MEGABYTE) as log,
        log.subscribe("to.crm", group="crm") as subscription,
    ):
        blocked: list[Record] = []
        for number in range(400):
            await log.append([big("to.crm", number)])
            records = await subscription.poll(limit=10, timeout_s=5)
            if number == 0:
                blocked.extend(records)
            else:
                await subscription.settle(records)
        await upkeep(log)
        await log.ping()
        assert subscription.lag == 1
        kept = await scanned(log, "to.crm")
        assert values(kept)[0].startswith("0x")
        assert 20 < len(kept) < 120
        async with log.subscribe("to.crm", group="other") as other:
            records = await other.poll(limit=500, timeout_s=5)
            assert [r.offset for r in records] == [r.offset for r in kept]
            await other.settle(records)
            assert (other.lag, other.runs) == (0, 0)  # the deleted are passed
