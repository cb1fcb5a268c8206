"""An event is read only where a step may need it; from outside nobody can tell."""

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config import DestinationConfig
from gateway.event import EVENT_TYPES, Event, person_key
from gateway.outbound.contract import Delivery, Takes
from gateway.outbound.gate import Ended, Gate, Step
from gateway.outbound.suppressed import Suppressed

TAKES = Takes(types=frozenset(EVENT_TYPES))
BLOCKED = ("id:u1", "email:jane@example.com", "cio_id:0a", "id:caf\u00e9")
WORDS = st.sampled_from(
    [
        *("u1", "U1", "jane@example.com", "JANE@Example.com", "cio_0a", "0a", "u2"),
        *("caf\u00e9", 'a"b', "a\\b", "", "\u0001", '","email":"u2"', "employee_count"),
    ]
)
KEYS = st.sampled_from(
    [
        *("email", "userId", "previousId", "identifiers", "integrations", "asSent"),
        *("employee_count", "company", "All", "CRM", "plan", "a\u0001b", 'a"email'),
        *("createdAt", "firstName", "first_name", "address", "postalCode"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | WORDS,
    lambda each: st.lists(each, max_size=2) | st.dictionaries(KEYS, each, max_size=3),
    max_leaves=6,
)
SAID = st.sampled_from(
    [{}, {"All": True}, {"All": False}, {"CRM": False}, {"crm": {"a": 1}}, None, 5]
)


@st.composite
def events(draw: Any) -> dict[str, Any]:
    maybe: dict[str, Any] = {
        "userId": WORDS,
        "previousId": WORDS,
        "traits": st.dictionaries(KEYS, VALUES, max_size=4),
        "properties": VALUES,
        "integrations": SAID,
        "identifiers": st.dictionaries(st.sampled_from(["id", "email"]), WORDS),
        "origin": st.just("track"),
        "asSent": st.just({"traits.createdAt": {"name": "created_at", "value": 1}}),
    }
    names = draw(st.lists(st.sampled_from(list(maybe)), unique=True, max_size=6))
    return {
        "type": draw(st.sampled_from(EVENT_TYPES)),
        "messageId": "m1",
        "anonymousId": draw(WORDS),
        "source": "web",
        "receivedAt": "2026-01-15T10:12:14.100Z",
        **{name: draw(maybe[name]) for name in names},
    }


def gate(spelling: Any, blocked: tuple[str, ...], *more: Step) -> Gate:
    return Gate(
        DestinationConfig(name="crm", type="webhook", spelling=spelling),
        TAKES,
        source_kinds={"web": "server"},
        suppressed=Suppressed(blocked),
        more=more,
    )


def came_of(prepared: Delivery | Ended) -> object:
    if isinstance(prepared, Ended):
        return prepared
    return prepared.value, prepared.options, prepared.event, prepared.message_id


@given(
    events(),
    st.sampled_from(["camelCase", "snake_case", "as_sent"]),
    st.sampled_from([(), BLOCKED]),
    st.sampled_from([0, orjson.OPT_INDENT_2, orjson.OPT_SORT_KEYS]),
)
@example(
    {"type": "identify", "messageId": "m", "userId": "u1"}, "camelCase", BLOCKED, 0
)
def test_what_is_not_read_goes_out_as_if_it_had_been(
    event: dict[str, Any], spelling: Any, blocked: Any, written: int
) -> None:
    event = {"source": "web", "receivedAt": "", "anonymousId": "a", **event}
    value, asked = orjson.dumps(event, option=written), gate(spelling, blocked)
    looked = asked.prepare(value, "r1", None, event["messageId"])
    assert came_of(looked) == came_of(asked.prepare(value, "r1"))


def test_a_key_written_with_escapes_is_found() -> None:
    event = {"type": "identify", "messageId": "m", "source": "web", "receivedAt": ""}
    value = orjson.dumps({**event, "userId": "u1"}).replace(b"userId", rb"user\u0049d")
    assert isinstance(gate("camelCase", BLOCKED).prepare(value, None, None, "m"), Ended)


PLAIN = {"type": "identify", "messageId": "m", "source": "web", "receivedAt": ""}


@pytest.mark.parametrize(
    ("more", "blocked", "reads"),
    [
        ({}, (), 0),
        ({"integrations": {}}, (), 0),
        ({"integrations": {"All": True}}, (), 0),
        ({"integrations": {"All": True, "Mixpanel": False}}, (), 0),
        ({"integrations": {"crm": True}}, (), 0),
        ({"integrations": {"crm": False}}, (), 1),
        ({"integrations": {"a": "}"}}, (), 1),
        ({"integrations": {}, "properties": {"integrations": {}}}, (), 1),
        ({"integrations": {"CRM": {"a": 1}}}, (), 1),
        ({"userId": "u2", "traits": {"email": "joe@example.com"}}, BLOCKED, 0),
        ({"userId": "u2", "traits": {"email": None}}, BLOCKED, 1),
        ({"traits": {"company": {"employee_count": 1}}}, (), 1),
    ],
)
def test_it_is_read_only_where_something_asks_for_it(
    more: dict[str, Any], blocked: Any, reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = gate("camelCase", blocked)
    value = orjson.dumps({**PLAIN, **more})
    seen: list[bytes] = []

    def read(value: bytes) -> Event:
        seen.append(value)
        body = orjson.loads(value)
        return Event("m", body["type"], "web", person_key(body), "", body)

    monkeypatch.setattr(Event, "from_bytes", read)
    asked.prepare(value, None, None, "m")
    assert len(seen) == reads


def test_a_step_that_must_know_the_event_has_it_read() -> None:
    seen: list[Any] = []

    def ask(going: Delivery) -> Delivery:
        seen.append(going.event.body)
        return going

    asked = gate("camelCase", (), Step("consent", ask))
    asked.prepare(orjson.dumps(PLAIN), None, None, "m")
    assert seen == [PLAIN]


@pytest.mark.parametrize("value", [b"", b"no JSON", b"[]", b'{"type":', b"5"])
def test_what_is_no_event_is_a_bug_of_its_record(value: bytes) -> None:
    prepared = gate("camelCase", ()).prepare(value, None, None, "m")
    assert isinstance(prepared, Ended)
    assert prepared.step == "event"
