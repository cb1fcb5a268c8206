"""Every door's verdict is the intake's: ``explain``, ``send`` and ``replay`` agree."""

import json
import math
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config, parse
from gateway.errors import ConfigError
from gateway.explain import SPARE_ID, explain
from gateway.inbound.decode import Batch
from gateway.inbound.doors.message import Message
from gateway.inbound.doors.readmit import Readmission
from gateway.inbound.intake import Refused, Text, Total, judge
from gateway.parts import check
from gateway.trying import value_of
from tests.inbound.house import GOOD, House, ask, running
from tests.inbound.samples import LIMITS, origin, rules

PLAN = {
    "traits": {"properties": {"age": {"minimum": 18}}},
    "events": {"Order": {"required": ["total"]}},
}
CONFIG = """
[sources.backend]
write_keys = ["dev"]
[sources.strict]
write_keys = ["strict"]
schema = "plan.json"
[sources.lenient]
write_keys = ["lenient"]
schema = "plan.json"
violation = "flag"
[sources.track]
kind = "track_api"
site_id = "site"
api_keys = ["key"]
schema = "plan.json"
[destinations.crm]
type = "webhook"
settings = { url = "https://crm.example/hook" }
[destinations.inbox]
type = "file"
types = ["identify", "track"]
settings = { path = "inbox.ndjson" }
[destinations.off]
type = "file"
enabled = false
settings = { path = "off.ndjson" }
"""
MADE_UP = rf"^({SPARE_ID}|[0-9a-f]{{32}})"
SMALL = replace(
    LIMITS,
    message_bytes=2_000,
    event_bytes=4_000,
    request_bytes=60_000,
    request_canonical_bytes=20_000,
    batch_messages=60,
    nesting=8,
)


def configured(folder: Path) -> Config:
    (folder / "plan.json").write_text(json.dumps(PLAN))
    return replace(parse(CONFIG, folder=folder), limits=SMALL)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    config = configured(tmp_path)
    async with running(tmp_path, SMALL, config) as each:
        yield each


def sized(size: int, **fields: Any) -> dict[str, Any]:
    """A message of so many bytes, as compact JSON."""
    message = {**GOOD, "messageId": "m", "traits": {"a": ""}, **fields}
    message["traits"]["a"] = "x" * (size - len(compact(message)))
    return message


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def deep(levels: int) -> Any:
    return {"a": deep(levels - 1)} if levels else 1


def batch(*messages: Any, **shared: Any) -> dict[str, Any]:
    return {**shared, "batch": list(messages)}


def event_bytes(filler: int) -> int:
    """Of GOOD with an id, in a batch whose context has so many bytes."""
    batch = Batch(context={"a": "x" * filler})
    text = Text(None, suspect=False, small=False, crowded=True, first=False)
    given = origin(source="backend", spare_message_id="")
    door, total = Message(None, batch), Total()
    judge({**GOOD, "messageId": "m"}, text, given, door, rules(), total)
    return total.events


PAGE = {"type": "page", "userId": "u", "messageId": "m"}
LOOSE = {
    "good": GOOD,
    "no type": {"userId": "u"},
    "an id of ours": {"type": "track", "userId": "u", "event": "E"},
    "a type of nobody": {"type": "nothing", "userId": "u"},
    "a type that is none": {"type": ["track"], "userId": "u"},
    "faults": {"type": "track", "userId": {}, "context": {"ip": 1}},
    "no object": [GOOD],
    "NaN": {**GOOD, "traits": {"a": math.nan, "b": [math.inf]}},
    "NUL": {**GOOD, "traits": {"a\0": "\0"}},
    "half a pair": {**GOOD, "traits": {"a": "\ud800"}},
    "a huge integer": {**GOOD, "traits": {"a": 2**64}},
    "both spellings": {**GOOD, "traits": {"first_name": "a", "firstName": "b"}},
    "not for crm": {**GOOD, "integrations": {"crm": False, "Nobody": True}},
    "for inbox alone": {**GOOD, "integrations": {"All": False, "inbox": True}},
    "a page": PAGE,
    "ours": {**GOOD, "source": "x", "writeKey": "y" * 1_900},
    "a plan's event": {"type": "track", "userId": "u", "event": "Order"},
    "a plan's trait": {**GOOD, "traits": {"age": 3}},
    **{f"{levels} deep": {**GOOD, "traits": deep(levels)} for levels in (7, 8, 9, 40)},
    **{f"{size} bytes": sized(size) for size in (1_480, 1_500, 1_999, 2_000, 2_001)},
    "long and wrong": sized(2_001, userId={}),
    "long, of what shrinks": {**GOOD, "traits": {str(n): None for n in range(400)}},
}
TOGETHER = {
    **{f"{name}, beside": batch(GOOD, each, GOOD) for name, each in LOOSE.items()},
    "many good": batch(*[GOOD] * 50),
    "too many": batch(*[GOOD] * 61),
    "none": batch(),
    "no batch": {"batch": 1},
    "a shared context": batch(GOOD, PAGE, context={"ip": "::1"}, sentAt="2026-01-15"),
    "a wrong context": batch(GOOD, PAGE, context=[1]),
    "a context for no event": batch(GOOD, context={"a": "x" * 4_001}),
    "more than a request": batch(*[sized(1_500)] * 20),
    "refused, then more": batch(*[{**PAGE, "x": 1}] * 5, context={"a": "x" * 3_700}),
    "refused beyond": batch(*[1] * 55, GOOD, context={"a": "x" * 3_000}),
    "more than a body": batch(*[sized(1_990)] * 40),
}
PERSON = {"type": "person", "action": "identify", "identifiers": {"id": "u"}}
ORDER = {"type": "person", "action": "event", "name": "Order", "identifiers": {}}
OBJECT = {
    "type": "object",
    "action": "identify",
    "identifiers": {"object_type_id": "1", "object_id": "o"},
    "attributes": {"a": "x" * 300},
    "cio_relationships": [{"identifiers": {"id": str(n)}} for n in range(20)],
}
CUSTOMER = "PUT /api/v1/customers/u"
CALLS = {
    "a customer": (CUSTOMER, {"first_name": "a", "age": 3}),
    "no body": ("DELETE /api/v1/customers/u", None),
    "a wrong body": (CUSTOMER, {"_timestamp": "never"}),
    "a body of NaN": (CUSTOMER, {"a": math.nan}),
    "a path that is no text": ("PUT /api/v1/customers/%ff", {}),
    "several": (CUSTOMER, {"cio_relationships": {"relationships": []}}),
    "a plan's event": ("POST /api/v1/customers/u/events", {"name": "Order"}),
    **{
        f"{size} bytes": (CUSTOMER, {"a": "x" * (size - 8)})
        for size in (1_999, 2_000, 2_001)
    },
    **{f"{n} deep": (CUSTOMER, deep(n)) for n in (7, 8, 9, 40)},
    "an entity": ("POST /api/v2/entity", PERSON),
    "an entity of many": ("POST /api/v2/entity", OBJECT),
    "a batch": ("POST /api/v2/batch", batch(PERSON, {**PERSON, "action": "x"}, ORDER)),
    "more than a request": ("POST /api/v2/batch", batch(*[OBJECT] * 6)),
    "an empty batch": ("POST /api/v2/batch", batch()),
    "too many": ("POST /api/v2/batch", batch(*[PERSON] * 61)),
}


async def became(house: House) -> Any:
    """What a running intake made: events with their routes, faults, in order."""
    events = []
    for record in await house.records("events"):
        routed = json.loads(dict(record.headers)["route"])
        events.append((known(json.loads(record.value)), routed))
    kept = [json.loads(record.value) for record in await house.records("refused")]
    return events, [each["errors"] for each in kept if not each["cut"]]


def told(explained: dict[str, Any]) -> Any:
    """The same as ``explain`` says it."""
    events, errors = [], []
    for each in explained["messages"]:
        if each["check"]["ok"]:
            routed = {name: each["route"][name] for name in ("to", "no")}
            events.append((known(each["event"]), routed))
        else:
            errors.append(each["check"]["errors"])
    return events, errors


def known(event: dict[str, Any]) -> dict[str, Any]:
    """Without what is another in each request."""
    left = {name: each for name, each in event.items() if name != "receivedAt"}
    if left["timestampSource"] == "server":
        del left["timestamp"]
    left["messageId"] = re.sub(MADE_UP, "made up", left["messageId"])
    return left


def same(answered: tuple[int, Any, Any], found: Any, explained: Any) -> None:
    """A request refused as a whole says why; else it is message by message."""
    status, body, _ = answered
    if "refused" in explained:
        assert (status, body["message"]) == (400, explained["refused"])
        assert found[0] == []
    else:
        events, errors = told(explained)
        assert found[0] == events
        assert found[1] == errors[: len(found[1])]
        accepted = len(explained["messages"]) - len(errors)
        assert status == (200 if accepted and not errors else status)


@pytest.mark.parametrize("source", ["backend", "strict", "lenient"])
@pytest.mark.parametrize("message", LOOSE.values(), ids=LOOSE)
async def test_explain_says_of_a_message_what_the_intake_does(house, source, message):
    body = json.dumps(message).encode()
    kind = message.get("type", "identify") if isinstance(message, dict) else "batch"
    path = f"/v1/{kind}" if kind in ("identify", "track", "page") else "/v1/batch"
    if path == "/v1/batch":  # a single message's endpoint is named by its type
        path, body = "/v1/batch", json.dumps({"batch": [message]}).encode()
    key = "dev" if source == "backend" else source
    answered = await house.post(path, body, key=key)
    same(
        answered, await became(house), await explain(house.config, body, source=source)
    )


@pytest.mark.parametrize("source", ["backend", "strict", "lenient"])
@pytest.mark.parametrize("body", TOGETHER.values(), ids=TOGETHER)
async def test_explain_says_of_a_batch_what_the_intake_does(house, source, body):
    data = json.dumps(body).encode()
    key = "dev" if source == "backend" else source
    answered = await house.post("/v1/batch", data, key=key)
    explained = await explain(house.config, data, source=source)
    same(answered, await became(house), explained)
    if answered[0] == 200 and "refused" not in explained:
        rejected = {
            each["index"]: each["errors"] for each in answered[1].get("rejected", [])
        }
        refused = {
            index: each["check"]["errors"]
            for index, each in enumerate(explained["messages"])
            if not each["check"]["ok"]
        }
        assert rejected == refused


@pytest.mark.parametrize(("line", "body"), CALLS.values(), ids=CALLS)
async def test_explain_says_of_the_track_api_what_the_intake_does(house, line, body):
    sent = b"" if body is None else compact(body)
    answered = await ask(house, line, sent)
    data = b'{"endpoint":%s,"body":%s}' % (compact(line), sent or b"{}")
    same(
        answered, await became(house), await explain(house.config, data, source="track")
    )


@pytest.mark.parametrize("more", [0, 1])
async def test_explain_knows_the_limit_of_an_event_to_the_byte(house, more):
    filler = SMALL.event_bytes - event_bytes(0) + more
    data = json.dumps(batch({**GOOD, "messageId": "m"}, context={"a": "x" * filler}))
    answered = await house.post("/v1/batch", data.encode())
    assert (answered[0] == 200) is not more
    found = await became(house)
    assert len(found[0]) == 1 - more
    explained = await explain(house.config, data.encode(), source="backend")
    same(answered, found, explained)
    if more:
        (fault,) = explained["messages"][0]["check"]["errors"]
        assert fault["message"].startswith("the event with its context is 4001 bytes")


async def test_explain_and_send_refuse_what_becomes_too_large(house):
    """A message that was "check ok, routed" although the intake refused its event."""
    large = compact(sized(1_990))
    parts = check(house.config)
    limits = replace(SMALL, event_bytes=2_000)
    config = replace(house.config, limits=limits)
    house.acceptor.rules = replace(parts.rules, limits=limits)
    status, said, _ = await house.post("/v1/identify", large)
    assert (status, said["code"]) == (400, "too_large")
    (message,) = (await explain(config, large, source="backend"))["messages"]
    assert message["check"]["errors"] == said["errors"]
    with pytest.raises(ConfigError, match="the event with its context is"):
        value_of(config, check(config), large, "backend")


def test_send_takes_the_one_event_of_a_track_api_request(tmp_path):
    config = configured(tmp_path)
    parts = check(config)
    data = b'{"endpoint":"PUT /api/v1/customers/u","body":{"first_name":"a"}}'
    event = json.loads(value_of(config, parts, data, "track"))
    assert (event["identifiers"], event["traits"]) == ({"id": "u"}, {"first_name": "a"})
    with pytest.raises(ConfigError, match="becomes 20 events"):
        value_of(config, parts, json.dumps(OBJECT).encode(), "track")


def records(*bodies: bytes, endpoint: str) -> Iterator[dict[str, Any]]:
    for body in bodies:
        yield {
            "messageId": "spare",
            "source": "track" if " " in endpoint else "backend",
            "endpoint": endpoint,
            "receivedAt": "2026-01-15T10:13:20.000Z",
            "bytes": body.decode(),
            "cut": False,
        }


@pytest.mark.parametrize("endpoint", ["batch", "POST /api/v2/batch"])
def test_a_request_admitted_again_becomes_no_more_than_one_may(tmp_path, endpoint):
    config = configured(tmp_path)
    again = Readmission(config.sources, check(config).rules)
    many = batch(*[sized(1_500)] * 20) if endpoint == "batch" else batch(*[OBJECT] * 6)
    (record,) = records(compact(many), endpoint=endpoint)
    made = again.judge(again.read(record))
    assert not isinstance(made, str)
    size = sum(len(each.value) for each in made if each.topic == "events")
    assert 0.6 * SMALL.request_canonical_bytes < size <= SMALL.request_canonical_bytes


@pytest.mark.parametrize("flaw", ["NaN", "1e999", '"\\u0000"', '"\\ud800"', str(2**64)])
@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("identify", '{"userId":"u","traits":{"a":%s}}'),
        ("batch", '{"type":"identify","userId":"u","traits":{"a":%s}}'),
        ("batch", '{"batch":[{"type":"identify","userId":"u","traits":{"a":%s}}]}'),
        ("PUT /api/v1/customers/u", '{"a":%s}'),
    ],
)
def test_what_no_event_can_hold_stays_refused(tmp_path, endpoint, body, flaw):
    config = configured(tmp_path)
    again = Readmission(config.sources, check(config).rules)
    wrong, right = records(
        (body % flaw).encode(), (body % "1").encode(), endpoint=endpoint
    )
    assert again.judge(again.read(wrong)) == "refused"
    assert len(again.judge(again.read(right))) == 3


def test_a_message_leaves_a_total_as_it_was_when_it_is_refused():
    text = Text(None, suspect=False, small=False, crowded=True, first=False)
    total, given = Total(), origin()
    message = {**GOOD, "writeKey": "x" * LIMITS.message_bytes}
    judged = judge(message, text, given, Message(None), rules(), total)
    assert isinstance(judged, Refused)
    assert judged.refusal.faults[0].code == "too_large"
    assert total.events == 0
    assert total.made > 0
