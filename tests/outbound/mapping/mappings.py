"""Mappings of chance: every directive, within every other."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.outbound.mapping.happenings import KEYS, scalars

Draw = Callable[[st.SearchStrategy[Any]], Any]

keys = st.sampled_from(KEYS)
short = st.text("aAbB$&'`.*5Σßé ", min_size=1, max_size=4)
paths = st.builds(
    lambda dollar, root, rest, index: dollar + ".".join([root, *rest]) + index,
    st.sampled_from(["$.", ""]),
    st.sampled_from(["traits", "properties", "context", "name", "event", "a"]),
    st.lists(keys, max_size=2),
    st.sampled_from(["", "", "[0]", "[1].a", "['a']", '["b"]', "[a]"]),
) | st.sampled_from(["$.", "", ".", "$.a", "$.b", "$.0", "a", "$.gone"])
inserts = paths.filter(lambda path: path.strip("$.")).map(
    lambda path: path.removeprefix("$.")
)
templates = st.lists(
    st.one_of(
        st.sampled_from([" ", "$", "a-", "é"]),
        inserts.map(lambda path: f"{{{{ {path} }}}}"),
        inserts.map(lambda path: f"{{{{{{{path}}}}}}}"),
    ),
    max_size=3,
).map("".join)
KINDS = (
    *("table", "list", "@path", "@template", "@literal", "@excludeWhenNull"),
    *("@if", "@if", "@case", "@replace", "@arrayPath", "@json", "@flatten"),
    *("@merge", "@merge", "@transform"),
)


def node(draw: Draw, depth: int) -> Any:
    """Any value of a mapping."""
    if depth == 0:
        return draw(scalars) if draw(st.integers(0, 3)) == 0 else leaf(draw)
    kind = draw(st.sampled_from(KINDS))
    if kind == "table":
        return table(draw, depth)
    if kind == "list":
        return [node(draw, depth - 1) for _ in range(draw(st.integers(0, 2)))]
    return directive(draw, depth, kind)


def leaf(draw: Draw) -> Any:
    if draw(st.booleans()):
        return {"@path": draw(paths)}
    return {"@template": draw(templates)}


def table(draw: Draw, depth: int) -> Any:
    names = draw(st.lists(keys, unique=True, max_size=3))
    return {name: node(draw, depth - 1) for name in names}


def directive(draw: Draw, depth: int, kind: str) -> Any:
    made: dict[str, Any] = {kind: GIVEN[kind](draw, depth - 1)}
    if draw(st.integers(0, 9)) == 0:
        made["_metadata"] = {"label": "x"}
    return made


def some_directive(draw: Draw, depth: int) -> Any:
    if depth == 0:
        return leaf(draw)
    kind = draw(st.sampled_from([each for each in KINDS if each[0] == "@"]))
    return directive(draw, depth, kind)


def some_table(draw: Draw, depth: int) -> Any:
    if draw(st.booleans()):
        return some_directive(draw, depth)
    return table(draw, max(depth, 1))


def some_text(draw: Draw, depth: int) -> Any:
    if draw(st.integers(0, 4)) == 0:
        return draw(short)
    return some_directive(draw, depth)


def choice(draw: Draw, depth: int) -> Any:
    asked = draw(st.sampled_from(["exists", "blank"]))
    made = {asked: some_directive(draw, depth)}
    for name in ("then", "else"):
        if draw(st.integers(0, 3)):
            made[name] = node(draw, depth)
    return made


def case(draw: Draw, depth: int) -> Any:
    operator = draw(st.sampled_from(["lower", "upper"]))
    return {"operator": operator, "value": some_text(draw, depth)}


def replacing(draw: Draw, depth: int) -> Any:
    made = {"pattern": draw(short), "value": some_text(draw, depth)}
    others = {
        "replacement": short | st.just(""),
        "pattern2": short,
        "replacement2": short,
        "ignorecase": st.booleans(),
        "global": st.booleans(),
    }
    for name, strategy in others.items():
        if draw(st.booleans()):
            made[name] = draw(strategy)
    return made


def array_path(draw: Draw, depth: int) -> Any:
    path = draw(paths) if draw(st.booleans()) else some_directive(draw, depth)
    return [path, some_table(draw, depth)] if draw(st.integers(0, 3)) else [path]


def coded(draw: Draw, depth: int) -> Any:
    mode = draw(st.sampled_from(["encode", "decode"]))
    return {"mode": mode, "value": some_table(draw, depth)}


def flat(draw: Draw, depth: int) -> Any:
    made = {"separator": draw(short), "value": node(draw, depth)}
    return {**made, "omitArrays": True} if draw(st.booleans()) else made


def merged(draw: Draw, depth: int) -> Any:
    direction = draw(st.sampled_from(["left", "right"]))
    count = draw(st.integers(1, 3))
    objects = [some_table(draw, depth) for _ in range(count)]
    return {"direction": direction, "objects": objects}


def transformed(draw: Draw, depth: int) -> Any:
    return {"apply": some_table(draw, depth), "mapping": some_table(draw, depth)}


GIVEN: dict[str, Callable[[Draw, int], Any]] = {
    "@path": some_directive,
    "@template": some_directive,
    "@literal": node,
    "@excludeWhenNull": node,
    "@if": choice,
    "@case": case,
    "@replace": replacing,
    "@arrayPath": array_path,
    "@json": coded,
    "@flatten": flat,
    "@merge": merged,
    "@transform": transformed,
}


@st.composite
def mappings(draw: Draw) -> Any:
    """A mapping: one directive, or a field or two."""
    depth = draw(st.integers(1, 3))
    if draw(st.integers(0, 5)) == 0:
        return some_directive(draw, depth)
    names = draw(st.lists(keys, unique=True, min_size=1, max_size=2))
    return {name: node(draw, depth) for name in names}
