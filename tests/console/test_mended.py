"""Dead letters that are sent again: what needs somebody falls everywhere at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.config import parse
from gateway.console.letter import Letter
from gateway.console.letters import mended
from gateway.ledger.again import Since
from tests.console.test_guard import Visitor, visiting
from tests.path.running import Webhook
from tests.whole import PATIENCE_S, Whole, running

TOKEN = "the-token-of-these-tests"
CONFIG = """
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
private_destinations = ["127.0.0.0/8"]
[console]
listen = "127.0.0.1:0"
token = "{token}"
[sources.web]
write_keys = ["dev"]
[destinations.crm]
type = "webhook"
settings = {{ url = "{url}" }}
"""


@pytest.fixture
async def hook() -> AsyncIterator[Webhook]:
    async with Webhook() as made:
        yield made


@pytest.fixture
async def gateway(tmp_path: Path, hook: Webhook) -> AsyncIterator[Whole]:
    text = CONFIG.format(url=hook.url, token=TOKEN)
    async with running(parse(text, folder=tmp_path, environment={})) as whole:
        yield whole


async def dead(gateway: Whole) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{gateway.admin}/v1/dead"
    async with gateway.session.get(url, headers=headers) as response:
        answer = await response.json()
    groups: list[dict[str, Any]] = answer.get("groups", [])  # 503 until it is made
    return groups


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():
            await asyncio.sleep(0.1)


async def send_again(visitor: Visitor, *names: str) -> None:
    """As the button of the page does; three replays run at once, another one waits."""
    form = await visitor.form_token("/dead/crm")

    async def pressed(name: str) -> bool:
        chosen = orjson.dumps(["web", name]).decode()
        status, said = await visitor.post("/dead/crm", {"form": form, "letter": chosen})
        assert status == 303 or "3 replays run already" in said
        return status == 303

    for name in names:
        await until(partial(pressed, name))


async def test_the_number_falls_when_it_is_mended(
    gateway: Whole, hook: Webhook
) -> None:
    hook.judge = lambda _: 400
    for number in range(4):
        await gateway.post({"userId": f"u{number}", "messageId": f"m{number}"})

    async def open_are(count: int) -> bool:
        return sum(int(each["open"]) for each in await dead(gateway)) == count

    await until(lambda: open_are(4))
    async with visiting(gateway) as visitor:
        assert await visitor.enter() == 200
        assert "4 dead letters at crm" in (await visitor.get("/"))[1]
        hook.judge = lambda event: 200 if event["messageId"] != "m2" else 422
        await send_again(visitor, "m0", "m1")
        await until(lambda: open_are(2))
        (group,) = await dead(gateway)
        assert (group["events"], group["since"]) == (4, {"delivered": 2})
        assert len(group["replays"]) == 2  # one a press of the button
        _, page = await visitor.get("/dead/crm")
        assert "<b>2</b> <span>left of 4</span>" in page
        assert "<b>2</b> <span>delivered since</span>" in page
        assert "m2" in page
        assert "m0" not in page
        _, since = await visitor.get("/dead/crm?since=delivered")
        assert "m0" in since
        assert "m2" not in since
        assert group["replays"][0] in since
        _, overview = await visitor.get("/")
        assert "2 dead letters at crm" in overview
        assert "2 more were sent again since" in overview

        await send_again(visitor, "m2")  # it is refused once more, otherwise
        await until(lambda: two_groups(gateway))
        groups = {each["status"]: each for each in await dead(gateway)}
        assert groups[400]["since"] == {"delivered": 2, "dead": 1}
        assert (groups[400]["open"], groups[422]["open"]) == (1, 1)
        _, page = await visitor.get("/dead/crm")
        assert "<b>2</b> <span>left of 5</span>" in page
        assert "<b>1</b> <span>given up again</span>" in page
        assert "2 dead letters at crm" in (await visitor.get("/"))[1]

        await send_again(visitor, "m3")
        await until(lambda: open_are(1))
        hook.judge = lambda _: 200
        await send_again(visitor, "m2")
        await until(lambda: open_are(0))
        assert "dead letters at crm" not in (await visitor.get("/"))[1]
        assert (
            "None is left: all were sent again." in (await visitor.get("/dead/crm"))[1]
        )
        _, page = await visitor.get("/destinations/crm")
        assert "No dead letter is left" in page


async def two_groups(gateway: Whole) -> bool:
    return len(await dead(gateway)) == 2


async def test_what_is_under_way_again_is_marked_and_still_needs_somebody(
    gateway: Whole, hook: Webhook
) -> None:
    hook.judge = lambda _: 400
    await gateway.post({"userId": "u1", "messageId": "m1"})

    async def is_open() -> bool:
        return [each["open"] for each in await dead(gateway)] == [1]

    await until(is_open)
    hook.judge = lambda _: 503  # it waits, to be tried again
    async with visiting(gateway) as visitor:
        assert await visitor.enter() == 200
        await send_again(visitor, "m1")

        async def is_marked() -> bool:
            _, page = await visitor.get("/dead/crm")
            return "<b>1</b> <span>under way again</span>" in page

        await until(is_marked)
        _, page = await visitor.get("/dead/crm?since=under+way")
        assert "no end is known yet" in page
        assert await is_open()


def letter(since: Since | None = None, fed_by: str | None = None) -> Letter:
    return Letter(
        message_id="m1",
        source="web",
        type="track",
        at_ms=1,
        value={},
        since=since,
        fed_by=fed_by,
    )


def test_those_sent_again_are_grouped_by_what_became_of_them() -> None:
    letters = [
        letter(),
        *(letter(Since(replay, "filtered", 2)) for replay in "abcde"),
        letter(fed_by="r9"),
        letter(Since("r1", "dead", 2)),
        *[letter(Since("r2", "delivered", 2))] * 2,
        letter(Since("r1", "delivered", 2)),
    ]
    found = [(each.words, each.count, [*each.replays]) for each in mended(letters)]
    assert found == [
        ("delivered since", 3, ["r2", "r1"]),
        ("given up again", 1, ["r1"]),
        ("under way again", 1, ["r9"]),
        ("filtered since", 5, ["a", "b", "c"]),
    ]
