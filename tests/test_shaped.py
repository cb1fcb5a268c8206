"""A transform and a mapping in a whole gateway: what is sent, left out, given up."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config, Limits, parse
from gateway.log import Span, open_log
from gateway.notices import Notices
from tests.whole import PATIENCE_S, Whole, running

CONFIG = """
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[sources.web]
write_keys = ["dev"]
[destinations.crm]
type = "file"
transform = "shop.py:clean"
settings = { path = "crm.ndjson" }
[[destinations.crm.actions]]
types = ["identify"]
email_as_user_id = false
mapping = { id = { "@path" = "$.userId" }, plan = { "@path" = "$.traits.plan" } }
"""
SHOP = """
def clean(event):
    event["traits"]["plan"] = event["traits"]["plan"].lower()
    return None if event["traits"]["plan"] == "test" else event
"""


async def ends(config: Config, *topics: str) -> list[Any]:
    """The values in some topics, once nobody holds the log."""
    log = await open_log(
        config.log, Limits(), topics=topics, notices=Notices(io.StringIO())
    )
    try:
        return [
            json.loads(record.value)
            for topic in topics
            async for record in log.scan(topic, Span())
        ]
    finally:
        await log.close()


async def settled(gateway: Whole) -> Any:
    """How the destination stands, once every event has had its end."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            state = (await gateway.get("/readyz"))["destinations"]["crm"]
            if state["lag"] == 0 and state["pending"] == 0:
                return state
            await asyncio.sleep(0.01)


async def test_events_are_changed_shaped_left_out_or_given_up(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    config = parse(CONFIG, folder=tmp_path)
    people = [
        {"messageId": "sent", "userId": "u1", "traits": {"plan": "PRO"}},
        {"messageId": "email", "userId": "a@b.example", "traits": {"plan": "PRO"}},
        {"messageId": "test", "userId": "u2", "traits": {"plan": "TEST"}},
        {"messageId": "bad", "userId": "u3", "traits": {"plan": 5}},
    ]
    async with running(config) as gateway:
        for each in people:
            assert await gateway.post(each) == 200
        state = await settled(gateway)
    assert state["breaker"] is None
    assert state["last_failure"]["reason"].startswith("bug: transform: AttributeError")
    assert (tmp_path / "crm.ndjson").read_text() == '{"id":"u1","plan":"pro"}\n'
    outcomes = await ends(config, "outcomes")
    found = {each["messageId"]: (each["kind"], each["reason"]) for each in outcomes}
    assert found == {
        "sent": ("delivered", None),
        "email": ("filtered", "trigger"),
        "test": ("filtered", "transform"),
        "bad": ("dead", "bug"),
    }
    (letter,) = await ends(config, "dead.crm")
    assert letter["detail"] == "transform: AttributeError in shop.py:3"
    assert letter["event"]["messageId"] == "bad"


async def test_a_slow_function_is_told_with_its_destination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.outbound.transform.SLOW_S", -1.0)  # any is slow
    (tmp_path / "shop.py").write_text(SHOP)
    async with running(parse(CONFIG, folder=tmp_path)) as gateway:
        for number in range(2):
            traits = {"plan": "PRO"}
            message = {"userId": f"u{number}", "traits": traits}
            assert await gateway.post(message) == 200
        await settled(gateway)
    told = gateway.notices("transform_slow")
    fields = "where", "name", "count"
    assert [[each[f] for f in fields] for each in told] == [["crm", "shop.py:clean", 2]]
