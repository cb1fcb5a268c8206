"""The promises of log/contract.py. Every backend keeps all of them."""

import asyncio
import itertools
import time

import pytest

from gateway.errors import LogError
from gateway.log.contract import Entry, EventLog, Record, Span
from tests.log.backends import (
    PATIENCE_S,
    Backend,
    SqliteBackend,
    entry,
    numbered,
    scanned,
    taken,
    until,
    values,
)


async def test_appended_is_read_as_it_was(log: EventLog) -> None:
    headers = (("messageId", b"m\n1"), ("source", b""), ("route", b"\x00\xff"))
    value = b'{"name": "\xc3\xa5"}'
    before_ms = int(time.time() * 1000)
    await log.append(
        [
            Entry("events", b"ann", value, headers),
            Entry("to.crm", b"ann", value, headers[:2]),
            Entry("to.file", b"ann", value, ()),
            Entry("to.crm", b"", b""),
        ]
    )
    (archived,) = await scanned(log, "events")
    first, second = await scanned(log, "to.crm")
    (bare,) = await scanned(log, "to.file")
    assert (archived.topic, archived.key, archived.value) == ("events", b"ann", value)
    assert archived.headers == headers
    assert first.headers == headers[:2]
    assert bare.headers == ()
    assert (second.key, second.value, second.headers) == (b"", b"", ())
    assert first.offset < second.offset
    assert before_ms <= first.appended_at_ms <= time.time() * 1000


async def test_nothing_to_append_is_nothing(log: EventLog) -> None:
    await log.append([])
    assert log.waiting_bytes == 0


async def test_append_is_durable_after_kill(backend: Backend) -> None:
    for _ in range(3):
        child = backend.spawn("append")
        with child:
            assert child.stdout
            promised = [int(line) for line in itertools.islice(child.stdout, 200)]
            child.kill()
            promised += [int(line) for line in child.stdout]
        async with backend.opened() as log:
            archived = values(await scanned(log, "events"))
            routed = values(await scanned(log, "to.crm"))
    assert promised == list(range(len(promised)))
    last = [str(number) for number in promised]
    for kept in (archived, routed):
        start = max(i for i, value in enumerate(kept) if value == "0")
        assert kept[start : start + len(last)] == last
        # The kill may have come between a commit and its line, not two of them.
        assert len(kept) - start - len(last) in (0, 1)


async def test_settled_is_settled_after_kill(backend: Backend) -> None:
    child = backend.spawn("settle")
    with child:
        assert child.stdout
        promised = [line.strip() for line in itertools.islice(child.stdout, 100)]
        child.kill()
        promised += [line.strip() for line in child.stdout]
    async with backend.opened() as log:
        outcomes = values(await scanned(log, "outcomes"))
        async with log.subscribe("to.crm", group="crm") as subscription:
            (first, *_) = values(await subscription.poll(limit=10, timeout_s=5))
    assert outcomes[: len(promised)] == promised
    # What was promised is settled, and no mark was written before its outcome.
    assert len(promised) <= int(first) <= len(outcomes)
    if isinstance(backend, SqliteBackend):  # one transaction holds both
        assert int(first) == len(outcomes)


async def test_order_is_kept_per_key(log: EventLog) -> None:
    async def send(key: str) -> None:
        for number in range(50):
            await log.append([entry(key=key, value=str(number))])

    await asyncio.gather(*(send(f"key{n}") for n in range(8)))
    records = await scanned(log)
    for key in {record.key for record in records}:
        mine = [record for record in records if record.key == key]
        assert values(mine) == [str(number) for number in range(50)]


async def test_order_is_kept_among_appends_that_wait_together(log: EventLog) -> None:
    appends = [log.append(numbered(3, start=n)) for n in range(0, 300, 3)]
    await asyncio.gather(*appends)
    assert values(await scanned(log)) == [str(n) for n in range(300)]


async def test_poll_yields_each_once(log: EventLog) -> None:
    await log.append(numbered(25))
    async with log.subscribe("to.crm", group="crm") as subscription:
        polled: list[Record] = []
        while len(polled) < 25:
            records = await subscription.poll(limit=10, timeout_s=5)
            assert len(records) <= 10
            polled += records
        assert list(await subscription.poll(limit=10, timeout_s=0.01)) == []
    assert values(polled) == [str(n) for n in range(25)]


async def test_poll_wakes_when_something_comes(log: EventLog) -> None:
    async with log.subscribe("to.crm", group="crm") as subscription:
        poll = asyncio.create_task(subscription.poll(limit=10, timeout_s=30))
        await asyncio.sleep(0)
        await log.append([entry("to.other"), entry(value="new")])
        async with asyncio.timeout(25):  # less than its own
            assert values(await poll) == ["new"]


async def test_poll_of_none_settles_none(log: EventLog) -> None:
    await log.append(numbered(2))
    async with log.subscribe("to.crm", group="crm") as subscription:
        assert list(await subscription.poll(limit=0, timeout_s=0)) == []
        await subscription.settle([])
        assert subscription.lag == 2


async def test_poll_is_empty_after_its_timeout(log: EventLog) -> None:
    async with log.subscribe("to.crm", group="crm") as subscription:
        started = time.monotonic()
        assert list(await subscription.poll(limit=10, timeout_s=0.05)) == []
        assert 0.04 < time.monotonic() - started < PATIENCE_S


async def test_poll_is_bounded_in_bytes(log: EventLog) -> None:
    value = b"x" * 1_000_000
    await log.append([Entry("to.crm", b"k", value) for _ in range(20)])
    async with log.subscribe("to.crm", group="crm") as subscription:
        sizes: list[int] = []
        while sum(sizes) < 20:
            sizes.append(len(await subscription.poll(limit=100, timeout_s=5)))
    assert sum(sizes) == 20
    assert max(sizes) <= 10


async def test_a_cancelled_poll_loses_nothing(log: EventLog) -> None:
    """Wherever it is cancelled; one that has its records by then keeps them."""
    await log.append(numbered(3))
    seen, cancelled = [], 0
    async with log.subscribe("to.crm", group="crm") as subscription:
        for pause_s in (0, 0.001, 0.01, 0.1):
            poll = asyncio.create_task(subscription.poll(limit=1, timeout_s=30))
            await asyncio.sleep(pause_s)
            poll.cancel()
            await asyncio.wait([poll])
            cancelled += poll.cancelled()
            if not poll.cancelled():
                assert poll.result()  # or it would have swallowed that it is cancelled
                seen += values(poll.result())
        while len(seen) < 3:
            seen += values(await subscription.poll(limit=1, timeout_s=5))
    assert seen == ["0", "1", "2"]
    assert cancelled


async def test_unsettled_comes_back(backend: Backend) -> None:
    async with backend.opened() as log:
        await log.append(numbered(3))
        for _ in range(2):
            async with log.subscribe("to.crm", group="crm") as subscription:
                assert len(await subscription.poll(limit=10, timeout_s=5)) == 3
    async with (
        backend.opened() as log,
        log.subscribe("to.crm", group="crm") as subscription,
    ):
        assert len(await subscription.poll(limit=10, timeout_s=5)) == 3


async def test_settled_out_of_order_stays_settled(backend: Backend) -> None:
    async with backend.opened() as log:
        await log.append(numbered(10))
        async with log.subscribe("to.crm", group="crm") as subscription:
            records = await subscription.poll(limit=10, timeout_s=5)
            await subscription.settle([records[7], records[1], records[2]])
            assert (subscription.runs, subscription.lag) == (2, 7)
            await subscription.settle([records[0], records[9]])
            assert (subscription.runs, subscription.lag) == (2, 5)
    async with (
        backend.opened() as log,
        log.subscribe("to.crm", group="crm") as subscription,
    ):
        assert (subscription.runs, subscription.lag) == (2, 5)
        left = await subscription.poll(limit=10, timeout_s=5)
        assert values(left) == ["3", "4", "5", "6", "8"]
        await subscription.settle(left)
        assert (subscription.runs, subscription.lag) == (0, 0)
        assert list(await subscription.poll(limit=10, timeout_s=0.01)) == []


async def test_settling_twice_is_settling_once(log: EventLog) -> None:
    await log.append(numbered(2))
    async with log.subscribe("to.crm", group="crm") as subscription:
        records = await subscription.poll(limit=10, timeout_s=5)
        await subscription.settle(records[1:])
        await subscription.settle(records[1:])
        assert (subscription.lag, subscription.runs) == (1, 1)


async def test_settle_writes_entries_and_marks(log: EventLog) -> None:
    await log.append(numbered(2))
    async with log.subscribe("to.crm", group="crm") as subscription:
        records = await subscription.poll(limit=10, timeout_s=5)
        outcomes = [entry("outcomes", value=f"o{n}") for n in range(2)]
        await subscription.settle(records, outcomes)
        assert subscription.lag == 0
    assert values(await scanned(log, "outcomes")) == ["o0", "o1"]


async def test_settle_that_fails_marks_nothing(backend: Backend) -> None:
    async with backend.opened(append_timeout_s=0.1) as log:
        await log.append(numbered(2))
        async with log.subscribe("to.crm", group="crm") as subscription:
            records = await subscription.poll(limit=10, timeout_s=5)
            with backend.stuck(log):
                with pytest.raises(LogError):
                    await subscription.settle(records, [entry("outcomes")])
                assert subscription.lag == 2
            outcome = [entry("outcomes")]
            await taken(lambda: subscription.settle(records, outcome))  # calling again
            assert subscription.lag == 0


async def test_settles_at_the_same_time_all_count(log: EventLog) -> None:
    await log.append(numbered(200))
    async with log.subscribe("to.crm", group="crm") as subscription:
        records = await subscription.poll(limit=200, timeout_s=5)
        shuffled = [records[(n * 77) % 200] for n in range(200)]
        await asyncio.gather(
            *(subscription.settle([r], [entry("outcomes")]) for r in shuffled)
        )
        assert (subscription.lag, subscription.runs) == (0, 0)
    assert len(await scanned(log, "outcomes")) == 200


async def test_groups_do_not_see_each_other(log: EventLog) -> None:
    await log.append(numbered(2, "events"))
    async with (
        log.subscribe("events", group="one") as one,
        log.subscribe("events", group="two") as two,
    ):
        await one.settle(await one.poll(limit=10, timeout_s=5))
        assert (one.lag, two.lag) == (0, 2)
        assert len(await two.poll(limit=10, timeout_s=5)) == 2


async def test_a_group_is_followed_by_one(log: EventLog) -> None:
    async with log.subscribe("to.crm", group="crm"):
        with pytest.raises(LogError, match="already"):
            async with log.subscribe("to.crm", group="crm"):
                pass
    async with log.subscribe("to.crm", group="crm"):
        pass


async def test_a_new_group_starts_at_the_oldest(log: EventLog) -> None:
    await log.append(numbered(3))
    async with log.subscribe("to.crm", group="late") as subscription:
        assert subscription.lag == 3
        assert values(await subscription.poll(limit=10, timeout_s=5)) == ["0", "1", "2"]


async def test_pause_yields_nothing_and_resume_goes_on(log: EventLog) -> None:
    await log.append(numbered(4))
    async with log.subscribe("to.crm", group="crm") as subscription:
        await subscription.poll(limit=2, timeout_s=5)
        subscription.pause()
        assert list(await subscription.poll(limit=10, timeout_s=0.01)) == []
        poll = asyncio.create_task(subscription.poll(limit=10, timeout_s=30))
        await asyncio.sleep(0)
        assert subscription.lag == 4
        subscription.resume()
        async with asyncio.timeout(25):  # less than its own
            assert values(await poll) == ["2", "3"]


async def test_scan_moves_no_group(log: EventLog) -> None:
    await log.append(numbered(3))
    async with log.subscribe("to.crm", group="crm") as subscription:
        assert len(await scanned(log)) == 3
        assert subscription.lag == 3
        assert len(await subscription.poll(limit=10, timeout_s=5)) == 3
        await subscription.settle(await subscription.poll(limit=10, timeout_s=0))
        assert len(await scanned(log)) == 3


async def test_scan_of_an_unknown_topic_is_empty(log: EventLog) -> None:
    assert await scanned(log, "to.nobody") == []


async def test_scan_ends_at_the_end(log: EventLog) -> None:
    await log.append(numbered(1_300))
    seen = 0
    async for _ in log.scan("to.crm", Span()):
        if seen in (0, 700):
            await log.append(numbered(10))
        seen += 1
    assert 1_300 <= seen <= 1_320


async def test_scan_is_by_appended_time(log: EventLog) -> None:
    for number in range(5):
        await log.append(numbered(3, start=3 * number))
        await asyncio.sleep(0.003)
    records = await scanned(log)
    times = [record.appended_at_ms for record in records]
    assert times == sorted(times)
    for at_ms in {*times, times[0] - 1, times[-1] + 1}:
        since = await scanned(log, from_ms=at_ms)
        assert values(since) == values(r for r in records if r.appended_at_ms >= at_ms)
        before = await scanned(log, until_ms=at_ms)
        assert values(before) == values(r for r in records if r.appended_at_ms < at_ms)
    middle = await scanned(log, from_ms=times[3], until_ms=times[9])
    assert values(middle) == [str(n) for n in range(3, 9)]


@pytest.mark.parametrize("late_s", [0.0, 0.1])
@pytest.mark.parametrize("known", [True, False])
async def test_scan_that_follows_goes_on(
    log: EventLog, *, known: bool, late_s: float
) -> None:
    if known:
        await log.append(numbered(2))
    seen: list[Record] = []

    async def follow() -> None:
        async for record in log.scan("to.crm", Span(), follow=True, late_s=late_s):
            seen.append(record)  # noqa: PERF401 -- it never ends

    task = asyncio.create_task(follow())
    await until(lambda: len(seen) == 2 * known)
    await log.append(numbered(2, start=2))
    await until(lambda: len(seen) == 2 + 2 * known)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_topics_have_sizes_and_groups(log: EventLog) -> None:
    await log.append([*numbered(5, "events"), *numbered(3)])
    async with log.subscribe("to.crm", group="crm") as subscription:
        records = await subscription.poll(limit=2, timeout_s=5)
        await subscription.settle(records[1:])
    events, crm = await log.topics()
    assert (events.name, events.records, events.groups) == ("events", 5, ())
    assert (crm.name, crm.records) == ("to.crm", 3)
    assert 0 < crm.bytes < events.bytes
    (group,) = crm.groups
    assert (group.name, group.committed, group.lag) == ("crm", 0, 2)


async def test_topics_asked_for_are_made(backend: Backend) -> None:
    for _ in range(2):
        async with backend.opened(topics=["events", "to.crm"]) as log:
            topics = await log.topics()
            assert [(t.name, t.records, t.groups) for t in topics] == [
                ("events", 0, ()),
                ("to.crm", 0, ()),
            ]
