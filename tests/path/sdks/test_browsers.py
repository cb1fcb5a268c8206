"""The browser SDKs, unmodified, in a real browser, on a page of another origin."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.log.broker.kafka import free_ports
from tests.path.running import Gateway, Webhook, until
from tests.path.sdks.browser import Browser
from tests.path.sdks.clients import SDKS, Page

pytestmark = [pytest.mark.service, pytest.mark.asyncio(loop_scope="module")]

BROWSERS = [name for name, sdk in SDKS.items() if sdk.language == "browser"]
SETTINGS = ("Customer.io Data Pipelines", "Segment.io")
PREFLIGHTED = "@segment/analytics-next"  # for its Authorization; the other is simple
TRACK = {"type": "track", "userId": "user-1", "event": "Seen"}


class House:
    """A page, and a gateway that takes its origin on one key and not on another."""

    def __init__(self, browser: Browser, gateway: Gateway, hook: Webhook, name: str):
        self.browser, self.gateway, self.hook = browser, gateway, hook
        self.sdk = SDKS[name]

    def page(self, key: str = "here", **options: object) -> Page:
        page = Page(self.browser, self.sdk, host=self.gateway.url, key=key)
        page.options.update(options)
        return page

    async def statuses(self) -> Counter[str]:
        """Answers to posts and preflights of /v1/t, by status."""
        async with self.gateway.session.get(self.gateway.admin + "/metrics") as answer:
            lines = (await answer.text()).splitlines()
        told: Counter[str] = Counter()
        for line in lines:
            if line.startswith('gateway_requests_total{endpoint="track"'):
                status = line.partition('status="')[2][:3]
                told[status] += int(float(line.rpartition(" ")[2]))
        return told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory):
    async with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest_asyncio.fixture(params=BROWSERS, loop_scope="module")
async def house(request, tmp_path, browser):
    (port,) = free_ports(1)
    await browser.forget()
    async with AsyncExitStack() as stack:
        hook = await stack.enter_async_context(Webhook())
        config = f"""
            [server]
            listen = "127.0.0.1:{port}"
            admin_listen = "127.0.0.1:0"
            private_destinations = ["127.0.0.0/8"]
            [sources.here]
            kind = "browser"
            write_keys = ["here"]
            origins = ["{browser.origin}"]
            [sources.elsewhere]
            kind = "browser"
            write_keys = ["elsewhere"]
            origins = ["https://shop.example"]
            [destinations.hook]
            type = "webhook"
            settings = {{ url = "{hook.url}" }}
        """
        gateway = await stack.enter_async_context(Gateway(tmp_path, config))
        yield House(browser, gateway, hook, request.param)


async def test_a_page_of_another_origin_is_heard_and_says_where_it_is(house):
    async with house.page() as page:
        for number in range(3):
            await page.call(**TRACK, properties={"n": number})
            seen = number + 1
            await until(lambda: len(house.hook.received) == seen)  # noqa: B023
    context = house.hook.received[0]["context"]
    assert context["ip"] == "127.0.0.1"  # a browser's connection says where it is
    assert context["channel"] == "browser"
    assert "Chrome" in context["userAgent"]
    preflights = 1 if house.sdk.package == PREFLIGHTED else 0  # one, then remembered
    assert await house.statuses() == {"200": 3 + preflights}


async def test_a_blocked_origin_is_refused_where_the_page_can_read_it(house):
    async with house.page("elsewhere") as page:
        await page.call(**TRACK)
    async with asyncio.timeout(20):
        while (await house.statuses())["401"] == 0:
            await asyncio.sleep(0.05)
    assert (await house.statuses())["401"] == 1  # it is final: nobody tries again
    assert await house.gateway.read("events") == []


async def test_without_settings_nothing_is_ever_sent(house):
    with pytest.raises(AssertionError, match="no source has this write key"):
        async with house.page("nobody-s"):
            pass
    assert await house.statuses() == {}


async def test_what_waits_for_its_batch_is_sent_when_the_page_is_left(house):
    strategy = {"strategy": "batching", "config": {"size": 10, "timeout": 60_000}}
    batching = {name: {"deliveryStrategy": strategy} for name in SETTINGS}
    async with house.page(integrations=batching) as page:
        for number in range(3):
            await page.call(**TRACK, properties={"n": number})
    assert await house.gateway.read("events") == []  # they wait
    await house.browser.leave()
    await until(lambda: numbers(house) == {0, 1, 2})


async def test_what_was_not_sent_when_the_page_was_left_is_sent_by_the_next(house):
    async with house.page() as page:
        await page.call(**TRACK, properties={"n": 0})
        await until(lambda: len(house.hook.received) == 1)
        await house.gateway.kill()
        await page.call(**TRACK, properties={"n": 1})
    await house.browser.leave()
    await house.gateway.start()
    await house.browser.goto()
    async with house.page():
        await until(lambda: numbers(house) == {0, 1}, timeout_s=30)


def numbers(house: House) -> set[int]:
    return {event["properties"]["n"] for event in house.hook.received}
