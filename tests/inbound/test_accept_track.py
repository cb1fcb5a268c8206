"""The Track API over HTTP, in process: keys, answers, limits, refusals."""

import asyncio
import base64
import gzip
import json
from typing import Any

import aiohttp
import pytest

from gateway.config import Limits
from gateway.log import Span
from tests.inbound.house import GOOD, House, ask, running

PERSON = {"type": "person", "action": "identify", "identifiers": {"id": "u1"}}


async def refused(house: House) -> list[Any]:
    return [json.loads(record.value) for record in await house.records("refused")]


async def test_the_answer_is_an_empty_object_with_a_message_id(house):
    status, body, headers = await ask(house, "PUT /api/v1/customers/u1", {"a": 1})
    assert (status, body) == (200, {})
    assert headers["Content-Type"] == "application/json"
    (event,) = await house.events()
    assert event["messageId"] == headers["X-Message-Id"]
    assert event["source"] == "track"
    assert event["origin"] == "track"
    assert event["identifiers"] == {"id": "u1"}
    assert event["traits"] == {"a": 1}
    assert event["context"] == {"channel": "server"}
    assert event["timestampSource"] == "server"
    (archived,) = await house.records("events")
    assert archived.key == b"u1"
    assert [r.value async for r in house.log.scan("to.hook", Span())] == [
        archived.value
    ]


async def test_traits_stay_as_sent_and_nothing_is_filled_in(house):
    traits = {"first_name": "A", "last_name": "B", "created_at": 1709210096, "age": "x"}
    await ask(house, "PUT /api/v1/customers/a@x.y", traits)
    (event,) = await house.events()
    assert event["traits"] == traits
    assert "asSent" not in event


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b" "])
async def test_a_body_of_no_interest_may_be_anything(house, body):
    assert (await ask(house, "DELETE /api/v1/customers/u1", body))[:2] == (200, {})
    assert (await ask(house, "POST /api/v1/customers/u1/suppress", body))[0] == 200
    assert [e["action"] for e in await house.events()] == ["delete", "suppress"]


async def test_a_person_message_goes_only_where_it_is_declared(house):
    await ask(house, "DELETE /api/v1/customers/u1")
    (record,) = await house.records("events")
    route = json.loads(dict(record.headers)["route"])
    assert route == {"to": [], "no": {"hook": "type", "off": "disabled"}}


async def test_the_content_type_gates_nothing_and_gzip_is_decoded(house):
    body = gzip.compress(b'{"a": 1}')
    given = {"Content-Type": "text/plain"}
    assert (await ask(house, "PUT /api/v1/customers/u1", body, headers=given))[0] == 200
    (event,) = await house.events()
    assert event["traits"] == {"a": 1}


async def test_an_event_without_a_person_is_keyed_by_its_message_id(house):
    _, _, headers = await ask(house, "POST /api/v1/events", {"name": "invite"})
    await ask(house, "PUT /api/v1/customers/cio_03000001", {"a": 1})
    body = {"name": "e", "anonymous_id": "a1"}
    await ask(house, "POST /api/v1/events", body)
    keys = [record.key.decode() for record in await house.records("events")]
    events = await house.events()
    assert "userId" not in events[0]
    assert keys[0] == headers["X-Message-Id"]
    assert keys[1] == events[1]["messageId"]
    assert keys[2] == "a1"


async def test_a_cio_id_whose_email_cannot_identify_is_no_bug(house):
    status, _, _ = await ask(house, "PUT /api/v1/customers/cio_1", {"email": 5.5})
    assert status == 200
    await ask(house, "PUT /api/v1/customers/cio_1", {"email": ["x"]})
    first, second = await house.events()
    assert first["userId"] == "5.5"
    assert "userId" not in second
    assert second["traits"] == {"email": ["x"]}


async def test_an_event_s_id_is_its_message_id(house):
    body = {"name": "e", "id": "ulid-1"}
    _, _, headers = await ask(house, "POST /api/v1/customers/u1/events", body)
    assert headers["X-Message-Id"] == "ulid-1"
    body = {"name": "e", "id": "é\r\nX-Evil: 1"}
    _, _, headers = await ask(house, "POST /api/v1/customers/u1/events", body)
    assert headers["X-Message-Id"] == "%C3%A9%0D%0AX-Evil%3A%201"
    assert "X-Evil" not in headers


async def test_a_segment_s_people_have_ids_that_follow_from_the_answer_s(house):
    line = "POST /api/v1/segments/7/add_customers"
    _, _, headers = await ask(house, line, {"ids": ["u1", "u2", "u3"]})
    first = headers["X-Message-Id"]
    ids = [event["messageId"] for event in await house.events()]
    assert ids == [first, f"{first}.1", f"{first}.2"]
    status, body, _ = await ask(house, line, {"ids": ["u1", True]})
    assert status == 400
    assert body["errors"][0]["pointer"] == "/ids/1"
    assert len(await house.events()) == 3  # all of them, or none


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "missing_write_key"),
        ("site:wrong", "unknown_write_key"),
        ("other:key", "unknown_write_key"),
        ("site", "unknown_write_key"),
        ("dev:", "unknown_write_key"),
    ],
)
async def test_only_a_site_id_with_its_key_may_send(house, key, code):
    for line in ("PUT /api/v1/customers/u1", "GET /api/v1/accounts/region"):
        status, body, headers = await ask(house, line, key=key)
        assert status == 401
        assert body["code"] == code
        assert body["meta"] == {"error": body["message"], "errors": [body["message"]]}
        assert body["error"] == body["message"]
        assert headers["X-Message-Id"]
    assert await refused(house) == await house.events() == []


async def test_both_keys_and_both_alphabets_are_known(house):
    assert (await ask(house, "PUT /api/v1/customers/u1", key="site:key-2"))[0] == 200
    header = {
        "Authorization": "Basic " + base64.urlsafe_b64encode(b"site:key").decode()
    }
    line = "PUT /api/v1/customers/u1"
    assert (await ask(house, line, key=None, headers=header))[0] == 200


async def test_pipelines_and_track_keys_open_one_door_each(house):
    basic = {"Authorization": aiohttp.encode_basic_auth("site", "key")}
    assert (await house.post("/v1/identify", GOOD, key=None, **basic))[0] == 401
    given = {"Authorization": "Bearer site:key"}
    line = "PUT /api/v1/customers/u1"
    assert (await ask(house, line, key=None, headers=given))[0] == 401


async def test_pipelines_cannot_say_what_only_the_track_api_may(house):
    named = {"origin": "track", "identifiers": {"id": "x"}, "action": "delete"}
    assert (await house.post("/v1/identify", {**GOOD, **named}))[0] == 200
    (event,) = await house.events()
    assert not named.keys() & event.keys()
    status, _, _ = await house.post("/v1/batch", {"batch": [{**named, **GOOD}]})
    assert status == 200
    person = {"type": "person", "action": "delete", "userId": "u"}
    status, body, _ = await house.post("/v1/batch", {"batch": [person]})
    assert (status, body["errors"][0]["pointer"]) == (400, "/batch/0/type")


async def test_an_error_can_be_read_by_every_client_and_is_kept(house):
    line = "POST /api/v1/customers/u1/events?x=1"
    status, body, headers = await ask(house, line, {"title": "e"})
    assert status == 400
    (error,) = body["errors"]
    assert error == {
        "reason": "required",
        "field": "name",
        "pointer": "",
        "message": "needs name",
        "code": "required",
    }
    assert body["code"] == "invalid_message"
    assert body["message"] == body["error"] == "needs name"
    assert body["meta"] == {"error": "needs name", "errors": ["name: needs name"]}
    (kept,) = await refused(house)
    assert kept["messageId"] == headers["X-Message-Id"]
    assert kept["endpoint"] == line
    assert kept["source"] == "track"
    assert json.loads(kept["bytes"]) == {"title": "e"}


async def test_r01_a_path_without_an_identifier_is_refused(house):
    for line in ("PUT /api/v1/customers/", "POST /api/v1/customers//events"):
        status, body, _ = await ask(house, line, {"name": "e"})
        assert status == 400
        assert body["message"] == "the identifier in the path is missing"
        assert body["errors"][0]["code"] == "missing_identifier"


async def test_what_is_no_json_is_refused_and_kept_under_the_answer_s_id(house):
    line = "PUT /api/v1/customers/u1"
    status, body, headers = await ask(house, line, b"{")
    assert (status, body["code"]) == (400, "invalid_json")
    (kept,) = await refused(house)
    assert kept["messageId"] == headers["X-Message-Id"]
    status, body, _ = await ask(house, line, b'{"a": NaN, "b": "\\ud800"}')
    assert status == 400
    assert {e["code"] for e in body["errors"]} == {"not_a_number", "surrogate"}


async def test_a_path_that_is_no_text_is_kept_too(house):
    line = b"PUT /api/v1/customers/\xff HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
    key = base64.b64encode(b"site:key")
    host, port = house.runner.addresses[0][:2]
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(line + b"Authorization: Basic " + key + b"\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()


async def test_nesting_and_size_have_the_same_limits(tmp_path):
    async with running(tmp_path, Limits(message_bytes=1000, nesting=5)) as house:
        line = "PUT /api/v1/customers/u1"
        deep: Any = 1
        for _ in range(6):
            deep = [deep]
        for body in ({"a": deep}, {"batch": [deep]}):
            status, said, _ = await ask(house, line, body)
            assert (status, said["code"]) == (400, "too_large")
        status, said, _ = await ask(house, line, {"a": "x" * 1000})
        assert (status, said["code"]) == (400, "too_large")
        batch = [{**PERSON, "attributes": {"a": "x" * 1000}}, PERSON]
        status, said, _ = await ask(house, "POST /api/v2/batch", {"batch": batch})
        assert status == 207
        assert said["errors"][0]["batch_index"] == 0
        assert said["errors"][0]["reason"] == "too_large"
        assert len(await house.events()) == 1


async def test_a_batch_is_judged_entity_by_entity(house):
    batch = [
        PERSON,
        {"type": "person", "action": "event", "identifiers": {"id": "u1"}},
        {**PERSON, "identifiers": {"phone": "1"}},
        {**PERSON, "action": "event", "name": "e", "id": "own"},
        7,
    ]
    line = "POST /api/v2/batch"
    status, body, headers = await ask(house, line, {"batch": batch})
    assert status == 207
    assert [(e["batch_index"], e["reason"], e["field"]) for e in body["errors"]] == [
        (1, "required", "name"),
        (2, "additionalProperties", "identifiers"),
        (4, "type", ""),
    ]
    assert all(error["message"] for error in body["errors"])
    answered = headers["X-Message-Id"]
    events = await house.events()
    assert [event["messageId"] for event in events] == [answered, "own"]
    kept = await refused(house)
    assert [each["messageId"] for each in kept] == [
        f"{answered}-{n}" for n in (1, 2, 4)
    ]
    assert json.loads(kept[0]["bytes"]) == batch[1]


async def test_a_batch_of_good_entities_is_200_and_of_none_400(house):
    line = "POST /api/v2/batch"
    assert (await ask(house, line, {"batch": [PERSON, PERSON]}))[:2] == (200, {})
    body: Any
    for body in ({"batch": []}, {}, {"batch": [7]}, []):
        status, said, _ = await ask(house, line, body)
        assert status == 400, body
        assert said["meta"]["error"] == said["error"]
    strict = {"X-Strict-Mode": "1"}
    body = {"batch": [PERSON, 7]}
    status, said, _ = await ask(house, line, body, headers=strict)
    assert (status, said["accepted"]) == (400, 1)
    ids = [event["messageId"] for event in await house.events()]
    assert len(ids) == len(set(ids)) == 3


async def test_old_clients_hear_200_and_what_they_sent_is_kept(house):
    line = "POST /api/v1/customers/u1/events"
    body: Any
    for body in ({}, b"{"):
        assert (await ask(house, line, body, key="old:key"))[:2] == (200, {})
    batch = {"batch": [7]}
    answer = await ask(house, "POST /api/v2/batch", batch, key="old:key")
    assert answer[:2] == (200, {})
    assert len(await refused(house)) == 3
    assert await house.events() == []
