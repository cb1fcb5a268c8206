"""Every recording of a real client gets the answer it needs, and arrives as meant.

The recordings in tests/clients are bytes that real SDKs put on the wire. They are sent
again as they are, and what arrives at the webhook is compared field by field with what
the client wrote; the small table here says what each reserved trait is called, apart
from the gateway's own.
"""

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.path.running import Gateway, Webhook, config, until

pytestmark = [pytest.mark.service, pytest.mark.asyncio(loop_scope="module")]

FOLDER = Path(__file__).parents[1] / "clients"
RECORDINGS = sorted(FOLDER.glob("*/*.json"))
# What browsers and phones ask before they send anything.
SETTINGS = [f for f in RECORDINGS if f.stem.endswith("-settings")]
RECORDINGS = [f for f in RECORDINGS if f not in SETTINGS]
KEY = "test_write_key"
CANONICAL = {
    "first_name": "firstName",
    "last_name": "lastName",
    "created_at": "createdAt",
}
INSIDE = {"postal_code": "postalCode", "employee_count": "employeeCount"}
MAY_BE_REFUSED = {"oversize-33k": "too_large"}
DATES = ("birthday", "createdAt")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hook():
    async with Webhook() as webhook:
        yield webhook


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory, hook):
    sources = "".join(
        f'[sources.{name}]\nkind = "{kind}"\nwrite_keys = {keys}\n'
        for name, kind, keys in (
            ("server", "server", f'["{KEY}"]'),
            ("regions", "server", json.dumps(region_keys())),
        )
    )
    text = config(hook)
    text = text[text.index("[destinations.hook]") :]
    text += 'display_name = "Mixpanel"\n'  # what the recordings name in `integrations`
    async with Gateway(tmp_path_factory.mktemp("clients"), sources + text) as running:
        yield running


def recorded() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{file.parent.name}/{file.stem}", json.loads(file.read_text()))
        for file in RECORDINGS
    ]


def region_keys() -> list[str]:
    """Keys such as pk_us_... that a client sends as Bearer."""
    headers = [each["request"]["headers"] for _, each in recorded()]
    found = [h.get("Authorization", "") for h in headers]
    return sorted({text[7:] for text in found if text.startswith("Bearer ")})


def body_of(request: dict[str, Any]) -> bytes:
    if "body_base64" in request:
        return base64.b64decode(request["body_base64"])
    body: bytes = request["body_text"].encode()
    return body


def messages_of(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a recording with what their batch says for them."""
    body = json.loads(request["body_text"])
    if "batch" not in body:
        return [body]
    common = body.get("context") or {}
    return [
        {**m, "context": {**common, **(m.get("context") or {})}} if common else m
        for m in body["batch"]
    ]


async def test_there_are_recordings_of_every_kind_of_client():
    kinds = {file.parent.name.split("-")[0] for file in RECORDINGS}
    assert kinds == {"browser", "derived", "go", "npm", "pypi"}
    assert len(RECORDINGS) == 146


@pytest.mark.parametrize(
    "file", [pytest.param(file, id=file.parent.name) for file in SETTINGS]
)
async def test_settings_are_200_and_name_this_gateway_alone(gateway, file):
    request = json.loads(file.read_text())["request"]
    skip = {"host", "connection", "accept-encoding"}
    headers = {k: v for k, v in request["headers"].items() if k.lower() not in skip}
    async with gateway.session.get(
        gateway.url + request["path"], headers=headers
    ) as response:
        assert response.status == 200  # exactly: Kotlin takes nothing else
        told = await response.json()
        origin = headers.get("Origin")
        assert response.headers.get("Access-Control-Allow-Origin") == origin
    host = gateway.url.removeprefix("http://") + "/v1"
    entry = {"apiKey": KEY, "apiHost": host, "protocol": "http"}
    names = ("Customer.io Data Pipelines", "Segment.io")  # each SDK wants its own
    assert told["integrations"] == dict.fromkeys(names, entry)
    assert told["metrics"] == {"sampleRate": 0}  # else telemetry to the vendor


@pytest.mark.parametrize(
    "recording", [pytest.param(each, id=name) for name, each in recorded()]
)
async def test_a_recorded_request_is_answered_and_arrives(gateway, hook, recording):
    request = recording["request"]
    messages = messages_of(request)
    skip = {"host", "content-length", "accept-encoding", "connection"}
    headers = {k: v for k, v in request["headers"].items() if k.lower() not in skip}
    before = len(hook.received)
    async with gateway.session.post(
        gateway.url + request["path"],
        data=body_of(request),
        headers=headers,
        skip_auto_headers=["Content-Type"],
    ) as response:
        answer = json.loads(await response.read())
        assert response.headers["Content-Type"] == "application/json"
        if "Origin" in request["headers"]:
            allowed = response.headers["Access-Control-Allow-Origin"]
            assert allowed == request["headers"]["Origin"]
    refused = MAY_BE_REFUSED.get(recording["case"])
    if refused is not None:
        assert response.status == 400, answer
        assert answer["errors"][0]["code"] == refused
        assert answer["code"]
        assert answer["message"]
        return
    assert (response.status, answer) == (200, {"success": True})
    resent = {m["messageId"] for m in messages if m.get("messageId")} & {
        event["messageId"] for event in hook.received[:before]
    }
    routed = sum(m.get("messageId") not in resent and is_routed(m) for m in messages)
    await until(lambda: len(hook.received) >= before + routed)
    by_id = {event["messageId"]: event for event in hook.received}
    fresh = iter(hook.received[before:])
    if routed < len(messages) - len(resent):
        archive = [record["value"] for record in await gateway.read("events")]
        by_id |= {event["messageId"]: event for event in archive}
    for message in messages:
        mid = message.get("messageId")
        event = by_id[mid] if mid else next(fresh)
        if mid not in resent:
            assert_arrived(message, event, request["path"])


def is_routed(message: dict[str, Any]) -> bool:
    """Whether the sender's `integrations` let it through to Mixpanel."""
    said = message.get("integrations") or {}
    return bool(said.get("Mixpanel", said.get("All") is not False))


def assert_arrived(message: dict[str, Any], event: dict[str, Any], path: str) -> None:
    """What the client wrote is what the destination reads."""
    letters = {"i": "identify", "t": "track", "p": "page", "s": "screen"}
    letters |= {"g": "group", "a": "alias"}
    last = path.rpartition("/")[2]
    assert event["type"] == (message.get("type") or letters.get(last, last))
    for name in ("userId", "anonymousId"):
        given = message.get(name)
        if given is not None and given != "":
            assert event[name] == str(given)
        elif name == "userId" and "anonymousId" not in event:
            assert event["userId"] == message["traits"]["email"]  # P062
        else:
            assert name not in event
    for name in ("event", "properties", "groupId", "previousId", "name", "category"):
        if message.get(name) is not None:
            assert event[name] == message[name]
    if message.get("integrations") is not None:
        assert event["integrations"] == message["integrations"]
    for name, value in (message.get("context") or {}).items():
        assert event["context"][name] == value
    assert "writeKey" not in event
    assert_dated(message, event)
    if event["type"] in ("identify", "group"):
        given = message.get("traits")
        if given is None:
            given = (message.get("context") or {}).get("traits") or {}
        assert_traits(given, event.get("traits") or {}, event)


def assert_dated(message: dict[str, Any], event: dict[str, Any]) -> None:
    own = message.get("timestamp") or message.get("originalTimestamp")
    if own is None:
        assert event["timestampSource"] == "server"
        assert event["timestamp"] == event["receivedAt"]
    else:
        assert moment(event["timestamp"]) == moment(own)
        assert event["timestampSource"] == "client"


def moment(text: str | int) -> datetime:
    """Any ISO 8601 time to the microsecond (nine digits are cut); unix seconds."""
    if isinstance(text, int):
        return datetime.fromtimestamp(text, UTC)
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text)
    at = datetime.fromisoformat(cut)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def assert_traits(
    given: dict[str, Any], arrived: dict[str, Any], event: dict[str, Any]
) -> None:
    expected = expected_traits(given)
    if event["type"] == "identify":
        if expected.get("firstName") and expected.get("lastName"):  # P087
            full = f"{expected['firstName']} {expected['lastName']}"
            expected["name"] = expected.get("name") or full
        if "@" in event.get("userId", ""):
            expected["email"] = expected.get("email") or event["userId"]
    if "employee_count" in arrived.get("company", {}):  # the archive's spelling
        company = expected["company"]
        company["employee_count"] = company.pop("employeeCount")
    for name in DATES:
        if isinstance(expected.get(name), str | int):
            assert moment(arrived[name]) == moment(expected.pop(name))
            arrived = {k: v for k, v in arrived.items() if k != name}
    assert arrived == expected


def expected_traits(given: dict[str, Any]) -> dict[str, Any]:
    """The traits as a destination with camelCase should read them."""
    expected: dict[str, Any] = {}
    for name, value in given.items():
        wanted, meant = CANONICAL.get(name, name), value
        if name in ("address", "company") and isinstance(value, dict):
            meant = {INSIDE.get(k, k): v for k, v in value.items()}
        if wanted not in expected or name == wanted:  # camelCase wins (P103)
            expected[wanted] = meant
    return expected
