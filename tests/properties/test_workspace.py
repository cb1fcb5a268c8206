"""Whatever the intake admits, the workspace can read, decide on and keep."""

from typing import Any

import orjson
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from gateway.config import DestinationConfig
from gateway.event import EVENT_TYPES, Event
from gateway.inbound.admit import Admitted, admit
from gateway.inbound.decode import NO_BATCH, prepare
from gateway.inbound.refusal import Refusal
from gateway.inbound.route import Routes
from gateway.workspace.known import Known
from gateway.workspace.request import SEMANTIC, Happened, Identify, read
from gateway.workspace.rules import decide
from gateway.workspace.settings import Workspace
from tests.chance import examples
from tests.inbound.samples import origin
from tests.properties.test_inbound import JSON, TRAITS, VALUE, tidy

ROUTES = Routes(
    {"people": DestinationConfig(name="people", type="workspace")},
    {"people": frozenset(EVENT_TYPES)},
)
NUMBERS = st.sampled_from([2**64 - 1, -(2**63), 2**53, 1e300, -0.5, True])
ANY = VALUE | JSON | NUMBERS
WORDS = st.sampled_from(["sent", "clicked", "ios", "Android", "tok", "x" * 600])
DEVICE = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("token", "id", "type", "lastUsed", "attributes"), ANY)
    | {"token": WORDS | ANY, "type": WORDS | ANY},
)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "device": DEVICE | ANY,
        "url": ANY,
        "name": ANY,
        "metric": WORDS | ANY,
        "recipient": WORDS | ANY,
        "deliveryId": WORDS | ANY,
        "last_used": ANY,
        "push_enabled": ANY,
        "_last_status": WORDS | ANY,
    },
)
CONTEXT = st.fixed_dictionaries(
    {},
    optional={
        "device": DEVICE | ANY,
        "traits": TRAITS | ANY,
        "active": ANY,
        "page": ANY,
        "userAgent": ANY,
    },
)
EVENTS = st.sampled_from(
    [
        *SEMANTIC,
        "Device Created or Updated",
        "Device Deleted",
        "Report Delivery Event",
        "Bought",
    ]
)


def prepared(message: dict[str, Any]) -> dict[str, Any]:
    """As the intake judges it: the context's traits serve an identify without any."""
    raw = prepare(message, None, NO_BATCH)
    assert not isinstance(raw, Refusal)
    return raw


IDS = st.sampled_from(["u1", "a@x.io", "cio_1", "", None, 5, "x" * 600])
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted({"identify", "track", "page", "screen", "group"}))},
    optional={
        "userId": IDS | ANY,
        "anonymousId": IDS | ANY,
        "event": EVENTS | ANY,
        "name": ANY,
        "groupId": IDS | ANY,
        "messageId": ANY,
        "timestamp": ANY,
        "properties": PROPERTIES | ANY,
        "traits": TRAITS | ANY,
        "context": CONTEXT | ANY,
        "action": ANY,
        "updateOnly": ANY,
        "identifiers": ANY,
        "secondary": ANY,
        "origin": ANY,
    },
).map(lambda message: tidy(prepared(message)))
SETTINGS = st.builds(
    Workspace,
    identifiers=st.sampled_from([("email", "id"), ("id",)]),
    multi_identifier_profile_merge=st.booleans(),
    anonymous_traits=st.sampled_from(["ignore", "keep"]),
)
INTEGER = range(-(2**63), 2**63)  # what both stores have room for


@given(st.lists(MESSAGES, min_size=1, max_size=4), SETTINGS)
@settings(max_examples=examples(400))
def test_what_the_intake_admits_the_workspace_decides_on_and_can_keep(sent, rules):
    known = Known()
    kinds = frozenset(rules.identifiers)
    for place, message in enumerate(sent):
        raw = prepare(message, None, NO_BATCH)
        assert not isinstance(raw, Refusal)
        admitted = admit(raw, origin(spare_message_id=f"m{place}"), ROUTES)
        if isinstance(admitted, Refusal):
            reject()  # few: what the intake refuses never comes here
        event = Event.from_bytes(admitted.event.to_bytes())
        request = read(event, kinds=kinds, source_kind="server")
        known.settle(request, decide(request, known.concerned(), rules), place * 64)
    check_rows(known)


def check_rows(known: Known) -> None:
    """Every value is of its column's type: a text is a text, a number fits."""
    for person in known.changed_people.values():
        if person is not None:
            texts(person.cio_id, person.id, person.email)
            numbers(person.created_at, person.last_seen)
            assert isinstance(orjson.loads(orjson.dumps(person.attributes)), dict)
    for device in known.changed_devices.values():
        if device is not None:
            texts(device.token, device.owner, device.platform, device.last_status)
            numbers(device.last_used)
            assert isinstance(orjson.loads(orjson.dumps(device.attributes)), dict)
    for told in known.told:
        texts(told.owner, told.anonymous_id, told.message_id)
        texts(told.activity.type, told.activity.name)
        numbers(told.at)
        assert isinstance(orjson.loads(orjson.dumps(told.activity.data)), dict)
    for decided in known.decided:
        texts(decided.message_id, decided.reason, decided.cio_id)
        numbers(decided.at)
        orjson.dumps([each._asdict() for each in decided.failed])


def texts(*values: Any) -> None:
    for value in values:
        assert value is None or type(value) is str, value


def numbers(*values: Any) -> None:
    for value in values:
        assert value is None or (type(value) is int and value in INTEGER), value


@pytest.mark.parametrize("kind", ["page", "screen"])
@pytest.mark.parametrize("url", [{}, {"a": 1}, [], ["u"], 2**64 - 1, 7, True, None, ""])
def test_only_a_text_is_the_name_of_a_page(kind, url):
    message = {"type": kind, "userId": "u", "properties": {"url": url}}
    admitted = admit(tidy(message), origin(), ROUTES)
    assert isinstance(admitted, Admitted)
    assert "url" in admitted.event.body["properties"]  # it was admitted with it
    asked = read(admitted.event, kinds=frozenset({"id"}), source_kind="browser").asks
    assert asked == Happened(kind, None, {"url": url})


@pytest.mark.parametrize("properties", ["a text", 7, ["x"], True, 0.5])
def test_an_identify_with_properties_of_any_kind_is_one(properties):
    message = {"type": "identify", "userId": "u", "properties": properties}
    admitted = admit(tidy(message), origin(), ROUTES)
    assert isinstance(admitted, Admitted)
    assert admitted.event.body["properties"] == properties
    asked = read(admitted.event, kinds=frozenset({"id"}), source_kind="browser").asks
    assert asked == Identify()
