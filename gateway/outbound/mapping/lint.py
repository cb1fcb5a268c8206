"""What is wrong with a mapping: all of it, each with its place and what was meant.

Beyond what Segment refuses: what it would take and misread, and keys that nobody reads.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime, time
from functools import partial
from typing import NamedTuple, TypeAlias

from gateway.event import Json
from gateway.mistakes import meant, shown
from gateway.outbound.mapping.coerce import kind_of, truthy
from gateway.outbound.mapping.path import utf16
from gateway.outbound.mapping.template import named

RESERVED = "__segment_internal_"
ROOT = f"{RESERVED}directive"
SYNC_MODES = ("add", "update", "upsert", "delete", "mirror")
PATTERN_MAX = 10  # characters of @replace
LIQUID_MAX = 1000
NO_TAGS = frozenset({"case", "for", "include", "layout", "render", "tablerow"})
NO_FILTERS = frozenset(
    {
        *("array_to_sentence_string", "concat", "find", "find_exp", "find_index"),
        *("find_index_exp", "group_by", "group_by_exp", "has", "has_exp", "map"),
        *("newline_to_br", "reject", "reject_exp", "reverse", "sort", "sort_natural"),
        *("type", "uniq", "where_exp"),
    }
)


class Flaw(NamedTuple):
    """One thing that is wrong; its text is that of a ConfigError."""

    place: str
    says: str

    def __str__(self) -> str:
        return f"{self.place}: {self.says}"


Flaws: TypeAlias = Iterator[Flaw]
Check: TypeAlias = Callable[[Json, str], Flaws]


def lint(mapping: Json, *, place: str = "mapping", package: bool = False) -> list[Flaw]:
    """Everything that is wrong. ``package`` is set where Segment's package maps.

    Only there ``@liquid`` runs, and sync modes and matching keys mean something.
    """
    if not isinstance(mapping, Mapping):
        return [Flaw(place, f"{kind_of(mapping)} is not a table")]
    try:
        return list(_root(mapping, place, package=package))
    except RecursionError:
        return [Flaw(place, "nested too deeply")]


def _root(mapping: Mapping[str, Json], place: str, *, package: bool) -> Flaws:
    plain = {k: v for k, v in mapping.items() if not k.startswith(RESERVED)}
    yield from _value(plain, place, package=package)
    for key in (each for each in mapping if each not in plain):
        at = f"{place}.{key}"
        if key == ROOT:
            yield from _root_directive(mapping[key], at, package=package)
        elif not package:
            yield Flaw(at, "only Segment's own destinations know it")
        elif key == f"{RESERVED}sync_mode":
            yield from _one_of(SYNC_MODES)(mapping[key], at)
        elif key == f"{RESERVED}matching_key":
            yield from _plain_text(mapping[key], at)
        else:
            known = [f"{RESERVED}{each}" for each in ("sync_mode", "matching_key")]
            says = f"unknown; known are: {', '.join((*known, ROOT))}"
            yield Flaw(at, says + meant(key, (*known, ROOT)))


def _root_directive(node: Json, place: str, *, package: bool) -> Flaws:
    """It gets the other fields as its ``mapping``: only one directive takes that."""
    if not isinstance(node, dict) or node.keys() != {"@transform"}:
        yield Flaw(place, "must be a table with the one key @transform")
    elif not isinstance(node["@transform"], dict) or "mapping" in node["@transform"]:
        says = "takes the key apply; the mapping is what stands beside it"
        yield Flaw(f"{place}.@transform", says)
    else:
        given = {**node["@transform"], "mapping": {}}
        yield from _value({"@transform": given}, place, package=package)


def _value(node: Json, place: str, *, package: bool) -> Flaws:
    """Any JSON; a table with a key that begins with @ is a directive."""
    if isinstance(node, dict):
        if any(key.startswith("@") for key in node):
            yield from _directive(node, place, package=package)
            return
        for key, each in node.items():
            yield from _value(each, f"{place}.{key}", package=package)
    elif isinstance(node, list):
        for number, each in enumerate(node):
            yield from _value(each, f"{place}[{number}]", package=package)
    elif isinstance(node, (datetime, date, time)):
        yield Flaw(place, "a time is no JSON: write it as a text")
    elif isinstance(node, float) and not math.isfinite(node):
        yield Flaw(place, "this number is no JSON")


def _directive(node: dict[str, Json], place: str, *, package: bool) -> Flaws:
    names = [key for key in node if key.startswith("@")]
    others = [key for key in node if key not in names and key != "_metadata"]
    if len(names) > 1:
        says = f"only one directive can stand here, not {' and '.join(names)}"
        yield Flaw(place, says)
    elif others:
        says = f"{names[0]} stands alone: {', '.join(others)} cannot be beside it"
        yield Flaw(place, says)
    for name in names:
        at = f"{place}.{name}"
        if name == "@liquid" and not package:
            yield Flaw(at, "only Segment's own destinations run it: use @template")
        elif name in CHECKS:
            flaws = list(CHECKS[name](node[name], at))
            yield from flaws
            if not flaws:
                yield from _value(node[name], at, package=package)
        else:
            known = ", ".join(CHECKS)
            says = f"unknown directive {name}; known are: {known}"
            yield Flaw(place, says + meant(name, CHECKS))


def _is_directive(node: Json) -> bool:
    return isinstance(node, dict) and any(key.startswith("@") for key in node)


def _any(_value: Json, _place: str) -> Flaws:
    return iter(())


def _some(value: Json, place: str) -> Flaws:
    """What Segment takes for absent when it is empty."""
    if not truthy(value):
        yield Flaw(place, f"{shown(value)} is as good as nothing here")


def _plain_text(value: Json, place: str) -> Flaws:
    if not isinstance(value, str):
        yield Flaw(place, f"{kind_of(value)} is not a text")


def _text(value: Json, place: str) -> Flaws:
    if not isinstance(value, str) and not _is_directive(value):
        yield Flaw(place, f"{kind_of(value)} is not a text or a directive")


def _table(value: Json, place: str) -> Flaws:
    if not isinstance(value, dict):
        yield Flaw(place, f"{kind_of(value)} is not a table or a directive")


def _boolean(value: Json, place: str) -> Flaws:
    if not isinstance(value, bool):
        yield Flaw(place, f"{kind_of(value)} is not a boolean")


def _one_of(names: Collection[str]) -> Check:
    def check(value: Json, place: str) -> Flaws:
        if value not in names:
            says = f"{shown(value)} is not one of {', '.join(names)}"
            yield Flaw(place, says + meant(str(value), names))

    return check


def _short(least: int, value: Json, place: str) -> Flaws:
    if not isinstance(value, str):
        yield Flaw(place, f"{kind_of(value)} is not a text")
    elif not least <= len(utf16(value)) <= PATTERN_MAX:
        yield Flaw(place, f"must have {least} to {PATTERN_MAX} characters")


def _options(
    required: Mapping[str, Check], optional: Mapping[str, Check] | None = None
) -> Check:
    """A table of these keys."""
    known = {**required, **(optional or {})}

    def check(value: Json, place: str) -> Flaws:
        if not isinstance(value, dict) or _is_directive(value):
            says = f"needs a table with {', '.join(known)}"
            yield Flaw(place, says)
            return
        for key in (each for each in value if each not in known):
            says = f"unknown key; known are: {', '.join(known)}{meant(key, known)}"
            yield Flaw(f"{place}.{key}", says)
        for key, test in known.items():
            if key in value:
                yield from test(value[key], f"{place}.{key}")
            elif key in required:
                yield Flaw(place, f"{key} is missing")

    return check


def _if(value: Json, place: str) -> Flaws:
    options = {"exists": _some, "blank": _some, "then": _any, "else": _any}
    yield from _options({}, options)(value, place)
    if isinstance(value, dict) and ("exists" in value) is ("blank" in value):
        yield Flaw(place, "needs exists or blank, and not both")


def _path(value: Json, place: str) -> Flaws:
    yield from _text(value, place)
    if value == "$":
        yield Flaw(place, '"$" is a field of that name: the whole event is "$."')


def _template(value: Json, place: str) -> Flaws:
    yield from _text(value, place)
    for path in named(value) if isinstance(value, str) else ():
        if path.startswith("$."):
            says = f"{{{{{path}}}}} is always empty: write {{{{{path[2:]}}}}}"
            yield Flaw(place, says)
        elif not path.strip("."):
            yield Flaw(place, "braces without a path")


def _array_path(value: Json, place: str) -> Flaws:
    if not isinstance(value, list) or len(value) not in {1, 2}:
        yield Flaw(place, "needs a list of a path and a shape")
        return
    yield from _path(value[0], f"{place}[0]")
    if value[1:]:
        yield from _table(value[1], f"{place}[1]")


def _objects(value: Json, place: str) -> Flaws:
    if not isinstance(value, list):
        yield Flaw(place, f"{kind_of(value)} is not a list")
        return
    for number, each in enumerate(value):
        yield from _table(each, f"{place}[{number}]")


def _scope(value: Json, place: str) -> Flaws:
    yield from _table(value, place)
    for key in value if isinstance(value, dict) else ():
        if key.startswith(RESERVED):
            yield Flaw(f"{place}.{key}", "belongs to the root of the mapping")


def _separator(value: Json, place: str) -> Flaws:
    if not isinstance(value, str) or not value:
        yield Flaw(place, f"{shown(value)} is not a text of at least one character")


def _liquid(value: Json, place: str) -> Flaws:
    if not isinstance(value, str):
        yield Flaw(place, f"{kind_of(value)} is not a text")
        return
    if len(utf16(value)) > LIQUID_MAX:
        yield Flaw(place, f"more than {LIQUID_MAX} characters")
    for tag in sorted(NO_TAGS.intersection(re.findall(r"\{%-?\s*(\w+)", value))):
        yield Flaw(place, f"the tag {tag} is switched off")
    code = "".join(re.findall(r"\{[{%].*?[%}]\}", value, re.DOTALL))
    for name in sorted(NO_FILTERS.intersection(re.findall(r"\|\s*(\w+)", code))):
        yield Flaw(place, f"the filter {name} is switched off")


_pattern, _replacement = partial(_short, 1), partial(_short, 0)
CHECKS: Mapping[str, Check] = {
    "@path": _path,
    "@template": _template,
    "@if": _if,
    "@case": _options({"operator": _one_of(("lower", "upper"))}, {"value": _text}),
    "@replace": _options(
        {"pattern": _pattern, "value": _text},
        {
            "replacement": _replacement,
            "ignorecase": _boolean,
            "global": _boolean,
            "pattern2": _pattern,
            "replacement2": _replacement,
        },
    ),
    "@arrayPath": _array_path,
    "@literal": _any,
    "@json": _options({"mode": _one_of(("encode", "decode")), "value": _some}),
    "@flatten": _options(
        {"separator": _separator, "value": _any}, {"omitArrays": _boolean}
    ),
    "@merge": _options({"direction": _one_of(("left", "right")), "objects": _objects}),
    "@transform": _options({"apply": _scope, "mapping": _scope}),
    "@excludeWhenNull": _any,
    "@liquid": _liquid,
}
