"""What a mapping reads, and what in it is hardly meant as it is."""

from typing import Any

import pytest

from gateway.outbound.mapping import doubts, lint, reads

SOUND = {
    "mail": {"@path": "$.traits.email"},
    "full": {"@template": "{{traits.firstName}} {{context.ip}}"},
    "items": {
        "@arrayPath": ["$.properties.products", {"id": {"@path": "$.sku"}, "a": "b"}]
    },
    "age": {"@if": {"exists": {"@path": "$.traits.age"}, "then": 1, "else": "none"}},
    "made": {
        "@transform": {
            "apply": {"who": {"@path": "$.userId"}},
            "mapping": {"@template": "{{who}}"},
        }
    },
    "list": [{"@merge": {"direction": "left", "objects": [{"@path": "$.traits"}]}}],
    "low": {"@case": {"operator": "lower", "value": {"@path": "$.event"}}},
    "swap": {"@replace": {"pattern": "$.", "value": {"@path": "$.name"}}},
    "whole": {"@json": {"mode": "encode", "value": {"@path": "$."}}},
    "text": {"@literal": "$.traits.email"},
    "each": {"@arrayPath": [{"@path": "$.context.tags"}, {"@path": "$.label"}]},
}


def test_what_is_read_of_the_event_is_told() -> None:
    assert reads(SOUND) == {
        *("", "traits", "traits.email", "traits.firstName", "traits.age"),
        *("context.ip", "context.tags", "properties.products", "userId"),
        *("event", "name"),
    }
    assert reads(SOUND["mail"]) == {"traits.email"}


def test_a_mapping_as_it_is_meant_raises_no_doubt() -> None:
    assert lint(SOUND) == []
    assert doubts(SOUND) == []


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ("$.traits.email", "m.x: a text as it is; @path"),
        ({"y": ["{{traits.email}}"]}, "m.x.y[0]: a text as it is; @template"),
        ({"@template": "{{traits.email"}, "m.x.@template: braces that are not closed"),
        (
            {"@if": {"exists": {"@path": "$.traits.a"}, "then": 1, "else": ""}},
            "m.x.@if.else: '' gives nothing here: the field is left out",
        ),
        ({"@path": "$.trait.email"}, "m.x.@path: events have no field trait; did you"),
        ({"@path": "$.trait.email"}, "did you mean traits?"),
        ({"@template": "{{ email }}"}, "m.x.@template: events have no field email"),
        ({"@arrayPath": ["$.items"]}, "m.x.@arrayPath[0]: events have no field items"),
        (
            {"@flatten": {"separator": ".", "value": "$.a"}},
            "m.x.@flatten.value: a text",
        ),
    ],
)
def test_what_is_hardly_meant_is_doubted(node: Any, says: str) -> None:
    assert lint({"x": node}) == []
    (told,) = map(str, doubts({"x": node}, place="m"))
    assert says in told
