"""One POST from body to answer, in process: keys, origins, limits, honest answers."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Limits
from gateway.inbound.check import SCHEMAS
from gateway.log import Span
from tests.inbound.house import GOOD, running


async def test_the_answer_is_exactly_200_success_true(house):
    for path in ("/v1/identify", "/v1/i"):
        assert (await house.post(path, {"userId": "u"}))[:2] == (200, {"success": True})
    body = {"batch": [GOOD, GOOD]}
    for path in ("/v1/batch", "/v1/b", "/v1/import", "/v1/import/"):  # analytics-java
        assert (await house.post(path, body))[:2] == (200, {"success": True})
    assert len(await house.events()) == 10


async def test_p010_p011_the_path_gives_the_type(house):
    bodies = {
        "identify": {},
        "track": {"event": "E"},
        "page": {},
        "screen": {"name": "S"},
        "group": {"groupId": "g"},
        "alias": {"previousId": "p"},
    }
    for name, more in bodies.items():
        for path in (f"/v1/{name}", f"/v1/{name[0]}"):
            status, body, _ = await house.post(path, {"userId": "u", **more})
            assert status == 200, body
    types = [event["type"] for event in await house.events()]
    assert types == [name for name in bodies for _ in range(2)]
    status, body, _ = await house.post("/v1/identify", {"type": "track", "userId": "u"})
    assert (status, body["errors"][0]["pointer"]) == (400, "/type")


async def test_an_event_is_stored_with_its_headers_and_route(house):
    message = {**GOOD, "messageId": "m1", "userId": "Ann@Example.com"}
    await house.post("/v1/batch", {"batch": [message]})
    (archived,) = await house.records("events")
    (routed,) = await house.records("to.hook")
    assert not [r async for r in house.log.scan("to.off", Span())]
    assert archived.value == routed.value
    assert archived.key == routed.key == b"ann@example.com"
    headers = dict(archived.headers)
    decision = json.loads(headers.pop("route"))
    assert decision == {"to": ["hook"], "no": {"off": "disabled"}}
    assert headers == dict(routed.headers)
    value = json.loads(archived.value)
    assert headers == {
        "messageId": b"m1",
        "source": b"backend",
        "type": b"identify",
        "receivedAt": value["receivedAt"].encode(),
    }


async def test_the_first_key_that_is_present_decides(house):
    body = {**GOOD, "writeKey": "web"}
    assert (await house.post("/v1/i", body))[0] == 200
    assert (await house.post("/v1/i", body, key=None))[0] == 200
    whole = {"writeKey": "web-2", "batch": [{**GOOD, "writeKey": "dev"}]}
    assert (await house.post("/v1/b", whole, key=None))[0] == 200
    bearer = {"Authorization": "Bearer dev"}
    assert (await house.post("/v1/i", body, key=None, **bearer))[0] == 200
    sources = [event["source"] for event in await house.events()]
    assert sources == ["backend", "web", "web", "backend"]
    assert not any("writeKey" in event for event in await house.events())
    assert (await house.post("/v1/i", body, key="nobody"))[0] == 401


async def test_messages_with_keys_of_their_own_are_judged_by_them(house):
    batch = [
        {**GOOD, "writeKey": "dev", "messageId": "a"},
        {**GOOD, "writeKey": "nobody", "messageId": "b"},
        {**GOOD, "messageId": "c"},
        {**GOOD, "writeKey": "web", "messageId": "d"},
    ]
    status, body, _ = await house.post("/v1/batch", {"batch": batch}, key=None)
    assert (status, body["accepted"]) == (200, 2)
    told = {r["index"]: r["errors"][0]["code"] for r in body["rejected"]}
    assert told == {1: "unknown_write_key", 2: "missing_write_key"}
    found = {event["messageId"]: event["source"] for event in await house.events()}
    assert found == {"a": "backend", "d": "web"}
    assert await house.records("refused") == []  # nobody vouches for those

    unknown = {"batch": [{**GOOD, "writeKey": "nobody"}] * 2}
    status, body, _ = await house.post("/v1/batch", unknown, key=None)
    assert (status, body["code"]) == (401, "unknown_write_key")
    status, body, _ = await house.post("/v1/batch", {"batch": [GOOD]}, key=None)
    assert (status, body["code"]) == (401, "missing_write_key")


async def test_a_batch_keeps_the_good_and_says_which_were_not(house):
    batch = [GOOD, {"type": "identify", "messageId": "bad"}, GOOD, 5]
    status, body, _ = await house.post("/v1/batch", {"batch": batch})
    assert status == 200
    assert {k: body[k] for k in ("success", "accepted")} == {
        "success": True,
        "accepted": 2,
    }
    first, second = body["rejected"]
    assert (first["index"], first["messageId"]) == (1, "bad")
    assert first["errors"][0]["code"] == "missing_identifier"
    assert second["index"] == 3
    refused = [json.loads(r.value) for r in await house.records("refused")]
    assert refused[0]["messageId"] == "bad"
    assert json.loads(refused[0]["bytes"]) == batch[1]
    assert refused[0]["endpoint"] == "batch"
    assert refused[0]["source"] == "backend"
    assert refused[0]["errors"] == first["errors"]
    assert refused[1]["messageId"] == second["messageId"]  # found by what was answered
    assert house.metrics.messages["backend", "identify", "accepted"] == 2


async def test_n002_strict_mode_is_400_and_keeps_the_good(house):
    batch = {"batch": [GOOD, {}]}
    status, body, _ = await house.post("/v1/batch", batch, X_Strict_Mode="1")
    assert (status, body["success"], body["accepted"]) == (400, False, 1)
    assert "1 are kept" in body["message"]
    assert body["errors"][0]["pointer"].startswith("/batch/1")
    assert len(await house.events()) == 1


@pytest.mark.parametrize("value", ["1", "true", "True", " TRUE ", "yes", "on"])
async def test_f16_strict_mode_is_asked_for_in_every_way(house, value):
    batch = {"batch": [GOOD, {}]}
    assert (await house.post("/v1/batch", batch, X_Strict_Mode=value))[0] == 400
    for off in ("", "0", "false", "no", "off"):
        assert (await house.post("/v1/batch", batch, X_Strict_Mode=off))[0] == 200


async def test_on_invalid_accept_beats_strict_mode_but_not_401(house):
    batch = {"batch": [GOOD, {}]}
    answer = await house.post("/v1/batch", batch, key="old", X_Strict_Mode="1")
    assert answer[:2] == (200, {"success": True})
    assert (await house.post("/v1/identify", {}, key="old"))[0] == 200
    assert (await house.post("/v1/identify", b"{", key="old"))[0] == 200
    assert len(await house.records("refused")) == 3
    assert (await house.post("/v1/identify", {}, key="older"))[0] == 401


async def test_a_batch_with_nothing_good_is_400(house):
    status, body, _ = await house.post("/v1/batch", {"batch": [{}, 5]})
    assert (status, body["code"], body["accepted"]) == (400, "invalid_message", 0)
    assert len(await house.records("refused")) == 2


async def test_the_batch_is_merged_under_each_message(house):
    body = {
        "context": {"app": {"name": "a"}, "locale": "nl-NL"},
        "integrations": {"hook": False},
        "timestamp": "2024-01-01T00:00:00.000Z",
        "sentAt": "2024-01-01T00:00:01.000Z",
        "batch": [
            {**GOOD, "messageId": "plain"},
            {**GOOD, "context": {"locale": "en-US"}, "integrations": {"hook": True}},
        ],
    }
    assert (await house.post("/v1/batch", body))[0] == 200
    plain, own = await house.events()
    assert plain["context"] == {
        "app": {"name": "a"},
        "locale": "nl-NL",
        "channel": "server",
    }
    assert own["context"]["locale"] == "en-US"
    assert own["context"]["app"] == {"name": "a"}
    assert plain["timestamp"] == "2024-01-01T00:00:00.000Z"
    assert plain["sentAt"] == "2024-01-01T00:00:01.000Z"
    assert [r.key for r in await house.records("to.hook")] == [b"u"]


async def test_a_merged_event_and_a_merged_request_have_limits_too(tmp_path):
    limits = replace(Limits(), event_bytes=2_000, request_canonical_bytes=5_000)
    async with running(tmp_path, limits) as house:
        context = {"context": {"big": "x" * 1_950}}
        status, body, _ = await house.post("/v1/batch", {**context, "batch": [GOOD]})
        assert (status, body["errors"][0]["code"]) == (400, "too_large")
        context = {"context": {"big": "x" * 2_000}}  # no event can be as large
        status, body, _ = await house.post("/v1/batch", {**context, "batch": [GOOD]})
        assert (status, body["code"]) == (400, "too_large")
        assert "context of the batch: 2022 bytes, more than 2000" in body["message"]
        context = {"context": {"big": "x" * 1_500}}
        many = {**context, "batch": [GOOD] * 5}
        status, body, _ = await house.post("/v1/batch", many)
        assert (status, body["accepted"]) == (200, 2)
        assert body["rejected"][0]["errors"][0]["code"] == "too_large"
        assert "5000" in body["rejected"][0]["errors"][0]["message"]


async def test_cors_is_on_every_answer_of_v1_errors_included(house):
    origin = "https://shop.example"
    for body, key in ((GOOD, "web"), ({}, "web"), (b"{", "web"), (GOOD, "nobody")):
        _, _, headers = await house.post("/v1/i", body, key=key, Origin=origin)
        assert headers["Access-Control-Allow-Origin"] == origin
        assert headers["Access-Control-Expose-Headers"] == "Retry-After"
    asked = "authorization, x-custom"
    async with house.session.options(
        house.url + "/v1/b",
        headers={"Origin": origin, "Access-Control-Request-Headers": asked},
    ) as answer:
        assert answer.status == 200
        allowed = answer.headers["Access-Control-Allow-Headers"].lower()
        for name in ("authorization", "content-type", "x-retry-count", "x-custom"):
            assert name in allowed
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]


async def test_origins_are_judged_on_the_post_not_on_the_preflight(house):
    origin = {"Origin": "https://evil.example"}
    async with house.session.options(house.url + "/v1/i", headers=origin) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    status, body, _ = await house.post("/v1/i", GOOD, key="web", **origin)
    assert (status, body["code"]) == (401, "unknown_write_key")
    assert (await house.post("/v1/i", GOOD, key="web"))[0] == 200  # no browser
    assert (await house.post("/v1/i", GOOD, key="dev", **origin))[0] == 200


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("web", {"batch": [GOOD, GOOD]}),
        (None, {"batch": [GOOD, GOOD], "writeKey": "web"}),
        (None, {**GOOD, "writeKey": "web"}),
    ],
)
async def test_a_wrong_origin_is_told_once_for_each_post_and_by_name(house, key, body):
    for _ in range(2):
        status, _, _ = await house.post(
            "/v1/batch" if "batch" in body else "/v1/i",
            body,
            key=key,
            Origin="https://shops.example",
        )
        assert status == 401
    lines = house.told()
    assert lines == [("origin_refused", "web", "https://shops.example", 2)]


async def test_however_many_wrong_origins_there_are_few_are_named(house):
    for number in range(100):
        origin = f"https://{number}.example/{'x' * 2_000}"
        await house.post("/v1/i", GOOD, key="web", Origin=origin)
    lines = house.told()
    assert len(lines) == 21
    assert max(len(name) for _, _, name, _ in lines) == 100
    assert ("origin_refused", "web", "(others)", 80) in lines


async def test_settings_for_the_browser_and_mobile_sdks(house):
    async with house.session.get(house.url + "/v1/projects/web/settings") as answer:
        assert answer.status == 200
        settings = json.loads(await answer.read())
    for name in ("Customer.io Data Pipelines", "Segment.io"):
        assert settings["integrations"][name] == {
            "apiKey": "web",
            "apiHost": "gateway.example/v1",
            "protocol": "https",
        }
    assert settings["metrics"] == {"sampleRate": 0}


async def test_sdk_metrics_are_taken_without_a_key_and_discarded(house):
    answer = await house.post("/v1/m", {"series": []}, key=None)
    assert answer[:2] == (200, {"success": True})
    assert await house.events() == []


async def test_openapi_and_schemas_are_published(house):
    async with house.session.get(house.url + "/openapi.json") as answer:
        document = json.loads(await answer.read())
    assert document["openapi"] == "3.1.0"
    for path, item in document["paths"].items():
        if not path.startswith("/v1/") or "post" not in item:
            continue
        content = item["post"]["requestBody"]["content"]["application/json"]
        async with house.session.get(house.url + content["schema"]["$ref"]) as answer:
            assert answer.status == 200
            schema = json.loads(await answer.read())
        assert schema["$schema"].endswith("2020-12/schema")


async def test_s19_what_is_published_can_be_read_as_yaml(house):
    """YAML has no control characters, and most tools for OpenAPI read YAML."""
    paths = ["/openapi.json", *(f"/schemas/{name}.json" for name in SCHEMAS)]
    for path in paths:
        async with house.session.get(house.url + path) as answer:
            body = await answer.read()
        assert all(each >= 0x20 for each in body)
        assert not {chr(each) for each in range(0x7F, 0xA0)} & set(body.decode())
        if path != "/openapi.json":
            name = path.removeprefix("/schemas/").removesuffix(".json")
            assert json.loads(body) == SCHEMAS[name]
    for file in (Path(__file__).parents[2] / "schemas").glob("*.json"):
        assert file.read_text(encoding="utf-8").isascii()


async def test_s19_what_may_be_missing_says_so_in_the_description(house):
    async with house.session.get(house.url + "/openapi.json") as answer:
        paths = json.loads(await answer.read())["paths"]
    missing = [
        path
        for path in paths
        if "404" in paths[path].get("get", {}).get("responses", {})
    ]
    assert missing == ["/v1/projects/{writeKey}/settings", "/schemas/{name}.json"]
    for path in ("/v1/projects/nobody/settings", "/schemas/nothing.json"):
        async with house.session.get(house.url + path) as answer:
            assert answer.status == 404
            assert json.loads(await answer.read())["code"] == "not_found"


def sized(size: int, **fields: Any) -> dict[str, Any]:
    """A message of ``size`` bytes; what ``fields`` hold is not in its event."""
    message = {**GOOD, **fields, "traits": {**fields.pop("traits", {}), "note": ""}}
    message["traits"]["note"] = "x" * (size - len(compact(message)))
    assert len(compact(message)) == size
    return message


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"asSent": {"mine": "y" * 20_000}},
        {"writeKey": "y" * 20_000},
        {"traits": {"firstName": "A", "first_name": "y" * 20_000}},
        {"anonymousId": None, "name": None, "timestamp": None, "properties": None},
    ],
    ids=["plain", "our own name", "a key", "both spellings", "nulls"],
)
async def test_a_message_is_measured_exactly_in_a_batch_too(house, fields):
    """What is left out of an event counts: the limit is the message's."""
    limit = Limits().message_bytes
    neighbours = [{**GOOD, "traits": {"note": "z" * 20_000}}] * 2
    for over in (0, 1):
        body = {"batch": [*neighbours, sized(limit + over, **dict(fields))]}
        status, said, _ = await house.post("/v1/batch", body)
        assert status == 200
        codes = [e["errors"][0]["code"] for e in said.get("rejected", [])]
        assert codes == ["too_large"] * over
