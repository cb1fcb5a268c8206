"""The worker on the real log, with a destination that does as it is told."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, exposition

from gateway.outbound.clock import Clock
from gateway.outbound.contract import (
    Delivered,
    Exchange,
    Rejected,
    Retry,
    Skipped,
)
from gateway.outbound.mark import mark_of


async def test_every_event_is_delivered_once_and_in_the_order_of_its_person(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder()
    async with bench.open():
        entries = [entry(number, f"u{number % 7}") for number in range(300)]
        await bench.log.append(entries[:200])
        async with bench.running(crm) as worker:
            await bench.log.append(entries[200:])
            await bench.settled(300)
            assert worker.state() == {
                "running": True,
                "paused": False,
                "breaker": None,
                "pending": 0,
                "lag": 0,
                "last_failure": None,
            }
        for user in range(7):
            wanted = [f"m{number}" for number in range(user, 300, 7)]
            assert crm.ids(f"u{user}") == wanted
        assert Counter(each["kind"] for each in await bench.outcomes()) == {
            "delivered": 300
        }
    assert crm.most_flying > 1


async def test_an_outcome_says_what_the_interface_says(
    bench: Any, recorder: Any, entry: Any
) -> None:
    clock = Clock(wall_ms=lambda: 1_768_472_000_123)
    async with bench.open():
        await bench.log.append([entry(1, "u1", replay="r1")])
        async with bench.running(recorder(), clock=clock) as worker:
            await bench.settled(1)
        assert await bench.outcomes() == [
            {
                "messageId": "m1",
                "source": "web",
                "destination": "crm",
                "personKey": "u1",
                "kind": "delivered",
                "reason": None,
                "attempts": 1,
                "firstAttemptAt": "2026-01-15T10:13:20.123Z",
                "at": "2026-01-15T10:13:20.123Z",
                "replay": "r1",
                "status": 200,
                "config": mark_of(worker._config),
            }
        ]


async def test_rejected_events_become_dead_letters(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder()
    said = Exchange(
        {"method": "POST", "url": "https://crm", "headers": {}, "body": "{}"},
        {"status": 422, "headers": {}, "body": "no"},
    )
    crm.answer = lambda each: (
        Rejected("rejected", "422", 422, said)
        if each.event.message_id == "m1"
        else Delivered(200)
    )
    async with bench.open():
        entries = [entry(number, "u1") for number in range(3)]
        await bench.log.append(entries)
        async with bench.running(crm):
            await bench.settled(3)
        assert await bench.kinds() == {
            "m0": "delivered",
            "m1": "dead",
            "m2": "delivered",
        }
        (letter,) = await bench.read("dead.crm")
        assert letter["event"]["messageId"] == "m1"
        assert letter["reason"] == "rejected"
        assert letter["attempts"] == 1
        assert letter["request"] == said.request
        assert letter["response"] == said.response


async def test_duplicates_are_skipped_replays_are_not(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder()
    async with bench.open():
        again = [entry(1, "u1"), entry(1, "u1"), entry(1, "u1", replay="r1")]
        await bench.log.append([*again, entry(1, "u1", source="backend")])
        async with bench.running(crm):
            await bench.settled(4)
        assert len(crm.got) == 3
        kinds = Counter(each["kind"] for each in await bench.outcomes())
        assert kinds == {"delivered": 3, "duplicate": 1}


async def test_duplicates_are_known_after_a_restart(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder()
    async with bench.open():
        await bench.log.append([entry(number, "u1") for number in range(50)])
        async with bench.running(crm):
            await bench.settled(50)
    async with bench.open():
        await bench.log.append([entry(number, "u1") for number in range(60)])
        async with bench.running(crm):
            await bench.settled(110)
        assert crm.ids() == [f"m{number}" for number in range(60)]


async def test_an_original_is_delivered_though_its_duplicate_was_settled_first(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder()
    crm.answer = lambda _: Retry("503", status=503)
    async with bench.open():
        await bench.log.append([entry(1, "u1"), entry(1, "u1")])
        async with bench.running(crm):
            await bench.settled(1)
    crm.answer = lambda _: Delivered(200)
    async with bench.open():
        async with bench.running(crm):
            await bench.settled(2)
        assert Counter(each["kind"] for each in await bench.outcomes()) == {
            "duplicate": 1,
            "delivered": 1,
        }


@pytest.mark.parametrize("unsettled", [1, 20])
async def test_a_crash_repeats_at_most_what_is_unsettled_and_one_of_each_sender(
    bench: Any,
    recorder: Any,
    entry: Any,
    wait_until: Any,
    slow_to_settle: Any,
    kill: Any,
    unsettled: int,
) -> None:
    crm, concurrency = recorder(), 8
    bound = concurrency + unsettled - 1
    async with bench.open():
        await bench.log.append([entry(number, f"u{number}") for number in range(100)])
        slow = slow_to_settle(bench.log)
        limits = {"concurrency": concurrency, "unsettled": unsettled}
        worker = bench.worker(crm, **limits, log=slow)
        task = asyncio.create_task(worker.run())
        await wait_until(lambda: len(crm.got) >= max(concurrency, unsettled))
        for _ in range(50):  # whoever wants to deliver more has the time to
            await asyncio.sleep(0)
        assert len(crm.got) <= bound
        first = list(crm.got)
        await kill(task)
    async with bench.open():
        async with bench.running(crm, concurrency=concurrency):
            await wait_until(lambda: len(set(crm.got)) == 100)
            await wait_until(lambda: len(crm.got) >= 100 + len(first))
        repeats = len(crm.got) - len(set(crm.got))
        assert repeats == len(first) <= bound


async def test_one_blocked_person_makes_no_other_event_come_again(
    bench: Any, recorder: Any, entry: Any, kill: Any
) -> None:
    crm, concurrency = recorder(), 4
    crm.answer = lambda each: (
        Retry("503", status=503) if each.event.key == "stuck" else Delivered(200)
    )
    async with bench.open():
        await bench.log.append([entry(0, "stuck")])
        await bench.log.append([entry(n, f"u{n}") for n in range(1, 200)])
        worker = bench.worker(crm, concurrency=concurrency)
        task = asyncio.create_task(worker.run())
        await bench.settled(199)
        await kill(task)
    crm.got.clear()
    crm.answer = lambda _: Delivered(200)
    async with bench.open():
        async with bench.running(crm, concurrency=concurrency):
            await bench.settled(200)
        assert "m0" in crm.ids()
        assert len(crm.got) <= 1 + concurrency


async def test_a_stop_lets_requests_end_and_settles_them(
    bench: Any, recorder: Any, entry: Any, wait_until: Any
) -> None:
    crm = recorder()
    crm.gate.clear()
    async with bench.open():
        await bench.log.append([entry(number, f"u{number}") for number in range(20)])
        worker = bench.worker(crm, concurrency=5)
        task = asyncio.create_task(worker.run())
        await wait_until(lambda: crm.flying.total() == 5)
        worker.request_stop()
        await asyncio.sleep(0)
        crm.gate.set()
        await task
        assert len(crm.got) == 5
        assert len(await bench.outcomes()) == 5
        assert not [
            each for each in asyncio.all_tasks() if each.get_name().startswith("crm ")
        ]


async def test_a_stop_does_not_wait_for_ever(
    bench: Any, recorder: Any, entry: Any, wait_until: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("gateway.outbound.work.STOP_GRACE_S", 0.01)
    crm = recorder()
    crm.gate.clear()
    async with bench.open():
        await bench.log.append([entry(1, "u1")])
        worker = bench.worker(crm, timeout_s=0.05)
        task = asyncio.create_task(worker.run())
        await wait_until(lambda: crm.flying.total() == 1)
        worker.request_stop()
        await asyncio.wait_for(task, 5.0)
        assert not await bench.outcomes()


async def test_a_stop_before_the_log_is_back_returns(
    bench: Any, recorder: Any, wait_until: Any, away: Any
) -> None:
    async with bench.open():
        log = away(bench.log)
        worker = bench.worker(recorder(), log=log)
        task = asyncio.create_task(worker.run())
        await wait_until(lambda: log.asked["subscribe"] >= 1)
        worker.request_stop()
        await asyncio.wait_for(task, 5.0)


async def test_a_worker_may_run_again(
    bench: Any, recorder: Any, entry: Any, kill: Any
) -> None:
    crm = recorder()
    async with bench.open():
        worker = bench.worker(crm)
        await bench.log.append([entry(1, "u1")])
        task = asyncio.create_task(worker.run())
        await bench.settled(1)
        await kill(task)
        assert worker.state()["running"] is False
        await bench.log.append([entry(2, "u1")])
        task = asyncio.create_task(worker.run())
        await bench.settled(2)
        worker.request_stop()
        await task
        assert crm.ids() == ["m1", "m2"]


@pytest.mark.parametrize(
    "said",
    [
        Rejected("rejected", "400", 400, Exchange({}, {"x-err": "caf\udce9"})),
        Rejected("rejected", "caf\udce9", 400),
        Delivered(2**70),
        Skipped("caf\udce9"),
        None,
        "delivered",
    ],
)
async def test_one_answer_that_cannot_be_written_harms_no_other_event(
    bench: Any, recorder: Any, entry: Any, said: Any
) -> None:
    """Of S6: each second anew, until somebody looked, for every event."""
    crm = recorder()
    crm.answer = lambda each: said if each.event.key == "bad" else Delivered(200)
    async with bench.open():
        users = ["bad" if number == 7 else f"u{number}" for number in range(40)]
        await bench.log.append([entry(n, user) for n, user in enumerate(users)])
        async with bench.running(crm) as worker:
            await bench.settled(40)
            assert worker.state()["running"]
        kinds = await bench.kinds()
        kind = kinds.pop("m7")
        assert set(kinds.values()) == {"delivered"}
        assert kind == {Delivered: "delivered", Skipped: "skipped"}.get(
            type(said), "dead"
        )
        assert crm.ids().count("m7") == 1
        assert bench.notices.counts["bug"] == 1


async def test_a_record_that_is_no_utf_8_harms_no_other_event(
    bench: Any, recorder: Any, entry: Any
) -> None:
    odd = entry(1, "u1", replay="r1")
    odd = odd._replace(
        key=b"caf\xe9",
        headers=tuple((name, value + b"\xff") for name, value in odd.headers),
    )
    crm = recorder()
    async with bench.open():
        await bench.log.append([entry(0, "u0"), odd, entry(2, "u2")])
        async with bench.running(crm):
            await bench.settled(3)
        assert sorted(crm.ids()) == ["m0", "m1", "m2"]


async def test_the_lag_of_a_worker_that_does_not_run_is_unknown(
    bench: Any, recorder: Any, entry: Any, wait_until: Any, away: Any
) -> None:
    gauges = bench.metrics.gauges["gateway_lag"]
    async with bench.open():
        await bench.log.append([entry(number, f"u{number}") for number in range(9)])
        log = away(bench.log)
        async with bench.running(recorder(), log=log) as worker:
            await wait_until(lambda: log.asked["subscribe"] >= 1)
            assert (worker.state()["running"], worker.state()["lag"]) == (False, None)
            assert 'gateway_lag{destination="crm"}' not in told(bench)
            log.away = "remember"  # its dedupe window is not rebuilt yet
            await wait_until(lambda: log.asked["remember"] >= 1)
            assert (worker.state()["running"], worker.state()["lag"]) == (False, 9)
            log.away = False
            await bench.settled(9)
            await wait_until(lambda: gauges["crm"]() == 0)
            assert 'gateway_lag{destination="crm"} 0' in told(bench)
        assert worker.state()["lag"] is None


def told(bench: Any) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(bench.metrics)
    return exposition.generate_latest(registry).decode()


async def overdue(worker: Any) -> Any:
    """A rebalance has waited long enough for what is in flight."""
    subscription = worker._run.subscription
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await subscription.on_revoke()
    subscription.on_overdue()
    await asyncio.sleep(0)
    subscription.on_overdue()  # their time is over, and they have not ended yet
    return subscription


async def test_attempts_that_a_rebalance_waits_for_too_long_are_cut(
    bench: Any, recorder: Any, entry: Any, wait_until: Any
) -> None:
    crm = recorder()
    crm.gate.clear()  # requests hang
    async with bench.open():
        await bench.log.append([entry(1, "u1"), entry(2, "u2")])
        async with bench.running(crm, timeout_s=9.0) as worker:
            await wait_until(lambda: crm.flying.total() == 2)
            subscription = await overdue(worker)
            await wait_until(lambda: crm.flying.total() == 0)
            crm.gate.set()
            await asyncio.sleep(0.1)
            assert crm.got == []  # nothing is started between two generations
            subscription.on_assign(frozenset(), frozenset())
            await bench.settled(2)  # they stayed ours
        assert sorted(crm.ids()) == ["m1", "m2"]
        assert {each["attempts"] for each in await bench.outcomes()} == {2}


async def test_what_was_cut_is_the_other_worker_s_when_its_partition_is(
    bench: Any, recorder: Any, entry: Any, wait_until: Any
) -> None:
    crm = recorder()
    crm.gate.clear()
    async with bench.open():
        await bench.log.append([entry(1, "u1")])
        async with bench.running(crm, timeout_s=9.0) as worker:
            await wait_until(lambda: crm.flying.total() == 1)
            subscription = await overdue(worker)
            await wait_until(lambda: crm.flying.total() == 0)
            subscription.on_assign(frozenset({0}), frozenset())
            crm.gate.set()
            await asyncio.sleep(0.1)
        assert crm.got == []
        assert await bench.outcomes() == []
