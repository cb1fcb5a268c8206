"""Real SDKs, unmodified: what arrives is what was called, field by field."""

import secrets
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.path.running import Gateway, Webhook, config, until
from tests.path.sdks import kits, scenario
from tests.path.sdks.browser import Browser
from tests.path.sdks.clients import SDKS, Driver, Page

pytestmark = pytest.mark.service


@pytest_asyncio.fixture
async def hook():
    async with Webhook() as webhook:
        yield webhook


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    kits.certify(folder)
    return folder


@pytest.mark.parametrize("name", SDKS)
async def test_what_arrives_is_what_was_called(tmp_path, hook, certified, name):
    sdk = SDKS[name]
    text = config(hook)
    if sdk.secure:
        text = secured(certified) + text
    calls = scenario.calls(sdk)
    key = f"key-{secrets.token_hex(8)}"
    text = text.replace('"dev"', f'"{key}"')
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(Gateway(tmp_path, text))
        if sdk.language == "browser":
            browser = await stack.enter_async_context(Browser(tmp_path / "profile"))
            driver: Page | Driver = Page(browser, sdk, host=gateway.url, key=key)
        else:
            trust = certified / "trust.p12"
            driver = Driver(sdk, host=gateway.url, key=key, trust=trust)
        async with driver:
            for call in calls.values():
                await driver.call(**call)
        assert driver.problems == []
        await until(lambda: len(hook.received) >= len(calls))
        events = {event["context"]["call"]: event for event in hook.received}
        assert sorted(events) == sorted(calls)
        taken = await gateway.metric("gateway_messages_total")
        assert taken == len(calls)  # nothing was refused, nothing sent again
        for call, event in events.items():
            scenario.assert_arrived(call, event, sdk)


def secured(folder) -> str:
    return (
        '[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'
        'private_destinations = ["127.0.0.0/8"]\n'
        f'tls_certificate = "{folder / "cert.pem"}"\ntls_key = "{folder / "key.pem"}"\n'
    )
