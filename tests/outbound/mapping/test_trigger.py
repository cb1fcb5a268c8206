"""What a trigger says of an event: as Segment's evaluator, oddities included."""

from typing import Any

import pytest

from gateway.outbound.mapping import parse

TRACK: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "userId": "97980cfea0067",
    "properties": {
        "total": 5,
        "price": 5.5,
        "count": 0,
        "plan": "pro",
        "five": "5",
        "paid": True,
        "trial": False,
        "none": None,
        "first name": "Al",
        "items": [{"sku": "a"}, {"sku": "b"}],
        "empty": {},
    },
    "context": {"page": {"path": "/index.html"}},
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('type = "track"', True),
        ('type != "track"', False),
        ("type = track", True),
        ('event = "Order Completed"', True),
        ('event = "order completed"', False),
        ('name = ""', False),
        ('name != ""', True),
        ("name = null", True),
        ("name != null", False),
        ("userId != null", True),
        ('properties.plan = "pro"', True),
        ('properties.five = "5"', True),
        ("properties.five = 5", False),
        ("properties.total = 5", True),
        ('properties.total = "5"', False),
        ('properties.total != "5"', True),
        ("properties.total != 6", True),
        ("properties.plan != 6", False),
        ("properties.gone != 6", False),
        ("properties.price > 5 and properties.price <= 5.5", True),
        ("properties.price >= 6 or properties.price < 5", False),
        ("properties.paid = true", True),
        ("properties.paid = 1", False),
        ("properties.trial = false", True),
        ("properties.gone = false", False),
        ("properties.none = null and properties.gone = null", True),
        ("properties.none != null or properties.gone != null", False),
        ('properties.gone != "x"', True),
        (r'properties.first\ name = "Al"', True),
        (r"properties.items.\0.sku != null", True),
        (r'properties.items\[1\].sku = "b"', True),
        ("properties.items.length = 2", True),
        ("properties.plan.length = 3", True),
        ("properties.empty.x = null", True),
        ("properties.count.x = 0", True),  # `a && a.b`: a zero in the middle stays
        ("properties.total.x = null", True),
        ('contains(event, "Completed")', True),
        ('!contains(event, "Completed")', False),
        ('contains(name, "x")', False),
        ('!contains(name, "x")', False),  # what is no text does not lack it either
        ('contains(properties.total, "5")', False),
        ('match(event, "Order*")', True),
        ('match(event, "*Order")', False),
        ('!match(event, "*Order")', True),
        ('match(context.page.path, "*.html")', True),
        ('match(event, "*")', True),
        ('match(name, "*")', False),
        ('traits.plan = "pro"', False),
        ('type = "track" and (event = "A" or event = "Order Completed")', True),
        ('(type = "page" and event = "A") or (type = "track" and name = null)', True),
        ('(contains(event, "A") or contains(event, "B")) and name = null', False),
    ],
)
def test_a_trigger_says_of_an_event(text: str, wanted: bool) -> None:  # noqa: FBT001 -- a parameter of the case
    assert parse(text)(TRACK) is wanted


def test_a_number_beyond_what_a_double_holds_is_compared_exactly() -> None:
    trigger = parse("properties.id = 9007199254740993")
    assert trigger({"properties": {"id": 9007199254740993}})
    assert not trigger({"properties": {"id": 9007199254740992}})


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ('type = "track"', {"track"}),
        ('type = "track" and traits.plan = "pro"', {"track"}),
        ('type = "track" or type = "page"', {"track", "page"}),
        ('(type = "track" or type = "page") and type != "page"', {"track"}),
        ('type = "track" or event = "x"', None),
        ('event = "x"', None),
        ('type = "track" and type = "page"', set()),
        (
            'type != "track" and type != "person"',
            {"identify", "page", "screen", "group", "alias"},
        ),
    ],
)
def test_the_types_that_a_trigger_can_hold_for(
    text: str, types: set[str] | None
) -> None:
    assert parse(text).types == types


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('type = "track"', None),
        ('type = "track" and traits.plan = "pro"', 'traits.plan = "pro"'),
        ('type = "page" and traits.plan = "pro"', 'type = "page"'),
        (
            'type = "track" and (event = "a"  or event = "b")',
            '(event = "a"  or event = "b")',
        ),
        ('event = "a" or event = "b"', 'event = "a" or event = "b"'),
        ('type = "track" and !contains(event, "Order")', '!contains(event, "Order")'),
        ('(type = "track" and event = "a")', 'event = "a"'),
    ],
)
def test_the_reason_is_the_condition_that_said_no(text: str, says: str | None) -> None:
    wanted = None if says is None else f"trigger: {says} is false"
    assert parse(text).because(TRACK) == wanted
