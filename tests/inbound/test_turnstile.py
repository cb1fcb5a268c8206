"""Large bodies are parsed in turn, and hold up nobody who is small."""

import asyncio
import gc
import gzip
from collections import Counter
from dataclasses import replace

import pytest

from gateway.errors import LogError
from gateway.inbound import accept
from gateway.inbound.accept import LARGE_BYTES, Acceptor
from gateway.inbound.doors.pipelines import Pipelines
from gateway.inbound.receipt import Receipt
from gateway.inbound.turnstile import Turnstile
from tests.inbound.house import GOOD, ask
from tests.inbound.samples import LIMITS
from tests.path.running import until


class Caller:
    """Somebody with a body, who writes down when it was let in."""

    def __init__(self, turnstile: Turnstile, size: int, order: list[int]) -> None:
        self.turnstile, self.size, self.order = turnstile, size, order
        self.done = asyncio.Event()
        self.task = asyncio.create_task(self.call())

    async def call(self) -> None:
        await self.turnstile.enter(self.size)
        self.order.append(self.size)
        try:
            await self.done.wait()
        finally:
            self.turnstile.leave(self.size)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_so_much_is_inside_and_the_others_come_in_their_order():
    turnstile = Turnstile(inside_max=100, waiting_max=1_000)
    order: list[int] = []
    callers = [Caller(turnstile, size, order) for size in (60, 40, 30, 20, 500, 10)]
    await settle()
    assert order == [60, 40]
    assert (turnstile.inside, turnstile.waiting) == (100, 560)
    callers[1].done.set()
    await settle()
    assert order == [60, 40, 30]  # 20 would not fit beside 60 and 30
    callers[0].done.set()
    await settle()
    assert order == [60, 40, 30, 20]
    callers[2].done.set()
    await settle()
    assert order == [60, 40, 30, 20]  # 500 waits to be alone, and 10 behind it
    callers[3].done.set()
    await settle()
    assert order == [60, 40, 30, 20, 500]
    for caller in callers:
        caller.done.set()
    await asyncio.gather(*(caller.task for caller in callers))
    assert order[-1] == 10
    assert (turnstile.inside, turnstile.waiting) == (0, 0)


async def test_what_waits_has_a_bound():
    turnstile = Turnstile(inside_max=100, waiting_max=150)
    order: list[int] = []
    callers = [Caller(turnstile, size, order) for size in (90, 80, 70)]
    await settle()
    with pytest.raises(LogError) as error:
        await turnstile.enter(1)
    assert error.value.code == "overloaded"
    assert (turnstile.inside, turnstile.waiting) == (90, 150)
    for caller in callers:
        caller.done.set()
    await asyncio.gather(*(caller.task for caller in callers))
    await turnstile.enter(400)  # alone, however large
    turnstile.leave(400)


@pytest.mark.parametrize("called", [False, True], ids=["waiting", "just called"])
async def test_who_goes_away_gives_its_place_to_the_next(called):
    turnstile = Turnstile(inside_max=100, waiting_max=1_000)
    order: list[int] = []
    first, second, third = (Caller(turnstile, size, order) for size in (100, 90, 80))
    await settle()
    if called:
        turnstile.leave(100)  # its turn has come, and it has not run yet
        turnstile.inside += 100
        first.done.set()
        turnstile.leave(100)
    second.task.cancel()
    first.done.set()
    await settle()
    third.done.set()
    await asyncio.gather(first.task, second.task, third.task, return_exceptions=True)
    assert order[-1] == 80
    assert turnstile.waiting == 0


async def test_large_batches_are_judged_one_at_a_time_and_others_meanwhile(
    house, monkeypatch
):
    """20 that came together took 1.5 GB: all were parsed before one was judged."""
    inside, most, held = 0, 0, asyncio.Event()
    real = Pipelines._take_batch

    async def watched(self, post, endpoint, body):
        nonlocal inside, most
        if len(body) > LARGE_BYTES:
            inside += 1
            most = max(most, inside)
            await held.wait()
            inside -= 1
        return await real(self, post, endpoint, body)

    monkeypatch.setattr(Pipelines, "_take_batch", watched)
    filler = b" " * 2_500_000
    large = b'{"batch":[{"type":"page","userId":"u"}],"x":"%s"}' % filler
    packed = gzip.compress(large)
    posts = [asyncio.create_task(house.post("/v1/batch", packed)) for _ in range(4)]
    turnstiles = house.acceptor.turnstiles
    await until(lambda: turnstiles[1].waiting > 3 * 2_500_000)
    assert (await house.post("/v1/identify", GOOD))[0] == 200
    common = {"batch": [{**GOOD, "traits": {"a": "x" * 1_000}}] * 100}
    assert (await house.post("/v1/batch", common))[0] == 200
    assert (inside, most) == (1, 1)
    held.set()
    assert [status for status, *_ in await asyncio.gather(*posts)] == [200] * 4
    assert most == 1
    assert turnstiles[0].inside == turnstiles[1].inside == turnstiles[1].waiting == 0


async def test_both_apis_go_through_the_same_turnstiles(house):
    assert house.listener.track.acceptor is house.listener.pipelines.acceptor
    turnstiles = house.acceptor.turnstiles
    turnstiles[0].inside = 10**9
    entity = {"type": "person", "action": "delete", "identifiers": {"id": "x" * 400}}
    body = {"batch": [entity] * 100}
    post = asyncio.create_task(ask(house, "POST /api/v2/batch", body))
    await until(lambda: turnstiles[0].waiting)
    turnstiles[0].leave(10**9)
    assert (await post)[0] == 200


async def test_too_many_large_bodies_are_503_soon_to_be_retried(house):
    turnstiles = house.acceptor.turnstiles
    turnstiles[0].inside, turnstiles[0].waiting = 10**9, 10**9
    body = {"batch": [{**GOOD, "traits": {"a": "x" * 1_000}}] * 100}
    status, said, headers = await house.post("/v1/batch", body)
    assert (status, said["code"], headers["Retry-After"]) == (503, "overloaded", "1")
    assert (await house.post("/v1/batch", {"batch": [GOOD]}))[0] == 200
    turnstiles[0].inside = turnstiles[0].waiting = 0
    assert (await house.post("/v1/batch", body))[0] == 200


async def test_what_requests_hold_together_while_judged_counts_as_waiting(
    house, monkeypatch
):
    """Small ones under a large context became 17 MB each, all at the same time."""
    monkeypatch.setattr(accept, "STALL_S", 0.0)  # a turn after every message
    acceptor, most = house.acceptor, 0
    limits = replace(LIMITS, waiting_bytes=2_000_000)
    acceptor.rules = replace(acceptor.rules, limits=limits)
    real = Acceptor._hold

    def watched(self, receipt, before):
        nonlocal most
        held = real(self, receipt, before)
        most = max(most, self.held.bytes)
        return held

    monkeypatch.setattr(Acceptor, "_hold", watched)
    shared = {"context": {"a": "x" * 30_000}}
    body = {**shared, "batch": [{"type": "page", "userId": "u"}] * 40}
    posts = [house.post("/v1/batch", body) for _ in range(6)]
    answers = await asyncio.gather(*posts)
    statuses = Counter(status for status, *_ in answers)
    assert statuses.keys() == {200, 503}
    codes = {said["code"] for status, said, _ in answers if status == 503}
    assert codes == {"overloaded"}
    assert 1_000_000 < most <= 2_000_000
    assert acceptor.held.bytes == 0
    assert not [each for each in gc.get_objects() if isinstance(each, Receipt)]
    assert (await house.post("/v1/batch", body))[0] == 200


async def test_a_request_that_is_refused_holds_nothing_while_that_is_written(house):
    """Its error held all that was parsed, 100 of them 2 GB, until the log was done."""
    numbers = b",".join([b"0"] * 60_000)
    body = b'{"batch":[{"type":"page"}],"context":{"a":[%s]}}' % numbers
    house.log.open.clear()
    post = asyncio.create_task(house.post("/v1/batch", body))
    await until(lambda: house.log.waiting)
    lists = (each for each in gc.get_objects() if isinstance(each, list))
    assert not [each for each in lists if len(each) == 60_000]
    house.log.open.set()
    assert (await post)[0] == 400
