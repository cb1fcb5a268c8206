"""What becomes of an event after an attempt: retry, breaker, max_age, batches."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from gateway.event import EventType
from gateway.outbound.clock import Clock
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Retry,
    Skipped,
    Takes,
)
from gateway.outbound.suppressed import Suppressed

TYPES: frozenset[EventType] = frozenset({"identify"})
BATCHES = Takes(types=TYPES, batch_events=10)
IN_ORDER = Takes(types=TYPES, batch_events=10, same_key="in_order", concurrency=1)


async def test_a_failing_person_waits_and_others_go_on(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder()
    away = True
    crm.answer = lambda each: (
        Retry("503", status=503) if away and each.event.key == "u0" else Delivered(200)
    )
    async with bench.open():
        await bench.log.append([entry(n, f"u{n % 3}") for n in range(30)])
        async with bench.running(crm):
            await bench.settled(20)
            assert set(crm.ids("u0")) == {"m0"}
            away = False
            await bench.settled(30)
        assert list(dict.fromkeys(crm.ids("u0"))) == [f"m{n}" for n in range(0, 30, 3)]
        first = next(e for e in await bench.outcomes() if e["messageId"] == "m0")
        assert first["attempts"] == crm.ids().count("m0") > 1


async def test_filtered_suppressed_skipped_and_left_out_events_are_told_apart(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder()
    crm.answer = lambda each: (
        Skipped("no request") if each.event.message_id == "m4" else Delivered(200)
    )
    bench.suppressed = Suppressed(["id:u2"])
    async with bench.open():
        await bench.log.append(
            [
                entry(0, "u0"),
                entry(1, "someone@example.com"),
                entry(2, "u2"),
                entry(3, "u3", integrations={"CRM": False}),
                entry(4, "u4"),
            ]
        )
        async with bench.running(crm, when="!is_email(userId)"):
            await bench.settled(5)
        found = {e["messageId"]: e for e in await bench.outcomes()}
        kinds = {ident: (e["kind"], e["reason"]) for ident, e in found.items()}
        assert kinds == {
            "m0": ("delivered", None),
            "m1": ("filtered", "when"),
            "m2": ("suppressed", "suppressed"),
            "m3": ("filtered", "integrations"),
            "m4": ("skipped", "no request"),
        }
        assert found["m1"]["attempts"] == 0
        assert found["m1"]["firstAttemptAt"] is None
        assert sorted(crm.ids()) == ["m0", "m4"]


async def test_a_bug_rejects_one_event_and_the_worker_goes_on(
    bench: Any, recorder: Any, entry: Any
) -> None:
    async with bench.open():
        bad = entry(1, "u1", traits={"tags": None})._replace(value=b"not json")
        await bench.log.append([entry(0, "u0"), bad, entry(2, "u2")])
        async with bench.running(recorder()):
            await bench.settled(3)
        assert await bench.kinds() == {
            "m0": "delivered",
            "m1": "dead",
            "m2": "delivered",
        }
        (letter,) = await bench.read("dead.crm")
        assert letter["reason"] == "bug"
        assert letter["detail"].startswith("event: JSONDecodeError in ")
        assert bench.notices.counts["bug"] == 1


async def test_an_error_in_the_filter_rejects_that_event_alone(
    bench: Any, recorder: Any, entry: Any
) -> None:
    async with bench.open():
        good = {"traits": {"tags": ["beta"]}}
        await bench.log.append([entry(0, "u0", **good), entry(1, "u1")])
        async with bench.running(recorder(), when="contains(traits.tags, 'beta')"):
            await bench.settled(2)
        assert await bench.kinds() == {"m0": "delivered", "m1": "dead"}


async def test_settles_that_come_together_share_one(
    bench: Any, recorder: Any, entry: Any, wait_until: Any, slow_to_settle: Any
) -> None:
    crm = recorder()
    groups: list[int] = []
    async with bench.open():
        slow = slow_to_settle(bench.log)
        await bench.log.append([entry(number, f"u{number}") for number in range(64)])
        async with bench.running(crm, concurrency=16, log=slow) as worker:
            await wait_until(lambda: len(crm.got) >= 16)
            settler = worker._run.settler
            let_go = settler._settled
            settler._settled = lambda group: (groups.append(len(group)), let_go(group))
            slow.open.set()
            await bench.settled(64)
        assert sum(groups) == 64
        assert len(groups) < 32


async def test_the_breaker_opens_and_what_waited_drains_in_order(
    bench: Any, recorder: Any, entry: Any, wait_until: Any
) -> None:
    crm = recorder()
    crm.answer = lambda _: Retry("401", status=401, auth=True)
    async with bench.open():
        entries = [entry(number, f"u{number % 50}") for number in range(400)]
        await bench.log.append(entries)
        async with bench.running(crm, concurrency=2) as worker:
            await wait_until(lambda: worker.state()["breaker"] == "auth")
            await wait_until(lambda: len(crm.got) >= 5)  # probes go on
            assert not await bench.outcomes()
            assert worker.state()["lag"] == 400
            gauges = bench.metrics.gauges
            assert gauges["gateway_breaker_open"]["crm"]() == 1
            assert gauges["gateway_lag"]["crm"]() == 400
            probed = {user for user, _ in crm.got}
            assert len(probed) >= min(3, len(crm.got) - 2)  # each another person
            crm.got.clear()
            crm.answer = lambda _: Delivered(200)
            await bench.settled(400)
            assert worker.state()["breaker"] is None
        for user in range(50):
            wanted = [f"m{number}" for number in range(user, 400, 50)]
            assert list(dict.fromkeys(crm.ids(f"u{user}"))) == wanted
        assert bench.notices.counts["breaker_open"] == 1
        assert bench.notices.counts["breaker_closed"] == 1


async def test_rejections_in_a_row_open_the_breaker_before_all_is_given_up(
    bench: Any, recorder: Any, entry: Any, wait_until: Any
) -> None:
    crm = recorder()
    crm.answer = lambda _: Rejected("rejected", "404", 404)
    async with bench.open():
        await bench.log.append([entry(number, f"u{number}") for number in range(200)])
        async with bench.running(crm, concurrency=1, probe_every_s=60.0) as worker:
            await wait_until(lambda: worker.state()["breaker"] == "rejections")
            await wait_until(lambda: len(crm.got) > 22)  # somebody new is probed
            await bench.settled(20)
            assert len(await bench.outcomes()) == 20
            crm.answer = lambda _: Delivered(200)
            await bench.settled(200)
        kinds = Counter((await bench.kinds()).values())
        assert kinds == {"dead": 20, "delivered": 180}


async def test_when_it_closes_nobody_waits_for_what_is_left_of_a_delay(
    bench: Any, recorder: Any, entry: Any, wait_until: Any
) -> None:
    crm = recorder()
    crm.answer = lambda _: Retry("503", status=503)
    async with bench.open():
        await bench.log.append([entry(number, f"u{number}") for number in range(20)])
        long = {"retry_base_s": 3_600.0, "retry_cap_s": 3_600.0}
        clock = Clock(chance=lambda: 0.9)
        async with bench.running(crm, clock=clock, **long) as worker:
            await wait_until(lambda: worker.state()["breaker"] == "failures")
            crm.answer = lambda _: Delivered(200)
            await bench.settled(20)


async def test_max_age_counts_from_the_first_attempt(
    bench: Any, recorder: Any, entry: Any, wait_until: Any
) -> None:
    now = 1_000.0
    crm = recorder()
    crm.answer = lambda each: (
        Retry("503", status=503) if each.event.key == "u0" else Delivered(200)
    )
    async with bench.open():
        await bench.log.append([entry(0, "u0"), entry(1, "u1")])
        clock = Clock(monotonic=lambda: now, chance=lambda: 0.0)
        async with bench.running(crm, clock=clock, max_age_s=100.0, retry_base_s=1.0):
            await bench.settled(1)
            await wait_until(lambda: len(crm.got) >= 5)
            now += 99.0
            tried = len(crm.got)
            await wait_until(lambda: len(crm.got) > tried + 1)
            assert await bench.kinds() == {"m1": "delivered"}
            now += 2.0
            await bench.settled(2)
        (letter,) = await bench.read("dead.crm")
        assert (letter["reason"], letter["detail"]) == ("max_age", "503")


async def test_max_age_stands_still_while_the_breaker_is_open(
    bench: Any, recorder: Any, entry: Any, wait_until: Any
) -> None:
    later = 0.0
    crm = recorder()
    crm.answer = lambda _: Retry("401", status=401, auth=True)
    async with bench.open():
        await bench.log.append([entry(0, "u0"), entry(1, "u1")])
        clock = Clock(monotonic=lambda: time.monotonic() + later, chance=lambda: 0.0)
        async with bench.running(
            crm, clock=clock, max_age_s=100.0, retry_base_s=1.0, concurrency=2
        ) as worker:
            await wait_until(lambda: worker.state()["breaker"] == "auth")
            await wait_until(lambda: len(set(crm.got)) == 2)
            later += 1_000.0
            crm.answer = lambda each: (
                Retry("503", status=503) if each.event.key == "u0" else Delivered(200)
            )
            await bench.settled(1)
            tried = len(crm.ids("u0"))
            await wait_until(lambda: len(crm.ids("u0")) > tried + 3)
            assert await bench.kinds() == {"m1": "delivered"}
            later += 101.0
            await bench.settled(2)
            assert (await bench.kinds())["m0"] == "dead"


@pytest.mark.parametrize("takes", [BATCHES, IN_ORDER])
async def test_batches_hold_what_is_declared(
    bench: Any, recorder: Any, entry: Any, takes: Takes
) -> None:
    crm = recorder(takes)
    async with bench.open():
        await bench.log.append([entry(n, f"u{n % 4}") for n in range(100)])
        async with bench.running(crm):
            await bench.settled(100)
        for user in range(4):
            assert crm.ids(f"u{user}") == [f"m{n}" for n in range(user, 100, 4)]
        if takes is IN_ORDER:
            assert crm.ids() == [f"m{number}" for number in range(100)]
            assert crm.most_flying == 10
        else:
            assert max(crm.batches) <= 4


async def test_what_failed_in_company_is_tried_alone_before_it_is_given_up(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder(BATCHES)
    crm.answer = lambda each: (
        Delivered(200)
        if crm.batches[-1] == 1 or each.event.key == "u0"
        else Retry("503", status=503)
    )
    async with bench.open():
        await bench.log.append([entry(n, f"u{n}") for n in range(10)])
        async with bench.running(crm, max_age_s=0.0):
            await bench.settled(10)
        assert set((await bench.kinds()).values()) == {"delivered"}
        assert crm.batches == [10, *[1] * 9]


async def test_an_in_order_batch_that_fails_comes_again_as_it_was(
    bench: Any, recorder: Any, entry: Any, wait_until: Any
) -> None:
    crm = recorder(IN_ORDER)
    crm.answer = lambda _: Retry("OSError: No space left on device")
    async with bench.open():
        await bench.log.append([entry(n, f"u{n % 4}") for n in range(500)])
        async with bench.running(crm) as worker:
            await wait_until(lambda: worker.state()["breaker"] == "failures")
            assert worker.state()["pending"] < 300  # no use in holding more
            assert crm.ids()[:10] == crm.ids()[10:20]
            crm.got.clear()
            crm.answer = lambda _: Delivered()
            await bench.settled(500)
        assert list(dict.fromkeys(crm.ids())) == [f"m{n}" for n in range(500)]


async def test_without_order_a_failed_event_holds_nobody(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder()
    crm.answer = lambda each: (
        Retry("503") if each.event.message_id == "m0" else Delivered(200)
    )
    async with bench.open():
        await bench.log.append([entry(n, "u1") for n in range(10)])
        async with bench.running(crm, order="none", concurrency=1):
            await bench.settled(9)
        assert "m0" not in await bench.kinds()


async def test_the_rate_is_kept(bench: Any, recorder: Any, entry: Any) -> None:
    crm = recorder()
    starts: list[float] = []
    loop = asyncio.get_running_loop()

    def answer(_: Delivery) -> Delivered:
        starts.append(loop.time())
        return Delivered(200)

    crm.answer = answer
    async with bench.open():
        await bench.log.append([entry(n, f"u{n}") for n in range(40)])
        async with bench.running(crm, rate=100):
            await bench.settled(40)
    assert starts[-1] - starts[0] >= 0.25  # 40 events less a burst of 10, at 100 / s


async def test_options_reach_the_destination_as_the_source_may_set_them(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder(Takes(types=TYPES, safe_options=frozenset({"list"})))
    got: dict[str, Any] = {}

    def answer(each: Delivery) -> Delivered:
        got[each.event.message_id] = each.options
        return Delivered(200)

    crm.answer = answer
    said = {"integrations": {"Crm": {"list": "a", "key": "b"}}}
    async with bench.open():
        await bench.log.append(
            [
                entry(1, "u1", **said),
                entry(2, "u2", source="backend", **said),
                entry(3, "u3", source="gone", **said),
            ]
        )
        async with bench.running(crm):
            await bench.settled(3)
    assert got == {
        "m1": {"list": "a"},
        "m2": {"list": "a", "key": "b"},
        "m3": {"list": "a"},
    }


async def test_events_that_need_no_request_leave_others_a_turn(
    bench: Any, recorder: Any, entry: Any
) -> None:
    most = 0

    async def others() -> None:
        nonlocal most
        ended = 0
        while True:
            await asyncio.sleep(0)
            now = bench.metrics.outcomes.total()
            most, ended = max(most, now - ended), now

    async with bench.open():
        await bench.log.append([entry(n, f"u{n}") for n in range(1_000)])
        watching = asyncio.create_task(others())
        async with bench.running(recorder(), concurrency=1, when="type == 'track'"):
            await bench.settled(1_000)
        watching.cancel()
    assert 0 < most <= 101
