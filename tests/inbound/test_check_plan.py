"""Tracking plans: what a source promises, judged by its own schemas."""

import json

import pytest

from gateway.errors import ConfigError
from gateway.event import Checked
from gateway.inbound.check import NAME_MAX, check
from gateway.inbound.plan import load_plan
from gateway.inbound.refusal import Refusal
from gateway.notices import Notice
from tests.inbound.samples import codes, faults, identify, message

PLAN = {
    "traits": {"required": ["firstName"], "properties": {"age": {"minimum": 18}}},
    "events": {
        "Order Completed": {
            "required": ["total"],
            "properties": {"total": {"type": "number"}},
            "additionalProperties": False,
        }
    },
}


@pytest.fixture
def plan_file(tmp_path):
    def write(plan):
        file = tmp_path / "plan.json"
        file.write_text(plan if isinstance(plan, str) else json.dumps(plan))
        return file

    return write


def test_a_plan_refuses_with_pointers_into_the_message(plan_file):
    plan = load_plan(plan_file(PLAN))
    raw = message("track", event="Order Completed", properties={"total": "5", "x": 1})
    assert codes(check(raw, plan)) == {
        ("/properties/total", "type"),
        ("/properties", "additionalProperties"),
    }
    raw = message("track", event="Order Completed")
    assert codes(check(raw, plan)) == {("/properties", "required")}
    assert codes(check(identify(), plan)) == {("/traits", "required")}


def test_a_plan_may_refuse_everything_or_have_parts_of_its_own(plan_file):
    amount = {"properties": {"amount": {"type": "number"}}}
    part = {"$id": "https://example.com/total", **amount}
    schema = {
        "$defs": {"total": part},
        "properties": {"total": {"$ref": "https://example.com/total"}, "tax": False},
    }
    events = {"Closed": {"additionalProperties": False}, "Order": schema}
    plan = load_plan(plan_file({"events": events}))
    raw = message("track", event="Closed", properties={"a": 1})
    assert codes(check(raw, plan)) == {("/properties", "additionalProperties")}
    raw = message(
        "track", event="Order", properties={"total": {"amount": "5"}, "tax": 1}
    )
    assert codes(check(raw, plan)) == {
        ("/properties/total/amount", "type"),
        ("/properties/tax", "falseSchema"),
    }
    texts = {fault.message for fault in faults(check(raw, plan))}
    assert texts == {"does not fit the schema"}


def test_a_plan_says_nothing_of_other_events_and_types(plan_file):
    plan = load_plan(plan_file(PLAN))
    for raw in (message("track", event="Other"), message("page"), message("group")):
        assert check(raw, plan) == (Checked(raw), ())


def test_a_plan_judges_canonical_traits(plan_file):
    plan = load_plan(plan_file(PLAN))
    raw = identify(traits={"first_name": "Ann", "age": "34"})
    assert check(raw, plan) == (Checked(raw), ())
    raw = identify(traits={"first_name": "Ann", "age": "17"})
    assert codes(check(raw, plan)) == {("/traits/age", "minimum")}


def test_a_plan_can_flag_instead(plan_file):
    plan = load_plan(plan_file(PLAN), violation="flag")
    raw = identify(traits={"age": 5})
    found = check(raw, plan)
    assert not isinstance(found, Refusal)
    checked, notices = found
    assert checked == raw
    assert {(n.code, n.name) for n in notices} == {
        ("plan_violation", "/traits"),
        ("plan_violation", "/traits/age"),
    }


def test_an_event_outside_the_plan_is_flagged_by_its_name(plan_file):
    plan = load_plan(plan_file(PLAN), on_unplanned="flag")
    raw = message("track", event="Order Complete")
    assert check(raw, plan) == (
        Checked(raw),
        (Notice("unplanned_event", "Order Complete"),),
    )
    long = message("track", event="x" * 500)
    found = check(long, plan)
    assert not isinstance(found, Refusal)
    assert [len(each.name) for each in found[1]] == [NAME_MAX]


def test_an_event_outside_the_plan_is_refused_with_its_name_and_the_remedy(plan_file):
    plan = load_plan(plan_file(PLAN), violation="flag", on_unplanned="reject")
    (fault,) = faults(check(message("track", event='Order "X"'), plan))
    assert (fault.pointer, fault.code) == ("/event", "unplanned_event")
    assert '"Order \\"X\\"" is not in the source\'s tracking plan' in fault.message
    assert "or add this one" in fault.message
    planned = message("track", event="Order Completed", properties={"total": 5})
    assert check(planned, plan) == (Checked(planned), ())


def test_only_tracks_have_names_that_a_plan_could_have(plan_file):
    plan = load_plan(plan_file({"events": {}}), on_unplanned="reject")
    raws = [message(kind) for kind in ("identify", "page", "screen", "group", "alias")]
    for raw in (*raws, message("page", name="Not In It")):
        assert check(raw, plan) == (Checked(raw), ())
    assert codes(check(message("track"), plan)) == {("/event", "unplanned_event")}


def test_a_plan_without_events_cannot_say_which_are_outside_it(plan_file):
    file = plan_file({"traits": {}})
    assert load_plan(file).events == {}
    with pytest.raises(ConfigError, match=r'has no "events".*remove on_unplanned'):
        load_plan(file, on_unplanned="flag")


def test_a_plan_tells_which_events_and_fields_it_knows(plan_file):
    order = {
        "properties": {"total": {"type": "number"}, "never": False},
        "patternProperties": {"^utm_": {}},
        "allOf": [{"$ref": "#/$defs/money"}, True],
        "if": {"required": ["coupon"]},
        "then": {"properties": {"coupon": {"type": "string"}}},
        "dependentSchemas": {"coupon": {"properties": {"code": {}}}},
        "$defs": {"money": {"properties": {"currency": {}}, "$ref": "#"}},
    }
    plan = load_plan(plan_file({"traits": PLAN["traits"], "events": {"Order": order}}))
    assert plan.knows("track", "Order") is True
    assert plan.knows("track", "Other") is False
    assert plan.knows("identify", "") is True
    assert [plan.knows(kind, "") for kind in ("page", "group")] == [None, None]
    fields = ("total", "utm_source", "currency", "coupon", "code")
    for known in fields:
        assert plan.knows_field("track", "Order", f"properties.{known}") is True
    for unknown in ("never", "tax", "properties"):
        assert plan.knows_field("track", "Order", f"properties.{unknown}") is False
    assert plan.knows_field("track", "Other", "properties.total") is False
    assert plan.knows_field("identify", "", "traits.age") is True
    assert plan.knows_field("identify", "", "traits.nickname") is False
    assert plan.knows_field("page", "", "properties.total") is None
    assert plan.knows_field("track", "Order", "traits.total") is None


def test_a_plan_without_traits_says_nothing_of_them(plan_file):
    plan = load_plan(plan_file({"events": {}}))
    assert plan.knows("identify", "") is None
    assert plan.knows_field("identify", "", "traits.age") is None


@pytest.mark.parametrize(
    ("plan", "place"),
    [
        ("{", "is not JSON"),
        ([], "expected"),
        ({"event": {}}, "expected"),
        ({"events": []}, "expected"),
        ({"traits": {"type": "strin"}}, "/traits/type"),
        ({"events": {"A/B": {"required": "x"}}}, "/events/A~1B/required"),
        ({"traits": {"$ref": "https://example.com/x.json"}}, "/traits: cannot"),
        ({"traits": {"properties": {"a": {"pattern": "("}}}}, "/traits"),
        ({"traits": 5}, "/traits"),
    ],
)
def test_a_plan_that_is_no_schema_names_file_and_place(plan_file, plan, place):
    file = plan_file(plan)
    with pytest.raises(ConfigError) as error:
        load_plan(file)
    assert str(error.value).startswith(f"{file}: ")
    assert place in str(error.value)


def test_a_plan_that_is_not_there_names_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.json: cannot be read"):
        load_plan(tmp_path / "nothing.json")
