"""Every page in a real browser, against a gateway with real events."""

import asyncio
import json
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.console import scene
from tests.path.running import until
from tests.path.sdks import kits

pytestmark = [pytest.mark.service, pytest.mark.asyncio(loop_scope="module")]

AXE = Path(__file__).with_name("node")
PAGES = {
    "/": "Overview",
    "/live": "Live",
    "/events": "Events",
    "/events?destination=crm&kind=dead": "Events",
    "/account": "Account",
    "/sources": "Sources",
    "/catalogue": "Catalogue",
    "/destinations": "Destinations",
    "/destinations/crm": "crm",
    "/destinations/old-crm": "old-crm",
    "/dead/crm": "Dead letters of crm",
    "/dead/inbox": "Dead letters of inbox",
    "/people": "People",
    "/replays": "Replays",
    "/replays/preview?topic=dead&to=crm": "would be sent to crm",
    "/events/nobody-knows-it": "Nothing is known of it",
    "/nowhere": "Not here",
}
SERIOUS = ("serious", "critical")


async def faults(page: Page) -> list[str]:
    """What axe finds that keeps somebody from using the page."""
    script = kits.modules("console", AXE) / "node_modules/axe-core/axe.min.js"
    await page.evaluate(script.read_text())
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in found["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


async def opened(shop, page: Page, path: str) -> None:
    await page.goto(shop.url + path)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_says_what_it_is_and_everybody_can_use_it(shop, browser, path):
    for options in (
        {"viewport": {"width": 1360, "height": 900}},
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
    ):
        context = await browser.new_context(**options)
        page = await shop.enter(context)
        await opened(shop, page, path)
        await expect(page.get_by_role("heading", level=1)).to_contain_text(PAGES[path])
        assert await faults(page) == []
        wide = "document.documentElement.scrollWidth - innerWidth"
        assert await page.evaluate(wide) <= 0  # nothing hangs over
        await context.close()


async def test_without_a_script_every_page_says_the_same(shop, browser):
    context = await browser.new_context(java_script_enabled=False)
    page = await shop.enter(context)
    for path, title in PAGES.items():
        await opened(shop, page, path)
        await expect(page.get_by_role("heading", level=1)).to_contain_text(title)
    await opened(shop, page, "/live")
    assert await page.locator("#live tbody tr").count() == 100
    await expect(page.get_by_role("link", name="Reload")).to_be_visible()
    await context.close()


async def test_the_catalogue_opened_on_a_phone_hangs_nothing_over(shop, browser):
    context = await browser.new_context(viewport={"width": 390, "height": 844})
    page = await shop.enter(context)
    async with asyncio.timeout(30):
        while not await page.get_by_text("Order Completed").count():
            await opened(shop, page, "/catalogue")
    await page.evaluate(
        "document.querySelectorAll('details').forEach((each) => each.open = true)"
    )
    await expect(page.get_by_text("properties.total").first).to_be_visible()
    wide = "document.documentElement.scrollWidth - innerWidth"
    assert await page.evaluate(wide) <= 0
    assert await faults(page) == []
    await context.close()


async def test_the_overview_says_first_what_needs_somebody(shop, page):
    await opened(shop, page, "/")
    first = page.locator(".concerns li").first
    await expect(first).to_contain_text("dead letters at crm")
    await first.get_by_role("link").click()
    await expect(page).to_have_url(shop.url + "/dead/crm")


async def test_a_dead_letter_is_sent_again_from_its_page(shop, page):
    letters = await shop.dead()
    assert letters, "the CRM refuses coupons"
    before = len(shop.hook.received)
    await opened(shop, page, "/dead/crm")
    letter = page.locator(".letters > li", has_text="Coupon Applied").first
    await letter.locator("summary").click()
    await expect(letter).to_contain_text("coupons are closed")  # the response
    await expect(letter).to_contain_text("Coupon Applied")
    await letter.get_by_role("checkbox").check()
    shop.hook.judge = lambda _: 200  # the CRM takes coupons now
    try:
        await page.get_by_role("button", name="Send the chosen again").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text(
            "1 chosen dead letter to crm"
        )
        delivered = page.locator(".figures div", has_text="Delivered").locator(".value")
        await expect(delivered).to_have_text("1")
        await expect(page.locator(".state")).to_have_text("done")
    finally:
        shop.hook.judge = scene.refusing
    assert len(shop.hook.received) == before + 1
    assert shop.hook.received[-1]["name"] == "Coupon Applied"
    assert len(await shop.dead()) == len(letters)


async def test_a_replay_is_previewed_started_and_watched_to_its_end(shop, page):
    coupons = len(await shop.dead())
    seen = [each["value"]["event"]["messageId"] for each in await read_dead(shop)]
    unique = len(set(seen))
    before = len(shop.hook.received)
    await opened(shop, page, "/replays")
    await page.get_by_label("What").select_option("dead")
    await page.get_by_label("To", exact=False).first.select_option("crm")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(
        f"{unique} dead letters would be sent to crm"
    )
    await expect(page.get_by_text("Would be sent").first).to_be_visible()
    await expect(page.locator("main")).to_contain_text("as it was")
    assert len(shop.hook.received) == before  # nothing was, by looking
    shop.hook.judge = lambda _: 200
    try:
        await page.get_by_role("button", name="Start the replay").click()
        delivered = page.locator(".figures div", has_text="Delivered").locator(".value")
        await expect(delivered).to_have_text(f"{unique}")
        await expect(page.locator(".state")).to_have_text("done")
        on_their_way = page.locator(".figures div", has_text="On their way")
        await expect(on_their_way.locator(".value")).to_have_text("0")
    finally:
        shop.hook.judge = scene.refusing
    assert len(shop.hook.received) == before + unique
    assert len(await shop.dead()) == coupons


async def read_dead(shop):
    return await shop.gateway.read("dead.crm")


async def test_a_replay_is_stopped_and_goes_on(shop, page):
    await opened(shop, page, "/replays?topic=events&to=warehouse&rate=5")
    await page.get_by_role("button", name="Preview").click()
    await page.get_by_role("button", name="Start the replay").click()
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(".state")).to_have_text("stopped")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator(".state")).to_have_text("running")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(".state")).to_have_text("stopped")


async def test_the_live_page_shows_what_comes_with_the_decision(shop, page):
    await opened(shop, page, "/live")
    await expect(page.locator("#live-state")).to_contain_text("live")
    event = {"type": "track", "event": "Just Now", "userId": "customer-0001"}
    await scene.send(shop.gateway, [event], "web-key")
    row = page.locator("#live tbody tr", has_text="Just Now")
    await expect(row).to_contain_text("customer-0001")
    await expect(row.locator(".state.good", has_text="warehouse")).to_be_visible()
    await expect(row).to_contain_text("old-crm: disabled")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("#live-state")).to_have_text("paused")
    await scene.send(shop.gateway, [event | {"event": "Meanwhile"}], "web-key")
    await expect(page.locator("#live tbody")).not_to_contain_text("Meanwhile")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.locator("#live tbody")).to_contain_text("Meanwhile")
    await scene.send(shop.gateway, [event | {"event": "Seen Again"}], "web-key")
    await expect(page.locator("#live tbody tr").first).to_contain_text("Seen Again")


async def test_a_live_filter_shows_only_what_fits(shop, page):
    await opened(shop, page, "/live")
    field = page.get_by_label("Only where")
    await field.fill("type == 'track' && properties.total > `900`")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.locator("#live-state")).to_contain_text("live")
    for total in (901, 12, 903):
        event = {
            "type": "track",
            "event": f"Total {total}",
            "userId": "customer-0002",
            "properties": {"total": total},
        }
        await scene.send(shop.gateway, [event], "web-key")
    rows = page.locator("#live tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("Total 903")
    await field.fill("total >")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.get_by_role("alert")).to_contain_text("is not JMESPath")


async def test_an_event_is_explained(shop, page):
    message_id = next(
        each["headers"]["messageId"]
        for each in await read_dead(shop)
        if each["value"]["event"]["event"] == "Coupon Applied"
    )
    await opened(shop, page, "/")
    await page.get_by_label("Find an event or a person").fill(message_id)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(message_id)
    crm = page.locator(".ends > li", has_text="crm").filter(has_text="dead")
    await expect(crm).to_contain_text("422")
    old = page.locator(".ends > li", has_text="old-crm")
    await expect(old).to_contain_text("disabled")
    assert await faults(page) == []


async def test_events_are_found_by_what_became_of_them(shop, page):
    await opened(shop, page, "/events")
    await page.get_by_label("Destination").select_option("crm")
    await page.get_by_label("Became").select_option("dead")
    await page.get_by_role("button", name="Find", exact=True).click()
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(min(50, len(await shop.dead())))
    await rows.filter(has_text="Coupon Applied").first.locator("th a").click()
    await expect(page.locator(".ends").first).to_contain_text("422")


async def test_the_account_closes(shop, page):
    await opened(shop, page, "/account")
    await expect(page.locator(".calm")).to_contain_text("It closes")
    warehouse = page.locator("tbody tr", has_text="warehouse")
    await expect(warehouse.first).to_be_visible()


async def test_a_person_is_found_by_any_identifier(shop, page):
    await until_person(shop)
    for value in ("customer-0003", "MARGARET.3@example.com"):
        await opened(shop, page, "/")
        await page.get_by_label("Find an event or a person").fill(value)
        await page.keyboard.press("Enter")
        title = page.get_by_role("heading", level=1)
        await expect(title).to_have_text("margaret.3@example.com")
    await expect(page.locator("main")).to_contain_text("device-token-3")
    await expect(page.locator("main")).to_contain_text("profile_create")
    await expect(page.locator("main")).to_contain_text("a device needs a token")
    assert await faults(page) == []


async def until_person(shop) -> None:
    async def told() -> bool:
        url = f"{shop.gateway.admin}/v1/customers?email=margaret.3@example.com"
        headers = {"Authorization": "Bearer workspace-token"}
        async with shop.gateway.session.get(url, headers=headers) as answer:
            return bool(json.loads(await answer.text())["results"])

    async with asyncio.timeout(30):
        while not await told():
            await asyncio.sleep(0.05)


async def test_a_source_says_with_what_it_is_sent_and_why_it_is_refused(shop, page):
    await opened(shop, page, "/sources")
    web = page.locator("#source-web")
    await expect(web).to_contain_text("analytics.js 2.11.1")
    await expect(web).to_contain_text("/traits/email")
    await expect(web).to_contain_text("must be a string")
    used, old = web.locator(".tag", has_text="write_keys[").all_inner_texts, "not used"
    assert [old in text for text in await used()] == [False, True]


async def test_a_destination_shows_its_settings_and_no_secret(shop, page):
    await opened(shop, page, "/destinations/crm")
    await expect(page.locator("main")).to_contain_text("$.traits.email")
    await expect(page.locator("main")).to_contain_text("Product Viewed")
    assert scene.SECRET not in await page.content()


async def test_the_keyboard_reaches_the_content_first(shop, page):
    await opened(shop, page, "/destinations")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()


async def test_a_page_refreshes_itself_but_not_under_a_hand(shop, page):
    await opened(shop, page, "/")
    await page.evaluate("document.getElementById('overview').dataset.seen = 'old'")
    fresh = page.locator("#overview:not([data-seen])")
    await expect(fresh).to_be_visible(timeout=30_000)


async def test_leaving_ends_the_session(shop, page):
    cookies = await page.context.cookies()
    await opened(shop, page, "/")
    await page.get_by_role("button", name="Leave").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Come in")
    await page.context.add_cookies(cookies)  # what somebody may have kept of it
    await opened(shop, page, "/")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Come in")


async def test_nothing_of_a_page_comes_from_elsewhere(shop, page):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("/", "/live", "/dead/crm", "/replays"):
        await opened(shop, page, path)
    await until(lambda: len(asked) > 8)
    assert {url for url in asked if not url.startswith(shop.url)} == set()
