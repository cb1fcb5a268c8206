"""What each request of the Track API becomes: a table, and what is refused.

Rows are from CLIENTS 4.14, INTERFACE (Track API -> message) and the vendor's examples.
"""

import json
from typing import Any

import pytest

from gateway.event import Raw
from gateway.inbound.doors.track.calls import TABLE, Call, find, messages, number
from gateway.inbound.refusal import Refusal

AT, ISO = 1709210096, "2024-02-29T12:34:56.000Z"
U1 = {"identifiers": {"id": "u1"}, "userId": "u1"}
ANN = {"identifiers": {"email": "Ann@x.y"}, "userId": "Ann@x.y"}
CIO = {"identifiers": {"cio_id": "03000001"}}
NOBODY: dict[str, Any] = {"identifiers": {}}
FORMS = {"form1": {"mail": "email"}}


def called(line: str) -> Call:
    found = find(*line.split(" ", 1))
    assert isinstance(found, Call), found
    return found


def asked(line: str, body: Any) -> list[Raw] | Refusal:
    return messages(called(line), body, FORMS)


def identified(who, traits, **more):
    return {"type": "identify", "origin": "track", **who, "traits": traits, **more}


def tracked(who, event, properties, **more):
    more |= {"event": event, "properties": properties}
    return {"type": "track", "origin": "track", **who, **more}


def seen(kind, who, name, properties, **more):
    more |= {"name": name, "properties": properties}
    return {"type": kind, "origin": "track", **who, **more}


def person(who, action, **more):
    return {"type": "person", "origin": "track", **who, "action": action, **more}


def grouped(who, thing, action, traits, **more):
    more |= {"groupId": thing, "action": action, "traits": traits}
    return {"type": "group", "origin": "track", **who, **more}


def both(person_id, email, first="id"):
    pairs = [("id", person_id), ("email", email)]
    named = dict(pairs if first == "id" else reversed(pairs))
    return {"identifiers": named, "userId": person_id}


DEVICE = {"token": "tok", "type": "ios"}
THING = {"object_type_id": "1", "object_id": "acme"}
V1 = [
    # the same person, named either way round
    ("PUT /api/v1/customers/person@example.com", {"id": "id1234"},
     identified(both("id1234", "person@example.com", "email"), {})),
    ("PUT /api/v1/customers/id1234", {"email": "person@example.com"},
     identified(both("id1234", "person@example.com"), {})),
    ("PUT /api/v1/customers/cio_03000001", {"email": "new_person@example.com"},
     identified({"identifiers": {"cio_id": "03000001",
                                 "email": "new_person@example.com"},
                 "userId": "new_person@example.com"}, {})),
    # names and values as sent
    ("PUT /api/v1/customers/u1",
     {"first_name": "Dana", "lastName": "B", "age": "old", "created_at": AT,
      "nested": {"a": [1, None]}, "nothing": None, "unsubscribed": False},
     identified(U1, {"first_name": "Dana", "lastName": "B", "age": "old",
                     "created_at": AT, "nested": {"a": [1, None]}, "nothing": None,
                     "unsubscribed": False})),
    ("PUT /api/v1/customers/u1", {}, identified(U1, {})),
    ("PUT /api/v1/customers/u1", None, identified(U1, {})),
    # one decoding: %2F, a space, a plus that is one, a question mark, a percent sign
    ("PUT /api/v1/customers/a%2Fb%20c%2Bd+e%3F%C3%A9%2525", {},
     identified({"identifiers": {"id": "a/b c+d+e?é%25"},
                 "userId": "a/b c+d+e?é%25"}, {})),
    ("PUT /api/v1/customers/Ann%40x.y", {}, identified(ANN, {})),
    ("PUT /api/v1/customers/Ann@x.y?x=1", {}, identified(ANN, {})),
    # D13: numbers become texts; null, "" and other types stay for the workspace
    ("PUT /api/v1/customers/Ann@x.y", {"id": 42, "cio_id": None},
     identified(both("42", "Ann@x.y", "email"), {"cio_id": None})),
    ("PUT /api/v1/customers/u1", {"email": ["x"], "cio_id": ""},
     identified(U1, {"email": ["x"], "cio_id": ""})),
    ("PUT /api/v1/customers/u1", {"id": "u2"}, identified(U1, {"id": "u2"})),
    ("PUT /api/v1/customers/u1", {"cio_id": "cio_07"},
     identified({"identifiers": {"id": "u1", "cio_id": "07"}, "userId": "u1"}, {})),
    # instructions are no attributes
    ("PUT /api/v1/customers/u1",
     {"_update": True, "_timestamp": AT, "anonymous_id": "a1", "_last_visit": AT},
     identified(U1, {"_last_visit": AT}, updateOnly=True, timestamp=ISO,
                anonymousId="a1")),
    ("PUT /api/v1/customers/u1", {"_update": False, "timestamp": "never"},
     identified(U1, {"timestamp": "never"})),
    ("DELETE /api/v1/customers/Ann@x.y", {}, person(ANN, "delete")),
    ("DELETE /api/v1/customers/cio_03000001", None, person(CIO, "delete")),
    ("POST /api/v1/customers/u1/suppress", {}, person(U1, "suppress")),
    ("POST /api/v1/customers/u1/unsuppress", None, person(U1, "unsuppress")),
    ("POST /api/v1/customers/u1/events",
     {"name": "purchase", "data": {"price": 23.45}, "timestamp": AT},
     tracked(U1, "purchase", {"price": 23.45}, timestamp=ISO)),
    ("POST /api/v1/customers/u1/events",
     {"name": "e", "type": "event", "timestamp": str(AT), "anonymous_id": 7},
     tracked(U1, "e", {}, timestamp=ISO, anonymousId="7")),
    ("POST /api/v1/customers/u1/events",
     {"type": "page", "name": "https://x.y/z?a=1", "data": {"referrer": "r"}},
     seen("page", U1, "https://x.y/z?a=1", {"referrer": "r"})),
    ("POST /api/v1/customers/Ann@x.y/events", {"type": "screen", "name": "Home"},
     seen("screen", ANN, "Home", {})),
    ("POST /api/v1/events", {"name": "viewed", "anonymous_id": "a1", "data": {"a": 1}},
     tracked(NOBODY, "viewed", {"a": 1}, anonymousId="a1")),
    ("POST /api/v1/events", {"name": "invite", "data": {"recipient": "x@y.z"}},
     tracked(NOBODY, "invite", {"recipient": "x@y.z"})),
    ("POST /api/v1/events", {"name": "/x", "type": "page", "anonymous_id": ""},
     seen("page", NOBODY, "/x", {})),
    # F019, E009: a device's attributes in it, or under their own name
    ("PUT /api/v1/customers/u1/devices",
     {"device": {"id": "tok", "platform": "ios", "last_used": AT,
                 "attributes": {"app_version": "1", "deep": {"a": 1}}}},
     tracked(U1, "Device Created or Updated", {"app_version": "1", "deep": {"a": 1}},
             context={"device": {**DEVICE, "lastUsed": AT}})),
    ("PUT /api/v1/customers/u1/devices",
     {"device": {"id": "tok", "platform": "ios", "last_used": str(AT),
                 "push_enabled": "true"}},
     tracked(U1, "Device Created or Updated", {"push_enabled": "true"},
             context={"device": {**DEVICE, "lastUsed": AT}})),
    ("PUT /api/v1/customers/u1/devices", {"device": {"id": "tok", "platform": "ios"}},
     tracked(U1, "Device Created or Updated", {}, context={"device": DEVICE})),
    ("DELETE /api/v1/customers/u1/devices/tok%2F1%3AAPA", {},
     tracked(U1, "Device Deleted", {}, context={"device": {"token": "tok/1:APA"}})),
    ("POST /api/v1/merge_customers",
     {"primary": {"id": "u1"}, "secondary": {"email": "Old@x.y"}},
     person(U1, "merge", secondary={"email": "Old@x.y"})),
    ("POST /api/v1/merge_customers",
     {"primary": {"cio_id": "cio_03000001"}, "secondary": {"id": 2}},
     person(CIO, "merge", secondary={"id": "2"})),
    ("POST /api/v1/push/events",
     {"delivery_id": "d1", "device_id": "tok", "event": "opened", "timestamp": AT},
     tracked(NOBODY, "Report Delivery Event",
             {"metric": "opened", "deliveryId": "d1", "recipient": "tok"},
             timestamp=ISO)),
    ("POST /api/v1/metrics",
     {"delivery_id": "d1", "metric": "bounced", "recipient": "tok", "reason": "full"},
     tracked(NOBODY, "Report Delivery Event",
             {"metric": "bounced", "deliveryId": "d1", "recipient": "tok",
              "reason": "full"})),
    ("POST /api/v1/segments/7/remove_customers", {"ids": ["u1"]},
     person(U1, "segment_remove", segment=7)),
    ("POST /api/v1/segments/7/add_customers?id_type=email", {"ids": ["Ann@x.y"]},
     person(ANN, "segment_add", segment=7)),
    ("POST /api/v1/forms/form1/submit", {"data": {"mail": "Ann@x.y", "name": "F"}},
     identified(ANN, {"name": "F"}, context={"form": {"id": "form1"}})),
    ("POST /api/v1/forms/other/submit", {"data": {"id": "u1", "mail": "m"}},
     identified(U1, {"mail": "m"}, context={"form": {"id": "other"}})),
    ("POST /unsubscribe/d%2F1", {"unsubscribe": True},
     person(NOBODY, "unsubscribe", deliveryId="d/1")),
    ("POST /unsubscribe/d1", {}, person(NOBODY, "unsubscribe", deliveryId="d1")),
    ("POST /unsubscribe/d1", {"unsubscribe": False},
     person(NOBODY, "resubscribe", deliveryId="d1")),
]  # fmt: skip
V2 = [
    ({"action": "identify", "identifiers": {"id": "u1"},
      "attributes": {"email": "Ann@x.y", "plan": "pro"}, "timestamp": AT},
     identified(both("u1", "Ann@x.y"), {"plan": "pro"}, timestamp=ISO)),
    ({"action": "identify", "identifiers": {"email": "Ann@x.y"}}, identified(ANN, {})),
    # D14: an explicit identifier is what it says
    ({"action": "identify", "identifiers": {"id": "cio_1"}},
     identified({"identifiers": {"id": "cio_1"}, "userId": "cio_1"}, {})),
    ({"action": "identify", "identifiers": {"cio_id": "cio_03000001"},
      "attributes": {"_update": True}}, identified(CIO, {}, updateOnly=True)),
    ({"action": "event", "identifiers": {"id": 1}, "name": "e", "attributes": {"a": 1}},
     tracked({"identifiers": {"id": "1"}, "userId": "1"}, "e", {"a": 1})),
    ({"action": "event", "name": "e", "identifiers": {"anonymous_id": "a1"}},
     tracked(NOBODY, "e", {}, anonymousId="a1")),
    ({"action": "event", "name": "e"}, tracked(NOBODY, "e", {})),
    ({"action": "page", "identifiers": {"id": "u1"}, "name": "/x"},
     seen("page", U1, "/x", {})),
    ({"action": "screen", "identifiers": {"id": "u1"}, "name": "x", "timestamp": AT},
     seen("screen", U1, "x", {}, timestamp=ISO)),
    ({"action": "delete", "identifiers": {"email": "Ann@x.y"}}, person(ANN, "delete")),
    ({"action": "suppress", "identifiers": {"id": "u1"}}, person(U1, "suppress")),
    ({"action": "unsuppress", "identifiers": {"id": "u1"}}, person(U1, "unsuppress")),
    ({"action": "merge", "primary": {"id": "u1"}, "secondary": {"id": "u2"}},
     person(U1, "merge", secondary={"id": "u2"})),
    ({"action": "add_device", "identifiers": {"id": "u1"},
      "device": {"token": "tok", "platform": "ios", "attributes": {"v": "1"}}},
     tracked(U1, "Device Created or Updated", {"v": "1"}, context={"device": DEVICE})),
    ({"action": "add_device", "identifiers": {"id": "u1"},
      "device": {"id": "tok", "platform": "ios"}},
     tracked(U1, "Device Created or Updated", {}, context={"device": DEVICE})),
    ({"action": "delete_device", "identifiers": {"id": "u1"},
      "device": {"token": "tok"}},
     tracked(U1, "Device Deleted", {}, context={"device": {"token": "tok"}})),
    ({"action": "add_relationships", "identifiers": {"id": "u1"},
      "cio_relationships": [{"identifiers": THING,
                             "relationship_attributes": {"role": "x"}}]},
     grouped(U1, "acme", "add_relationships",
             {"object_type_id": "1", "relationshipAttributes": {"role": "x"}})),
    ({"action": "delete_relationships", "identifiers": {"email": "Ann@x.y"},
      "cio_relationships": [{"identifiers": {"cio_object_id": "cob_1"}}]},
     grouped(ANN, "cob_1", "delete_relationships", {})),
    ({"type": "object", "action": "identify", "identifiers": THING,
      "attributes": {"name": "Acme"}},
     grouped(NOBODY, "acme", "identify", {"name": "Acme", "object_type_id": "1"})),
    ({"type": "object", "action": "identify", "identifiers": THING,
      "attributes": {"name": "Acme"},
      "cio_relationships": [{"identifiers": {"id": "u1"}}]},
     grouped(U1, "acme", "identify", {"name": "Acme", "object_type_id": "1"})),
    ({"type": "object", "action": "identify_anonymous", "identifiers": THING,
      "cio_relationships": [{"identifiers": {"anonymous_id": "a1"}}]},
     grouped(NOBODY, "acme", "identify_anonymous", {"object_type_id": "1"},
             anonymousId="a1")),
    ({"type": "object", "action": "delete", "identifiers": THING},
     grouped(NOBODY, "acme", "delete", {"object_type_id": "1"})),
    ({"type": "object", "action": "add_relationships", "identifiers": THING,
      "cio_relationships": [{"identifiers": {"id": "u1"}}]},
     grouped(U1, "acme", "add_relationships", {"object_type_id": "1"})),
]  # fmt: skip


@pytest.mark.parametrize(("line", "body", "expected"), V1)
def test_a_request_becomes_a_message(line, body, expected):
    made = asked(line, body)
    assert made == [expected]
    assert list(made[0]["identifiers"]) == list(expected["identifiers"])


@pytest.mark.parametrize("path", ["/api/v2/entity", "/api/v2/batch"])
@pytest.mark.parametrize(("entity", "expected"), V2)
def test_an_entity_becomes_a_message(path, entity, expected):
    assert asked(f"POST {path}", {"type": "person", **entity}) == [expected]


def test_every_place_of_the_table_is_tried():
    tried = {called(line).operation for line, _, _ in V1} | {
        called(f"POST /api/v2/{name}").operation for name in ("entity", "batch")
    }
    known = {each for operations in TABLE.values() for each in operations.values()}
    assert known - tried == {TABLE["/api/v1/accounts/region"]["GET"]}


def test_a_segment_s_people_are_one_message_each():
    made = asked("POST /api/v1/segments/7/add_customers", {"ids": ["u1", 2]})
    assert isinstance(made, list)
    second = person({"identifiers": {"id": "2"}, "userId": "2"}, "segment_add")
    assert made == [person(U1, "segment_add", segment=7), {**second, "segment": 7}]
    assert number(made, "m") == "m"
    assert [each["messageId"] for each in made] == ["m", "m.1"]


def test_relationships_are_groups_beside_the_identify():
    related = [{"identifiers": THING}, {"identifiers": {"object_id": 5}}]
    groups = [
        grouped(U1, "acme", "delete_relationships", {"object_type_id": "1"}),
        grouped(U1, "5", "delete_relationships", {}),
    ]
    given = {"action": "delete_relationships", "relationships": related}
    body = {"plan": "x", "cio_relationships": given}
    made = asked("PUT /api/v1/customers/u1", body)
    assert made == [identified(U1, {"plan": "x"}), *groups]
    entity = {"type": "person", "action": "identify", "identifiers": {"id": "u1"}}
    made = asked("POST /api/v2/entity", {**entity, "cio_relationships": related})
    added = [{**each, "action": "add_relationships"} for each in groups]
    assert made == [identified(U1, {}), *added]


def test_an_event_s_own_id_is_the_message_s():
    body = {"name": "e", "id": "01HB4HBDKTFWYZCK01DMRSWRFD"}
    made = asked("POST /api/v1/customers/u1/events", body)
    assert isinstance(made, list)
    assert number(made, "spare") == made[0]["messageId"] == body["id"]


def entity_of(**fields):
    return ("POST /api/v2/entity", {"type": "person", **fields})


WHO = {"identifiers": {"id": "u1"}}
REFUSED = [
    # R01: no identifier in the path
    ("PUT /api/v1/customers/", {}, ("", "missing_identifier")),
    ("PUT /api/v1/customers", {}, ("", "missing_identifier")),
    ("DELETE /api/v1/customers/", {}, ("", "missing_identifier")),
    ("POST /api/v1/customers//events", {"name": "e"}, ("", "missing_identifier")),
    ("PUT /api/v1/customers/cio_", {}, ("", "missing_identifier")),
    ("DELETE /api/v1/customers/u1/devices/", {}, ("", "missing_identifier")),
    ("POST /unsubscribe/", {}, ("", "missing_identifier")),
    # too long, control characters, white space around an email (D11), not UTF-8
    (f"PUT /api/v1/customers/{'x' * 501}", {}, ("", "maxLength")),
    ("PUT /api/v1/customers/a%00b", {}, ("", "pattern")),
    ("PUT /api/v1/customers/a%0Ab", {}, ("", "pattern")),
    ("PUT /api/v1/customers/%20a@x.y", {}, ("", "not")),
    ("PUT /api/v1/customers/%20", {}, ("", "not")),
    ("PUT /api/v1/customers/%FF", {}, ("", "format")),
    ("PUT /api/v1/customers/u1", {"email": "a\nb@x.y"}, ("/email", "not")),
    ("PUT /api/v1/customers/u1", {"email": "a@x.y "}, ("/email", "not")),
    ("PUT /api/v1/customers/u1", [1], ("", "type")),
    ("PUT /api/v1/customers/u1", {"_timestamp": "x"}, ("/_timestamp", "format")),
    ("PUT /api/v1/customers/u1", {"_update": "yes"}, ("/_update", "type")),
    ("PUT /api/v1/customers/u1", {"anonymous_id": {}}, ("/anonymous_id", "type")),
    ("POST /api/v1/customers/u1/events", {}, ("", "required")),
    ("POST /api/v1/customers/u1/events", None, ("", "type")),
    ("POST /api/v1/customers/u1/events", {"name": ""}, ("/name", "minLength")),
    ("POST /api/v1/events", {"name": "e", "data": [1]}, ("/data", "type")),
    ("POST /api/v1/events", {"name": "e", "type": "x"}, ("/type", "enum")),
    ("POST /api/v1/events", {"name": "e", "timestamp": 1e300},
     ("/timestamp", "format")),
    ("POST /api/v1/events", {"name": "e", "id": "x" * 1001}, ("/id", "maxLength")),
    ("PUT /api/v1/customers/u1/devices", {}, ("", "required")),
    ("PUT /api/v1/customers/u1/devices", {"device": {"id": "t"}},
     ("/device", "required")),
    ("PUT /api/v1/customers/u1/devices", {"device": {"platform": "ios"}},
     ("/device", "anyOf")),
    ("PUT /api/v1/customers/u1/devices", {"device": {"id": "t", "platform": "web"}},
     ("/device/platform", "enum")),
    ("PUT /api/v1/customers/u1/devices",
     {"device": {"id": "t", "platform": "ios", "last_used": 1e300}},
     ("/device/last_used", "maximum")),
    ("POST /api/v1/merge_customers", {"primary": {"id": "u1"}}, ("", "required")),
    ("POST /api/v1/merge_customers", {"primary": {"id": "u1"}, "secondary": {}},
     ("/secondary", "minProperties")),
    ("POST /api/v1/merge_customers", {"primary": {"phone": "1"},
                                      "secondary": {"id": "u1"}},
     ("/primary", "additionalProperties")),
    ("POST /api/v1/metrics", {"metric": "opened"}, ("", "required")),
    ("POST /api/v1/segments/x/add_customers", {"ids": ["u1"]}, ("", "type")),
    ("POST /api/v1/segments/7/add_customers?id_type=x", {"ids": ["u1"]}, ("", "enum")),
    ("POST /api/v1/segments/7/add_customers", {"ids": []}, ("/ids", "minItems")),
    ("POST /api/v1/segments/7/add_customers", {"ids": ["u1", True]},
     ("/ids/1", "type")),
    ("POST /api/v1/forms/f/submit", {"data": {"mail": "x"}},
     ("/data", "missing_identifier")),
    ("POST /api/v1/forms/form1/submit", {"data": {"mail": "a@x.y "}},
     ("/data/email", "not")),
    ("POST /api/v2/entity", [], ("", "type")),
    ("POST /api/v2/entity", {"type": "animal", "action": "x"}, ("/type", "enum")),
    (*entity_of(), ("", "required")),
    (*entity_of(action="fly"), ("/action", "enum")),
    (*entity_of(action="identify"), ("", "required")),
    (*entity_of(action="identify", identifiers={}), ("/identifiers", "minProperties")),
    (*entity_of(action="identify", identifiers={"id": "a", "email": "b"}),
     ("/identifiers", "maxProperties")),
    (*entity_of(action="delete", identifiers={"phone": "1"}),
     ("/identifiers", "additionalProperties")),
    (*entity_of(action="delete", identifiers={"id": True}),
     ("/identifiers/id", "type")),
    (*entity_of(action="delete", identifiers={"cio_id": "cio_"}),
     ("/identifiers/cio_id", "not")),
    (*entity_of(action="delete", identifiers={"id": 2**53 + 1}),
     ("/identifiers/id", "maximum")),
    (*entity_of(action="event", **WHO), ("", "required")),
    (*entity_of(action="event", name="e", timestamp="x"), ("/timestamp", "format")),
    (*entity_of(action="identify", attributes={"_timestamp": "x"}, **WHO),
     ("/attributes/_timestamp", "format")),
    (*entity_of(action="identify", attributes=[1], **WHO), ("/attributes", "type")),
    (*entity_of(action="add_relationships", cio_relationships=[], **WHO),
     ("/cio_relationships", "minItems")),
    (*entity_of(type="object", action="delete", identifiers={"object_type_id": "1"}),
     ("/identifiers", "required")),
]  # fmt: skip


@pytest.mark.parametrize(("line", "body", "expected"), REFUSED)
def test_what_is_wrong_is_refused_with_its_place(line, body, expected):
    refusal = asked(line, body)
    assert isinstance(refusal, Refusal)
    assert expected in [(fault.pointer, fault.code) for fault in refusal.faults]


def test_a_fault_never_repeats_what_was_sent():
    for line, body, _ in REFUSED:
        refusal = asked(line, body)
        assert isinstance(refusal, Refusal)
        assert "x@" not in json.dumps([f.message for f in refusal.faults])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET /api/v1/customers/u1", ("PUT", "DELETE")),
        ("PUT /api/v1/customers/u1/events", ("POST",)),
        ("POST /api/v1/accounts/region", ("GET",)),
        ("POST /api/v1/nothing", None),
        ("POST /api/v1/customers/u1/events/x", None),
        ("POST /api/v3/batch", None),
    ],
)
def test_other_methods_and_paths(line, expected):
    assert find(*line.split(" ", 1)) == expected
