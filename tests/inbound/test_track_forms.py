"""What clients of the Track API write otherwise: forms, slashes, a path of Ruby's."""

import json
from typing import Any

import pytest

from gateway.inbound.doors.readmit import Readmission
from gateway.inbound.doors.track import calls
from gateway.inbound.doors.track.form import is_form, read
from tests.inbound.house import House, ask
from tests.inbound.test_accept_track import PERSON, refused

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
REPORT = {"delivery_id": "d1", "device_id": "tok", "event": "opened"}


@pytest.mark.parametrize("line", ["/push/events", "/api/v1/push/events"])
@pytest.mark.parametrize("end", ["", "/"])
async def test_f9_reports_of_pushes_are_taken_at_the_root_too(
    house: House, line: str, end: str
) -> None:
    status, said, headers = await ask(house, f"POST {line}{end}", REPORT)
    assert (status, said) == (200, {})
    assert headers["X-Message-Id"]
    (event,) = await house.events()
    assert event["event"] == "Report Delivery Event"
    assert event["properties"]["recipient"] == "tok"
    assert house.metrics.requests == {("track_push", 200): 1}
    assert (await ask(house, f"POST {line}{end}", REPORT, key="no:body"))[0] == 401
    assert (await ask(house, f"GET {line}{end}"))[0] == 405
    status, said, _ = await ask(house, "POST /push/nothing", REPORT)
    assert (status, said["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("line", "body", "type_"),
    [
        ("PUT /api/v1/customers/5/", {"plan": "p"}, "identify"),
        ("POST /api/v1/customers/5/events/", {"name": "e"}, "track"),
        ("POST /api/v1/events/", {"name": "e"}, "track"),
        ("POST /api/v2/entity/", PERSON, "identify"),
        ("POST /api/v2/batch/", {"batch": [PERSON]}, "identify"),
        ("DELETE /api/v1/customers/5/?x=1", None, "person"),
        ("DELETE /api/v1/customers/5/devices/tok/", None, "track"),
        ("POST /unsubscribe/d1/", {}, "person"),
    ],
)
async def test_f13_a_slash_at_the_end_is_as_none(
    house: House, line: str, body: Any, type_: str
) -> None:
    status, said, _ = await ask(house, line, body)
    assert status == 200, said
    (event,) = await house.events()
    assert event["type"] == type_
    if "customers/5" in line:
        assert event["userId"] == "5"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("PUT /api/v1/customers/", 400),
        ("PUT /api/v1/customers//", 400),
        ("DELETE /api/v1/customers/u/devices/", 400),
        ("POST /api/v1/customers//events/", 400),
        ("POST /unsubscribe/", 400),
        ("PUT /api/v1/customers/u/x/", 404),
        ("PUT /api/v1/customers/u//", 404),
        ("GET /api/v1/customers/u/", 405),
    ],
)
async def test_f13_who_is_missing_in_a_path_is_nobody(
    house: House, line: str, status: int
) -> None:
    assert (await ask(house, line, {"name": "e"}))[0] == status
    assert await house.events() == []


@pytest.mark.parametrize(
    "path",
    [
        "/healthz/",
        "/openapi.json/",
        "/schemas/common.json/",
        "/v1/projects/web/settings/",
        "//v1/projects/web/settings/",
    ],
)
async def test_f13_documents_are_found_with_a_slash_at_the_end(
    house: House, path: str
) -> None:
    assert (await ask(house, f"GET {path}", key=None))[0] == 200
    assert (await ask(house, "POST /v1/m/", {}, key=None))[0] == 200
    for name in ("identify", "batch"):
        body = {"userId": "u", "batch": [{"type": "page", "userId": "u"}]}
        line = f"POST //v1/{name}/"
        assert (await ask(house, line, body, key="dev:"))[0] == 200


FORMS: dict[bytes, dict[str, Any]] = {
    b"email=a%40b.example&plan=pro+max": {"email": "a@b.example", "plan": "pro max"},
    b"name=buy&data[price]=13.99&data%5Bof%5D%5B%5D=a&data[of][]=b": {
        "name": "buy",
        "data": {"price": "13.99", "of": ["a", "b"]},
    },
    b"a=1&a=2&b": {"a": "2", "b": ""},
    b"a[b=1&c]=2&[d]=3": {"a[b": "1", "c]": "2", "[d]": "3"},
    b"a=1&a[b]=2": {"a": {"b": "2"}},
    b"city=Malm%C3%B6&_update=true": {"city": "Malm\u00f6", "_update": True},
    b"x[][y]=1&x[][y]=2": {"x": [{"y": "1"}, {"y": "2"}]},
}


@pytest.mark.parametrize("body", FORMS)
def test_f13_a_form_is_read_as_what_it_says(body: bytes) -> None:
    assert is_form(body)
    assert read(body, 64) == FORMS[body]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"a":"b=c"}', b'[{"a":1}]', b'"a=b"', b"null", b"5", b" {=}"]
)
def test_f13_json_is_no_form(body: bytes) -> None:
    assert not is_form(body)


@pytest.mark.parametrize("headers", [FORM, {"Content-Type": "text/plain"}])
async def test_f13_forms_are_taken_like_json(house: House, headers: Any) -> None:
    line = "PUT /api/v1/customers/5"
    body = b"email=a%40b.example&first_name=Ann&_timestamp=1709210096"
    assert (await ask(house, line, body, headers=headers))[:2] == (200, {})
    line, body = "POST /api/v1/customers/5/events", b"name=buy&data[price]=13.99"
    assert (await ask(house, line, body, headers=headers))[:2] == (200, {})
    assert (await ask(house, line, b'{"name":"json"}', headers=headers))[0] == 200
    person, event, _ = await house.events()
    assert person["identifiers"] == {"id": "5", "email": "a@b.example"}
    assert person["traits"] == {"first_name": "Ann"}
    assert person["timestamp"] == "2024-02-29T12:34:56.000Z"
    assert (event["event"], event["properties"]) == ("buy", {"price": "13.99"})


async def test_f13_what_is_wrong_in_a_form_is_refused_and_kept(house: House) -> None:
    line = "POST /api/v1/customers/5/events"
    for body, code in (
        (b"title=e", "required"),
        (b"name=e&data[a]=%00", "nul"),
        (b"name=e&data" + b"[a]" * 65 + b"=1", "too_large"),
        (b"name=%ff", "invalid_message"),
        (b"name=" + b"x" * 40_000, "too_large"),
        (b"name=e&" + b"data[a][b]=1&" * 4_000, "too_large"),
    ):
        status, said, _ = await ask(house, line, body)
        assert status == 400
        assert code in {said["code"], *(each["code"] for each in said["errors"])}
    kept = (await refused(house))[0]
    again = Readmission(house.config.sources, house.acceptor.rules)
    assert again.judge(again.read(kept)) == "refused"
    entries = again.judge(again.read({**kept, "bytes": "name=e&data[a]=1"}))
    assert not isinstance(entries, str)
    assert json.loads(entries[0].value)["properties"] == {"a": "1"}


def test_what_a_path_takes_is_the_same_with_a_slash() -> None:
    for path, operations in calls.TABLE.items():
        target = path.replace("{", "").replace("}", "")
        for method in operations:
            one, other = (calls.find(method, target + end) for end in ("", "/"))
            assert isinstance(one, calls.Call)
            assert isinstance(other, calls.Call)
            assert one.operation is other.operation


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("PUT /api/v1/customers/5", []),
        ("POST /api/v1/customers/5/events", {"name": "e", "data": []}),
        ("POST /api/v2/entity", {**PERSON, "attributes": []}),
        ("POST /api/v2/batch", {"batch": [{**PERSON, "attributes": []}]}),
        (
            "PUT /api/v1/customers/5/devices",
            {"device": {"id": "t", "platform": "ios", "attributes": []}},
        ),
        ("POST /unsubscribe/d1", []),
    ],
)
async def test_p014_php_s_empty_array_is_an_object_here_too(
    house: House, line: str, body: Any
) -> None:
    status, said, _ = await ask(house, line, body)
    assert (status, said) == (200, {})
    (event,) = await house.events()
    assert [] not in event.values()
    text = json.dumps(body).replace("[]", "[[]]")
    if line != "POST /unsubscribe/d1":
        assert (await ask(house, line, text.encode()))[0] == 400


async def test_p014_an_attribute_may_be_an_empty_array(house: House) -> None:
    line = "PUT /api/v1/customers/5"
    assert (await ask(house, line, {"tags": [], "company": []}))[0] == 200
    (event,) = await house.events()
    assert event["traits"] == {"tags": [], "company": []}
