"""What a plan says that is made of a catalogue, and what is said beside it."""

from typing import Any

from gateway.ledger.detect import DRAFT, REQUIRED_FROM, detect
from gateway.ledger.names import OTHERS

MANY = 2 * REQUIRED_FROM


def field(path: str, events: int = MANY, **types: int) -> dict[str, Any]:
    return {"path": path, "events": events, "types": types or {"string": events}}


def kind(
    of_type: str = "track",
    name: str | None = "Order",
    events: int = MANY,
    looked: int | None = None,
    fields: Any = (),
) -> dict[str, Any]:
    seen = events if looked is None else looked
    return {
        "source": "web",
        "type": of_type,
        "name": name,
        "events": events,
        "looked": seen,
        "fields": [*fields],
    }


def test_a_plan_has_the_types_that_were_met_and_what_no_event_lacked() -> None:
    order = kind(
        fields=[
            field("properties.total", integer=MANY - 1, number=1),
            field("properties.coupon", string=MANY - 9, null=9),
            field("properties.gift", events=7, boolean=7),
            field("properties.context", object=MANY),
        ]
    )
    person = kind("identify", None, fields=[field("traits.plan")])
    plan, remarks = detect([order, person])
    assert plan == {
        "$schema": DRAFT,
        "traits": {
            "type": "object",
            "properties": {"plan": {"type": "string"}},
            "required": ["plan"],
        },
        "events": {
            "Order": {
                "type": "object",
                "properties": {
                    "context": {"type": "object"},
                    "coupon": {"type": ["string", "null"]},
                    "gift": {"type": "boolean"},
                    "total": {"type": "number"},
                },
                "required": ["context", "coupon", "total"],
            }
        },
    }
    assert remarks == []


def test_few_events_require_nothing_and_are_to_be_looked_at() -> None:
    few = REQUIRED_FROM - 1
    rare = kind(events=few, fields=[field("properties.a", events=few)])
    plan, remarks = detect([rare])
    assert "required" not in plan["events"]["Order"]
    assert remarks == [
        "track Order: only 99 looked at: no field is required; is it meant at all?"
    ]


def test_of_a_sample_it_says_how_large_it_is() -> None:
    _, remarks = detect([kind(events=9_000, looked=900)])
    assert remarks == ["track Order: 900 of 9000 looked at: others may have more"]


def test_what_the_gateway_fills_in_is_never_required() -> None:
    traits = [field(f"traits.{name}") for name in ("email", "name", "id")]
    plan, _ = detect([kind("identify", None, fields=traits)])
    assert plan["traits"]["required"] == ["id"]
    assert plan["traits"]["properties"]["email"] == {"type": ["string", "null"]}


def test_what_a_plan_cannot_say_is_left_out_with_the_reason() -> None:
    rest = [field(f"properties.{OTHERS}"), field("traits.odd"), field("properties.a")]
    plan, remarks = detect(
        [
            kind("page", "Home"),
            kind("group", None),
            kind(name=OTHERS),
            kind(name=None),
            kind(name="x" * 200),
            kind(fields=rest),
        ]
    )
    assert [*plan["events"]] == ["Order"]
    assert [*plan["events"]["Order"]["properties"]] == ["a"]
    assert remarks == [
        "left out: group: a plan has identify traits and track events",
        "left out: page Home: a plan has identify traits and track events",
        "left out: track: it has no name",
        "left out: track (others): more names than the ledger tells apart",
        "track Order: has more fields than the ledger tells apart: left out",
        f"left out: track {'x' * 200}: its name is longer than the ledger keeps",
    ]
