"""A dead letter of several actions, sent again: only who refused it is asked."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import orjson
import pytest
from aiohttp import web

from gateway.actions import definitions
from tests.actions import kit
from tests.path.running import Gateway, until

pytestmark = pytest.mark.service
PERSON, SIGNED_UP = "Create or Update Person", "trackEvent"


class Vendor:
    """Customer.io's Track API; it takes no events until it is mended."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.mended = False
        self.url = ""
        self._runner = web.ServerRunner(web.Server(self._take), shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.BaseRequest) -> web.Response:
        action = orjson.loads(await request.read())["action"]
        self.asked.append(action)
        refuses = action == "event" and not self.mended
        return web.Response(status=400 if refuses else 200)


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
        settings = {{ siteId = "the site", apiKey = "k3y" }}
        [[destinations.crm.actions]]
        preset = "{PERSON}"
        [[destinations.crm.actions]]
        action = "{SIGNED_UP}"
        trigger = 'type = "identify"'
        mapping = {{ name = "Signed up" }}
        [egress]
        hosts = {{ "track.customer.io" = "{vendor.url}" }}
    """
    async with Gateway(tmp_path, text) as made:
        yield made


async def explained(gateway: Gateway, *parts: str) -> str:
    """What ``gateway explain`` says, as soon as that is in it: the ledger lags."""
    async with asyncio.timeout(60):
        while True:
            _, said, _ = await gateway.command("explain", "m-1")
            if all(each in said for each in parts):
                return said
            await asyncio.sleep(0.2)


async def test_a_replay_asks_only_the_action_that_refused_it(
    gateway: Gateway, vendor: Vendor
) -> None:
    message = {"type": "identify", "messageId": "m-1", "userId": "u1", "traits": {}}
    status, _ = await gateway.post("/v1/batch", {"batch": [message]})
    assert status == 200
    async with asyncio.timeout(60):
        while not (letters := await gateway.read("dead.crm")):
            await asyncio.sleep(0.1)
    assert letters[0]["value"]["actions"] == [SIGNED_UP]
    assert letters[0]["value"]["delivered"] == [PERSON]
    assert vendor.asked == ["identify", "event"]

    again = ("replay", "--to", "crm", "--topic", "dead")
    code, shown, errors = await gateway.command(*again, "--dry-run")
    assert (code, errors) == (0, "")
    assert orjson.loads(shown)["request"]["action"] == SIGNED_UP
    assert "requests" not in orjson.loads(shown)

    vendor.mended = True
    code, _, errors = await gateway.command(*again)
    assert code == 0, errors
    await until(lambda: len(vendor.asked) > 2)
    said = await explained(gateway, "crm: dead", "crm: delivered")
    assert f"crm: dead, rejected, by {SIGNED_UP}" in said
    assert f"crm: delivered, by {SIGNED_UP}" in said
    assert vendor.asked == ["identify", "event", "event"]
    (letter,) = await gateway.read("dead.crm")
    assert letter["headers"].get("actions") is None
