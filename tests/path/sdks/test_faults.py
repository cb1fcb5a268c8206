"""Real SDKs, unmodified, under faults: nothing that one can resend is lost or doubled.

All rounds start together, one per fault and SDK, and each test waits for its own.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from tests.path.sdks import kits, rounds
from tests.path.sdks.clients import SDKS
from tests.path.sdks.rounds import Round

pytestmark = [pytest.mark.service, pytest.mark.asyncio(loop_scope="module")]

FAULTS: Mapping[str, tuple[Any, str]] = {
    "killed": (partial(rounds.killed, away_s=1.0), ""),
    "away": (partial(rounds.killed, away_s=20.0), ""),
    "full": (partial(rounds.full, away_s=1.5), ""),
    "overloaded": (partial(rounds.overloaded, away_s=1.5), rounds.CROWDED),
    "limited": (rounds.limited, "rate = 1"),
    "poisoned": (rounds.poisoned, ""),
    "400": (partial(rounds.refused, status=400), ""),
    "401": (partial(rounds.refused, status=401), rounds.ELSEWHERE),
}
TRIES_MAX = 5  # per message, of what answers 429 or 503 for some seconds
SIDE_BY_SIDE = 4  # beside those of Java, which mostly wait


async def play(
    name: str, fault: str, folder: Any, tls: Any, gate: asyncio.Semaphore
) -> Round:
    run, more = FAULTS[fault]
    async with gate, rounds.round_of(name, folder, tls, more) as told:
        await run(told)
    return told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory, request):
    """The rounds that this run asks for, by fault and SDK, all under way."""
    tls = tmp_path_factory.mktemp("tls")
    kits.certify(tls)
    for fetch in (kits.python, kits.page, kits.java, kits.chromium):
        await asyncio.to_thread(fetch)
    gate, free = asyncio.Semaphore(SIDE_BY_SIDE), asyncio.Semaphore(99)
    wanted = [
        (item.callspec.params["fault"], item.callspec.params["name"])
        for item in request.session.items
        if item.path == request.path
    ]
    wanted.sort(key=lambda each: each[1] != "analytics-java")
    tasks = {}
    for number, (fault, name) in enumerate(wanted):
        folder = tmp_path_factory.mktemp(f"round-{number}")
        semaphore = free if name == "analytics-java" else gate
        tasks[fault, name] = asyncio.create_task(
            play(name, fault, folder, tls, semaphore)
        )
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


def each(fault: str, among: Iterable[str] = SDKS) -> Any:
    """Every SDK under this fault."""
    return pytest.mark.parametrize(
        ("fault", "name"), [pytest.param(fault, name, id=name) for name in among]
    )


async def ended(task: Awaitable[Round]) -> Round:
    """The round, in which everything arrived, and nothing because it was resent."""
    told = await task
    assert told.arrived() >= set(told.made)
    assert told.twice() == []
    return told


@each("killed")
async def test_kill_9_in_mid_stream_loses_nothing(played, fault, name):
    told = await ended(played[fault, name])
    assert set(told.answers) == {"200"}
    assert told.problems == []


@pytest.mark.soak
@each("away", [name for name, sdk in SDKS.items() if sdk.outlasts_20_s])
async def test_soak_20_seconds_away_lose_nothing(played, fault, name):
    told = await ended(played[fault, name])
    assert set(told.answers) == {"200"}
    assert told.problems == []


@each("full")
async def test_503_of_a_full_disk_is_sent_again_and_nobody_hammers(played, fault, name):
    told = await ended(played[fault, name])
    assert_later(503, told)


@each("overloaded")
async def test_503_of_overload_is_sent_again_and_nobody_hammers(played, fault, name):
    told = await ended(played[fault, name])
    assert_later(503, told)


@each("limited")
async def test_429_is_sent_again_and_nobody_hammers(played, fault, name):
    told = await ended(played[fault, name])
    assert_later(429, told)


@each("poisoned")
async def test_a_poison_message_in_every_batch_harms_no_other(played, fault, name):
    told = await ended(played[fault, name])
    assert told.refused == rounds.EVENTS // 4
    assert told.messages == len(told.made) + told.refused  # none was sent again


@each("400")
async def test_400_is_what_the_sdk_makes_of_it(played, fault, name):
    assert_made_of(400, await played[fault, name])


@each("401")
async def test_401_is_what_the_sdk_makes_of_it(played, fault, name):
    assert_made_of(401, await played[fault, name])


def assert_later(status: int, told: Round) -> None:
    """It was answered so, sent all of it again, and was in no hurry."""
    assert told.sdk.makes_of[status] == "R"
    assert set(told.answers) == {"200", str(status)}
    assert told.answers[str(status)] <= TRIES_MAX * len(told.made)
    assert told.problems == []


def assert_made_of(status: int, told: Round) -> None:
    """One answer and no more, or four tries where it is not taken for final."""
    makes, answers = told.sdk.makes_of[status], dict(told.answers)
    if told.sdk.language == "browser":
        answers.pop("200", None)  # to the preflight
    assert answers == {str(status): 4 if makes == "R" else 1}
    assert bool(told.problems) == told.sdk.tells
