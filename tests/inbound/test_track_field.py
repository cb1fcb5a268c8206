"""What the vendor's own clients and guides send beyond the usual of the Track API."""

import json
from typing import Any

import pytest

from gateway.config import DestinationConfig
from gateway.event import EVENT_TYPES, Origin
from gateway.inbound.admit import Admitted, admit_outside
from gateway.inbound.check import SCHEMAS
from gateway.inbound.doors.track.calls import Call, find, messages, number
from gateway.inbound.refusal import Refusal
from gateway.inbound.route import Routes
from gateway.workspace.happen import METRICS
from tests.inbound.house import TYPES

THING = {"object_type_id": "1", "object_id": "acme"}
EVENT = {"type": "object", "action": "event", "identifiers": THING, "name": "Renewed"}
ORIGIN = Origin("backend", "track_api", "2026-01-02T03:04:05.000Z", 1767323045000, "m")


def asked(line: str, body: Any) -> Any:
    call = find(*line.split(" ", 1))
    assert isinstance(call, Call)
    return messages(call, body, {})


@pytest.mark.parametrize("path", ["/api/v2/entity", "/api/v2/batch"])
def test_what_happens_to_an_object_is_a_group_with_its_event(path):
    given = {"attributes": {"seats": 7}, "timestamp": 1709210096, "id": "once"}
    (made,) = asked(f"POST {path}", {**EVENT, **given})
    assert made == {
        "type": "group",
        "origin": "track",
        "identifiers": {},
        "action": "event",
        "groupId": "acme",
        "traits": {"object_type_id": "1"},
        "event": "Renewed",
        "properties": {"seats": 7},
        "timestamp": "2024-02-29T12:34:56.000Z",
        "messageId": "once",
    }


def test_an_object_s_event_is_told_of_each_person_that_it_names():
    people = [{"identifiers": {"id": "u1"}}, {"identifiers": {"email": "a@x.y"}}]
    made = asked("POST /api/v2/entity", {**EVENT, "cio_relationships": people})
    assert [each["userId"] for each in made] == ["u1", "a@x.y"]
    assert {each["event"] for each in made} == {"Renewed"}
    number(made, "m")
    assert [each["messageId"] for each in made] == ["m", "m.1"]


@pytest.mark.parametrize("lacks", ["name", "identifiers"])
def test_an_object_s_event_needs_a_name_and_its_object(lacks):
    refused = asked(
        "POST /api/v2/entity", {k: v for k, v in EVENT.items() if k != lacks}
    )
    assert isinstance(refused, Refusal)
    assert refused.faults[0].message.startswith(f"needs {lacks}")


REPORTS = [("POST /api/v1/metrics", "metric"), ("POST /api/v1/push/events", "event")]


@pytest.mark.parametrize(("line", "name"), REPORTS)
@pytest.mark.parametrize("word", sorted(METRICS))
def test_every_word_of_the_vendor_s_reports_is_taken(line, name, word):
    (made,) = asked(line, {"delivery_id": "d1", name: word})
    assert made["properties"] == {"metric": word, "deliveryId": "d1"}


@pytest.mark.parametrize(("line", "name"), REPORTS)
@pytest.mark.parametrize("word", ["Opened", "complained", "", " sent", 7, None])
def test_another_word_is_refused_with_all_that_there_are(line, name, word):
    refused = asked(line, {"delivery_id": "d1", name: word})
    assert isinstance(refused, Refusal)
    (fault,) = refused.faults
    assert (fault.pointer, fault.code) == (f"/{name}", "enum")
    for known in METRICS:
        assert known in fault.message


def test_the_schema_and_the_workspace_know_the_same_words():
    assert set(SCHEMAS["track-api"]["$defs"]["reported"]["enum"]) == METRICS


def routed(line: str, body: Any, *kinds: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Where the first message of a request goes, of destinations of these types."""
    destinations = {kind: DestinationConfig(name=kind, type=kind) for kind in kinds}
    takes = dict.fromkeys(kinds, TYPES)
    if "workspace" in takes:
        takes["workspace"] = frozenset(EVENT_TYPES)
    made = asked(line, body)
    number(made, "m")
    admitted = admit_outside(made[0], ORIGIN, Routes(destinations, takes))
    assert isinstance(admitted, Admitted)
    route = admitted.route
    assert json.loads(route.header) == {"to": list(route.to), "no": dict(route.no)}
    return route.to, dict(route.no)


IDENTIFY = {"type": "person", "action": "identify"}
BY_CIO_ID = [
    ("PUT /api/v1/customers/cio_03000001", {"email": "new@x.y"}),
    ("PUT /api/v1/customers/u1", {"cio_id": "03000001"}),
    ("POST /api/v2/entity", {**IDENTIFY, "identifiers": {"cio_id": "03000001"}}),
]


@pytest.mark.parametrize(("line", "body"), BY_CIO_ID)
def test_an_identify_by_a_cio_id_goes_to_who_keeps_people_alone(line, body):
    to, no = routed(line, body, "webhook", "workspace", "file")
    assert to == ("workspace",)
    assert no == {"webhook": "cio_id", "file": "cio_id"}


@pytest.mark.parametrize(("line", "body"), BY_CIO_ID)
def test_where_nobody_keeps_people_a_cio_id_is_as_good_as_any(line, body):
    assert routed(line, body, "webhook", "file") == (("webhook", "file"), {})


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("PUT /api/v1/customers/u1", {"email": "new@x.y"}),
        ("POST /api/v1/customers/cio_03000001/events", {"name": "e"}),
    ],
)
def test_whatever_else_is_sent_goes_to_all(line, body):
    to, no = routed(line, body, "webhook", "workspace")
    assert (to, no) == (("webhook", "workspace"), {})
