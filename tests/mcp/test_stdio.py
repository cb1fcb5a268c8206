"""``gateway mcp`` beside a running gateway, as an agent's program starts it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config import load
from gateway.mcp.stdio import LINE_BYTES
from tests.whole import PATIENCE_S, Whole, running

CONFIG = """
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[console]
enabled = false
token = "s3cret-token"
[sources.web]
write_keys = ["s3cret-write-key"]
[destinations.inbox]
type = "file"
when = "type != 'track'"
settings = { path = "data/inbox.ndjson" }
"""
ANN = {"userId": "ann", "messageId": "m-1", "traits": {"email": "ann@shop.example"}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.toml"
    file.write_text(CONFIG)
    return file


class Agent:
    """Speaks to one process, a question at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self, data: bytes) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(data + b"\n")
        async with asyncio.timeout(PATIENCE_S):
            return json.loads(await self.process.stdout.readline())

    async def ask(self, method: str, **params: Any) -> Any:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return (await self.line(json.dumps(message).encode()))["result"]

    async def call(self, name: str, /, **arguments: Any) -> tuple[str, bool]:
        said = await self.ask("tools/call", name=name, arguments=arguments)
        (content,) = said["content"]
        return content["text"], said["isError"]

    async def until(self, name: str, words: str, /, **arguments: Any) -> Any:
        """Ask until the ledger has read up to what was sent."""
        async with asyncio.timeout(PATIENCE_S):
            while words not in (told := await self.call(name, **arguments))[0]:
                await asyncio.sleep(0.1)
        return json.loads(told[0])


@asynccontextmanager
async def agent(file: Path) -> AsyncIterator[Agent]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway", "--config", str(file), "mcp"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    try:
        yield Agent(process)
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def send(gateway: Whole, body: Any, path: str = "/v1/identify") -> None:
    auth = {"Authorization": "Bearer s3cret-write-key"}
    async with gateway.session.post(gateway.url + path, json=body, headers=auth):
        pass


async def test_the_six_questions_of_an_agent(file: Path) -> None:
    async with running(load(file)) as gateway, agent(file) as asks:
        await send(gateway, ANN)
        track = {"userId": "ann", "messageId": "m-2", "event": "Order"}
        await send(gateway, track, "/v1/track")
        await send(gateway, {"messageId": "m-3"})
        named = [each["name"] for each in (await asks.ask("tools/list"))["tools"]]
        assert len(named) == 6

        story = await asks.until("explain", "delivered", message_id="m-1")
        (end,) = story["found"][0]["destinations"]
        assert end["kind"] == "delivered"
        assert story["found"][0]["event"]["traits"] == {"email": "xxx@xxxx.xxxxxxx"}
        text, _ = await asks.call("explain", message_id="m-1", values=True)
        assert "ann@shop.example" in text

        found = await asks.until("search_events", "m-2", type="track")
        (event,) = found["events"]
        assert (event["name"], event["person"]) == ("Order", "xxx")
        await asks.until("search_events", "refused", kind="refused")

        account = await asks.until("account", '"filtered":1')
        (line,) = account["account"]
        assert (line["delivered"], line["difference"]) == (1, 0)
        health, failed = await asks.call("destination_health")
        assert not failed
        assert json.loads(health)["destinations"]["inbox"]["running"]
        kinds = (await asks.until("catalogue", "Order"))["kinds"]
        assert {(each["type"], each["events"]) for each in kinds} == {
            ("identify", 1),
            ("track", 1),
        }
        assert "fields" not in kinds[0]
        asked = {"fields": True, "source": "web"}
        (person,) = [
            each
            for each in (await asks.until("catalogue", "Order", **asked))["kinds"]
            if each["type"] == "identify"
        ]
        (email,) = person["fields"]
        assert (email["path"], email["example"]) == ("traits.email", "xxx@xxxx.xxxxxxx")
        (order,) = (await asks.until("catalogue", "Order", name="Order"))["kinds"]
        assert order["name"] == "Order"
        dead, failed = await asks.call("dead_letters")
        assert (json.loads(dead), failed) == ({"groups": []}, False)


async def test_what_cannot_be_answered_says_so_and_how_to_mend_it(file: Path) -> None:
    async with running(load(file)) as gateway, agent(file) as asks:
        await send(gateway, ANN)
        text, failed = await asks.call("explain", message_id="nobody's")
        assert (text, failed) == ("nothing is known of it", True)
        text, failed = await asks.call("search_events", kind="pending")
        assert (text, failed) == ("kind: pending needs a destination", True)
        text, failed = await asks.call("search_events", limit=0, x=1)
        assert failed
        assert "x: unknown" in text
        assert "limit: is not a whole number" in text


async def test_a_gateway_without_a_ledger_says_how_to_have_one(file: Path) -> None:
    file.write_text(f"{CONFIG}[ledger]\nenabled = false\n")  # noqa: ASYNC240 -- small
    async with running(load(file)), agent(file) as asks:
        for name, given in (("account", {}), ("explain", {"message_id": "m-1"})):
            text, failed = await asks.call(name, **given)
            assert failed
            assert "set `enabled = true` in [ledger]" in text
        assert (await asks.call("destination_health"))[1] is False


async def test_a_gateway_that_stops_and_comes_back_is_asked_again(file: Path) -> None:
    async with agent(file) as asks:
        text, failed = await asks.call("destination_health")
        assert (failed, "start it with `gateway serve`" in text) == (True, True)
        async with running(load(file)):
            assert (await asks.call("destination_health"))[1] is False
        assert (await asks.call("destination_health"))[1] is True
        async with running(load(file)):
            assert (await asks.call("destination_health"))[1] is False


async def test_a_wrong_line_or_one_too_long_costs_no_other(file: Path) -> None:
    async with agent(file) as asks:
        assert (await asks.line(b"{"))["error"]["code"] == -32700
        long = b'{"x": "' + b"y" * (LINE_BYTES + 500_000) + b'"}'
        assert (await asks.line(long))["error"]["message"] == "too long a line"
        assert await asks.ask("ping") == {}


async def test_a_question_too_long_for_http_ends_nothing(file: Path) -> None:
    async with running(load(file)), agent(file) as asks:
        long = dict.fromkeys(("person", "source", "text"), "\N{GRINNING FACE}" * 1_000)
        text, failed = await asks.call("search_events", **long)
        assert failed
        assert text.endswith("answers 400")
        assert await asks.ask("ping") == {}


async def test_no_secret_is_told(file: Path) -> None:
    async with running(load(file)) as gateway, agent(file) as asks:
        await send(gateway, ANN)
        await asks.until("explain", "delivered", message_id="m-1")
        told = [
            await asks.call("explain", message_id="m-1", values=True),
            await asks.call("search_events", values=True),
            await asks.call("account"),
            await asks.call("destination_health"),
        ]
    assert "s3cret" not in str(told)
