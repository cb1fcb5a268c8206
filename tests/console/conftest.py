"""A gateway with its console, a browser of this machine, somebody who is in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.console import scene
from tests.log.broker.kafka import free_ports
from tests.path.clustered import on
from tests.path.running import Gateway
from tests.path.sdks import kits

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Shop:
    """The gateway of ``scene``, with all of it played once."""

    gateway: Gateway
    hook: scene.Receiver
    url: str
    folder: Path

    async def dead(self, name: str = "crm") -> list[dict[str, Any]]:
        return [each["value"] for each in await self.gateway.read(f"dead.{name}")]

    async def enter(self, context: BrowserContext) -> Page:
        """Come in with the token, as a person does."""
        page = await context.new_page()
        await page.goto(self.url + "/login")
        await page.get_by_label("Console token").fill(scene.TOKEN)
        await page.get_by_role("button", name="Come in").click()
        await page.wait_for_url(self.url + "/")
        return page


@pytest.fixture(params=["sqlite", "kafka"])
def either_log(request: pytest.FixtureRequest) -> str:
    """What stands in a configuration for the one log, and for the other."""
    return on(request.getfixturevalue("node")) if request.param == "kafka" else ""


@asynccontextmanager
async def open_shop(folder: Path) -> AsyncIterator[Shop]:
    """A gateway that nobody has sent anything to."""
    (port,) = free_ports(1)
    async with AsyncExitStack() as stack:
        hook = await stack.enter_async_context(scene.Receiver())
        hook.judge = scene.refusing
        base = hook.url.removesuffix("/hook")
        text = scene.config(base, console=f"127.0.0.1:{port}")
        gateway = await stack.enter_async_context(Gateway(folder, text))
        yield Shop(gateway, hook, f"http://127.0.0.1:{port}", folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fresh(tmp_path_factory):
    async with open_shop(tmp_path_factory.mktemp("fresh")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory):
    async with open_shop(tmp_path_factory.mktemp("shop")) as opened:
        await scene.play(opened.gateway)
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=kits.chromium(), args=FLAGS
        )
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(shop, browser: Browser):
    """A desktop's page, of somebody who is in; what its console says is an error."""
    context = await browser.new_context(viewport={"width": 1360, "height": 900})
    opened = await shop.enter(context)
    opened.set_default_timeout(20_000)
    said: list[str] = []
    opened.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    await context.close()
    assert said == []


@pytest_asyncio.fixture(loop_scope="module")
async def quiet_page(fresh, browser: Browser):
    """A page of ``fresh``, of somebody who is in; its console is not listened to."""
    context = await browser.new_context(viewport={"width": 1360, "height": 900})
    opened = await fresh.enter(context)
    opened.set_default_timeout(20_000)
    yield opened
    await context.close()
