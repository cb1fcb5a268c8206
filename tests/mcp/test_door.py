"""``POST /mcp`` at the admin port: for who has the token, and no page."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config import parse
from tests.ledger.kit import told
from tests.mcp.test_stdio import ANN, CONFIG, send
from tests.whole import Whole, running

TOKEN = {"Authorization": "Bearer s3cret-token"}
MODERN = {"MCP-Protocol-Version": "2026-07-28"}
META = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}


def read(folder: Path, more: str = "[mcp]\nenabled = true\n") -> Any:
    return parse(CONFIG + more, folder=folder, environment={})


async def ask(
    gateway: Whole, message: Any, headers: Any = None, *, token: Any = TOKEN
) -> tuple[int, Any]:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    data = io.BytesIO(body)
    async with gateway.session.post(
        gateway.admin + "/mcp", data=data, headers={**token, **(headers or {})}
    ) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


def request(method: str, **params: Any) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def test_a_question_is_answered_over_http(tmp_path: Path) -> None:
    async with running(read(tmp_path)) as gateway:
        await send(gateway, ANN)
        await told(gateway, "m-1", token="s3cret-token")
        question = request(
            "tools/call", name="explain", arguments={"message_id": "m-1"}
        )
        status, said = await ask(gateway, question)
    assert status == 200
    text = said["result"]["content"][0]["text"]
    assert '"kind":"delivered"' in text
    assert "ann@" not in text


async def test_a_notification_is_taken_and_not_answered(tmp_path: Path) -> None:
    async with running(read(tmp_path)) as gateway:
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert await ask(gateway, note) == (202, None)


@pytest.mark.parametrize(
    ("headers", "token", "status"),
    [
        ({}, {}, 401),
        ({}, {"Authorization": "Bearer s3cret-write-key"}, 401),
        ({"Origin": "https://evil.example"}, TOKEN, 403),
        ({"Host": "evil.example"}, TOKEN, 421),
        ({"MCP-Protocol-Version": "1999-01-01"}, TOKEN, 400),
    ],
)
async def test_who_may_not_ask_hears_nothing(
    tmp_path: Path, headers: Any, token: Any, status: int
) -> None:
    async with running(read(tmp_path)) as gateway:
        found, said = await ask(gateway, request("tools/list"), headers, token=token)
    assert found == status
    assert "explain" not in str(said)


@pytest.mark.parametrize(
    ("message", "headers", "status"),
    [
        (request("nothing", **META), MODERN, 404),
        (request("nothing"), {}, 200),
        (b"{", MODERN, 400),
        (b"{", {}, 200),
        (request("tools/list", **META), MODERN, 200),
        (b"x" * 1_048_577, {}, 413),
    ],
)
async def test_an_error_has_the_status_that_its_version_wants(
    tmp_path: Path, message: Any, headers: Any, status: int
) -> None:
    async with running(read(tmp_path)) as gateway:
        assert (await ask(gateway, message, headers))[0] == status


async def test_it_is_not_there_unless_it_is_switched_on(tmp_path: Path) -> None:
    async with running(read(tmp_path, "")) as gateway:
        assert (await ask(gateway, request("tools/list")))[0] == 404
