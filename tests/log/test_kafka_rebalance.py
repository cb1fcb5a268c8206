"""Partitions that move between workers: nothing is lost, little comes twice."""

import asyncio
import signal
from collections import Counter
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, RequestTimedOutError

from gateway.errors import LogError
from gateway.log.kafka import ends as kafka_ends
from gateway.log.kafka import follow as kafka_follow
from gateway.log.kafka.follow import KafkaSubscription
from gateway.log.kafka.marks import Restored, restore
from tests.log.backends import KafkaBackend, numbered, polled, spread, until, values
from tests.log.broker.kafka import freeze

pytestmark = pytest.mark.service


async def take(
    subscription: KafkaSubscription, done: list[tuple[int, int]], values_: list[str]
) -> None:
    while True:
        records = await subscription.poll(limit=10, timeout_s=0.2)
        await asyncio.sleep(0.01)
        while True:
            try:
                await subscription.settle(records)
                break
            except LogError:
                await asyncio.sleep(0.05)
        done += [(record.partition, record.offset) for record in records]
        values_ += values(records)


async def test_two_share_and_the_second_goes(kafka: KafkaBackend) -> None:
    done: list[tuple[int, int]] = []
    seen: list[str] = []
    losses = 1  # the second's end is one

    def note(gone: frozenset[int], _: frozenset[int]) -> None:
        nonlocal losses
        losses += bool(gone)

    async with kafka.opened() as one, kafka.opened() as two:
        await one.append(spread(300))
        async with one.subscribe("to.crm", group="crm") as first:
            first.on_assign = note
            task = asyncio.create_task(take(first, done, seen))
            async with two.subscribe("to.crm", group="crm") as second:
                second.on_assign = note
                await until(lambda: len(first._marks) + len(second._marks) == 3)
                assert 0 < len(first._marks) < 3
                other = asyncio.create_task(take(second, done, seen))
                await one.append(spread(300, 300))
                await until(lambda: len(set(seen)) == 600)
                other.cancel()
                await asyncio.wait([other])
            await until(lambda: len(first._marks) == 3)
            await one.append(spread(100, 600))
            await until(lambda: len(set(seen)) == 700)
            task.cancel()
            await asyncio.wait([task])
            assert first.lag == 0
    # What came twice is what somebody had polled and not settled when it was lost.
    assert sum(count - 1 for count in Counter(done).values()) <= 10 * losses
    assert len(set(done)) == 700


async def test_partitions_that_come_back_go_on_where_they_were(
    kafka: KafkaBackend,
) -> None:
    lost: list[frozenset[int]] = []
    finished = 0

    async def finish() -> None:
        nonlocal finished
        finished += 1

    def note(gone: frozenset[int], new: frozenset[int]) -> None:
        lost.append(gone)
        assert not gone & new

    async with kafka.opened() as one, kafka.opened() as two:
        await one.append(spread(60))
        async with one.subscribe("to.crm", group="crm") as first:
            first.on_assign, first.on_revoke = note, finish
            held = await polled(first, 60)
            async with two.subscribe("to.crm", group="crm") as second:
                await until(lambda: len(first._marks) + len(second._marks) == 3)
                await until(lambda: bool(lost))
                mine = set(first._marks)
                assert lost == [frozenset(range(3)) - mine]
                assert finished == 1
                # What we still have is not polled again, what we lost is theirs.
                assert list(await first.poll(limit=100, timeout_s=0.5)) == []
                theirs = [r for r in held if r.partition not in mine]
                assert len(await polled(second, len(theirs))) == len(theirs)
                await first.settle(held)  # late for some: ignored
                assert (first.lag, second.lag) == (0, len(theirs))
                await second.settle(theirs)
                assert second.lag == 0


async def test_a_frozen_worker_breaks_nothing(kafka: KafkaBackend) -> None:
    seen: list[str] = []
    done: list[tuple[int, int]] = []
    async with kafka.opened() as log:
        await log.append(spread(200))
        child = kafka.spawn("follow")
        with child:
            assert child.stdout
            assert child.stdout.readline() == "joined\n"
            head = [child.stdout.readline().strip() for _ in range(20)]
            await asyncio.to_thread(freeze, child)
            try:
                async with log.subscribe("to.crm", group="crm") as subscription:
                    task = asyncio.create_task(take(subscription, done, seen))
                    await log.append(spread(100, 200))
                    await until(lambda: len(subscription._marks) == 3)
                    await until(lambda: subscription.lag == 0)
                    marks = {n: m.mark for n, m in subscription._marks.items()}
                    child.send_signal(signal.SIGCONT)  # it still has old records
                    await until(lambda: len(subscription._marks) < 3)
                    task.cancel()
                    await asyncio.wait([task])
            finally:
                child.send_signal(signal.SIGCONT)
                child.kill()
            tail = [line.strip() for line in child.stdout]
        assert {*seen, *head, *tail} >= {str(n) for n in range(300)}
        # It went on with at most what it held; it did not move a mark back.
        assert len({*head, *tail} & set(seen)) <= 5
        async with log.subscribe("to.crm", group="crm") as subscription:
            assert {n: m.mark for n, m in subscription._marks.items()} == marks
            assert subscription.lag == 0


async def test_a_membership_that_broke_is_made_anew(kafka: KafkaBackend) -> None:
    lost: list[frozenset[int]] = []
    async with kafka.opened() as log:
        await log.append(numbered(4))
        async with log.subscribe("to.crm", group="crm") as subscription:
            subscription.on_assign = lambda gone, _: lost.append(gone)
            records = await polled(subscription, 4)
            await subscription.settle(records[:1])
            coordinator = subscription._consumer._coordinator

            def fail(*_: object) -> None:
                raise RuntimeError("a bug")

            coordinator.ensure_active_group = fail
            coordinator.request_rejoin()
            await until(coordinator._coordination_task.done)
            with pytest.raises(LogError, match="a bug"):
                await subscription.poll(limit=1, timeout_s=1)
            again = await polled(subscription, 3)
            assert values(again) == ["1", "2", "3"]
            assert lost == [frozenset(range(3))]
            await subscription.settle(again)
            assert subscription.lag == 0
    assert "log_follow_failed" in dict(kafka.told)


async def test_an_error_during_a_rebalance_is_heard_though_nobody_fetches(
    kafka: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka goes no further until it is; a right that was lost and came back."""
    monkeypatch.setattr(kafka_ends, "ENDS_S", 0.1)
    async with kafka.opened() as log, log.subscribe("to.crm", group="crm") as follower:
        await log.append(numbered(2))
        await follower.settle(await polled(follower, 2))
        coordinator = follower._consumer._coordinator
        join = coordinator._do_rejoin_group

        async def refuse(_: object) -> None:
            coordinator._do_rejoin_group = join
            raise GroupAuthorizationFailedError("crm")

        coordinator._do_rejoin_group = refuse
        coordinator.request_rejoin()
        await until(lambda: not follower._ready.is_set())
        await log.append(numbered(2, start=2))
        assert values(await polled(follower, 2)) == ["2", "3"]
    assert "Read on the group" in dict(kafka.told)["log_read_failed"]["error"]
    assert "log_read_recovered" in dict(kafka.told)


async def test_marks_that_could_not_be_restored_are_restored_by_joining_anew(
    kafka: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> Restored:
        monkeypatch.undo()
        raise RuntimeError("a bug")

    async with kafka.opened() as log, log.subscribe("to.crm", group="crm") as follower:
        monkeypatch.setattr(kafka_follow, "restore", fail)
        follower._consumer._coordinator.request_rejoin()
        await until(lambda: "log_follow_failed" in dict(kafka.told))
        await log.append(numbered(2))
        assert values(await polled(follower, 2)) == ["0", "1"]


async def test_what_is_pending_is_not_polled_again_while_marks_are_restored(
    kafka: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka starts at the commit after every rebalance; a poll may be under way."""
    restoring, may_restore = asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> Restored:
        restoring.set()
        await may_restore.wait()
        return await restore(*arguments)

    def refetched(subscription: KafkaSubscription, ends: dict[int, int]) -> bool:
        state = subscription._consumer._subscription.subscription.assignment.state_value
        places = [(state(subscription._tp(n)), end) for n, end in ends.items()]
        return all(p.has_valid_position and p.position == end for p, end in places)

    async with kafka.opened() as one, kafka.opened() as two:
        await one.append(spread(60))
        async with one.subscribe("to.crm", group="crm") as first:
            held = await polled(first, 60)
            async with two.subscribe("to.crm", group="crm") as second:
                await until(lambda: len(first._marks) + len(second._marks) == 3)
                mine = set(first._marks)
                poll = asyncio.create_task(first.poll(limit=100, timeout_s=60))
                monkeypatch.setattr(kafka_follow, "restore", slow)
            await restoring.wait()
            ends = {n: first._places[n] for n in mine}
            await until(lambda: refetched(first, ends))
            may_restore.set()
            theirs = [r.offset for r in held if r.partition not in mine]
            again = [
                *await poll,
                *await polled(first, len(theirs) - len(poll.result())),
            ]
            assert not {record.partition for record in again} & mine
            assert sorted(record.offset for record in again) == sorted(theirs)
            await first.settle([*held, *again])
            assert first.lag == 0


async def test_a_commit_is_not_sent_again_by_the_next_generation(
    kafka: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka repeats a commit until it is taken, whoever has the partitions then."""
    monkeypatch.setattr(kafka_follow, "REVOKE_S", 0.3)
    async with kafka.opened() as one, kafka.opened() as two:
        await one.append(spread(60))
        async with one.subscribe("to.crm", group="crm") as first:
            held = await polled(first, 60)
            coordinator = first._consumer._coordinator
            commit, old = coordinator._do_commit_offsets, coordinator.generation

            async def late(*arguments: Any) -> None:
                if coordinator.generation == old:
                    raise RequestTimedOutError
                await commit(*arguments)

            monkeypatch.setattr(coordinator, "_do_commit_offsets", late)
            settling = asyncio.create_task(first.settle(held))
            async with two.subscribe("to.crm", group="crm") as second:
                await until(lambda: len(first._marks) + len(second._marks) == 3)
                with pytest.raises(LogError):
                    await settling
                await first.settle(held)
                theirs = list(map(second._tp, second._marks))
                stored = await two._topics.committed("crm", theirs)
                assert {at.offset for at in stored.values()} == {0}
                await polled(second, sum(r.partition in second._marks for r in held))
    assert "log_revoke_timeout" in dict(kafka.told)


async def test_what_a_rebalance_waits_for_too_long_is_said_to_be_overdue(
    kafka: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_follow, "REVOKE_S", 0.3)
    told: list[str] = []

    async def never() -> None:
        told.append("revoke")
        await asyncio.Event().wait()

    async with kafka.opened() as one, kafka.opened() as two:
        await one.append(spread(60))
        async with one.subscribe("to.crm", group="crm") as first:
            await polled(first, 60)
            first.on_revoke = never
            first.on_overdue = lambda: told.append("overdue")
            first.on_assign = lambda *_: told.append("assign")
            async with two.subscribe("to.crm", group="crm") as second:
                await until(lambda: "assign" in told)
                assert len(first._marks) + len(second._marks) == 3
            assert told[:3] == ["revoke", "overdue", "assign"]


async def test_who_was_expelled_waits_for_nothing(
    kafka: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_follow, "REVOKE_S", 1_000.0)
    lost: list[frozenset[int]] = []

    async def never() -> None:
        await asyncio.Event().wait()

    async with kafka.opened(session_s=1.0) as log:
        await log.append(numbered(4))
        async with log.subscribe("to.crm", group="crm") as subscription:
            subscription.on_revoke = never
            subscription.on_overdue = lambda: pytest.fail("it waits for nothing")
            subscription.on_assign = lambda gone, _: lost.append(gone)
            records = await polled(subscription, 4)
            await subscription.settle(records[:1])
            subscription._consumer._coordinator.reset_generation()
            await until(lambda: lost == [frozenset()])  # nobody has had them since
            await subscription.settle(records[1:])
            assert subscription.lag == 0
    assert kafka.told == []
