"""What a mapping reads of an event, and what in it works but is hardly meant so."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from gateway.event import EVENT_FIELDS, Json
from gateway.mistakes import meant, shown
from gateway.outbound.mapping.coerce import truthy
from gateway.outbound.mapping.lint import Flaw
from gateway.outbound.mapping.path import keys_of, rooted
from gateway.outbound.mapping.template import named

OPERANDS = frozenset({"value", "objects", "exists", "blank", "then", "else", "apply"})
"""The options of directives that hold values; the others are texts and flags."""


class Leaf(NamedTuple):
    """Where a mapping ends: a path, a template, a plain text, an ``else``.

    ``inner`` is what reads an item or a made object, and not the event.
    """

    kind: Literal["path", "template", "text", "else"]
    place: str
    value: Json
    inner: bool


def reads(node: Json) -> frozenset[str]:
    """The paths of the event that a sound mapping, or one field of it, may read.

    Like ``traits.email``; the whole event is ``""``.
    """
    return frozenset(
        ".".join(keys)
        for leaf in _leaves(node, "", inner=False)
        if not leaf.inner
        for keys in _paths(leaf)
    )


def doubts(mapping: Mapping[str, Json], *, place: str = "mapping") -> list[Flaw]:
    """What a sound mapping does that its writer may not have meant."""
    found = []
    for leaf in _leaves(dict(mapping), place, inner=False):
        found += [Flaw(leaf.place, says) for says in _doubted(leaf)]
    return found


def _doubted(leaf: Leaf) -> Iterator[str]:
    if leaf.kind == "else":
        yield f"{shown(leaf.value)} gives nothing here: the field is left out"
    elif leaf.kind == "text" and leaf.value.startswith("$."):
        yield 'a text as it is; @path = "$..." reads what stands there'
    elif leaf.kind == "text" and named(leaf.value):
        yield "a text as it is; @template fills the braces"
    elif leaf.kind == "template" and leaf.value.count("{{") > len(named(leaf.value)):
        yield "braces that are not closed stay as they are"
    elif not leaf.inner:
        for root, *_ in filter(None, _paths(leaf)):
            if root not in EVENT_FIELDS:
                yield f"events have no field {root}{meant(root, EVENT_FIELDS)}"


def _paths(leaf: Leaf) -> list[tuple[str, ...]]:
    if leaf.kind == "path":
        return [rooted(leaf.value)]
    if leaf.kind == "template":
        return [keys_of(path) for path in named(leaf.value)]
    return []


def _leaves(node: Json, place: str, *, inner: bool) -> Iterator[Leaf]:
    if isinstance(node, str):
        yield Leaf("text", place, node, inner)
    elif isinstance(node, list):
        for number, each in enumerate(node):
            yield from _leaves(each, f"{place}[{number}]", inner=inner)
    elif isinstance(node, dict):
        for key, each in node.items():
            at = f"{place}.{key}"
            if key.startswith("@"):
                yield from _given(key, each, at, inner=inner)
            elif key != "_metadata":
                yield from _leaves(each, at, inner=inner)


def _given(name: str, given: Json, place: str, *, inner: bool) -> Iterator[Leaf]:
    """What stands under a directive's name."""
    if isinstance(given, str):
        if name in {"@path", "@template"}:
            yield Leaf("path" if name == "@path" else "template", place, given, inner)
    elif name == "@arrayPath":
        path, *shape = given
        if isinstance(path, str):
            yield Leaf("path", f"{place}[0]", path, inner)
        else:
            yield from _leaves(path, f"{place}[0]", inner=inner)
        yield from _leaves(shape, place, inner=True)
    elif name in {"@path", "@template", "@literal", "@excludeWhenNull"}:
        yield from _leaves(given, place, inner=inner)
    else:
        for key in (each for each in given if each in OPERANDS):
            yield from _leaves(given[key], f"{place}.{key}", inner=inner)
        if "else" in given and not truthy(given["else"]):
            yield Leaf("else", f"{place}.else", given["else"], inner)
        if "mapping" in given:
            yield from _leaves(given["mapping"], f"{place}.mapping", inner=True)
