"""Everything that is wrong with a mapping is told, each with its place."""

from datetime import date
from typing import Any

import pytest

from gateway.outbound.mapping import lint

SOUND = {
    "a": "text",
    "b": {"@path": "$.traits.a", "_metadata": {"label": "A"}},
    "c": {"nested": [{"@template": "{{traits.a}}"}, 1, None]},
    "d": {"@if": {"exists": {"@path": "$.a"}, "then": 1, "else": {"@path": "$.b"}}},
}


def found(node: Any, *, package: bool = False) -> list[str]:
    return [str(each) for each in lint({"x": node}, place="m", package=package)]


def test_a_sound_mapping_has_no_flaws() -> None:
    assert lint(SOUND) == []
    assert lint({"@path": "$.traits"}) == []


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ({"@pth": "$.a"}, "m.x: unknown directive @pth; known are: @path, "),
        ({"@pth": "$.a"}, "did you mean @path?"),
        ({"@path": "$.a", "@template": "a"}, "only one directive can stand here, not"),
        ({"@path": "$.a", "b": 1}, "m.x: @path stands alone: b cannot be beside it"),
        ([{"@path": "$.a", "b": 1}], "m.x[0]: @path stands alone"),
        ({"y": {"@path": 5}}, "m.x.y.@path: a number is not a text or a directive"),
        ({"@path": {"a": 1}}, "a table is not a text or a directive"),
        ({"@path": "$"}, 'the whole event is "$."'),
        ({"@template": ["a"]}, "a list is not a text"),
        ({"@template": "{{$.traits.a}}"}, "is always empty: write {{traits.a}}"),
        ({"@template": "{{ }}"}, "braces without a path"),
        ({"@literal": {"@pth": 1}}, "m.x.@literal: unknown directive @pth"),
        ({"@if": "a"}, "needs a table with exists, blank, then, else"),
        ({"@if": {"@path": "$.a"}}, "needs a table with exists, blank, then, else"),
        ({"@if": {"then": 1}}, "needs exists or blank, and not both"),
        ({"@if": {"exists": {"@path": "a"}, "blank": 1}}, "and not both"),
        ({"@if": {"exists": ""}}, "m.x.@if.exists: '' is as good as nothing here"),
        ({"@if": {"exists": 1, "elze": 1}}, "m.x.@if.elze: unknown key"),
        ({"@if": {"exists": 1, "elze": 1}}, "did you mean else?"),
        ({"@if": {"exists": 1, "then": {"@a": 1}}}, "m.x.@if.then: unknown directive"),
        ({"@case": {"value": "a"}}, "operator is missing"),
        ({"@case": {"operator": "Lower"}}, "'Lower' is not one of lower, upper"),
        ({"@case": {"operator": "lower", "value": 5}}, "value: a number is not a text"),
        ({"@replace": {"value": "a"}}, "pattern is missing"),
        ({"@replace": {"pattern": "a"}}, "value is missing"),
        ({"@replace": {"pattern": "", "value": "a"}}, "must have 1 to 10 characters"),
        ({"@replace": {"pattern": "a" * 11, "value": "a"}}, "must have 1 to 10"),
        ({"@replace": {"pattern": "😀" * 6, "value": "a"}}, "must have 1 to 10"),
        (
            {"@replace": {"pattern": "a", "replacement": "b" * 11, "value": "a"}},
            "m.x.@replace.replacement: must have 0 to 10 characters",
        ),
        (
            {"@replace": {"pattern": "a", "pattern2": "b" * 11, "value": "a"}},
            "m.x.@replace.pattern2: must have 1 to 10 characters",
        ),
        (
            {"@replace": {"pattern": "a", "global": "yes", "value": "a"}},
            "m.x.@replace.global: a text is not a boolean",
        ),
        ({"@arrayPath": "$.a"}, "needs a list of a path and a shape"),
        ({"@arrayPath": []}, "needs a list of a path and a shape"),
        ({"@arrayPath": [5]}, "m.x.@arrayPath[0]: a number is not a text"),
        ({"@arrayPath": ["$.a", "b"]}, "m.x.@arrayPath[1]: a text is not a table"),
        ({"@json": {"value": 1}}, "mode is missing"),
        ({"@json": {"mode": "Encode", "value": 1}}, "is not one of encode, decode"),
        ({"@json": {"mode": "encode", "value": 0}}, "0 is as good as nothing here"),
        ({"@flatten": {"value": 1}}, "separator is missing"),
        ({"@flatten": {"separator": "", "value": 1}}, "of at least one character"),
        ({"@flatten": {"separator": {"@path": "a"}, "value": 1}}, "is not a text"),
        ({"@flatten": {"separator": ".", "value": 1, "omitArrays": "no"}}, "a boolean"),
        ({"@merge": {"objects": []}}, "direction is missing"),
        ({"@merge": {"direction": "Left", "objects": []}}, "not one of left, right"),
        ({"@merge": {"direction": "left", "objects": {}}}, "a table is not a list"),
        ({"@merge": {"direction": "left", "objects": [1]}}, "objects[0]: a number is"),
        ({"@transform": {"apply": {}}}, "mapping is missing"),
        ({"@transform": {"apply": "a", "mapping": {}}}, "apply: a text is not a table"),
        (
            {
                "@transform": {
                    "apply": {"__segment_internal_directive": 1},
                    "mapping": {},
                }
            },
            "belongs to the root of the mapping",
        ),
        ({"@liquid": "{{ a }}"}, "only Segment's own destinations run it"),
        (date(2026, 1, 2), "a time is no JSON: write it as a text"),
        (float("nan"), "this number is no JSON"),
    ],
)
def test_a_flaw_is_told_with_its_place(node: Any, says: str) -> None:
    told = found(node)
    assert any(says in each for each in told), told
    assert all(each.startswith("m.x") for each in told)


def test_a_value_that_its_directive_does_not_take_is_one_flaw() -> None:
    assert len(found({"@path": {"a": {"@pth": 1}}})) == 1


def test_all_flaws_are_told_at_once() -> None:
    node = {"a": {"@path": 1}, "b": {"@case": {"operator": "x", "worth": "y"}}}
    assert len(found(node)) == 3


def test_a_mapping_that_is_no_table_is_told() -> None:
    assert [str(each) for each in lint(["a"])] == ["mapping: a list is not a table"]


def test_a_mapping_without_a_floor_is_told() -> None:
    node: Any = 1
    for _ in range(5_000):
        node = {"@literal": node}
    assert found(node) == ["m: nested too deeply"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ a | upcase }} {% if a %}x{% endif %} for | map", None),
        (5, "a number is not a text"),
        ("a" * 1001, "more than 1000 characters"),
        ("{% for x in y %}{% endfor %}", "the tag for is switched off"),
        ("{%- case x %}", "the tag case is switched off"),
        ("{{ a | split: ',' | map: 'x' }}", "the filter map is switched off"),
    ],
)
def test_liquid_is_taken_where_the_package_runs_it(text: Any, says: str | None) -> None:
    told = found({"@liquid": text}, package=True)
    assert told == ([] if says is None else [f"m.x.@liquid: {says}"])


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("sync_mode", "upsert", None),
        ("sync_mode", "upset", "did you mean upsert?"),
        ("matching_key", "email", None),
        ("matching_key", 5, "a number is not a text"),
        ("sink_mode", "add", "did you mean __segment_internal_sync_mode?"),
        ("directive", {"@transform": {"apply": {"a": {"@path": "$.b"}}}}, None),
        ("directive", {"@path": "$.a"}, "must be a table with the one key @transform"),
        ("directive", {"@transform": {}}, "apply is missing"),
        ("directive", {"@transform": {"apply": {"@x": 1}}}, "unknown directive @x"),
        ("directive", {"@transform": {"mapping": 1}}, "what stands beside it"),
    ],
)
def test_reserved_keys_are_judged(key: str, value: Any, says: str | None) -> None:
    told = lint({f"__segment_internal_{key}": value, "x": 1}, package=True)
    if says is None:
        assert told == []
    else:
        assert len(told) == 1
        assert told[0].place.startswith(f"mapping.__segment_internal_{key}")
        assert says in told[0].says


def test_reserved_keys_mean_nothing_outside_of_the_package() -> None:
    (flaw,) = lint({"__segment_internal_sync_mode": "add"})
    assert flaw.place == "mapping.__segment_internal_sync_mode"
    assert "only Segment's own destinations" in flaw.says
