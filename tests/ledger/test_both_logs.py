"""The ledger on each log: stories, the account, a kill, and what never came."""

import asyncio
import json
import socket

import pytest

from tests.ledger.kit import TOKEN
from tests.ledger.test_mixed import balanced, closed, ends, get, identify
from tests.path.clustered import on
from tests.path.running import Gateway, Webhook, config, until

pytestmark = pytest.mark.service
DONE = [{"hook": ("delivered", None, 1)}]


@pytest.fixture
async def hook():
    async with Webhook() as webhook:
        yield webhook


@pytest.fixture(params=["sqlite", "kafka"])
def log(request):
    return on(request.getfixturevalue("node")) if request.param == "kafka" else ""


async def test_stories_and_account_are_the_same_after_a_kill(
    tmp_path, hook, log, ledger
):
    text = server() + config(
        hook, f'[console]\nenabled = false\ntoken = "{TOKEN}"\n' + log + ledger
    )
    async with Gateway(tmp_path, text) as gateway:
        for number in range(30):
            body = identify(f"m{number}", traits={"n": number})
            assert (await gateway.post("/v1/identify", body))[0] == 200
        assert (await gateway.post("/v1/identify", {"userId": 7.5}))[0] == 400
        await until(lambda: len(hook.known) == 30)
        account = await whole(gateway, 30)
        balanced(account)
        stories = [await get(gateway, f"/v1/events/m{n}") for n in range(30)]
        for status, story in stories:
            assert status == 200
            assert ends(story) == DONE
            assert story["found"][0]["event"]["traits"]
        await gateway.kill()
        await gateway.start()
        assert await whole(gateway, 30) == account
        again = [await get(gateway, f"/v1/events/m{n}") for n in range(30)]
        assert again == stories
        code, out, err = await gateway.command("ledger", "rebuild")
        assert code == 0, (out, err)
        assert await whole(gateway, 30) == account
        code, out, err = await gateway.command("explain", "m7", "--json")
        assert code == 0, err
        assert json.loads(out) == stories[7][1]


def server() -> str:
    """On Kafka a command has only the configuration to find the admin port by."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return (
        f'[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:{port}"\n'
        'private_destinations = ["127.0.0.0/8"]\n'
    )


async def whole(gateway: Gateway, events: int) -> list[dict]:
    """The account once it has all of them, and none is in flight."""
    async with asyncio.timeout(60):
        while True:
            account = await closed(gateway)
            if account[0]["admitted"] == events:
                return account
            await asyncio.sleep(0.2)
