"""A gateway as a user runs it, with an action destination and a vendor on loopback."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import orjson
import pytest
from aiohttp import web

from gateway import __version__
from gateway.actions import definitions
from tests.actions import kit
from tests.path.running import Gateway, until

pytestmark = pytest.mark.service
KEY = "k3y-of-customerio"
AT_ONCE, UNSETTLED = 32, 16


class Vendor:
    """Customer.io's Track API, as far as it is asked; ``judge`` says its answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []
        self.judge: Callable[[str, int], web.Response] = lambda *_: web.Response()
        self.url = ""
        self.hung_up = False
        self._runner = web.ServerRunner(web.Server(self._take), shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        assert (request.method, request.path) == ("POST", "/api/v2/entity")
        who = body["identifiers"]["id"]
        before = sum(each == who for _, each in self.asked)
        self.asked.append((time.monotonic(), who))
        if who == "endless":
            return await self._endless(request)
        return self.judge(who, before)

    async def _endless(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        except ConnectionError:
            self.hung_up = True
        return response

    def was_asked(self, times: int) -> bool:
        return len(self.asked) >= times

    def times(self, who: str) -> list[float]:
        return [at for at, each in self.asked if each == who]


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor() as made:
        yield made


@pytest.fixture
async def gateway(tmp_path: Path, vendor: Vendor) -> AsyncIterator[Gateway]:
    place = definitions.place(tmp_path / definitions.ROOT)
    place.parent.mkdir(parents=True)
    place.symlink_to(kit.package().folder)
    text = f"""
        [sources.web]
        kind = "server"
        write_keys = ["dev"]
        [destinations.crm]
        type = "actions:customerio"
        settings = {{ siteId = "the site", apiKey = "{KEY}" }}
        [destinations.crm.delivery]
        retry_base = "50ms"
        retry_cap = "500ms"
        timeout = "5s"
        unsettled = {UNSETTLED}
        [egress]
        hosts = {{ "track.customer.io" = "{vendor.url}" }}
    """
    async with Gateway(tmp_path, text) as made:
        yield made


async def identify(gateway: Gateway, *people: str, **traits: Any) -> None:
    batch = [
        {"type": "identify", "messageId": f"m-{each}", "userId": each, "traits": traits}
        for each in people
    ]
    status, _ = await gateway.post("/v1/batch", {"batch": batch})
    assert status == 200


async def test_429_and_500_are_retried_and_nobody_else_waits(
    gateway: Gateway, vendor: Vendor
) -> None:
    def judge(who: str, before: int) -> web.Response:
        if who == "later" and before == 0:
            return web.Response(status=429, headers={"Retry-After": "1"})
        return web.Response(status=500 if who == "broken" and before < 2 else 200)

    vendor.judge = judge
    await identify(gateway, "later", "broken", "fine")
    await until(lambda: len(vendor.times("later")) == 2)
    first, second = vendor.times("later")
    assert second - first >= 1.0
    assert len(vendor.times("broken")) == 3
    assert len(vendor.times("fine")) == 1
    assert vendor.times("fine")[0] < second


async def test_a_400_is_a_dead_letter_with_the_request_as_it_was_but_its_secrets(
    gateway: Gateway, vendor: Vendor
) -> None:
    said = {"errors": [{"reason": f"no {KEY} here"}]}
    vendor.judge = lambda *_: web.json_response(said, status=400)
    await identify(gateway, "bad", note=f"of {KEY}", plan="pro")
    async with asyncio.timeout(30):
        while not (letters := await gateway.read("dead.crm")):
            await asyncio.sleep(0.1)
    (letter,) = letters
    value = letter["value"]
    assert (value["reason"], value["attempts"]) == ("rejected", 1)
    assert value["event"]["messageId"] == "m-bad"
    assert value["actions"] == ["Create or Update Person"]
    request, response = value["request"], value["response"]
    assert request["method"] == "POST"
    assert request["url"] == "https://track.customer.io/api/v2/entity"
    agent = f"gateway/{__version__} (action-destinations)"
    headers = {
        "accept": "*/*",
        "authorization": "***",
        "content-type": "application/json",
        "user-agent": agent,
    }
    assert request["headers"] == headers
    body = orjson.loads(request["body"])
    assert body["identifiers"] == {"id": "bad"}
    assert body["attributes"]["note"] == "of ***"
    assert body["attributes"]["plan"] == "pro"
    assert response["status"] == 400
    assert orjson.loads(response["body"]) == {"errors": [{"reason": "no *** here"}]}
    assert KEY not in orjson.dumps(request).decode()
    assert KEY not in gateway.errors()


async def test_an_answer_without_end_is_left_after_4_mib(
    gateway: Gateway, vendor: Vendor
) -> None:
    await identify(gateway, "endless", "other")
    await until(lambda: vendor.hung_up)
    delivered = 'gateway_outcomes_total{destination="crm",kind="delivered"}'
    async with asyncio.timeout(30):
        while await gateway.metric(delivered) < 2:
            await asyncio.sleep(0.05)
    assert len(vendor.asked) == 2


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def runs(pid: int) -> bool:
    try:
        return b"sidecar.js" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def is_gone(pid: int) -> bool:
    return not runs(pid)


async def test_sigkill_of_the_worker_repeats_at_most_what_was_in_flight_or_unsettled(
    gateway: Gateway, vendor: Vendor
) -> None:
    people = [f"p{number}" for number in range(600)]
    for at in range(0, len(people), 100):
        await identify(gateway, *people[at : at + 100])
    rounds = 3
    for number in range(1, rounds + 1):
        await until(partial(vendor.was_asked, 100 * number))
        assert gateway.process is not None
        sidecars = [each for each in children(gateway.process.pid) if runs(each)]
        assert len(sidecars) == 1
        await gateway.kill()
        await until(partial(is_gone, sidecars[0]))
        await gateway.start()
    await until(lambda: {who for _, who in vendor.asked} == set(people))
    async with asyncio.timeout(30):
        while await gateway.metric('gateway_lag{destination="crm"}'):
            await asyncio.sleep(0.05)
    counts = Counter(who for _, who in vendor.asked)
    assert counts.total() - len(people) <= (AT_ONCE + UNSETTLED) * rounds
    assert await gateway.read("dead.crm") == []
