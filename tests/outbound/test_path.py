"""Worker, webhook, client and a real server that misbehaves; and worker and file."""

import asyncio
import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.config import DestinationConfig
from gateway.outbound import destinations
from gateway.outbound.reach import Reach
from gateway.outbound.send import HttpSend, open_pool


def configured(settings: Any, type_: str, folder: Path) -> Any:
    return destinations.load(type_).configured(settings, name="crm", folder=folder)


async def refuse(_: Any) -> Any:
    raise AssertionError("a file sends no request")


Answer = Callable[[str, int], "web.Response | None"]


class Crm:
    """Takes events; ``answer`` gets the user and how often this event came before.

    None resets the connection. ``hang`` holds requests until ``free`` is set.
    """

    def __init__(self) -> None:
        self.kept: defaultdict[str, list[str]] = defaultdict(list)
        self.asked: Counter[str] = Counter()
        self.bodies: list[bytes] = []
        self.answer: Answer = lambda *_: web.Response()
        self.hang: set[str] = set()
        self.free = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        signature = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
        assert request.headers["X-Gateway-Signature"] == f"sha256={signature}"
        self.bodies.append(body)
        events = orjson.loads(body)
        events = events if isinstance(events, list) else [events]
        answers = [await self.take(event) for event in events]
        worst = max(answers, key=lambda each: 999 if each is None else each.status)
        if worst is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if worst.status < 300:
            for event in events:
                self.kept[event["userId"]].append(event["messageId"])
        return worst

    async def take(self, event: dict[str, Any]) -> web.Response | None:
        user, ident = event["userId"], event["messageId"]
        before = self.asked[ident]
        self.asked[ident] += 1
        if user in self.hang and not self.free.is_set():
            await self.free.wait()
        return self.answer(user, before)


@pytest.fixture
async def crm() -> Crm:
    return Crm()


@asynccontextmanager
async def delivering(
    bench: Any, crm: Crm, *, batch: int = 1, **changes: Any
) -> AsyncIterator[Any]:
    application = web.Application()
    application.router.add_post("/hook", crm.handle)
    async with (
        TestServer(application) as server,
        open_pool(Reach(["127.0.0.0/8"])) as pool,
    ):
        config = DestinationConfig(
            name="crm",
            type="webhook",
            settings={
                "url": str(server.make_url("/hook")),
                "secret": "s3cret",
                "batch": batch,
                "headers": {"Authorization": "Bearer abcdef"},
            },
        )
        send = HttpSend(pool, timeout_s=changes.get("timeout_s", 2.0))
        made = configured(config.settings, "webhook", Path()).open(send)
        async with bench.running(made, **changes) as worker:
            yield worker


def wanted(entries: list[Any]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for each in entries:
        event = orjson.loads(each.value)
        found[event["userId"]].append(event["messageId"])
    return found


async def test_whatever_a_server_does_each_person_s_events_arrive_in_order(
    bench: Any, crm: Crm, entry: Any
) -> None:
    entries = [entry(number, f"u{number % 9}") for number in range(270)]

    def answer(user: str, before: int) -> web.Response | None:
        if before >= 2 or user == "u0":
            return web.Response()
        match user:
            case "u1":
                return web.Response(status=503)
            case "u2":
                return web.Response(status=429, headers={"Retry-After": "0"})
            case "u3":
                return None
            case "u4":
                return web.Response(status=301, headers={"Location": "/elsewhere"})
            case "u5":
                return web.Response(status=408)
            case _:
                return web.Response(status=204)

    crm.answer = answer
    async with bench.open():
        await bench.log.append(entries)
        async with delivering(bench, crm):
            await bench.settled(270)
        assert crm.kept == wanted(entries)
        assert set((await bench.kinds()).values()) == {"delivered"}
        assert bench.metrics.attempts["crm", "retry"] >= 5 * 30
        assert sum(bench.metrics.delivery_seconds["crm"].buckets) == (
            bench.metrics.attempts.total()
        )


async def test_a_person_whose_requests_hang_delays_nobody_else(
    bench: Any, crm: Crm, entry: Any
) -> None:
    crm.hang = {"u0"}
    async with bench.open():
        await bench.log.append(
            [entry(number, f"u{number % 10}") for number in range(100)]
        )
        async with delivering(bench, crm, timeout_s=0.1, concurrency=4):
            await bench.settled(90)
            assert "u0" not in crm.kept
            crm.free.set()
            await bench.settled(100)
        assert list(dict.fromkeys(crm.kept["u0"])) == [
            f"m{n}" for n in range(0, 100, 10)
        ]


async def test_credentials_that_are_refused_stop_everything_until_they_are_right(
    bench: Any, crm: Crm, entry: Any, wait_until: Any
) -> None:
    entries = [entry(number, f"u{number % 9}") for number in range(90)]
    crm.answer = lambda *_: web.Response(status=401)
    async with bench.open():
        await bench.log.append(entries)
        async with delivering(bench, crm, concurrency=4) as worker:
            await wait_until(lambda: worker.state()["breaker"] == "auth")
            asked = crm.asked.total()
            await wait_until(lambda: crm.asked.total() >= asked + 3)
            assert not crm.kept
            crm.answer = lambda *_: web.Response()
            await bench.settled(90)
        assert crm.kept == wanted(entries)


async def test_retry_after_is_waited_for(bench: Any, crm: Crm, entry: Any) -> None:
    at: list[float] = []
    loop = asyncio.get_running_loop()

    def answer(user: str, before: int) -> web.Response:
        at.append(loop.time())
        if before:
            return web.Response()
        return web.Response(status=429, headers={"Retry-After": "1"})

    crm.answer = answer
    async with bench.open():
        await bench.log.append([entry(1, "u1")])
        async with delivering(bench, crm):
            await bench.settled(1)
    assert at[1] - at[0] >= 1.0


async def test_a_bad_event_in_a_batch_harms_no_other(
    bench: Any, crm: Crm, entry: Any
) -> None:
    crm.answer = lambda user, _: web.Response(
        status=422 if user == "u7" else 200, text="no such user"
    )
    async with bench.open():
        await bench.log.append([entry(number, f"u{number}") for number in range(20)])
        async with delivering(bench, crm, batch=20, concurrency=1):
            await bench.settled(20)
        assert sorted(crm.kept) == sorted(f"u{n}" for n in range(20) if n != 7)
        assert all(len(each) == 1 for each in crm.kept.values())
        (letter,) = await bench.read("dead.crm")
        assert letter["reason"] == "rejected"
        assert letter["event"]["userId"] == "u7"
        assert [e["userId"] for e in orjson.loads(letter["request"]["body"])] == ["u7"]
        assert letter["request"]["headers"]["Authorization"] == "***"
        assert letter["response"]["status"] == 422
        assert letter["response"]["body"] == "no such user"
        assert b"abcdef" not in orjson.dumps(letter)
        outcome = next(e for e in await bench.outcomes() if e["messageId"] == "m7")
        assert (outcome["kind"], outcome["status"]) == ("dead", 422)


async def test_the_body_is_the_very_bytes_of_the_log(
    bench: Any, crm: Crm, entry: Any
) -> None:
    given = entry(1, "u1")
    async with bench.open():
        await bench.log.append([given])
        async with delivering(bench, crm):
            await bench.settled(1)
    assert crm.bodies == [given.value]


async def test_a_file_gets_every_event_once_in_log_order_over_hard_restarts(
    bench: Any, entry: Any, tmp_path: Path, wait_until: Any
) -> None:
    path = tmp_path / "inbox.ndjson"

    def lines() -> int:
        return path.read_bytes().count(b"\n") if path.exists() else 0

    async with bench.open():
        await bench.log.append(
            [entry(number, f"u{number % 50}") for number in range(6_000)]
        )
    for _ in range(3):
        async with bench.open():
            made = configured({"path": path.name}, "file", tmp_path).open(refuse)
            before = lines()
            task = asyncio.create_task(bench.worker(made).run())
            await wait_until(lambda before=before: lines() > before)
            task.cancel()
            await asyncio.wait([task])
            await made.close()
    async with bench.open():
        made = configured({"path": path.name}, "file", tmp_path).open(refuse)
        async with bench.running(made) as worker:
            await wait_until(
                lambda: worker.state()["running"] and worker.state()["lag"] == 0
            )
        await made.close()
    got = [orjson.loads(line)["messageId"] for line in path.read_bytes().splitlines()]
    assert got == [f"m{number}" for number in range(6_000)]
