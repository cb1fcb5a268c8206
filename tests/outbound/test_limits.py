"""What a destination type declares of its limits, and what holds where it does not."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.event import EventType
from gateway.outbound.attempt import bound_s, deliver
from gateway.outbound.contract import Delivered, Delivery, Retry, Takes, Verdict
from gateway.outbound.deadlines import Deadlines
from gateway.outbound.destinations import file
from gateway.workspace import kind as people
from tests.outbound.worlds import Person, World, run

TYPES: frozenset[EventType] = frozenset({"identify"})
MEGABYTE = 1_000_000


def chance() -> Any:
    return random.Random(1).random


def peopled(count: int, how: str = "", **takes: Any) -> World:
    world = World(takes=Takes(types=TYPES, **takes))
    for number in range(count):
        world.people[f"u{number}"] = Person(f"u{number}", how)
    return world


def arrive(world: World, *numbers: int) -> None:
    for number in numbers:
        world.log.append(f"u{number}")


def batches(world: World) -> list[tuple[float, int]]:
    """When each batch went, from the world's first second on, and its events."""
    at = [when for when, _ in world.requests]
    return [(round(when - 1_000.0, 3), at.count(when)) for when in sorted(set(at))]


@pytest.mark.parametrize("same_key", ["one", "in_order"])
def test_a_batch_that_is_not_full_waits_for_more_but_not_for_ever(
    same_key: Any,
) -> None:
    async def live() -> None:
        world = peopled(20, batch_events=4, linger_s=5.0, same_key=same_key)
        async with world.working(chance()):
            arrive(world, 0, 1)
            await asyncio.sleep(3.0)
            arrive(world, 2)
            await asyncio.sleep(3.0)
            assert batches(world) == [(5.0, 3)]  # five seconds after the first
            arrive(world, *range(3, 12))  # two batches that are full, and one more
            await asyncio.sleep(1.0)
            assert sum(events for _, events in batches(world)[1:]) == 8
            await asyncio.sleep(6.0)
            (last_s, last) = batches(world)[-1]
            assert last == 1
            assert last_s == pytest.approx(11.0, abs=0.01)
            assert len(world.log.ends) == 12

    run(live())


def test_a_batch_that_is_full_in_bytes_waits_for_nobody() -> None:
    async def live() -> None:
        world = peopled(3, batch_events=100, batch_bytes=300, linger_s=5.0)
        async with world.working(chance()):
            arrive(world, 0, 1)
            await asyncio.sleep(1.0)
            assert not world.requests
            arrive(world, 2)  # more than 100 bytes each
            await asyncio.sleep(1.0)
            assert batches(world)[0][0] == 1.0

    run(live())


def test_what_is_tried_again_does_not_linger_and_neither_do_probes() -> None:
    async def live() -> None:
        world = peopled(1, batch_events=100, linger_s=3600.0)
        world.outages = [(1_000.0, 1_000.0 + 3700.0, "503")]
        async with world.working(chance(), retry_base_s=1.0, retry_cap_s=1.0):
            arrive(world, 0)
            await asyncio.sleep(3650.0)
            assert len(batches(world)) > 10
            await asyncio.sleep(100.0)
            assert len(world.log.ends) == 1

    run(live())


def test_lingering_costs_no_turns_of_the_loop() -> None:
    """An alarm, not a loop that looks: an hour of lingering is a few turns."""

    async def live() -> None:
        world = peopled(50, batch_events=100, linger_s=3_600.0)
        async with world.working(chance()):
            arrive(world, *range(50))
            await asyncio.sleep(0.1)
            loop: Any = asyncio.get_running_loop()
            before = loop.turned
            await asyncio.sleep(3_000.0)
            assert not world.requests
            assert loop.turned - before < 1_500  # polls and heartbeats

    run(live())


def test_a_worker_holds_as_many_events_as_its_type_declares() -> None:
    async def live(declared: dict[str, int], most: int) -> None:
        world = peopled(1, "hang", **declared)
        async with world.working(chance()) as worker:
            arrive(world, *[0] * (most + 100))
            await asyncio.sleep(5.0)
            pending = worker.state()["pending"]
            assert most * 0.9 <= pending <= most

    run(live({"hold_events": 1_000}, 1_000))
    run(live({}, 10_000))


def test_a_worker_holds_as_many_bytes_as_its_type_declares() -> None:
    async def live() -> None:
        world = peopled(1, "hang", hold_bytes=2 * MEGABYTE)
        value = b'{"type":"identify","messageId":"m0","userId":"u0","source":"web",'
        value += b'"receivedAt":"2026-01-15T10:12:14.100Z","x":"%s"}' % (b"x" * 50_000)
        async with world.working(chance()) as worker:
            for _ in range(100):
                world.log.append("u0", value)
            await asyncio.sleep(5.0)
            held = worker.state()["pending"] * len(value)
            assert 1.5 * MEGABYTE <= held <= 2 * MEGABYTE

    run(live())


def test_the_bytes_of_what_is_settled_make_room_for_others() -> None:
    async def live() -> None:
        world = peopled(1, hold_bytes=2 * MEGABYTE)
        async with world.working(chance()):
            for number in range(100):
                value = b'{"type":"identify","messageId":"m%d","userId":"u0"' % number
                value += b',"source":"web","receivedAt":"2026-01-15T10:12:14.100Z"'
                world.log.append("u0", value + b',"x":"%s"}' % (b"x" * 50_000))
            await asyncio.sleep(10.0)
            assert len(world.log.ends) == 100

    run(live())


def test_one_that_is_full_of_rejected_events_believes_them_and_finds_another() -> None:
    """While nobody is served no rejection is believed: but here is no place to wait."""

    async def live() -> None:
        world = peopled(61, "400", hold_events=10)
        world.people["u60"].how = ""
        async with world.working(chance(), probe_every_s=1.0):
            arrive(world, *range(61))
            await asyncio.sleep(120.0)
            assert world.log.ends[60]["kind"] == "delivered"

    run(live())


def test_a_worker_leaves_no_more_gaps_in_its_marks_than_the_log_remembers() -> None:
    async def live() -> None:
        world = peopled(2_000)
        for number in range(1, 2_000, 2):
            world.people[f"u{number}"].how = "503"
        most = 0
        async with world.working(chance(), retry_base_s=9e3, retry_cap_s=9e3) as worker:
            for number in range(2_000):
                arrive(world, number)
                await asyncio.sleep(0.01)
                assert worker._run is not None
                most = max(most, worker._run.subscription.runs)
            await asyncio.sleep(1.0)  # the last ends are settled
            ends = [each["kind"] for each in world.log.ends.values()]
            assert ends.count("delivered") == 1_000
        assert 300 < most <= 400

    run(live())


@pytest.mark.parametrize(
    "declared",
    [
        {"batch_events": 6_000},
        {"batch_events": 10, "hold_events": 19},
        {"hold_events": 1},
        {"hold_bytes": 131_071, "batch_bytes": 1_000},
        {"batch_bytes": 40_000_000},
    ],
)
def test_bounds_that_no_batch_fits_into_are_a_mistake_of_the_author(
    declared: dict[str, int],
) -> None:
    with pytest.raises(ConfigError, match="two batches"):
        Takes(types=TYPES, **declared)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("events", "times"),
    [(1, 2), (2, 4), (3, 6), (4, 6), (10, 10), (100, 16), (1_000, 22)],
)
def test_an_attempt_has_time_to_find_one_bad_event(events: int, times: int) -> None:
    takes = Takes(types=TYPES, batch_events=1_000)
    assert bound_s(takes, 10.0, events) == 10.0 * times


def test_a_type_says_how_long_its_attempts_take_but_no_less_than_the_config() -> None:
    takes = Takes(types=TYPES, batch_events=1_000, attempt_timeout_s=60.0)
    assert bound_s(takes, 10.0, 1_000) == 60.0
    assert bound_s(takes, 300.0, 1) == 300.0
    assert bound_s(file.TAKES, 10.0, 1_000) == 60.0
    assert bound_s(people.TAKES, 10.0, 500) == 120.0


class Never(World):
    """Takes requests and answers none."""

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        now_s = asyncio.get_running_loop().time()
        self.requests += [(now_s, each.event.key) for each in deliveries]
        await asyncio.Event().wait()
        return []


def test_an_attempt_that_never_ends_is_ended() -> None:
    async def live() -> None:
        takes = Takes(types=TYPES, batch_events=10)
        world = Never(takes=takes, timeout_s=1.0)
        async with world.working(chance(), retry_base_s=0.1, retry_cap_s=0.1):
            arrive(world, *range(10))
            await asyncio.sleep(30.0)
            (_, first), (again_s, second), *_ = batches(world)
            assert (first, second) == (10, 1)  # all of them, then each alone
            assert 10.0 <= again_s < 10.2

    run(live())


def test_a_batch_that_raises_and_then_hangs_is_ended_as_one(delivery: Any) -> None:
    """Not each of its events at its own deadline: that would be hours."""

    class Hangs(World):
        async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
            if len(deliveries) > 1:
                raise ValueError
            await asyncio.sleep(9.0)
            return [Delivered(200)]

    async def live(world: World, batch: list[Delivery]) -> float:
        began_s = asyncio.get_running_loop().time()
        verdicts = await deliver(world, batch, timeout_s=20.0, under_way=Deadlines())
        assert verdicts == [Delivered(200)] * 2 + [Retry("TimeoutError")] * 97
        return asyncio.get_running_loop().time() - began_s

    batch = [delivery(number, f"u{number}") for number in range(1, 100)]
    assert run(live(Hangs(), batch)) == 20.0
