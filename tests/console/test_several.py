"""The console on Kafka: an intake, two workers, and each worker's pages.

The one asked here does not keep the ledger: it reads the other's file. What holds on
SQLite as well are the same tests (test_pages.py), with this module's gateway.
"""

import asyncio
from collections import Counter
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.console import scene
from tests.console.conftest import Shop
from tests.console.test_pages import (
    opened,
    read_dead,
    test_a_dead_letter_is_sent_again_from_its_page,
    test_a_live_filter_shows_only_what_fits,
    test_a_replay_is_previewed_started_and_watched_to_its_end,
    test_an_event_is_explained,
    test_events_are_found_by_what_became_of_them,
    test_the_account_closes,
    test_the_live_page_shows_what_comes_with_the_decision,
)
from tests.log.broker.kafka import Node, free_ports
from tests.path.clustered import House
from tests.path.running import PATIENCE_S, Gateway, until

__all__ = (
    "test_a_dead_letter_is_sent_again_from_its_page",
    "test_a_live_filter_shows_only_what_fits",
    "test_a_replay_is_previewed_started_and_watched_to_its_end",
    "test_an_event_is_explained",
    "test_events_are_found_by_what_became_of_them",
    "test_the_account_closes",
    "test_the_live_page_shows_what_comes_with_the_decision",
)
pytestmark = [pytest.mark.service, pytest.mark.asyncio(loop_scope="module")]

SHARED = "crm", "warehouse"
KINDS = "Delivered", "Filtered", "Dead"
PAGES = {
    "/": "Overview",
    "/live": "Live",
    "/sources": "Sources",
    "/catalogue": "Catalogue",
    "/destinations": "Destinations",
    "/destinations/crm": "crm",
    "/destinations/inbox": "inbox",
    "/dead/crm": "Dead letters of crm",
    "/replays": "Replays",
}


def console(port: int) -> str:
    return f'[console]\nlisten = "127.0.0.1:{port}"\ntoken = "{scene.TOKEN}"\n'


def text_of(hook: str) -> str:
    """The scene's configuration without what each process has of its own."""
    return "[workspace]" + scene.config(hook).partition("[workspace]")[2]


async def answers(gateway: Gateway, path: str, status: int = 200) -> Any:
    """What the admin port says, once it says it."""
    headers = {"Authorization": f"Bearer {scene.TOKEN}"}
    async with asyncio.timeout(PATIENCE_S):
        while True:
            url = gateway.admin + path
            async with gateway.session.get(url, headers=headers) as answer:
                if answer.status == status:
                    return await answer.json()
            await asyncio.sleep(0.1)


async def share(*workers: Gateway) -> None:
    """Return once each of them has partitions of what they share."""
    async with asyncio.timeout(PATIENCE_S):
        for worker in workers:
            while True:
                here = (await answers(worker, "/readyz"))["destinations"]
                if all(here[name]["lag"] is not None for name in SHARED):
                    break
                await asyncio.sleep(0.1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> list[Gateway]:
    """Who keeps the ledger, and who shows its pages here; filled by ``shop``."""
    return []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory, broker: Node, workers: list[Gateway]):
    folder, ports = tmp_path_factory.mktemp("several"), free_ports(2)
    async with scene.Receiver() as hook:
        hook.judge = scene.refusing
        text = text_of(hook.url.removesuffix("/hook"))
        async with House(folder, hook, broker, text) as house:
            keeper = await house.add("worker", *SHARED, "inbox", more=console(ports[0]))
            await answers(keeper, "/v1/ledger")
            more = console(ports[1])
            shown = await house.add("worker", *SHARED, "people", more=more)
            intake = await house.add("intake", more=console(ports[0]))
            workers += [keeper, shown]
            await share(keeper, shown)
            await scene.play(intake)
            while (await answers(shown, "/v1/ledger"))["behind"]:
                await asyncio.sleep(0.1)
            yield Shop(intake, hook, f"http://127.0.0.1:{ports[1]}", folder)


async def test_each_page_says_what_it_is_and_whose_numbers_it_shows(shop, page):
    for path, title in PAGES.items():
        await opened(shop, page, path)
        await expect(page.get_by_role("heading", level=1)).to_contain_text(title)
        said = "This process is the worker of crm, warehouse, people"
        await expect(page.get_by_text(said)).to_be_visible()
    await opened(shop, page, "/")
    main = page.locator("main")
    await expect(main).not_to_contain_text("Nothing has been sent yet")
    inbox = page.locator("tr", has_text="inbox").first
    await expect(inbox).to_contain_text("elsewhere")
    await opened(shop, page, "/sources")
    web = page.locator("#source-web")
    await expect(web).to_contain_text("analytics.js 2.11.1")
    await expect(web).to_contain_text("/traits/email")
    await opened(shop, page, "/catalogue")
    await expect(page.locator("main")).to_contain_text("Order Completed")


async def test_dead_letters_of_every_partition_are_listed_the_newest_first(shop, page):
    known = {each["headers"]["messageId"] for each in await read_dead(shop)}
    coupon = {"type": "track", "event": "Coupon Applied"}
    for number in range(9):
        event = {**coupon, "userId": f"customer-{number:04}"}
        await scene.send(shop.gateway, [event], "web-key")
    letters: list[Any] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(letters) < 9:
            found = await read_dead(shop)
            letters = [e for e in found if e["headers"]["messageId"] not in known]
    assert len({each["partition"] for each in letters}) > 1
    await opened(shop, page, "/dead/crm")
    shown = await page.locator(".letters summary .mono").all_inner_texts()
    newest = sorted(letters, key=lambda each: each["appendedAt"], reverse=True)
    assert len(shown) == len(letters)  # the others were sent again
    times = {each["headers"]["messageId"]: each["appendedAt"] for each in newest}
    assert [times[each] for each in shown] == [each["appendedAt"] for each in newest]


async def test_a_replay_counts_ends_at_the_destination_though_a_worker_dies(
    shop, page: Page, workers: list[Gateway]
):
    """Fed is not delivered: some are filtered there, some refused, some come twice."""
    keeper, _ = workers
    await opened(shop, page, "/replays?topic=events&to=crm&rate=40")
    await page.get_by_role("button", name="Preview").click()
    await page.get_by_role("button", name="Start the replay").click()
    started = len(shop.hook.received)
    await until(lambda: len(shop.hook.received) > started + 5)
    await keeper.kill()
    await expect(page.locator(".state")).to_have_text("done", timeout=90_000)
    way = page.locator(".figures div", has_text="On their way").locator(".value")
    await expect(way).to_have_text("0", timeout=90_000)
    replay = page.url.rpartition("/")[2]
    ends: dict[str, str] = {}
    for each in await shop.gateway.read("outcomes"):
        if each["headers"].get("replay") == replay:
            ends.setdefault(each["headers"]["messageId"], each["value"]["kind"])
    counted = Counter(ends.values())
    assert set(counted) == {kind.lower() for kind in KINDS}
    for kind in KINDS:
        value = page.locator(".figures div", has_text=kind).locator(".value")
        await expect(value).to_have_text(f"{counted[kind.lower()]}")
    fed = page.get_by_role("status").filter(has_text=f"{len(ends)} fed")
    await expect(fed).to_contain_text(f"{len(ends)} of them ended")
    await keeper.start()


async def test_pages_are_answered_after_the_ledger_s_keeper_has_died(shop, page):
    """Who stood by keeps the ledger now; the account is whole, and closes."""
    await test_the_account_closes(shop, page)
