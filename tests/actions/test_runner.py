"""The Node process of a destination: killed, blocked, drowned, noisy, idle, unable."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import orjson
import pytest

from gateway.actions import node, process, runner
from gateway.actions.node import Node
from gateway.notices import Notice
from gateway.outbound.contract import Delivered, Rejected, Retry, Verdict
from gateway.outbound.http import Request, Response
from tests.actions.fakes import Fake
from tests.path.running import until

pytestmark = pytest.mark.service
AT_ONCE = 32
MANY, SLOW_S = 16, 0.5
ENDED = Rejected("bug", "act: the process died", more={"actions": ["act"]})
CRASHED = Notice("actions_crashed", "an event ends its process")


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[Fake]:
    async with Fake(tmp_path) as made:
        yield made


def is_gone(pid: int) -> bool:
    """No such process, or one that nobody has buried yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


class Load:
    """Events of one destination, 32 at once, as its worker would deliver them."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.verdicts: dict[int, Verdict] = {}
        self.going = True

    async def deliver(self) -> None:
        while self.going:
            number = len(self.verdicts)
            self.verdicts[number] = Retry("under way")
            self.verdicts[number] = await self.fake.do("say", number, number)

    def done(self) -> int:
        return len(self.fake.said)

    def has_done(self, wanted: int) -> bool:
        return self.done() >= wanted

    def received(self) -> Counter[int]:
        return Counter(self.fake.said)


async def test_kill_9_for_20_rounds_loses_nothing_and_repeats_what_was_in_flight(
    fake: Fake,
) -> None:
    rounds, load = 20, Load(fake)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(load.deliver())
        for _ in range(rounds):
            # The suspects of the round before are done, and the others go on.
            wanted = load.done() + 3 * AT_ONCE
            await until(partial(load.has_done, wanted))
            assert fake.pid is not None
            os.kill(fake.pid, signal.SIGKILL)
        load.going = False
    assert set(load.verdicts.values()) == {Delivered(200)}
    received = load.received()
    assert received.keys() == load.verdicts.keys()
    assert received.total() - len(received) <= AT_ONCE * rounds
    assert fake.notices == []


@pytest.mark.parametrize("poison", ["exit", "later", "memory"])
async def test_an_event_that_ends_the_process_is_condemned_and_no_other_is(
    fake: Fake, poison: str
) -> None:
    events = [fake.do("say", number, number) for number in range(AT_ONCE)]
    verdicts = await asyncio.gather(fake.do(poison, number=99), *events)
    assert verdicts == [ENDED] + [Delivered(200)] * AT_ONCE
    assert set(fake.said) == set(range(AT_ONCE))
    assert fake.notices == [CRASHED]
    assert await fake.do("say", "after it") == Delivered(200)


async def test_an_event_that_blocks_the_process_is_condemned_and_no_other_is(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PING_S", 0.1)
    monkeypatch.setattr(process, "SILENT_S", 1.0)
    events = [fake.do("say", number, number) for number in range(AT_ONCE)]
    verdicts = await asyncio.gather(fake.do("loop", number=99), *events)
    assert verdicts == [ENDED] + [Delivered(200)] * AT_ONCE
    assert fake.notices == [CRASHED]


async def test_a_blocked_process_ends_though_nobody_waits_for_it_any_more(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PING_S", 0.1)
    monkeypatch.setattr(process, "SILENT_S", 1.0)
    await fake.do("say")
    pid = fake.pid
    assert pid is not None
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await fake.do("loop")
    await until(lambda: is_gone(pid))
    assert await fake.do("say") == Delivered(200)


def test_who_blocks_it_is_found_out_within_one_attempt() -> None:
    """Three times, at the usual timeout of a request and three requests an attempt."""
    found_s = process.PING_S * 2 + process.SILENT_S
    assert found_s * (1 + runner.ALONE_MAX) < 3 * 10


async def test_what_it_prints_disturbs_nobody_and_only_the_last_is_kept(
    fake: Fake,
) -> None:
    verdicts = await asyncio.gather(*(fake.do("print", number=n) for n in range(8)))
    assert verdicts == [Delivered(200)] * 8
    sidecar = fake.runner.sidecar
    assert sidecar is not None
    await until(lambda: len(sidecar.printed) == process.TAIL_BYTES)
    assert await fake.do("say") == Delivered(200)


async def test_a_promise_that_nobody_awaits_ends_nothing(fake: Fake) -> None:
    verdicts = await asyncio.gather(*(fake.do("forget", number=n) for n in range(8)))
    assert verdicts == [Delivered(200)] * 8
    assert fake.notices == []


async def test_an_answer_of_4_mib_arrives_whole(fake: Fake) -> None:
    async def answer(request: Request) -> Response:
        size = request.answer_bytes if request.url.endswith("/long") else 0
        return Response(status=200, body=b"x" * size)

    fake.answer = answer
    verdicts = await asyncio.gather(*(fake.do("length", number=n) for n in range(4)))
    assert verdicts == [Delivered(200)] * 4
    assert fake.said == [4 * 1024 * 1024] * 4


async def test_many_large_answers_at_once_do_not_end_the_process(fake: Fake) -> None:
    """An object of each takes many times its bytes: not all are made at once."""
    body = orjson.dumps({"rows": [{}] * 350_000})
    assert len(body) > 2**20

    async def large(request: Request) -> Response:
        if "long" not in request.url:
            await asyncio.sleep(SLOW_S)  # the action has its rows meanwhile
            return Response(status=200)
        headers = {"content-type": "application/json"}
        return Response(status=200, headers=headers, body=body)

    await fake.do("say", 0)
    pid, fake.answer = fake.pid, large
    verdicts = await asyncio.gather(*(fake.do("rows", number=n) for n in range(MANY)))
    assert verdicts == [Delivered(200)] * MANY
    assert Counter(fake.said[1:]) == {"looked up": MANY, 350_000: MANY}
    assert (fake.pid, fake.notices) == (pid, [])


async def test_the_51st_request_of_an_action_is_refused(fake: Fake) -> None:
    verdict = await fake.do("often")
    assert isinstance(verdict, Retry)
    assert verdict.reason == "TooManyRequestsError"
    assert verdict.exchange is not None
    assert len(verdict.exchange.request["earlier"]) == 50


async def test_two_requests_at_once_are_both_answered(fake: Fake) -> None:
    assert await fake.do("both", "after both") == Delivered(200)
    assert fake.said == ["after both"]


async def test_an_action_that_swallows_an_error_is_not_believed(fake: Fake) -> None:
    async def answer(request: Request) -> Response:
        return Response(status=500)

    fake.answer = answer
    verdict = await fake.do("swallow")
    assert isinstance(verdict, Retry)
    assert verdict.reason == "500"


async def test_what_was_not_sent_is_refused_with_the_mapped_payload(fake: Fake) -> None:
    verdict = await fake.do("invalid", 7)
    assert verdict == Rejected(
        "rejected",
        "act: PayloadValidationError BAD",
        unsent=True,
        more={
            "error": "of Ada",
            "payload": {"deed": "invalid", "said": {"it": 7}},
            "actions": ["act"],
        },
    )


async def test_when_a_deadline_passes_the_action_is_told_to_stop(fake: Fake) -> None:
    await fake.do("say")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await fake.do("wait")
    assert await fake.do("aborted") == Delivered(200)
    assert fake.said[-1] == 3
    sidecar = fake.runner.sidecar
    assert sidecar is not None
    assert sidecar.calls == {}


async def test_a_start_that_nobody_waits_for_leaves_no_process(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    begun = process.Sidecar._begun

    async def notes(self: process.Sidecar, *given: object) -> str | None:
        assert self.pid is not None
        started.append(self.pid)
        return await begun(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(process.Sidecar, "_begun", notes)
    waiting = asyncio.create_task(fake.do("say"))
    await until(lambda: started)
    waiting.cancel()
    await asyncio.wait([waiting])
    await until(lambda: is_gone(started[0]))
    assert await fake.do("say") == Delivered(200)


async def test_idle_it_is_stopped_and_the_next_event_starts_it_again(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PING_S", 0.05)
    monkeypatch.setattr(process, "IDLE_S", 0.2)
    assert await fake.do("say") == Delivered(200)
    first = fake.pid
    assert first is not None
    await until(lambda: is_gone(first))
    assert await fake.do("say") == Delivered(200)
    assert fake.pid not in (None, first)
    assert fake.notices == []


async def test_closing_ends_the_process_and_what_waits_is_retried(fake: Fake) -> None:
    waiting = asyncio.create_task(fake.do("wait"))
    await until(lambda: fake.runner.sidecar and fake.runner.sidecar.calls)
    pid = fake.pid
    await fake.destination.close()
    assert pid is not None
    assert is_gone(pid)
    verdict = await waiting
    assert verdict == Retry("sidecar: it is closed", away=True)


async def test_a_node_that_cannot_be_run_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = node.find()
    bad = Node(program=tmp_path / "no-node", version=good.version)
    monkeypatch.setattr(node, "find", lambda: bad)
    monkeypatch.setattr(runner, "PAUSE_CAP_S", 0.0)
    async with Fake(tmp_path) as fake:
        for times in (1, 2):
            verdict = await fake.do("say")
            assert isinstance(verdict, Retry)
            assert verdict.away
            assert verdict.reason.startswith("sidecar: ")
            assert [each.code for each in fake.notices] == ["actions_unable"] * times
        (tmp_path / "no-node").symlink_to(good.program)
        assert await fake.do("say") == Delivered(200)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"settings": {}}, "key"),
        ({"settings": {"key": 7, "more": 1}}, None),
        ({"directory": "no-such"}, "no-such"),
    ],
    ids=["settings", "coerced", "directory"],
)
async def test_settings_that_do_not_validate_deliver_nothing(
    tmp_path: Path, given: dict[str, object], why: str | None
) -> None:
    async with Fake(tmp_path, **given) as fake:
        verdict = await fake.do("say")
        if why is None:
            assert verdict == Delivered(200)
            return
        assert isinstance(verdict, Retry)
        assert verdict.away
        assert why in verdict.reason
        assert [each.code for each in fake.notices] == ["actions_unable"]
        again = await fake.do("say")  # at once: it is not started for each event
        assert again == verdict
        assert len(fake.notices) == 1


async def test_a_process_that_ends_with_nothing_to_do_again_and_again_is_unable(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(runner.DEATHS_MAX):
        assert await fake.do("say") == Delivered(200)
        pid = fake.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: fake.runner.sidecar is None)
    verdict = await fake.do("say")
    assert verdict == Retry("sidecar: it ends again and again", away=True)


async def test_what_the_package_writes_into_is_new_for_each_call(fake: Fake) -> None:
    for number in range(3):
        await fake.do("tags", number=number)
    assert fake.said == [["one more"]] * 3
