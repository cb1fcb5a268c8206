"""Whatever is sent to the Track API is messages or a refusal, and never a surprise."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import DestinationConfig
from gateway.event import EVENT_TYPES, Event, Origin
from gateway.inbound.admit import Admitted, admit_outside
from gateway.inbound.doors.track.calls import TABLE, Call, find, messages, number
from gateway.inbound.doors.track.entity import ACTS
from gateway.inbound.refusal import Refusal
from gateway.inbound.route import Routes
from gateway.workspace.known import Known
from gateway.workspace.request import read
from gateway.workspace.rules import decide
from gateway.workspace.settings import Workspace
from tests.chance import examples
from tests.properties.test_workspace import check_rows

ROUTES = Routes(
    {"people": DestinationConfig(name="people", type="workspace")},
    {"people": frozenset(EVENT_TYPES)},
)
ORIGIN = Origin("backend", "track_api", "2026-01-02T03:04:05.000Z", 1767323045000, "m")
TEXTS = st.sampled_from(
    ["", " ", "u1", "a@x.y", " a@x.y", "A@X.y", "cio_1", "cio_", "a\nb", "é", "1e5"]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
KNOWN = (
    *("id", "email", "cio_id", "phone", "anonymous_id", "_update", "_timestamp"),
    *("name", "type", "action", "data", "timestamp", "attributes", "identifiers"),
    *("device", "platform", "token", "last_used", "primary", "secondary", "ids"),
    *("delivery_id", "metric", "event", "device_id", "recipient", "unsubscribe"),
    *("cio_relationships", "relationships", "relationship_attributes"),
    *("object_id", "object_type_id", "cio_object_id"),
)
BODIES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KNOWN) | TEXTS, inner, max_size=6)
    ),
    max_leaves=20,
)
PERSON = st.dictionaries(st.sampled_from(KNOWN[:3]), TEXTS, min_size=1, max_size=1)
DEVICES = st.fixed_dictionaries(
    {"id": TEXTS, "platform": st.sampled_from(["ios", "android"])},
    optional={"last_used": SCALARS, "attributes": BODIES, "x": BODIES},
)
RELATED = st.lists(
    st.fixed_dictionaries(
        {"identifiers": PERSON | st.just({"object_id": "o"})},
        optional={"relationship_attributes": BODIES},
    ),
    max_size=2,
)
ATTRIBUTES = st.dictionaries(st.sampled_from(KNOWN[:7]) | TEXTS, BODIES, max_size=5)
ENTITIES = st.sampled_from([(t, a) for t, acts in ACTS.items() for a in acts]).flatmap(
    lambda pair: st.fixed_dictionaries(
        {
            "type": st.just(pair[0]),
            "action": st.just(pair[1]),
            "identifiers": PERSON | st.just({"object_id": "o"}),
        },
        optional={
            "name": TEXTS,
            "attributes": ATTRIBUTES,
            "device": DEVICES,
            "cio_relationships": RELATED,
            "primary": PERSON,
            "secondary": PERSON,
            "timestamp": SCALARS,
        },
    )
)
NAME = st.sampled_from(["e", "opened"])
TIMES = st.none() | st.integers(0, 2**40) | st.just("1709210096")
OPTIONAL = {"timestamp": TIMES, "anonymous_id": TEXTS, "data": ATTRIBUTES}
WELL = {
    "customer": ATTRIBUTES,
    "event": st.fixed_dictionaries(
        {"name": NAME},
        optional={**OPTIONAL, "type": st.sampled_from(["event", "page", "screen"])},
    ),
    "put_device": st.fixed_dictionaries({"device": DEVICES}),
    "merge": st.fixed_dictionaries({"primary": PERSON, "secondary": PERSON}),
    "push": st.fixed_dictionaries({"delivery_id": NAME, "event": NAME}),
    "metric": st.fixed_dictionaries({"delivery_id": NAME, "metric": NAME}),
    "segment": st.fixed_dictionaries({"ids": st.lists(TEXTS, min_size=1, max_size=3)}),
    "form": st.fixed_dictionaries({"data": ATTRIBUTES}),
    "unsubscribe": st.fixed_dictionaries({"unsubscribe": st.booleans()}),
    "entity": ENTITIES,
}
PARTS = st.sampled_from(["u1", "a@x.y", "cio_1", "a%2Fb", "%00", "%FF", "", "x" * 600])


def calls():
    """Lines of the table with parts filled in, and bodies that may fit them."""
    for path, operations in TABLE.items():
        for method, operation in operations.items():
            yield f"{method} {path}", WELL.get(operation.schema, st.none()) | BODIES


@settings(max_examples=examples(60))
@given(data=st.data())
@pytest.mark.parametrize(("line", "bodies"), list(calls()))
def test_a_request_is_messages_or_a_refusal(data, line, bodies):
    part = data.draw(PARTS | st.just("u1"))
    line = line.replace("{segment_id}", "7")
    for name in ("identifier", "device_id", "delivery_id", "form_id"):
        line = line.replace(f"{{{name}}}", part)
    call, body = find(*line.split(" ", 1)), data.draw(bodies)
    assert isinstance(call, Call)
    before = orjson.dumps(body)
    made = messages(call, body, {})
    assert orjson.dumps(body) == before  # what is kept in `refused` is what was sent
    if isinstance(made, Refusal):
        assert made.faults
        return
    if made:
        number(made, "m")
    for raw in made:
        check_event(raw)


def check_event(raw: Any) -> None:
    """What the table in gateway/workspace/request.py promises its readers."""
    admitted = admit_outside(raw, ORIGIN, ROUTES)
    assert isinstance(admitted, Admitted)
    event = Event.from_bytes(admitted.event.to_bytes())
    body = event.body
    assert event.key
    assert body["origin"] == "track"
    named = body["identifiers"]
    assert named.keys() <= {"id", "email", "cio_id"}
    assert all(isinstance(value, str) and value for value in named.values())
    expected = named.get("id") or named.get("email")
    assert body.get("userId") == expected
    asked = read(event, kinds=frozenset({"id", "email"}), source_kind="track_api")
    first = next(iter(named.items()), None)
    if asked.path is not None:
        assert first is not None
        assert asked.path == (first[0], first[1].removeprefix("cio_")) or (
            first[0] != "cio_id" and tuple(asked.path) == first
        )
    known = Known()
    known.settle(asked, decide(asked, known.concerned(), Workspace()), 0)
    check_rows(known)
