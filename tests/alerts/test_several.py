"""Two workers on Kafka: each trouble told once, its end once, whoever of them lives."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import encode_basic_auth

from gateway.app import Role
from gateway.config import Config, parse
from tests.alerts.test_wing import CONFIG, Town
from tests.log.broker.kafka import Node
from tests.path.clustered import on
from tests.whole import Whole, running

pytestmark = pytest.mark.service
PATIENCE_S = 90.0  # refusals are counted by the minute
RULES = """
[sources.shop]
write_keys = ["shop"]
[alerts.destination_down]
for = "300ms"
[alerts.lag]
events = 5
for = "100ms"
[alerts.dead_letters]
events = 3
within = "2s"
[alerts.refused_rate]
messages = 5
percent = 20
within = "2s"
[alerts.event_stopped]
events = 5
known = "1s"
silence = "3s"
times = 1
"""


@pytest.fixture
async def town():
    town = Town()
    await town.server.start_server()
    yield town
    await town.server.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.alerts.settings.WITHIN_MIN_S", 1.0)
    monkeypatch.setattr("gateway.alerts.wing.AGAIN_S", 0.1)
    monkeypatch.setattr("gateway.ledger.wing.TIDY_S", 0.2)


def read(folder: Path, town: Town, log: str) -> Config:
    url = str(town.server.make_url("")).rstrip("/")
    text = CONFIG.format(url=url) + RULES + log
    return parse(text, folder=folder, environment={})


async def post(
    gateway: Whole, key: str, path: str = "/v1/identify", **more: Any
) -> None:
    url, auth = gateway.url + path, {"Authorization": encode_basic_auth(key)}
    async with gateway.session.post(url, json={"userId": "u", **more}, headers=auth):
        pass


class Told:
    """What was told, and the wait for more of it."""

    def __init__(self, town: Town) -> None:
        self._town = town

    @property
    def all(self) -> Counter[tuple[str, str, str]]:
        return Counter(self._town.said())

    async def until(self, *wanted: tuple[str, str, str]) -> None:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + PATIENCE_S
        while missing := set(wanted) - self.all.keys():
            assert loop.time() < end_s, (missing, self.all)
            await asyncio.sleep(0.05)


TROUBLES = [
    ("event_stopped", "web"),
    ("destination_down", "crm"),
    ("lag", "crm"),
    ("dead_letters", "crm"),
    ("refused_rate", "shop"),
]


async def test_each_trouble_is_told_once_and_its_end_once(
    tmp_path: Path, town: Town, node: Node
) -> None:
    config, told = read(tmp_path, town, on(node)), Told(town)
    worker = Role(name="worker")
    async with running(config, Role(name="intake")) as intake:
        async with running(config, worker) as first:  # what comes regularly is learnt
            for _ in range(8):
                await post(intake, "dev", "/v1/track", event="Order")
                await asyncio.sleep(0.2)
            await ledger_has(first, 8)
        async with running(config, worker) as first, running(config, worker) as second:
            await told.until(("event_stopped", "web", "begins"))
            town.crm = 503
            for number in range(60):  # enough for the breaker of each of them
                await post(intake, "shop", userId=f"u{number}")
            await told.until(
                ("destination_down", "crm", "begins"), ("lag", "crm", "begins")
            )
            town.crm = 200
            await told.until(
                ("destination_down", "crm", "ends"), ("lag", "crm", "ends")
            )
            town.crm = 400
            for number in range(6):
                await post(intake, "shop", userId=f"v{number}")
            await told.until(("dead_letters", "crm", "begins"))
            town.crm = 200
            for _ in range(60):
                await post(intake, "shop", traits="none")
            await told.until(("refused_rate", "shop", "begins"))
            tells = first if first.notices("alert") else second
            other = second if tells is first else first
            assert not other.notices("alert")  # one of them tells
            tells.stop.set()
            await tells.task
            await told.until(
                ("dead_letters", "crm", "ends"), ("refused_rate", "shop", "ends")
            )
            await post(intake, "dev", "/v1/track", event="Order")
            await told.until(("event_stopped", "web", "ends"))
            assert other.notices("alert")
    expected = {(*each, state) for each in TROUBLES for state in ("begins", "ends")}
    assert told.all.keys() - {("event_stopped", "shop", "begins")} == expected
    assert set(told.all.values()) == {1}  # the shop stands still in the end, too


async def ledger_has(gateway: Whole, events: int) -> None:
    url = gateway.admin + "/v1/account"
    headers = {"Authorization": "Bearer t"}
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with gateway.session.get(url, headers=headers) as answer:
                found = await answer.json()
            if sum(each["admitted"] for each in found.get("sources", ())) == events:
                return
            await asyncio.sleep(0.1)
