"""What a mapping makes of an event: directives become closures, once.

What is missing leaves its field out. Until the end it stays in its place, since
``@merge`` and ``@flatten`` see it there: ``keep`` says that such a one asks. What comes
out shares its tables with the event: nobody writes into it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import orjson

from gateway.errors import ConfigError, GatewayError
from gateway.event import Json
from gateway.outbound.mapping.coerce import (
    is_blank,
    json_of,
    kind_of,
    number_text,
    truthy,
)
from gateway.outbound.mapping.lint import ROOT, lint
from gateway.outbound.mapping.path import MISSING, Run, reader, rooted, utf16
from gateway.outbound.mapping.replace import replacer
from gateway.outbound.mapping.template import filled


class _Builder(Protocol):
    """Takes what stands under a directive's name."""

    def __call__(self, given: Any, *, keep: bool) -> Run: ...


class Unmappable(GatewayError):  # noqa: N818 -- it says what the event is
    """The mapping has no value for this event; the text shows no value of it."""


def build(mapping: Mapping[str, Json], *, place: str = "mapping") -> Run:
    """What maps an event; ConfigError with every mistake, each with its place.

    The callable raises Unmappable for an event that has the wrong kind of value
    where the mapping computes a path, a template or the input of ``@transform``.
    """
    if flaws := lint(mapping, place=place):
        raise ConfigError(*map(str, flaws))
    run = _build(_rooted(mapping), keep=False)

    def mapped(event: Json) -> Json:
        try:
            made = run(event)
        except RecursionError:  # a text of the event may decode to any depth
            raise Unmappable("nested too deeply") from None
        return None if made is MISSING else made

    return mapped


def _rooted(mapping: Mapping[str, Json]) -> Json:
    """A mapping whose one directive of the root is applied to all of its fields."""
    if ROOT not in mapping:
        return dict(mapping)
    fields = {key: each for key, each in mapping.items() if key != ROOT}
    ((name, options),) = mapping[ROOT].items()
    return {name: {**options, "mapping": fields}}


def _build(node: Json, *, keep: bool) -> Run:
    if isinstance(node, dict):
        for key in node:
            if key.startswith("@"):
                return BUILDERS[key](node[key], keep=keep)
        return _table(node, keep=keep)
    if isinstance(node, list):
        return _row(node, keep=keep)
    return lambda _: node


def _table(node: dict[str, Json], *, keep: bool) -> Run:
    fields = [(key, _build(each, keep=keep)) for key, each in node.items()]
    if keep:
        return lambda event: {key: run(event) for key, run in fields}

    def table(event: Json) -> Json:
        made = {}
        for key, run in fields:
            value = run(event)
            if value is not MISSING:
                made[key] = value
        return made

    return table


def _row(node: list[Json], *, keep: bool) -> Run:
    runs = [_build(each, keep=keep) for each in node]
    return lambda event: _listed([run(event) for run in runs], keep=keep)


def _listed(values: list[Json], *, keep: bool) -> list[Json]:
    """A list has no holes: what is missing is null there."""
    if keep:
        return values
    return [None if each is MISSING else each for each in values]


def _tidy(value: Json, *, rows: bool = True) -> Json:
    """The value without what is missing; lists keep it if not ``rows``."""
    if isinstance(value, dict):
        return {
            key: _tidy(each, rows=rows)
            for key, each in value.items()
            if each is not MISSING
        }
    if isinstance(value, list):
        return _listed([_tidy(each, rows=rows) for each in value], keep=not rows)
    return value


def _tidied(run: Run, *, keep: bool) -> Run:
    return run if keep else lambda event: _tidy(run(event))


def _nothing(_: Json) -> Json:
    return MISSING


def _path(given: Json, **_: bool) -> Run:
    if isinstance(given, str):
        return reader(rooted(given))
    text = _text("@path", given)
    return lambda event: reader(rooted(text(event)))(event)


def _template(given: Json, **_: bool) -> Run:
    if isinstance(given, str):
        return filled(given)
    text = _text("@template", given)
    return lambda event: filled(text(event))(event)


def _text(name: str, given: Json) -> Callable[[Json], str]:
    """A text that each event gives anew."""
    run = _build(given, keep=False)

    def text(event: Json) -> str:
        value = run(event)
        if isinstance(value, str):
            return value
        raise Unmappable(f"{name}: {kind_of(value)} where a text is needed")

    return text


def _literal(given: Json, *, keep: bool) -> Run:
    return _build(given, keep=keep)


def _if(given: dict[str, Json], *, keep: bool) -> Run:
    """``blank`` takes ``then`` when the value is *not* blank, as at Segment."""
    asks_blank = "blank" in given
    asked = _build(given["blank" if asks_blank else "exists"], keep=True)
    then = _build(given["then"], keep=keep) if "then" in given else _nothing
    other = given.get("else")
    otherwise = _build(other, keep=keep) if truthy(other) else _nothing
    if asks_blank:
        return lambda event: (otherwise if is_blank(asked(event)) else then)(event)

    def run(event: Json) -> Json:
        value = asked(event)
        if value is None or value is MISSING:
            return otherwise(event)
        return then(event)

    return run


def _case(given: dict[str, Json], *, keep: bool) -> Run:
    if not truthy(given.get("value")):
        return _nothing
    value = _build(given["value"], keep=keep)
    turn = str.lower if given["operator"] == "lower" else str.upper

    def run(event: Json) -> Json:
        found = value(event)
        return turn(found) if isinstance(found, str) else found

    return run


def _replace(given: dict[str, Json], **_: bool) -> Run:
    """What is no text, boolean or number, or is missing, becomes an empty text."""
    if not truthy(given["value"]):
        return _nothing
    value = _build(given["value"], keep=False)
    flags = {
        "ignorecase": given.get("ignorecase", False),
        "everywhere": given.get("global", True),
    }
    first = replacer(given["pattern"], given.get("replacement", ""), **flags)
    second = None
    if given.get("pattern2"):
        second = replacer(given["pattern2"], given.get("replacement2", ""), **flags)

    def run(event: Json) -> str:
        text = value(event)
        if isinstance(text, bool):
            text = "true" if text else "false"
        elif isinstance(text, (int, float)):
            text = number_text(text)
        elif not isinstance(text, str):
            return ""
        text = first(text)
        return second(text) if second is not None else text

    return run


def _array_path(given: list[Json], *, keep: bool) -> Run:
    """Each item of a list in a shape; an object is a list of itself."""
    path, shape = (*given, None)[:2]
    plain = isinstance(path, str)
    root = reader(rooted(path)) if plain else _build(path, keep=True)
    if not isinstance(shape, dict) or not shape:
        return root if plain else _tidied(root, keep=keep)
    item = _build(shape, keep=keep if plain else True)

    def run(event: Json) -> Json:
        value = root(event)
        if isinstance(value, (list, dict)):
            items = value if isinstance(value, list) else [value]
            return _listed([item(each) for each in items], keep=keep or not plain)
        return value

    return run if plain else _tidied(run, keep=keep)


def _json(given: dict[str, Json], *, keep: bool) -> Run:
    if given["mode"] == "encode":
        encoded = _build(given["value"], keep=True)

        def encode(event: Json) -> Json:
            value = encoded(event)
            return value if value is MISSING else json_of(value)

        return encode
    value = _build(given["value"], keep=keep)
    return lambda event: _decoded(value(event))


def _decoded(value: Json) -> Json:
    """What a JSON text says; what is none stays as it is."""
    try:
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return value


def _flatten(given: dict[str, Json], *, keep: bool) -> Run:
    value = _build(given["value"], keep=True)
    separator = given["separator"]
    rows = not given.get("omitArrays", False)

    def run(event: Json) -> Json:
        return dict(_leaves(value(event), "", separator, rows=rows))

    return _tidied(run, keep=keep)


def _leaves(
    value: Json, prefix: str, separator: str, *, rows: bool
) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list) and rows:
        items = ((str(number), each) for number, each in enumerate(value))
    else:
        yield prefix, value
        return
    for key, each in items:
        whole = f"{prefix}{separator}{key}" if prefix else key
        yield from _leaves(each, whole, separator, rows=rows)


def _merge(given: dict[str, Json], *, keep: bool) -> Run:
    """One object of several: on the right, the later wins."""
    runs = [_build(each, keep=True) for each in given["objects"]]
    if given["direction"] == "left":
        runs.reverse()

    def run(event: Json) -> Json:
        made: dict[str, Json] = {}
        for each in [read(event) for read in runs]:
            made.update(_properties(each))
        return made

    return _tidied(run, keep=keep)


def _properties(value: Json) -> Mapping[str, Json]:
    """What a value has to give to another object."""
    if isinstance(value, dict):
        return value
    if isinstance(value, (list, str)):
        items: Sequence[Json] = utf16(value) if isinstance(value, str) else value
        return {str(number): each for number, each in enumerate(items)}
    return {}


def _transform(given: dict[str, Json], *, keep: bool) -> Run:
    apply = _build(given["apply"], keep=True)
    mapping = _build(given["mapping"], keep=keep)

    def run(event: Json) -> Json:
        event = {} if event is MISSING else event
        if not isinstance(event, dict):
            raise Unmappable(f"@transform: {kind_of(event)} where a table is needed")
        return mapping(_tidy(apply(event), rows=False))

    return run


def _exclude_when_null(given: Json, *, keep: bool) -> Run:
    value = _build(given, keep=keep)

    def run(event: Json) -> Json:
        found = value(event)
        return MISSING if found is None else _without_nulls(found, keep=keep)

    return run


def _without_nulls(value: Json, *, keep: bool) -> Json:
    """A table, and those in it, without nulls; lists are left alone."""
    if not isinstance(value, dict):
        return value
    return {
        key: MISSING if each is None else _without_nulls(each, keep=keep)
        for key, each in value.items()
        if keep or each is not None
    }


BUILDERS: Mapping[str, _Builder] = {
    "@path": _path,
    "@template": _template,
    "@if": _if,
    "@case": _case,
    "@replace": _replace,
    "@arrayPath": _array_path,
    "@literal": _literal,
    "@json": _json,
    "@flatten": _flatten,
    "@merge": _merge,
    "@transform": _transform,
    "@excludeWhenNull": _exclude_when_null,
}
