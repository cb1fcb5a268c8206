"""What senders and destinations write is text on every page, whatever they write."""

import asyncio
from urllib.parse import quote

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page, expect

from tests.console import scene

pytestmark = [pytest.mark.service, pytest.mark.asyncio(loop_scope="module")]

TAG = "<img src=x onerror=alert(1)>"
CLOSING = "\"'></td></script><script>alert(2)</script><b>"
TEMPLATE = "{{ 7 * 7 }}{% raw %}"
LINK = "javascript:alert(3)"
USER = f"user {TAG}"
EVENT = f"Bought {CLOSING}"
MESSAGE_ID = f"id/../{TAG}-{TEMPLATE}"
AGENT = f"Agent/1 {CLOSING}"
LIBRARY = {"name": f"lib {TAG}", "version": f"1 {CLOSING}"}
NASTY = {
    f"trait {TAG}": f"value {CLOSING}",
    "link": LINK,
    "template": TEMPLATE,
    "plan": TAG,
    "email": "hostile@example.com",
}
STRANGE = "document.querySelectorAll('img, [onerror], b b, td b, a[href^=javascript]')"
SCRIPTS = "[...document.scripts].filter((each) => !each.src.includes('/static/'))"


def refusing(event: object) -> web.Response:
    text = f'{{"error": "{TAG}"}} {CLOSING}'
    return web.Response(status=400, text=text, headers={"X-Said": TAG})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostile(fresh):
    fresh.hook.judge = refusing
    context = {"library": LIBRARY, "userAgent": AGENT, "page": {"url": LINK}}
    messages = [
        {"type": "identify", "userId": USER, "traits": NASTY, "context": context},
        {
            "type": "track",
            "userId": USER,
            "event": EVENT,
            "messageId": MESSAGE_ID,
            "properties": {TAG: CLOSING},
            "context": context,
        },
        {"type": "track", "userId": USER, "event": "Device Created or Updated",
         "context": {"device": {"token": TAG, "type": "ios"}, "library": LIBRARY}},
        {"type": "identify", "userId": USER, "traits": {"email": {TAG: CLOSING}}},
    ]  # fmt: skip
    for message in messages:
        await fresh.gateway.post(
            "/v1/batch",
            {"batch": [message]},
            key="web-key",
            headers={"User-Agent": AGENT},
        )
    async with asyncio.timeout(30):
        while len(await fresh.gateway.read("dead.crm")) < 2:
            await asyncio.sleep(0.2)
    return fresh


async def holds_nothing_of_theirs(page: Page) -> None:
    assert await page.evaluate(f"{STRANGE}.length") == 0
    assert await page.evaluate(f"{SCRIPTS}.length") == 0


async def test_everything_is_shown_as_text(hostile, page):
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    base, seen = hostile.url, ""
    paths = [
        "/",
        "/live",
        "/sources",
        "/catalogue",
        "/events",
        f"/events?person={quote(USER)}",
        f"/events/{quote(MESSAGE_ID, safe='')}",
        "/people",
        "/destinations/crm",
        "/dead/crm",
        "/replays/preview?topic=dead&to=crm",
        "/account",
        f"/dead/crm?reason={quote(TAG)}&status={quote(CLOSING)}",
        f"/live?where={quote(TAG)}",
        f"/people?q={quote(CLOSING)}",
        f"/replays?where={quote(CLOSING)}&to={quote(TAG)}&from={quote(TAG)}",
        f"/replays/preview?topic={quote(TAG)}",
        f"/events/{quote(CLOSING, safe='')}",
        f"/?range={quote(CLOSING)}",
    ]
    for path in paths:
        await page.goto(base + path)
        await page.evaluate(
            "document.querySelectorAll('details').forEach((each) => each.open = true)"
        )
        await holds_nothing_of_theirs(page)
        seen += await page.inner_text("main")
    for text in (TAG, CLOSING, TEMPLATE, USER, EVENT, MESSAGE_ID, LIBRARY["name"]):
        assert text in seen, text
    assert "49" not in await page.inner_text("h1")


@pytest.fixture
def page(hostile, quiet_page):
    return quiet_page


async def test_a_link_leads_to_a_message_whatever_its_id_is(hostile, page):
    lists = [f"/events?person={quote(USER)}", "/live", "/dead/crm"]
    for path in lists:
        await page.goto(hostile.url + path)
        link = page.locator('main a[href^="/events/id"]').first
        leads_to = await link.get_attribute("href")
        assert leads_to == f"/events/{quote(MESSAGE_ID, safe='')}"
        answer = await page.goto(hostile.url + leads_to)
        assert answer.status == 200
        assert MESSAGE_ID in await page.inner_text("main")


async def test_what_comes_live_is_text_too(hostile, page):
    await page.goto(hostile.url + "/live")
    await expect(page.locator("#live-state")).to_contain_text("live")
    event = {"type": "track", "event": f"Now {TAG}", "userId": CLOSING}
    await scene.send(hostile.gateway, [event], "web-key")
    row = page.locator("#live tbody tr", has_text="Now ")
    await expect(row).to_contain_text(f"Now {TAG}")
    await expect(row).to_contain_text(CLOSING)
    await holds_nothing_of_theirs(page)


async def test_a_person_of_theirs_is_text(hostile, page):
    async with asyncio.timeout(30):
        await page.goto(f"{hostile.url}/people?q=hostile%40example.com")
        while not await page.locator("tbody a").count():
            await asyncio.sleep(0.1)
            await page.reload()
    await page.locator("tbody a").first.click()
    await expect(page.locator("main")).to_contain_text(f"trait {TAG}")
    await expect(page.locator("main")).to_contain_text(f"value {CLOSING}")
    await holds_nothing_of_theirs(page)


async def test_a_letter_of_theirs_is_sent_again_and_nothing_else(hostile, page):
    await page.goto(hostile.url + "/dead/crm")
    letter = page.locator(".letters > li", has_text=EVENT).first
    await letter.get_by_role("checkbox").check()
    await page.get_by_role("button", name="Send the chosen again").click()
    dead = page.locator(".figures div", has_text="Dead").locator(".value")
    await expect(dead).to_have_text("1", timeout=20_000)
    await holds_nothing_of_theirs(page)


async def test_no_page_shows_a_secret(hostile, page):
    secrets = (scene.SECRET, scene.API_KEY, scene.TOKEN, "the-old-web-key")
    for path in ("/", "/sources", "/destinations/crm", "/dead/crm", "/events",
                 "/replays/preview?topic=dead&to=crm", "/live"):  # fmt: skip
        await page.goto(hostile.url + path)
        content = await page.content()
        for secret in secrets:
            assert secret not in content, path
