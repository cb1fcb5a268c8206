"""What may go to a destination and what goes, step by step, and who said no."""

from typing import Any

import orjson
import pytest

from gateway.config import DestinationConfig
from gateway.event import EventType, SourceKind
from gateway.outbound.contract import Delivery, Outcome, Rejected, Takes
from gateway.outbound.gate import ORDER, Ended, Gate, Name, Step
from gateway.outbound.kind import Shown
from gateway.outbound.preview import preview
from gateway.outbound.suppressed import Suppressed

TYPES = frozenset[EventType]({"identify"})
TAKES = Takes(types=TYPES, batch_events=10)
LEFT_OUT = Outcome(kind="filtered", reason="integrations")
KINDS: dict[str, SourceKind] = {
    "web": "browser",
    "phone": "mobile",
    "backend": "server",
    "track": "track_api",
}


def gate(
    *more: Step,
    takes: Takes = TAKES,
    suppressed: Suppressed | None = None,
    **config: Any,
) -> Gate:
    return Gate(
        DestinationConfig(name="crm", type="webhook", **config),
        takes,
        source_kinds=KINDS,
        suppressed=suppressed or Suppressed(),
        more=more,
    )


def test_the_record_s_bytes_are_used_again_when_the_spelling_changes_nothing(
    body: Any,
) -> None:
    value = orjson.dumps(body(1, "u1"))
    prepared = gate().prepare(value, "r1")
    assert isinstance(prepared, Delivery)
    assert prepared.value is value
    assert prepared.replay == "r1"


@pytest.mark.parametrize("spelling", ["camelCase", "snake_case", "as_sent"])
def test_c2_what_the_track_api_says_goes_out_as_it_came(body: Any, spelling) -> None:
    traits = {"firstName": "camel", "first_name": "snake", "created_at": 2}
    outside = {"origin": "track", "identifiers": {"id": "1"}, "traits": traits}
    value = orjson.dumps(body(1, "1") | outside)
    prepared = gate(spelling=spelling).prepare(value)
    assert isinstance(prepared, Delivery)
    assert prepared.value is value


def test_the_spelling_of_the_destination_is_in_the_event_and_its_bytes(
    body: Any,
) -> None:
    prepared = gate(spelling="snake_case").prepare(orjson.dumps(body(1, "u1")))
    assert isinstance(prepared, Delivery)
    assert prepared.event.body["traits"]["first_name"] == "Jane"
    assert orjson.loads(prepared.value) == prepared.event.body


@pytest.mark.parametrize(
    ("integrations", "sent"),
    [
        ({}, True),
        ({"All": False, "CRM": True}, True),
        ({"My CRM": {"list": 1}}, True),
        ({"webhook": False}, False),
        ({"my crm": False, "crm": {"list": 1}}, False),
        ("nonsense", True),
        (None, True),
    ],
)
def test_integrations_that_say_no_are_obeyed(
    body: Any,
    integrations: Any,
    sent: bool,  # noqa: FBT001 -- a parameter of the case
) -> None:
    value = orjson.dumps(body(1, "u1", integrations=integrations))
    prepared = gate(display_name=("My CRM",)).prepare(value)
    assert isinstance(prepared, Delivery) is sent
    if not sent:
        assert prepared == Ended("integrations", LEFT_OUT)


@pytest.mark.parametrize("identifier", ["id:U1", "email:u1@example.com"])
def test_suppressed_people_are_sent_nothing(body: Any, identifier: str) -> None:
    value = orjson.dumps(body(1, "U1", traits={"email": "U1@example.com"}))
    prepared = gate(suppressed=Suppressed([identifier])).prepare(value)
    ended = Outcome(kind="suppressed", reason="suppressed")
    assert prepared == Ended("suppressed", ended)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("web", {"list": "a"}),
        ("phone", {"list": "a"}),
        ("gone", {"list": "a"}),  # no source of that name any more: trust nobody
        ("backend", {"list": "a", "key": "b"}),
        ("track", {"list": "a", "key": "b"}),
    ],
)
def test_who_runs_on_a_person_s_device_sets_safe_options_alone(
    body: Any, source: str, options: Any
) -> None:
    takes = Takes(types=TYPES, safe_options=frozenset({"list"}))
    said = {"crm": {"list": "a", "key": "b"}}
    value = orjson.dumps(body(1, "u1", source=source, integrations=said))
    prepared = gate(takes=takes).prepare(value)
    assert isinstance(prepared, Delivery)
    assert prepared.options == options


def test_who_decides_on_suppressed_people_sees_them(body: Any) -> None:
    takes = Takes(types=TYPES, sees_suppressed=True)
    value = orjson.dumps(body(1, "U1"))
    prepared = gate(takes=takes, suppressed=Suppressed(["id:U1"])).prepare(value)
    assert isinstance(prepared, Delivery)


def test_steps_are_asked_in_their_order_whoever_added_them(body: Any) -> None:
    asked: list[Name] = []

    def step(name: Name) -> Step:
        def ask(going: Delivery) -> Delivery:
            asked.append(name)
            return going

        return Step(name, ask)

    added = map(step, reversed(ORDER))
    prepared = gate(*added).prepare(orjson.dumps(body(1, "u1")))
    assert isinstance(prepared, Delivery)
    assert asked == [
        *("suppressed", "integrations", "consent"),
        *("when", "transform", "trigger", "spelling"),
    ]


def test_a_step_s_change_is_what_the_next_step_and_the_destination_get(
    body: Any,
) -> None:
    def ask(going: Delivery) -> Delivery:
        changed = {**going.event.body, "traits": {"firstName": "Ann"}}
        event = going.event._replace(body=changed)
        return going.changed(event, event.to_bytes())

    standing = gate(Step("transform", ask), spelling="snake_case")
    prepared = standing.prepare(orjson.dumps(body(1, "u1")), "r1")
    assert isinstance(prepared, Delivery)
    assert prepared.event.body["traits"] == {"first_name": "Ann"}
    assert orjson.loads(prepared.value)["traits"] == {"first_name": "Ann"}
    assert prepared.replay == "r1"


def test_nobody_is_asked_after_a_step_that_said_no(body: Any) -> None:
    def never(going: Delivery) -> Delivery:
        raise AssertionError(going)

    value = orjson.dumps(body(1, "u1", integrations={"crm": False}))
    prepared = gate(*(Step(name, never) for name in ORDER[2:])).prepare(value)
    assert prepared == Ended("integrations", LEFT_OUT)


@pytest.mark.parametrize("name", ORDER)
def test_an_error_in_a_step_is_a_bug_of_that_event_and_names_the_step(
    body: Any, name: Name
) -> None:
    def ask(going: Delivery) -> Delivery:
        raise TypeError(going.value)

    prepared = gate(Step(name, ask)).prepare(orjson.dumps(body(1, "secret@x.y")))
    assert isinstance(prepared, Ended)
    assert prepared.step == name
    assert isinstance(prepared.end, Rejected)
    assert prepared.end.reason == "bug"
    assert prepared.end.detail.startswith(f"{name}: TypeError in ")
    assert "secret" not in prepared.end.detail


async def test_explain_takes_the_same_steps_and_says_which_ended_an_event(
    body: Any,
) -> None:
    def refuse(_: Delivery) -> Outcome:
        return Outcome(kind="filtered", reason="no consent for ads")

    async def render(going: Delivery) -> Shown:
        return Shown([{"id": going.event.message_id}])

    async def told(standing: Gate, value: bytes) -> Any:
        return await preview(standing, render, value)

    value = orjson.dumps(body(1, "u1"))
    assert await told(gate(), value) == {"sent": True, "request": {"id": "m1"}}
    assert await told(gate(Step("consent", refuse)), value) == {
        "sent": False,
        "step": "consent",
        "reason": "no consent for ads",
    }
    ended = await told(gate(when="type == 'track'"), value)
    assert ended == {
        "sent": False,
        "step": "when",
        "reason": "when",
        "because": "type == 'track'",
    }
    assert (await told(gate(), b"{"))["step"] == "event"
