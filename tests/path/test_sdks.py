"""Real SDKs, unmodified, through the running gateway: what arrives is what was meant.

Each call is compared field by field with the event at the webhook.
"""

import asyncio
import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.path.running import Gateway, config, until

pytestmark = pytest.mark.service

NODE = Path(__file__).parent / "sdks/node"
BIRTHDAY = date(1990, 1, 2)
CREATED = datetime(2024, 2, 29, 12, 34, 56, 789_000, tzinfo=UTC)
HAPPENED = datetime(2024, 3, 1, 8, 0, 0, 123_000, tzinfo=UTC)

TRAITS: dict[str, Any] = {
    "email": "Ann.Smith+tag@Example.COM",
    "age": 34,
    "avatar": "https://example.com/a.png",
    "description": "naïve café — 日本語 🎉",
    "gender": "female",
    "phone": "+1 (555) 010-2030",
    "title": "VP of Derp",
    "username": "asmith",
    "website": "https://example.com",
    "plan": "premium",
    "isBeta": True,
    "nothing": None,
    "tags": ["a", "b", 3],
    "nested_thing": {"first_name": {"b": [1, 2, {"c": True}]}},
}
CAMEL = {
    **TRAITS,
    "firstName": "Ann",
    "lastName": "Smith",
    "address": {"street": "6th St", "city": "Oslo", "postalCode": "0150"},
    "company": {"name": "Initech", "id": "123", "employeeCount": 420},
}
SNAKE = {
    **TRAITS,
    "first_name": "Ann",
    "last_name": "Smith",
    "address": {"street": "6th St", "city": "Oslo", "postal_code": "0150"},
    "company": {"name": "Initech", "id": "123", "employee_count": 420},
}
ARRIVING = {
    **CAMEL,
    "name": "Ann Smith",
}
CONTEXT = {"active": True, "ip": "203.0.113.7", "locale": "nl-NL"}
INTEGRATIONS = {"All": False, "hook": True}


@pytest.fixture
async def gateway(tmp_path, hook):
    async with Gateway(tmp_path, config(hook)) as running:
        yield running


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def drive_python(url: str) -> None:
    """PyPI customerio-cdp-analytics, with the language's own date types."""
    from customerio.analytics import Client  # noqa: PLC0415 -- imports slowly

    client = Client("dev", host=url, max_retries=3, upload_interval=0.1)
    dates = {"birthday": BIRTHDAY, "createdAt": CREATED}
    client.identify(
        "user-1",
        {**CAMEL, **dates},
        context=dict(CONTEXT),
        timestamp=HAPPENED,
        anonymous_id="anon-1",
        integrations=INTEGRATIONS,
        message_id="camel",
    )
    dates = {"birthday": BIRTHDAY, "created_at": CREATED}
    client.identify(
        "user-1", {**SNAKE, **dates}, context=dict(CONTEXT), message_id="snake"
    )
    client.identify(anonymous_id="anon-2", traits={"plan": "x"}, message_id="anonymous")
    client.identify("Lead@Example.com", {"plan": "y"}, message_id="email")
    client.track("user-1", "Order Completed", {"total": 9.5}, message_id="track")
    client.group("user-1", "group-1", {"name": "Initech"}, message_id="group")
    client.flush()
    client.join()


async def test_pypi_customerio_cdp_analytics(gateway, hook):
    await asyncio.to_thread(drive_python, gateway.url)
    await until(lambda: len(hook.received) == 6)
    events = {event["messageId"]: event for event in hook.received}

    camel = events["camel"]
    traits = dict(camel["traits"])
    assert traits.pop("birthday") == "1990-01-02T00:00:00.000Z"
    assert moment(traits.pop("createdAt")) == CREATED
    assert traits == ARRIVING
    assert camel["type"] == "identify"
    assert camel["userId"] == "user-1"
    assert camel["anonymousId"] == "anon-1"
    assert camel["integrations"] == INTEGRATIONS
    assert moment(camel["timestamp"]) == HAPPENED
    assert camel["timestampSource"] == "client"
    assert camel["version"] == 1
    assert camel["source"] == "web"
    context = dict(camel["context"])
    assert context.pop("library")["name"] == "analytics-python"
    assert context == {**CONTEXT, "channel": "server"}

    snake = events["snake"]
    traits = dict(snake["traits"])
    assert traits.pop("birthday") == "1990-01-02T00:00:00.000Z"
    assert moment(traits.pop("createdAt")) == CREATED
    assert traits == ARRIVING
    assert snake["asSent"]["traits.firstName"] == {"name": "first_name", "value": "Ann"}
    assert "anonymousId" not in snake

    assert "userId" not in events["anonymous"]
    assert events["anonymous"]["anonymousId"] == "anon-2"
    assert events["email"]["userId"] == "Lead@Example.com"
    assert events["email"]["traits"] == {"plan": "y", "email": "Lead@Example.com"}
    assert events["track"]["event"] == "Order Completed"
    assert events["track"]["properties"] == {"total": 9.5}
    assert events["group"]["groupId"] == "group-1"
    assert events["group"]["traits"] == {"name": "Initech"}


async def drive_node(url: str, calls: list[list[Any]]) -> dict[str, Any]:
    node = shutil.which("node")
    assert node is not None, "node is missing: install Node.js 20 or later"
    process = await asyncio.create_subprocess_exec(
        node,
        str(NODE / "drive.js"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    given = json.dumps({"host": url, "writeKey": "dev", "calls": calls})
    out, err = await process.communicate(given.encode())
    assert out, err.decode()
    result: dict[str, Any] = json.loads(out)
    return result


async def test_npm_segment_analytics_node(gateway, hook):
    created = {"$date": CREATED.isoformat()}
    happened = {"$date": HAPPENED.isoformat()}
    calls = [
        [
            "identify",
            {
                "userId": "user-1",
                "anonymousId": "anon-1",
                "traits": {**CAMEL, "createdAt": created, "birthday": "1990-01-02"},
                "context": CONTEXT,
                "integrations": INTEGRATIONS,
                "timestamp": happened,
                "messageId": "camel",
            },
        ],
        [
            "identify",
            {
                "userId": "user-1",
                "traits": {**SNAKE, "created_at": created, "birthday": "1990-01-02"},
                "messageId": "snake",
            },
        ],
        ["identify", {"userId": "", "traits": {"email": "a@b.co"}, "messageId": "e"}],
        ["track", {"userId": "user-1", "event": "Bought", "messageId": "track"}],
        ["group", {"userId": "user-1", "groupId": "g", "messageId": "group"}],
        ["alias", {"userId": "user-1", "previousId": "old", "messageId": "alias"}],
    ]
    assert await drive_node(gateway.url, calls) == {"problems": []}
    await until(lambda: len(hook.received) == 6)
    events = {event["messageId"]: event for event in hook.received}

    camel = events["camel"]
    traits = dict(camel["traits"])
    born = traits.pop("birthday")
    assert born == "1990-01-02T00:00:00.000Z"
    assert moment(traits.pop("createdAt")) == CREATED
    assert traits == ARRIVING
    assert camel["userId"] == "user-1"
    assert camel["anonymousId"] == "anon-1"
    assert camel["integrations"] == INTEGRATIONS
    assert moment(camel["timestamp"]) == HAPPENED
    assert camel["context"]["ip"] == "203.0.113.7"
    assert camel["context"]["active"] is True
    assert camel["context"]["library"]["name"] == "@segment/analytics-node"

    traits = dict(events["snake"]["traits"])
    assert moment(traits.pop("createdAt")) == CREATED
    assert traits == {**ARRIVING, "birthday": born}
    assert "ip" not in events["snake"]["context"]  # P034: never the server's own

    assert events["e"]["userId"] == "a@b.co"  # P062: the email identifies
    assert events["track"]["event"] == "Bought"
    assert events["group"]["groupId"] == "g"
    assert events["alias"]["previousId"] == "old"
