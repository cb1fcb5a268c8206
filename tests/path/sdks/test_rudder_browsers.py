"""RudderStack's browser SDKs, unmodified, in a real browser."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.log.broker.kafka import free_ports
from tests.path.running import Gateway, Webhook, until
from tests.path.sdks.browser import Browser
from tests.path.sdks.clients import FINAL, Page, Sdk

pytestmark = [pytest.mark.service, pytest.mark.asyncio(loop_scope="module")]

VERSIONS = {"@rudderstack/analytics-js": "3.34.1", "rudder-sdk-js": "2.52.21"}
LIBRARY = "RudderLabs JavaScript SDK"
KEY = "key+of page"  # a beacon's address must not change what a key is


class House:
    """A page of another origin than the gateway's, and one of the two SDKs in it."""

    def __init__(self, browser: Browser, gateway: Gateway, hook: Webhook, package: str):
        self.browser, self.gateway, self.hook = browser, gateway, hook
        self.package = package

    def page(self, **options: object) -> Page:
        sdk = Sdk(
            package=self.package,
            language="browser",
            library=LIBRARY,
            options=options,
            makes_of=FINAL,
        )
        return Page(self.browser, sdk, host=self.gateway.url, key=KEY)

    async def strangers(self) -> list[str]:
        """Whom the page has asked beside the gateway and its own origin."""
        asked: list[str] = await self.browser.evaluate("asked")
        assert any("/sourceConfig/" in each for each in asked)
        ours = self.gateway.url, self.browser.origin
        return [each for each in asked if not each.startswith(ours)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Browser]:
    async with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest_asyncio.fixture(params=VERSIONS, loop_scope="module")
async def house(
    request: pytest.FixtureRequest, tmp_path: Path, browser: Browser
) -> AsyncIterator[House]:
    (port,) = free_ports(1)
    await browser.forget()
    async with AsyncExitStack() as stack:
        hook = await stack.enter_async_context(Webhook())
        config = f"""
            [server]
            listen = "127.0.0.1:{port}"
            admin_listen = "127.0.0.1:0"
            private_destinations = ["127.0.0.0/8"]
            [sources.page]
            kind = "browser"
            write_keys = ["{KEY}"]
            origins = ["{browser.origin}"]
            [destinations.hook]
            type = "webhook"
            settings = {{ url = "{hook.url}" }}
        """
        gateway = await stack.enter_async_context(Gateway(tmp_path, config))
        yield House(browser, gateway, hook, request.param)


async def test_what_a_page_calls_is_admitted_and_its_vendor_is_never_asked(
    house: House,
) -> None:
    async with house.page() as page:
        traits = {"email": "ann@shop.example", "first_name": "Ann", "plan": "pro"}
        await page.call(type="identify", userId="user-1", traits=traits)
        await page.call(type="track", event="Bought", properties={"total": 9.5})
        await page.call(type="page", name="Home", properties={"depth": 2})
        await page.call(type="group", groupId="acme", traits={"employees": 7})
        await page.call(type="alias", userId="user-2", previousId="user-1")
        await until(lambda: len(house.hook.received) == 5)
    assert await house.strangers() == []
    sent = {event["type"]: event for event in house.hook.received}
    assert sorted(sent) == ["alias", "group", "identify", "page", "track"]
    for event in sent.values():
        library = event["context"]["library"]
        assert library["name"] == LIBRARY
        assert library["version"] == VERSIONS[house.package]
        assert event["source"] == "page"
        assert event["anonymousId"]
    named = sent["identify"]
    assert named["userId"] == "user-1"
    spelled = {"email": "ann@shop.example", "firstName": "Ann", "plan": "pro"}
    assert named["traits"] == spelled  # they came in the context alone
    assert sent["track"]["event"] == "Bought"
    assert sent["track"]["userId"] == "user-1"  # the SDK remembers who it is
    assert sent["track"]["properties"]["total"] == 9.5
    assert sent["page"]["name"] == "Home"
    assert sent["page"]["properties"]["depth"] == 2
    assert sent["group"]["groupId"] == "acme"
    assert sent["group"]["traits"] == {"employees": 7}
    assert sent["alias"]["userId"] == "user-2"
    assert sent["alias"]["previousId"] == "user-1"


async def test_beacons_are_sent_when_the_page_is_left(house: House) -> None:
    async with house.page(useBeacon=True) as page:
        await page.call(type="identify", userId="user-1", traits={"plan": "pro"})
        await page.call(type="track", event="Left", properties={"n": 1})
    assert await house.strangers() == []
    await house.browser.leave()
    await until(lambda: len(house.hook.received) == 2)
    told = {event["type"]: event for event in house.hook.received}
    assert told["identify"]["traits"] == {"plan": "pro"}
    assert told["track"]["properties"]["n"] == 1
    assert told["track"]["userId"] == "user-1"
    assert await house.gateway.metric('gateway_requests_total{endpoint="beacon"') == 1


async def test_what_is_called_while_the_gateway_is_away_is_sent_later(
    house: House,
) -> None:
    async with house.page() as page:
        await page.call(type="track", event="Seen", properties={"n": 0})
        await until(lambda: len(house.hook.received) == 1)
        await house.gateway.kill()
        await page.call(type="track", event="Seen", properties={"n": 1})
        await house.gateway.start()
        await until(lambda: numbers(house) == {0, 1}, timeout_s=30)


def numbers(house: House) -> set[int]:
    return {event["properties"]["n"] for event in house.hook.received}
