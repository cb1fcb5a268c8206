"""Replays of the console: owned, bounded, stopped, counted by what became of them."""

import asyncio
import io
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from gateway.config import Limits, LogConfig
from gateway.console.runs import REMEMBERED, RUNNING_MAX, Runs
from gateway.errors import ConfigError, LogError
from gateway.log import open_log
from gateway.log.contract import Entry, Span
from gateway.notices import Notices
from gateway.replay.ends import CLOCKS_MS
from tests.whole import until

ASKED = {"topic": "events", "to": "crm"}


def step(**changed: Any) -> dict[str, Any]:
    return {
        "read": 0,
        "total": 10,
        "sent": 0,
        "skipped": {},
        "waiting": False,
    } | changed


class Replaying:
    """What ``Shared.replaying`` would do: the test says each step."""

    def __init__(self) -> None:
        self.steps: asyncio.Queue[dict[str, Any] | BaseException | None] = (
            asyncio.Queue()
        )
        self.asked: list[Any] = []

    async def __call__(self, asked):
        self.asked.append(asked)
        while (said := await self.steps.get()) is not None:
            if isinstance(said, BaseException):
                raise said
            yield said


@pytest.fixture
async def log(tmp_path):
    log = await open_log(
        LogConfig(path=tmp_path / "log.db"),
        Limits(),
        topics=["outcomes"],
        notices=Notices(io.StringIO()),
    )
    yield log
    await log.close()


@pytest.fixture
def replaying() -> Replaying:
    return Replaying()


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
async def runs(log, replaying, said):
    shared = SimpleNamespace(log=log, notices=Notices(said), replaying=replaying)
    made = Runs(shared)  # type: ignore[arg-type]  # what is used of it
    owner = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    yield made
    owner.cancel()
    await asyncio.wait([owner])


def outcome(replay: str, kind: str, message_id: str = "m") -> Entry:
    value = orjson.dumps({"messageId": message_id, "kind": kind, "reason": None})
    headers = ("messageId", message_id.encode()), ("replay", replay.encode())
    return Entry("outcomes", b"k", value, headers)


def delivered(replay: str, *numbers: int) -> list[Entry]:
    return [outcome(replay, "delivered", f"m{number}") for number in numbers]


async def test_a_run_is_over_when_what_it_fed_has_ended(runs, replaying, log):
    run = runs.start(ASKED)
    replaying.steps.put_nowait(step(read=3, sent=2, skipped={"where": 1}))
    replaying.steps.put_nowait(None)
    await until(lambda: run.state == "done")
    assert (run.sent, run.skipped, run.part) == (2, {"where": 1}, 1.0)
    assert not run.is_settled  # fed is not delivered
    await log.append([outcome(run.id, "delivered"), outcome("another", "delivered")])
    await log.append([outcome(run.id, "dead", "n")])
    await until(lambda: run.ended == run.sent)
    assert run.is_settled
    assert run.outcomes == {"delivered": 1, "dead": 1}
    await until(run.task.done)


async def test_a_stopped_run_resumes_under_its_id_and_counts_on(runs, replaying, log):
    run = runs.start(ASKED)
    replaying.steps.put_nowait(step(read=5, sent=5))
    await until(lambda: run.sent == 5)
    runs.stop(run)
    await until(lambda: run.state == "stopped")
    await log.append(delivered(run.id, 0, 1, 2))  # what was fed before
    await until(lambda: run.ended == 3)
    runs.resume(run)
    replaying.steps.put_nowait(step(read=10, sent=4))
    await until(lambda: run.sent == 9)
    assert [each["id"] for each in replaying.asked] == [run.id, run.id]
    await log.append(delivered(run.id, *range(3, 9)))
    replaying.steps.put_nowait(None)
    await until(lambda: run.is_settled)
    assert run.ended == 9  # each once


async def test_an_event_that_ends_twice_counts_once(runs, replaying, log):
    """A worker that is killed leaves some to be delivered again."""
    run = runs.start(ASKED)
    replaying.steps.put_nowait(step(read=3, sent=3))
    replaying.steps.put_nowait(None)
    await until(lambda: run.state == "done")
    await log.append(delivered(run.id, 0, 0, 1, 0))
    await until(lambda: run.ended == 2)
    assert not run.is_settled  # the third is under way
    await log.append(delivered(run.id, 2))
    await until(lambda: run.is_settled)
    assert run.outcomes == {"delivered": 3}


async def test_a_log_that_was_away_hides_no_end(runs, replaying, log, monkeypatch):
    monkeypatch.setattr("gateway.replay.ends.AGAIN_S", 0.01)
    scan, broken = log.scan, list[Any]()

    async def breaking(*given, **more):
        async for record in scan(*given, **more):
            yield record
            if not broken:
                broken.append(record)
                raise LogError("the log is away")

    monkeypatch.setattr(log, "scan", breaking)
    run = runs.start(ASKED)
    replaying.steps.put_nowait(step(read=2, sent=2))
    replaying.steps.put_nowait(None)
    await log.append(delivered(run.id, 0))
    await until(lambda: broken)
    await log.append(delivered(run.id, 1))
    await until(lambda: run.is_settled)
    assert run.outcomes == {"delivered": 2}


async def test_an_end_by_a_clock_that_is_behind_counts(
    runs, replaying, log, monkeypatch
):
    """Kafka's brokers say when it was, and their clock is not ours."""
    spans: list[Span] = []
    scan = log.scan

    def asked(topic, span, **more):
        spans.append(span)
        return scan(topic, span, **more)

    monkeypatch.setattr(log, "scan", asked)
    run = runs.start(ASKED)
    await until(lambda: spans)
    assert spans[0].from_ms is not None
    assert run.started_ms - spans[0].from_ms > CLOCKS_MS - 1_000


async def test_one_that_had_ended_is_resumed_as_well(runs, replaying):
    run = runs.start(ASKED)
    replaying.steps.put_nowait(LogError("the log is away"))
    await until(lambda: run.state == "failed" and run.task.done())
    runs.resume(run)
    assert run.state == "running"
    replaying.steps.put_nowait(None)
    await until(lambda: run.state == "done")


async def test_why_a_run_failed_is_said_and_it_can_go_on(runs, replaying, said):
    away = runs.start(ASKED)
    replaying.steps.put_nowait(LogError("the log is away"))
    await until(lambda: away.state == "failed")
    assert away.why == "the log is away"
    broken = runs.start(ASKED)
    replaying.steps.put_nowait(TypeError("cool.person@example.com"))
    await until(lambda: broken.state == "failed")
    assert "cool.person" not in broken.why
    assert '"notice": "bug"' in said.getvalue()
    assert "cool.person" not in said.getvalue()


async def test_a_few_run_at_once(runs):
    for _ in range(RUNNING_MAX):
        runs.start(ASKED)
    with pytest.raises(ConfigError, match="run already"):
        runs.start(ASKED)
    runs.stop(runs.all[0])
    await until(lambda: runs.all[0].state == "stopped")
    runs.start(ASKED)


async def test_a_bounded_number_is_remembered(runs, replaying):
    for _ in range(REMEMBERED + 5):
        run = runs.start(ASKED)
        replaying.steps.put_nowait(None)
        await until(lambda: run.state == "done")  # noqa: B023 -- at once
    assert len(runs.all) == REMEMBERED
    assert runs.all[0] is run
    assert runs.find(run.id) is run


async def test_a_stop_of_the_gateway_ends_all_of_them(log, replaying):
    shared = SimpleNamespace(
        log=log, notices=Notices(io.StringIO()), replaying=replaying
    )
    runs = Runs(shared)  # type: ignore[arg-type]  # what is used of it
    owner = asyncio.create_task(runs.run())
    await asyncio.sleep(0)
    going, over = runs.start(ASKED), runs.start(ASKED)
    replaying.steps.put_nowait(step(sent=3))
    replaying.steps.put_nowait(None)  # one of them waits for its ends
    await until(lambda: "done" in (going.state, over.state))
    owner.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([owner])
    assert all(run.task is not None and run.task.done() for run in (going, over))
    with pytest.raises(ConfigError, match="stopping"):
        runs.start(ASKED)
