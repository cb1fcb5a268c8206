"""What a worker holds: bounds, pauses, a log that is away."""

import asyncio
from typing import Any

import pytest

from gateway.outbound import poll
from gateway.outbound.contract import Delivered, Rejected, Retry, Takes

FEW = Takes(types=frozenset({"identify"}), hold_events=10)


async def test_a_log_that_is_away_is_waited_for_and_nothing_is_lost(
    bench: Any, recorder: Any, entry: Any, wait_until: Any, away: Any
) -> None:
    crm = recorder()
    async with bench.open():
        log = away(bench.log)
        await bench.log.append([entry(number, f"u{number}") for number in range(40)])
        async with bench.running(crm, concurrency=4, unsettled=1, log=log):
            await wait_until(lambda: log.asked["subscribe"] >= 2)
            log.away = False
            crm.gate.clear()
            await wait_until(lambda: log.asked["poll"] >= 1)
            log.away = True
            crm.gate.set()
            await wait_until(lambda: log.asked["settle"] >= 3)
            assert len(crm.got) == 4  # nobody goes on while so many are not settled
            log.away = False
            await bench.settled(40)
        assert len(crm.got) == 40
        assert bench.notices.counts["log_unavailable"] >= 4
        assert log.asked.total() < 200  # it is asked slower and slower


async def test_what_was_polled_waits_until_the_past_of_new_partitions_is_known(
    bench: Any, recorder: Any, entry: Any, wait_until: Any, away: Any
) -> None:
    crm = recorder()
    async with bench.open():
        log = away(bench.log)
        log.away = False
        async with bench.running(crm, log=log) as worker:
            await wait_until(lambda: log.asked["poll"] >= 1)
            log.away = "remember"
            worker._run.rebalance.end(
                frozenset(), frozenset({0})
            )  # as a rebalance does
            await bench.log.append([entry(number, "u") for number in range(3)])
            await wait_until(lambda: log.asked["remember"] >= 3)
            assert crm.got == []
            log.away = False
            await bench.settled(3)
    assert crm.ids() == ["m0", "m1", "m2"]


async def test_what_was_polled_is_another_s_when_its_partition_is_lost_meanwhile(
    bench: Any, recorder: Any, entry: Any, wait_until: Any, away: Any
) -> None:
    crm = recorder()
    async with bench.open():
        log = away(bench.log)
        log.away = False
        async with bench.running(crm, log=log) as worker:
            await wait_until(lambda: log.asked["poll"] >= 1)
            log.away = "remember"
            rebalance = worker._run.rebalance
            rebalance.end(frozenset(), frozenset({0}))
            await bench.log.append([entry(number, "u") for number in range(3)])
            await wait_until(lambda: log.asked["remember"] >= 2)
            rebalance.end(frozenset({0}), frozenset())
            polls, log.away = log.asked["poll"], False
            await wait_until(lambda: log.asked["poll"] > polls)
            assert worker.state()["pending"] == 0
    assert crm.got == []


async def test_an_open_breaker_with_nothing_pending_finds_something_to_probe_with(
    bench: Any,
    recorder: Any,
    entry: Any,
    wait_until: Any,
    monkeypatch: pytest.MonkeyPatch,
    away: Any,
) -> None:
    monkeypatch.setattr(poll, "POLL_S", 0.01)  # no poll is under way any more
    crm = recorder()
    crm.answer = lambda _: Rejected("rejected", "404", 404)
    async with bench.open():
        await bench.log.append([entry(number, f"u{number}") for number in range(20)])
        log = away(bench.log)
        log.away = False
        async with bench.running(crm, log=log) as worker:
            await wait_until(lambda: worker.state()["breaker"] == "rejections")
            await bench.settled(20)
            polls = log.asked["poll"]
            await wait_until(lambda: log.asked["poll"] > polls + 1)
            crm.answer = lambda _: Delivered(200)
            await bench.log.append([entry(number, "late") for number in range(20, 25)])
            await bench.settled(25)
            assert worker.state()["breaker"] is None


async def test_at_the_bound_the_longest_blocked_is_given_up_and_the_rest_goes_on(
    bench: Any,
    recorder: Any,
    entry: Any,
) -> None:
    crm = recorder(FEW)
    crm.answer = lambda each: (
        Retry("503", status=503) if each.event.key.startswith("bad") else Delivered(200)
    )
    async with bench.open():
        users = [f"bad{n}" if n % 2 else f"u{n}" for n in range(40)]
        await bench.log.append([entry(n, user) for n, user in enumerate(users)])
        async with bench.running(
            crm, concurrency=2, retry_base_s=30.0, retry_cap_s=30.0
        ):
            await bench.settled(30)
        found = {each["messageId"]: each for each in await bench.outcomes()}
        good = {f"m{n}" for n in range(0, 40, 2)}
        assert good <= found.keys()
        dead = [each for each in found.values() if each["kind"] == "dead"]
        assert {each["reason"] for each in dead} == {"pressure"}
        assert {each["messageId"] for each in dead} == {
            f"m{n}" for n in range(1, 2 * len(dead), 2)
        }
        assert bench.notices.counts["pressure"] == len(dead)


async def test_a_slow_destination_is_no_reason_to_give_anything_up(
    bench: Any,
    recorder: Any,
    entry: Any,
    wait_until: Any,
) -> None:
    crm = recorder(FEW)
    async with bench.open():
        await bench.log.append([entry(n, f"u{n}") for n in range(100)])
        crm.gate.clear()
        async with bench.running(crm, concurrency=4) as worker:
            await wait_until(lambda: crm.flying.total() == 4)
            assert worker.state()["pending"] <= 10
            crm.gate.set()
            await bench.settled(100)
        assert set((await bench.kinds()).values()) == {"delivered"}


async def test_while_a_settle_is_under_way_nothing_is_given_up_for_room(
    bench: Any, recorder: Any, entry: Any, wait_until: Any, slow_to_settle: Any
) -> None:
    """Six are blocked and four are about to go: that is room enough."""
    crm = recorder(FEW)
    crm.answer = lambda each: (
        Retry("503", status=503) if each.event.key.startswith("bad") else Delivered(200)
    )
    async with bench.open():
        slow = slow_to_settle(bench.log)
        users = [f"u{n}" for n in range(4)] + [f"bad{n}" for n in range(6)]
        users += [f"u{n}" for n in range(4, 20)]
        await bench.log.append([entry(n, user) for n, user in enumerate(users)])
        async with bench.running(
            crm, log=slow, concurrency=10, retry_base_s=30.0, retry_cap_s=30.0
        ) as worker:
            await wait_until(lambda: len(crm.got) == 10)
            for _ in range(20):
                await asyncio.sleep(0)  # whatever the poller does about it
            assert worker.state()["pending"] == 10
            slow.open.set()
            await bench.settled(20)
        assert set((await bench.kinds()).values()) == {"delivered"}
        assert bench.notices.counts["pressure"] == 0


async def test_a_busy_person_is_no_reason_to_give_up_another_s_event(
    bench: Any,
    recorder: Any,
    entry: Any,
    wait_until: Any,
) -> None:
    crm = recorder(FEW)
    crm.answer = lambda each: (
        Retry("503", status=503) if each.event.key == "bad" else Delivered(200)
    )
    async with bench.open():
        await bench.log.append([entry(0, "bad")])
        await bench.log.append([entry(number, "busy") for number in range(1, 60)])
        async with bench.running(crm, retry_base_s=30.0, retry_cap_s=30.0):
            await bench.settled(59)
        assert set((await bench.kinds()).values()) == {"delivered"}


async def test_a_paused_destination_keeps_its_events(
    bench: Any,
    recorder: Any,
    entry: Any,
    wait_until: Any,
    monkeypatch: pytest.MonkeyPatch,
    away: Any,
) -> None:
    monkeypatch.setattr(poll, "HEARTBEAT_S", 0.001)
    crm = recorder()
    async with bench.open():
        await bench.log.append([entry(1, "u1")])
        log = away(bench.log)
        log.away = False
        async with bench.running(crm, paused=True, log=log) as worker:
            await wait_until(lambda: worker.state()["running"])
            await wait_until(lambda: log.asked["poll"] >= 3)  # its place is kept
            assert worker.state()["paused"]
            assert worker.state()["lag"] == 1
        assert crm.got == []
        async with bench.running(crm):
            await bench.settled(1)
        assert crm.ids() == ["m1"]


async def test_a_crowded_key_is_a_notice(
    bench: Any, recorder: Any, entry: Any, wait_until: Any
) -> None:
    crm = recorder()
    crm.answer = lambda _: Retry("503")
    async with bench.open():
        entries = [entry(number, "u1") for number in range(1_100)]
        await bench.log.append(entries)
        async with bench.running(crm):
            await wait_until(lambda: bench.notices.counts["key_crowded"] == 1)
