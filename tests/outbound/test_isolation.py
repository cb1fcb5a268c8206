"""One bad message harms no other: not by what it is answered, nor by how many it is.

A real worker in virtual time; ``GATEWAY_WORLD=7`` lives the worlds from 7 on.
"""

import asyncio
import multiprocessing
import os
import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from gateway.outbound.contract import Takes
from tests.chance import examples
from tests.outbound.lives import KINDS, PATIENT, REASONS, Life, judge
from tests.outbound.worlds import REFUSALS, Person, World, run

# The first world: the same in every run, so that what fails was changed by a change.
WORLD = int(os.environ.get("GATEWAY_WORLD", "0"))

WORLDS, MANY_WORLDS = 100, 20_000
GOOD = [f"good{number}" for number in range(100)]
MINUTE_S = 60.0


def peopled(bad: list[str], how: str, **more: Any) -> World:
    world = World(**more)
    for key in bad:
        world.people[key] = Person(key, how)
    for key in GOOD:
        world.people[key] = Person(key)
    return world


def names(how: str, count: int) -> list[str]:
    return [f"{'filter' if how == 'filter' else 'bad'}{n}" for n in range(count)]


async def arrive(world: World, keys: list[str], every_s: float = 0.0) -> list[int]:
    offsets = []
    for key in keys:
        offsets.append(world.log.append(key))
        if every_s:
            await asyncio.sleep(every_s)
    return offsets


def waits(world: World, offsets: list[int]) -> list[float]:
    """How long each of these waited until it was delivered, the longest last."""
    assert all(world.log.ends[each]["kind"] == "delivered" for each in offsets)
    return sorted(
        world.log.ends[each]["at_s"] - world.log.appended_s[each] for each in offsets
    )


def chance() -> Any:
    return random.Random(WORLD).random


@pytest.mark.parametrize("how", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_whose_events_fail_hold_up_nobody(how: str, count: int) -> None:
    """Of F1: two persons are answered 403, then 100 others come, after a quiet time."""

    async def live() -> None:
        world, bad = peopled(names(how, count), how), names(how, count)
        async with world.working(chance()) as worker:
            await arrive(world, bad)
            await asyncio.sleep(80.0)
            good = await arrive(world, GOOD, every_s=0.2)
            await asyncio.sleep(1.0)
            assert waits(world, good)[-1] < 1.0
            again = await arrive(world, GOOD, every_s=2.0)  # and a second quiet time
            await asyncio.sleep(1.0)
            assert waits(world, again)[-1] < 1.0
            assert worker.state()["breaker"] is None
            assert world.notices.counts["breaker_open"] <= 1

    run(live())


@pytest.mark.parametrize("how", [how for how in KINDS if how != "hang"])
def test_many_whose_events_fail_hold_up_nobody_for_more_than_seconds(how: str) -> None:
    """Of S7: one request with 300 bad events, then honest ones, ten a second."""

    async def live() -> None:
        bad = names(how, 300)
        world = peopled(bad, how)
        async with world.working(chance(), max_age_s=MINUTE_S):
            await arrive(world, bad)
            good = await arrive(world, GOOD, every_s=0.1)
            await asyncio.sleep(1.0)
            assert waits(world, good)[-1] < 2.0
            await arrive(world, GOOD * 3, every_s=1.0)
            ends = Counter(
                (world.log.ends[n]["kind"], world.log.ends[n]["reason"])
                for n in range(len(bad))
            )
            assert ends == {("dead", REASONS.get(how, "max_age")): 300}

    run(live())


@pytest.mark.parametrize("how", ["403", "500", "400", "bug"])
def test_thousands_in_a_block_hold_up_nobody_for_more_than_seconds(how: str) -> None:
    async def live() -> None:
        bad = names(how, 4_000)
        world = peopled(bad, how)
        async with world.working(chance()):
            await arrive(world, bad)
            good = await arrive(world, GOOD, every_s=0.1)
            await asyncio.sleep(10.0)
            assert waits(world, good)[-1] < 15.0

    run(live())


@pytest.mark.parametrize("count", [30, 300, 3_000])
def test_many_whose_requests_hang_take_others_a_few_times_the_timeout(
    count: int,
) -> None:
    """Ten seconds each: 3,000 of them would keep 32 senders for 15 minutes."""

    async def live() -> None:
        bad = names("hang", count)
        world = peopled(bad, "hang")
        async with world.working(chance()):
            await arrive(world, bad)
            good = await arrive(world, GOOD, every_s=0.1)
            await asyncio.sleep(20.0)
            assert waits(world, good)[-1] < 25.0
            await asyncio.sleep(MINUTE_S)
            good = await arrive(world, GOOD, every_s=0.5)
            await asyncio.sleep(5.0)
            assert waits(world, good)[-1] < 4.0

    run(live())


def test_one_that_hangs_in_a_batch_or_fails_it_holds_up_nobody() -> None:
    """A batch of 100 fails for one event's sake: each is tried alone next."""
    for how in REFUSALS:

        async def live(how: str = how) -> None:
            takes = Takes(types=frozenset({"identify"}), batch_events=100)
            world = peopled(["bad"], how, takes=takes)
            async with world.working(chance()):
                good = await arrive(world, ["bad", *GOOD])
                await asyncio.sleep(30.0)
                assert waits(world, good[1:])[-1] < 25.0
                later = await arrive(world, GOOD, every_s=0.1)
                await asyncio.sleep(1.0)
                assert waits(world, later)[-1] < 1.0

        run(live())


@pytest.mark.parametrize("how", [how for how in KINDS if how not in ("hang", "bug")])
def test_a_restart_changes_nothing(how: str) -> None:
    """Those who fail come first again, and are new to the new worker."""

    async def live() -> None:
        bad = names(how, 500)
        world = peopled(bad, how)
        await arrive(world, bad)
        for _ in range(3):
            async with world.working(chance()):
                good = await arrive(world, GOOD, every_s=0.1)
                await asyncio.sleep(2.0)
                assert waits(world, good)[-1] < 3.0

    run(live())


@pytest.mark.parametrize("how", ["401", "503", "later", "hang"])
def test_one_that_serves_nobody_is_left_in_peace_and_nothing_is_given_up(
    how: str,
) -> None:
    async def live() -> None:
        world = peopled([], "")
        world.outages = [(1_000.0, 1_000.0 + 90 * MINUTE_S, how)]
        async with world.working(chance(), max_age_s=5 * MINUTE_S) as worker:
            offsets = await arrive(world, GOOD * 3, every_s=18.0)
            assert worker.state()["breaker"] is not None
            assert not world.log.ends
            hour = [n for n in world.calls if n >= 1_000.0 + 30 * MINUTE_S]
            assert len(hour) <= 60 * MINUTE_S * (0.2 if how in PATIENT else 1.1)
            world.outages.clear()
            await asyncio.sleep(5 * MINUTE_S)
            assert len(waits(world, offsets)) == 300

    run(live())


def test_of_one_that_refuses_all_for_good_twenty_events_are_given_up_at_most() -> None:
    async def live() -> None:
        world = peopled([], "")
        world.outages = [(1_000.0, 1_000.0 + 60 * MINUTE_S, "400")]
        async with world.working(chance(), concurrency=1):
            await arrive(world, GOOD * 9, every_s=4.0)
            assert len(world.log.ends) == 20
            await asyncio.sleep(5 * MINUTE_S)
        kinds = Counter(each["kind"] for each in world.log.ends.values())
        assert kinds == {"dead": 20, "delivered": 880}

    run(live())


def test_at_the_bound_those_who_fail_alone_make_room() -> None:
    """More blocked people than a worker holds events, or marks have runs."""
    takes = Takes(types=frozenset({"identify"}), hold_events=1_000)

    async def live() -> None:
        bad = names("403", 1_500)
        world = peopled(bad, "403", takes=takes)
        offsets: list[int] = []
        async with world.working(chance()):
            for number, key in enumerate(bad):
                offsets += await arrive(world, [key, GOOD[number % 100]], 0.01)
            await asyncio.sleep(5.0)
            assert waits(world, offsets[1::2])[-1] < 5.0
            reasons = Counter(each["reason"] for each in world.log.ends.values())
            assert reasons["pressure"] > 1_000

    run(live())


def served_beside(how: str, seconds: float) -> tuple[float, float]:
    """p99 and the longest wait of 195 people at 200/s, while 5 others get this."""

    async def live() -> tuple[float, float]:
        bad = names(how, 5) if how else []
        world = peopled(bad, how)
        for number in range(100, 195):
            world.people[f"good{number}"] = Person(f"good{number}")
        draw, keys, good = random.Random(WORLD), list(world.people), []
        async with world.working(chance()):
            for _ in range(int(200 * seconds)):
                offset = world.log.append(key := draw.choice(keys))
                if key not in bad:
                    good.append(offset)
                await asyncio.sleep(draw.expovariate(200))
            await asyncio.sleep(MINUTE_S)
        found = waits(world, good)
        return found[int(len(found) * 0.99)], found[-1]

    return run(live())


def test_five_of_two_hundred_who_always_fail_slow_nobody_down() -> None:
    """Beyond the 400 runs that marks may have: those who hang make room in time."""
    calm = served_beside("", 30.0)
    assert served_beside("hang", 90.0)[0] <= 1.2 * calm[0]


@pytest.mark.soak
def test_soak_five_of_two_hundred_who_always_fail_for_ten_minutes() -> None:
    calm = served_beside("", 600.0)
    print(f"\nnobody fails: p99 {calm[0] * 1e3:.2f} ms, longest {calm[1] * 1e3:.1f} ms")
    for how in KINDS:
        p99, longest = served_beside(how, 600.0)
        print(f"{how}: p99 {p99 * 1e3:.2f} ms, longest {longest * 1e3:.1f} ms")
        assert p99 <= 1.2 * calm[0], how


def live(seed: int) -> tuple[int, str, int]:
    """Live one world; what is wrong in it, and how many events it had."""
    life = Life(seed)
    try:
        run(life.live())
        judge(life)
    except AssertionError as error:
        return seed, str(error).partition("\n")[0] or "assertion", 0
    return seed, "", len(life.world.log.records)


def test_in_every_world_who_can_be_served_is_and_who_cannot_ends() -> None:
    wrong = [found for n in range(examples(WORLDS)) if (found := live(WORLD + n))[1]]
    assert not wrong, f"GATEWAY_WORLD={wrong[0][0]}: {wrong[0][1]}; {len(wrong)} in all"


@pytest.mark.soak
def test_soak_in_twenty_thousand_worlds() -> None:
    seeds = range(WORLD, WORLD + MANY_WORLDS)
    spawn = multiprocessing.get_context("spawn")
    wrong: list[tuple[int, str]] = []
    events = 0
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        found = pool.map(live, seeds, chunksize=20)
        for lived, (seed, problem, count) in enumerate(found, start=1):
            events += count
            wrong += [(seed, problem)] if problem else []
            if lived % 1_000 == 0:
                print(f"\n{lived} worlds from {WORLD} on: {events} events, {wrong}")
    assert not wrong
