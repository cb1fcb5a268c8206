"""From a real SDK to twenty vendors: what arrives, what is repeated, what is kept.

One gateway, a sidecar for each vendor, and a stand-in on loopback for all of them.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import pytest_asyncio

from gateway.actions import node
from gateway.actions.definitions import ROOT, place
from gateway.event import Json
from tests.actions import golden, kit
from tests.path.running import PATIENCE_S, Gateway
from tests.path.sdks.clients import SDKS, Driver
from tests.path.vendors import Vendors

pytestmark = pytest.mark.service
SDK = SDKS["segment-analytics-python"]
DELIVERY = """
[destinations.{name}.delivery]
retry_base = "50ms"
retry_cap = "500ms"
probe_every = "200ms"
"""
VARIES = frozenset(
    {"library", "channel", "$lib_version", "mp_lib", "x-signature"}
    | {"originalTimestamp", "sentAt", "receivedAt", "action", "depends", "earlier"}
)
"""What is of the run, of the SDK, or of the dry run alone."""
SWALLOWS = frozenset({"pipedrive"})
"""Whose code goes on when a look-up is refused (see its notes)."""
Requests = Sequence[Mapping[str, Json]]


def wanted(vendor: str) -> list[Requests]:
    """What a vendor is to get of each of the three events."""
    return [golden.wanted(vendor, case) for case in golden.EVENTS]


def host(vendor: str) -> str:
    """The one host that a vendor has in its golden cases."""
    first = next(requests[0] for requests in wanted(vendor) if requests)
    return urlsplit(str(first["url"])).hostname or ""


class World:
    """The gateway with its twenty destinations, and who stands in for the vendors."""

    def __init__(self, gateway: Gateway, vendors: Vendors) -> None:
        self.gateway = gateway
        self.vendors = vendors
        self.names: dict[str, str] = {}
        """Vendor -> what its destination is called."""
        self.times = 0
        self.outcomes = 0
        """Of the three events, sent once."""
        for vendor in golden.VENDORS:
            config, made = golden.configured(vendor, node.find())
            self.names[vendor] = config.name
            types = [golden.event(vendor, each)["type"] for each in golden.EVENTS]
            self.outcomes += sum(each in made.takes.types for each in types)

    async def sends(self) -> None:
        """The three events, by a real SDK, until all of them came to their ends."""
        self.times += 1
        ended = await self.count() + self.outcomes
        driver = Driver(SDK, host=self.gateway.url, key="dev")
        async with driver:
            for case in golden.EVENTS:
                await driver.call(**call(case, self.times))
        assert driver.problems == []
        async with asyncio.timeout(PATIENCE_S):
            while await self.count() < ended:
                await asyncio.sleep(0.1)
        assert await self.count() == ended

    async def count(self) -> float:
        """How many outcomes there are."""
        return await self.gateway.metric("gateway_outcomes_total")

    def forget(self) -> None:
        """Only what is asked from now on counts; and it is answered 200."""
        self.vendors.asked.clear()
        self.vendors.script, self.vendors.always = {}, None

    def asked(self, vendor: str) -> list[Json]:
        """What the vendor was asked, in its order."""
        return [told(each.request) for each in self.vendors.asked[host(vendor)]]


def call(case: str, time: int) -> dict[str, Any]:
    """An event as somebody calls an SDK with it."""
    event = golden.event("", case)
    keys = ("type", "userId", "anonymousId", "event", "traits", "properties", "context")
    said = {key: event[key] for key in keys if key in event}
    at = event["timestamp"].replace("Z", "+00:00")
    return {**said, "messageId": f"{case}-at-{time}", "timestamp": {"$date": at}}


def told(said: Json) -> Json:
    """Without what varies; an id is that of the golden event, a time as there."""
    if isinstance(said, Mapping):
        return {key: told(each) for key, each in said.items() if key not in VARIES}
    if isinstance(said, list):
        return [told(each) for each in said]
    if isinstance(said, str):
        same = re.sub(r"(identify|track|order)-at-\d+", r"message-\1-4411", said)
        return unquote(re.sub(r"(T[\d:.]+)\+00:00$", r"\1Z", same))
    return said


def differences(asked: Json, masked: Json, at: str = "") -> Iterator[str]:
    """Where a request is not the golden one, in which secrets are masked."""
    if isinstance(asked, Mapping) and isinstance(masked, Mapping):
        for key in asked.keys() | masked.keys():
            one, other = asked.get(key, "absent"), masked.get(key, "absent")
            yield from differences(one, other, f"{at}/{key}")
    elif isinstance(asked, list) and isinstance(masked, list):
        for n, pair in enumerate(zip_longest(asked, masked, fillvalue="absent")):
            yield from differences(*pair, f"{at}/{n}")
    elif isinstance(asked, str) and isinstance(masked, str) and "***" in masked:
        if not re.fullmatch(re.escape(masked).replace(re.escape("***"), ".+"), asked):
            yield f"{at}: {asked} is not {masked}"
    elif asked != masked:
        yield f"{at}: {asked} is not {masked}"


def compare(vendor: str, asked: Sequence[Json], expected: Requests) -> None:
    """Each of them, in this order."""
    assert [*differences(asked, told(expected), vendor)] == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("vendors")
    there = place(folder / ROOT)
    there.parent.mkdir(parents=True)
    there.symlink_to(kit.package().folder)
    async with Vendors() as vendors:
        text = golden.SOURCE + vendors.egress([host(v) for v in golden.VENDORS])
        for vendor in golden.VENDORS:
            config, _ = golden.configured(vendor, node.find())
            text += golden.table(vendor) + DELIVERY.format(name=config.name)
        async with Gateway(folder, text) as gateway:
            yield World(gateway, vendors)


@pytest.mark.asyncio(loop_scope="module")
async def test_each_vendor_is_asked_as_in_its_golden_cases(world: World) -> None:
    world.forget()
    await world.sends()
    for vendor in golden.VENDORS:
        compare(
            vendor, world.asked(vendor), [each for ev in wanted(vendor) for each in ev]
        )


@pytest.mark.asyncio(loop_scope="module")
async def test_a_429_and_a_500_are_waited_for_and_the_order_is_kept(
    world: World,
) -> None:
    world.forget()
    world.vendors.script = {host(v): deque([429, 500]) for v in golden.VENDORS}
    await world.sends()
    for vendor in golden.VENDORS:
        each = [requests for requests in wanted(vendor) if requests]
        (first, *_), *_ = each
        again = [first, first]
        compare(
            vendor,
            world.asked(vendor),
            [*again, *(one for requests in each for one in requests)],
        )
        before, after, *_ = world.vendors.asked[host(vendor)]
        assert after.at_s - before.at_s >= 1.0, vendor


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_refused_is_kept_with_the_request_and_no_secret(
    world: World,
) -> None:
    world.forget()
    world.vendors.always = 400
    await world.sends()
    turn = asyncio.Semaphore(2)

    async def dead(vendor: str) -> None:
        async with turn:
            letters = await world.gateway.read(f"dead.{world.names[vendor]}")
        shown = [golden.readable(each["value"]["request"]) for each in letters]
        last = -1 if vendor in SWALLOWS else 0
        compare(
            vendor,
            [told(each) for each in shown],
            [ev[last] for ev in wanted(vendor) if ev],
        )
        assert [each["value"]["response"]["status"] for each in letters] == [400] * len(
            letters
        )
        secrets = re.findall(
            r'"([\w-]*(?:-token|-key|-secret|Token4411))"', golden.table(vendor)
        )
        assert [each for each in secrets if each in json.dumps(letters)] == []

    await asyncio.gather(*map(dead, golden.VENDORS))
