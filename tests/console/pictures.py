"""Pictures of the console for the documentation: ``make pictures``.

A gateway with a few minutes of a shop's day, looked at with a desktop, a phone, and in
the dark. Written to ``docs/images``, small enough to be kept; names choose some.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Page, async_playwright

from tests.console import scene
from tests.console.conftest import FLAGS, Shop, open_shop
from tests.path.sdks import kits

IMAGES = Path(__file__).parents[2] / "docs/images"
SECONDS = float(os.environ.get("SECONDS_OF_PLAY", "310"))
DESKTOP: dict[str, Any] = {"viewport": {"width": 1240, "height": 780}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True}
DARK = {**DESKTOP, "color_scheme": "dark"}
PICTURES: dict[str, tuple[dict[str, Any], str]] = {
    "overview": (DESKTOP, "/?range=5%20min"),
    "overview-dark": (DARK, "/?range=5%20min"),
    "overview-phone": (PHONE, "/?range=5%20min"),
    "live": (DESKTOP, "/live"),
    "event": (DESKTOP, "/events?destination=crm&kind=dead"),
    "event-phone": (PHONE, "/events?destination=crm&kind=dead"),
    "destination-dark": (DARK, "/destinations/crm?range=5%20min"),
    "dead-letters": (DESKTOP, "/dead/crm"),
    "replay-preview": (DESKTOP, "/replays/preview?topic=dead&to=crm"),
    "person": (DESKTOP, "/find?q=customer-0003"),
    "account": (DESKTOP, "/account"),
    "catalogue": (DESKTOP, "/catalogue"),
}


async def draw(shop: Shop, context: BrowserContext, name: str, path: str) -> None:
    """One picture of what is seen without scrolling."""
    page: Page = await shop.enter(context)
    await page.goto(shop.url + path)
    if path.startswith("/events?"):
        await page.locator("tbody th a").first.click()
    if path == "/catalogue":
        await page.locator("summary", has_text="Order Completed").click()
    if path == "/live":
        await page.wait_for_timeout(1_500)
    await page.screenshot(path=IMAGES / f"{name}.png")


async def main() -> None:
    """Play, then draw all of them while it goes on."""
    IMAGES.mkdir(exist_ok=True)
    async with open_shop(Path(tempfile.mkdtemp())) as shop:
        await scene.play(shop.gateway, seconds=SECONDS)
        playing = asyncio.create_task(scene.play(shop.gateway, seconds=600))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=kits.chromium(), args=FLAGS
            )
            for name in sys.argv[1:] or PICTURES:
                options, path = PICTURES[name]
                context = await browser.new_context(**options)
                await draw(shop, context, name, path)
                await context.close()
            await browser.close()
        playing.cancel()
        await asyncio.wait([playing])


if __name__ == "__main__":
    asyncio.run(main())
