"""What a mapping makes of an event: as Segment's, oddities included."""

import copy
from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.outbound.mapping import Unmappable, build

EVENT: dict[str, Any] = {
    "type": "identify",
    "userId": "97980cfea0067",
    "timestamp": "2026-01-02T03:04:05.000Z",
    "traits": {
        "email": "Cool.Person@example.com",
        "first name": "Cool",
        "age": 5,
        "score": 5.0,
        "zero": 0,
        "empty": "",
        "none": None,
        "vip": True,
        "tags": ["a", "b", None],
        "company": {"name": "ACME", "address": {"city": None, "zip": "1"}},
        "products": [{"sku": "s1", "price": 5}, {"sku": "s2"}],
        "raw": '{"a": [1]}',
        "dotted.key": 1,
        "smile": "\U0001f600a",
    },
}


def value(node: Any) -> Any:
    """What one field becomes; the text GONE if it is left out."""
    return build({"field": node})(EVENT).get("field", "GONE")


def path(text: str) -> dict[str, str]:
    return {"@path": f"$.traits.{text}"}


DECODED = {"@json": {"mode": "decode", "value": path("raw")}}
CASES: dict[str, list[tuple[Any, Any]]] = {
    "plain": [
        ("text", "text"),
        ("$.traits.email", "$.traits.email"),
        (None, None),
        ({"a": [1, path("gone"), {"b": path("gone")}]}, {"a": [1, None, {}]}),
    ],
    "@path": [
        (path("email"), "Cool.Person@example.com"),
        ({"@path": "traits.email"}, "Cool.Person@example.com"),
        ({"@path": "$.traits['first name']"}, "Cool"),
        (path("first name"), "Cool"),
        (path("products[1].sku"), "s2"),
        (path("products.1.sku"), "s2"),
        (path("products.length"), 2),
        (path("products[2].sku"), "GONE"),
        (path("tags[x]"), "GONE"),
        (path("email[0]"), "C"),
        (path("smile.length"), 3),  # as JavaScript counts
        (path("smile[2]"), "a"),
        (path("none"), None),
        (path("none.x"), None),  # `a && a.b`
        (path("zero.x"), 0),
        (path("empty.x.y"), ""),
        (path("vip.x"), "GONE"),
        (path("gone.x"), "GONE"),
        (path("dotted.key"), "GONE"),
        ({"@path": "$."}, EVENT),
        ({"@path": {"@template": "$.{{type}}"}}, "GONE"),
        ({"@path": "$.type", "_metadata": {"label": "Type"}}, "identify"),
    ],
    "@template": [
        ({"@template": "{{ traits.email }}!"}, "Cool.Person@example.com!"),
        ({"@template": "{{{userId}}}-{{traits.age}}"}, "97980cfea0067-5"),
        ({"@template": "{{traits.gone}}{{traits.none}}"}, ""),
        ({"@template": "{{traits.score}}/{{traits.vip}}"}, "5/true"),
        ({"@template": "{{traits.tags}} {{traits.company}}"}, "a,b, [object Object]"),
        ({"@template": "{{userId"}, "{{userId"),
        ({"@template": {"@literal": "{{type}}"}}, "identify"),
    ],
    "@if": [
        ({"@if": {"exists": path("email"), "then": 1, "else": 2}}, 1),
        ({"@if": {"exists": path("none"), "then": 1, "else": 2}}, 2),
        ({"@if": {"exists": path("empty"), "then": 1, "else": 2}}, 1),
        ({"@if": {"blank": path("email"), "then": 1, "else": 2}}, 1),
        ({"@if": {"blank": path("empty"), "then": 1, "else": 2}}, 2),
        ({"@if": {"blank": path("zero"), "then": 1, "else": 2}}, 2),
        ({"@if": {"blank": path("gone"), "then": 1, "else": 2}}, 2),
        ({"@if": {"blank": path("tags"), "then": 1, "else": 2}}, 1),
        ({"@if": {"exists": path("gone"), "then": 1}}, "GONE"),
        ({"@if": {"exists": path("gone"), "then": 1, "else": ""}}, "GONE"),
        ({"@if": {"exists": path("email"), "then": "", "else": 2}}, ""),
    ],
    "@case": [
        (
            {"@case": {"operator": "lower", "value": path("email")}},
            EVENT["traits"]["email"].lower(),
        ),
        ({"@case": {"operator": "upper", "value": "straße"}}, "STRASSE"),
        ({"@case": {"operator": "upper", "value": path("age")}}, 5),
        ({"@case": {"operator": "upper", "value": path("gone")}}, "GONE"),
    ],
    "@replace": [
        ({"@replace": {"pattern": "o", "value": path("email")}}, "Cl.Persn@example.cm"),
        (
            {
                "@replace": {
                    "pattern": "o",
                    "replacement": "0",
                    "global": False,
                    "value": path("email"),
                }
            },
            "C0ol.Person@example.com",
        ),
        (
            {
                "@replace": {
                    "pattern": "COOL.",
                    "ignorecase": True,
                    "value": path("email"),
                }
            },
            "Person@example.com",
        ),
        (
            {
                "@replace": {
                    "pattern": "a",
                    "replacement": "b",
                    "pattern2": "b",
                    "replacement2": "c",
                    "value": "aab",
                }
            },
            "ccc",
        ),
        (
            {"@replace": {"pattern": ".", "replacement": "[$&$$]", "value": "a.b"}},
            "a[.$]b",
        ),
        ({"@replace": {"pattern": "5", "replacement": "6", "value": path("age")}}, "6"),
        ({"@replace": {"pattern": "\u03c3", "ignorecase": True, "value": "aΣς"}}, "a"),
        (
            {"@replace": {"pattern": "k", "ignorecase": True, "value": "\u212ak"}},
            "\u212a",
        ),
        (
            {"@replace": {"pattern": "\u017f", "ignorecase": True, "value": "s\u017f"}},
            "s",
        ),
        ({"@replace": {"pattern": "a", "value": path("gone")}}, ""),
        ({"@replace": {"pattern": "a", "value": path("tags")}}, ""),
    ],
    "@arrayPath": [
        (
            {
                "@arrayPath": [
                    "$.traits.products",
                    {"id": {"@path": "$.sku"}, "p": {"@path": "$.price"}},
                ]
            },
            [{"id": "s1", "p": 5}, {"id": "s2"}],
        ),
        ({"@arrayPath": ["$.traits.products", {"@path": "$.price"}]}, [5, None]),
        (
            {"@arrayPath": ["$.traits.company", {"n": {"@path": "$.name"}}]},
            [{"n": "ACME"}],
        ),
        ({"@arrayPath": ["$.traits.tags", {}]}, ["a", "b", None]),
        ({"@arrayPath": ["$.traits.email", {"n": 1}]}, "Cool.Person@example.com"),
        ({"@arrayPath": ["$.traits.gone", {"n": 1}]}, "GONE"),
        ({"@arrayPath": ["$.traits.tags"]}, ["a", "b", None]),
        ({"@arrayPath": [path("products"), {"@path": "$.sku"}]}, ["s1", "s2"]),
    ],
    "@literal": [({"@literal": "$.x"}, "$.x"), ({"@literal": path("age")}, 5)],
    "@json": [
        (
            {
                "@json": {
                    "mode": "encode",
                    "value": {"2": path("score"), "x": path("gone"), "1": "é"},
                }
            },
            '{"1":"é","2":5}',
        ),
        ({"@json": {"mode": "encode", "value": path("tags")}}, '["a","b",null]'),
        ({"@json": {"mode": "encode", "value": path("gone")}}, "GONE"),
        ({"@json": {"mode": "decode", "value": path("raw")}}, {"a": [1]}),
        (
            {"@json": {"mode": "decode", "value": path("email")}},
            "Cool.Person@example.com",
        ),
        ({"@json": {"mode": "decode", "value": path("age")}}, 5),
    ],
    "@flatten": [
        (
            {"@flatten": {"separator": ".", "value": path("company")}},
            {"name": "ACME", "address.city": None, "address.zip": "1"},
        ),
        (
            {"@flatten": {"separator": "_", "value": {"t": path("tags")}}},
            {"t_0": "a", "t_1": "b", "t_2": None},
        ),
        (
            {
                "@flatten": {
                    "separator": "_",
                    "value": {"t": path("tags")},
                    "omitArrays": True,
                }
            },
            {"t": ["a", "b", None]},
        ),
        ({"@flatten": {"separator": "_", "value": [path("gone"), 1]}}, {"1": 1}),
        ({"@flatten": {"separator": "_", "value": path("age")}}, {"": 5}),
        ({"@flatten": {"separator": "_", "value": path("gone")}}, {}),
    ],
    "@merge": [
        (
            {"@merge": {"direction": "right", "objects": [{"a": 1, "b": 1}, {"a": 2}]}},
            {"a": 2, "b": 1},
        ),
        (
            {"@merge": {"direction": "left", "objects": [{"a": 1, "b": 1}, {"a": 2}]}},
            {"a": 1, "b": 1},
        ),
        (
            {"@merge": {"direction": "right", "objects": [path("gone"), {"a": 2}]}},
            {"a": 2},
        ),
        # What is missing wins, too: it is there, as undefined.
        (
            {
                "@merge": {
                    "direction": "right",
                    "objects": [{"a": 1}, {"a": path("gone")}],
                }
            },
            {},
        ),
        (
            {
                "@merge": {
                    "direction": "right",
                    "objects": [path("raw[0]"), path("tags")],
                }
            },
            {"0": "a", "1": "b", "2": None},
        ),
    ],
    "@transform": [
        (
            {
                "@transform": {
                    "apply": {"who": path("email")},
                    "mapping": {"@template": "<{{who}}>"},
                }
            },
            "<Cool.Person@example.com>",
        ),
        (
            {
                "@transform": {
                    "apply": path("company"),
                    "mapping": {"n": {"@path": "$.name"}},
                }
            },
            {"n": "ACME"},
        ),
    ],
    "what is missing from what @transform applied": [
        (
            {
                "@merge": {
                    "direction": "right",
                    "objects": [
                        {"a": 1},
                        {
                            "@transform": {
                                "apply": {"a": path("gone")},
                                "mapping": {"@path": "$."},
                            }
                        },
                    ],
                }
            },
            {"a": 1},
        ),
        (
            {
                "@transform": {
                    "apply": {"list": [path("gone")]},
                    "mapping": {"x": {"@path": "$.list[0]"}},
                }
            },
            {},
        ),
    ],
    "@excludeWhenNull": [
        ({"@excludeWhenNull": path("none")}, "GONE"),
        (
            {"@excludeWhenNull": path("company")},
            {"name": "ACME", "address": {"zip": "1"}},
        ),
        ({"@excludeWhenNull": path("tags")}, ["a", "b", None]),
    ],
}


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        pytest.param(*case, id=f"{name}-{number}")
        for name, all_of in CASES.items()
        for number, case in enumerate(all_of)
    ],
)
def test_a_directive_makes_of_an_event(node: Any, wanted: Any) -> None:
    given, event = copy.deepcopy(node), copy.deepcopy(EVENT)
    made = value(node)
    assert (made, type(made)) == (wanted, type(wanted))
    assert (node, event) == (given, EVENT), "neither is written into"


def test_what_is_missing_leaves_its_field_out() -> None:
    mapping = {"a": path("gone"), "b": {"c": path("gone")}, "d": path("none")}
    assert build(mapping)(EVENT) == {"b": {}, "d": None}


def test_a_mapping_may_be_one_directive() -> None:
    assert build(path("company.address"))(EVENT) == {"city": None, "zip": "1"}
    assert build(path("gone"))(EVENT) is None


def test_the_directive_of_the_root_gets_the_other_fields() -> None:
    mapping = {
        "__segment_internal_directive": {"@transform": {"apply": {"x": path("age")}}},
        "age": {"@path": "$.x"},
    }
    assert build(mapping)(EVENT) == {"age": 5}


def test_what_an_event_inserts_is_not_read_as_a_template() -> None:
    event = {"traits": {"a": "{{traits.b}}", "b": "hush"}}
    mapped = build({"x": {"@template": "{{{traits.a}}} {{traits.a}}"}})(event)
    assert mapped == {"x": "{{traits.b}} {{traits.b}}"}


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ({"@path": path("gone")}, "@path: nothing where a text is needed"),
        ({"@path": path("age")}, "@path: a number where a text is needed"),
        ({"@template": path("tags")}, "@template: a list where a text is needed"),
        (
            {
                "@arrayPath": [
                    "$.traits.tags",
                    {"@transform": {"apply": {}, "mapping": {}}},
                ]
            },
            "@transform: a text where a table is needed",
        ),
    ],
)
def test_an_event_that_the_mapping_has_no_value_for_is_told_without_its_values(
    node: Any, says: str
) -> None:
    with pytest.raises(Unmappable) as caught:
        value(node)
    assert str(caught.value) == says


@pytest.mark.parametrize(
    "given",
    [
        {"@flatten": {"separator": ".", "value": DECODED}},
        {"@json": {"mode": "encode", "value": DECODED}},
        {"@template": {"@json": {"mode": "encode", "value": DECODED}}},
    ],
)
def test_an_event_that_decodes_without_a_floor_is_not_mapped(given: Any) -> None:
    run = build({"field": given})
    with pytest.raises(Unmappable, match="nested too deeply"):
        run({"traits": {"raw": "[" * 1_000 + "]" * 1_000}})


def test_a_mapping_with_mistakes_is_not_built_and_all_are_told() -> None:
    with pytest.raises(ConfigError) as caught:
        build({"a": {"@pth": "$.x"}, "b": {"@path": 5}}, place="destinations.x.mapping")
    first, second = caught.value.args
    assert first.startswith("destinations.x.mapping.a: unknown directive @pth")
    assert second.startswith("destinations.x.mapping.b.@path: a number is not a text")
