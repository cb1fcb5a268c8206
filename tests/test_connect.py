"""`gateway check --connect` asks each destination whether its credentials work."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import cli, trying
from gateway.config import Config
from gateway.outbound import destinations
from gateway.outbound.http import Request, Response
from gateway.outbound.kind import Context
from gateway.parts import Parts, examine

TEXT = """
[server]
private_destinations = ["127.0.0.0/8"]
[sources.web]
write_keys = ["a"]
[destinations.inbox]
type = "file"
settings = { path = "inbox.ndjson" }
[destinations.crm]
type = "webhook"
settings = { url = "http://127.0.0.1:9/" }
[destinations.off]
type = "webhook"
enabled = false
settings = { url = "http://127.0.0.1:9/" }
"""
Asks = Callable[[Any, Context], Awaitable[str | None]]


def asking(monkeypatch: pytest.MonkeyPatch, asks: Asks) -> None:
    """Webhooks that can be asked."""
    found = destinations.load
    kind = replace(found("webhook"), asks=asks)

    def load(type_: str, *more: Any) -> Any:
        return kind if type_ == "webhook" else found(type_, *more)

    monkeypatch.setattr(destinations, "load", load)


def read(folder: Path) -> tuple[Config, Parts]:
    file = folder / "gateway.toml"
    file.write_text(TEXT)
    return examine(file)


@pytest.mark.parametrize(("said", "code"), [(None, 0), ("401 wrong key", 1)])
def test_each_says_whether_it_lets_us_in(
    said: str | None,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def asks(_settings: Any, _context: Context) -> str | None:
        return said

    asking(monkeypatch, asks)
    read(tmp_path)
    assert cli.main(["check", str(tmp_path / "gateway.toml"), "--connect"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "ok: 1 sources, 3 destinations",
        "inbox: cannot be asked",
        f"crm: {said or 'connected'}",
        "off: cannot be asked",
    ]


def test_it_asks_by_the_gateways_own_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Private ranges, the proxy and the stand-ins of `[egress]` hold here, too."""

    async def asks(settings: Any, context: Context) -> str | None:
        answer = await context.send(Request(url=settings.url))
        return None if isinstance(answer, Response) else answer.reason

    asking(monkeypatch, asks)
    said = asyncio.run(trying.connected(*read(tmp_path)))
    assert said == {"crm": "ConnectionRefusedError"}
