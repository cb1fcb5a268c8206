"""Five of two hundred people who always fail slow nobody down: by the clock.

Two gateways run beside each other, so that whatever the machine does hits both: what is
sent is the same, but one's receiver fails five people. Each answer has its part of the
ten minutes and five people of its own, who go on failing by it.
"""

import asyncio
import os
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from statistics import quantiles
from typing import Self

import orjson
import pytest
from aiohttp import web

from tests.chance import chance
from tests.path.clustered import on
from tests.path.running import Gateway, until

pytestmark = [pytest.mark.service, pytest.mark.soak]
SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
RATE, POSTERS = 200, 8
GOOD = [f"good-{number}" for number in range(195)]
BAD = 5
ANSWERS = ("401", "403", "404", "429", "500", "reset", "hang")


class Receiver:
    """``/all`` serves everybody, ``/some`` nobody who is named by an answer."""

    def __init__(self) -> None:
        self.arrived: dict[str, dict[str, float]] = defaultdict(dict)
        """path -> message id -> when it came"""
        self.failed: dict[str, int] = defaultdict(int)
        self._end = asyncio.Event()
        self._runner = web.ServerRunner(web.Server(self._take), shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end.set()
        await self._runner.cleanup()

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        event = orjson.loads(await request.read())
        answer = event["userId"].partition("-")[0]
        if request.path == "/some" and answer != "good":
            return await self._fail(request, answer)
        self.arrived[request.path].setdefault(event["messageId"], time.monotonic())
        return web.Response()

    async def _fail(self, request: web.BaseRequest, answer: str) -> web.StreamResponse:
        self.failed[answer] += 1
        if answer == "hang":
            await self._end.wait()
        elif answer == "reset":
            assert request.transport is not None
            request.transport.abort()
        else:
            return web.Response(status=int(answer))
        return web.Response()


class Run:
    """One gateway, and when each event of the people who can be served was sent."""

    def __init__(self, gateway: Gateway, path: str, receiver: Receiver) -> None:
        self._gateway = gateway
        self._sent: dict[str, float] = {}
        self._arrived = receiver.arrived[path]

    async def send(self, answer: str, events: list[tuple[float, str]]) -> None:
        """Post these (seconds from now, person) at their times."""
        began, left = time.monotonic(), enumerate(events)

        async def post() -> None:
            for number, (at_s, person) in left:
                ident = f"{answer}-{number}"
                await asyncio.sleep(max(0.0, began + at_s - time.monotonic()))
                if person.startswith("good"):
                    self._sent[ident] = time.monotonic()
                message = {
                    "userId": person,
                    "messageId": ident,
                    "traits": {"n": number},
                }
                assert (await self._gateway.post("/v1/identify", message))[0] == 200

        async with asyncio.TaskGroup() as tasks:
            for _ in range(POSTERS):
                tasks.create_task(post())

    async def all_arrived(self) -> None:
        await until(lambda: self._sent.keys() <= self._arrived.keys())

    def p99_ms(self, answer: str) -> float:
        """Of the delays from POST to arrival while this was answered."""
        delays = [
            self._arrived[ident] - at_s
            for ident, at_s in self._sent.items()
            if ident.startswith(answer)
        ]
        return round(quantiles(delays, n=100)[98] * 1e3, 1)


def hooked(url: str, log: str) -> str:
    text = '[sources.web]\nkind = "server"\nwrite_keys = ["dev"]\n'
    return f'{text}[destinations.hook]\ntype = "webhook"\nsettings.url = "{url}"\n{log}'


def drawn(answer: str) -> list[tuple[float, str]]:
    """Who does something when, while this is answered."""
    draw, at_s, events = chance("five of two hundred", answer), 0.0, []
    people = [*GOOD, *(f"{answer}-{number}" for number in range(BAD))]
    while (at_s := at_s + draw.expovariate(RATE)) < SECONDS / len(ANSWERS):
        events.append((at_s, draw.choice(people)))
    return events


@pytest.mark.parametrize("kind", ["sqlite", "kafka"])
async def test_five_of_two_hundred_who_always_fail_slow_nobody_down(
    tmp_path, kind, request
):
    """p99 of everybody else is at most 1.2 times what it is when nobody fails."""
    runs: list[Run] = []
    async with Receiver() as receiver, AsyncExitStack() as stack:
        for path in ("/all", "/some"):
            log = on(request.getfixturevalue("node")) if kind == "kafka" else ""
            folder = tmp_path / path[1:]
            folder.mkdir()
            gateway = Gateway(folder, hooked(receiver.url + path, log))
            await stack.enter_async_context(gateway)
            runs.append(Run(gateway, path, receiver))
        for answer in ANSWERS:
            events = drawn(answer)
            await asyncio.gather(*(run.send(answer, events) for run in runs))
            for run in runs:
                await run.all_arrived()
        failed = dict(receiver.failed)
    calm, troubled = ({a: run.p99_ms(a) for a in (*ANSWERS, "")} for run in runs)
    ratios = {answer: round(troubled[answer] / calm[answer], 2) for answer in calm}
    print({"log": kind, "calm_ms": calm, "troubled_ms": troubled, "ratios": ratios})
    print({"failed requests": failed})
    assert failed.keys() == set(ANSWERS)
    assert ratios[""] <= 1.2
