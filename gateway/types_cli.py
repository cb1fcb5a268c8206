"""``gateway destinations``: the types of destinations, and what each takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from gateway.actions import listing
from gateway.actions.definitions import find
from gateway.errors import ConfigError
from gateway.event import Json
from gateway.mistakes import meant
from gateway.outbound.kind import Kind
from gateway.outbound.shape import words
from gateway.parts import known_kinds

Kinds = Mapping[str, Kind[Any]]


def told(name: str | None, root: Path, *, json: bool) -> str:
    """Every type, or one; ConfigError with the nearest for one that is not known.

    ``root`` is where the packages of action destinations are looked for. A type that
    comes with the gateway is meant before one of theirs that is called the same.
    """
    kinds, found = known_kinds(), find(root)
    if name is None:
        shown = {key: _described(kind) for key, kind in kinds.items()}
        if json:
            return _dumped(shown | listing.as_json(found))
        return "\n".join([*_lines(kinds), "", *listing.lines(found)])
    if name in kinds:
        shown = {name: _described(kinds[name])}
        return _dumped(shown) if json else _page(name, kinds[name])
    directory = listing.directory_of(name, found)
    if directory is None:
        listed = f"{', '.join(kinds)} and actions:NAME"
        own = {} if name.startswith(listing.PREFIX) else kinds
        near = meant(name, own) or listing.nearest(name)
        raise ConfigError(f"{name}: no such type; known are: {listed}{near}")
    if json:
        described = listing.described(directory, found)
        return _dumped({f"{listing.PREFIX}{directory}": described})
    return listing.text(directory, found)


def _dumped(value: Json) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _described(kind: Kind[Any]) -> dict[str, Json]:
    return {
        "doc": _doc(kind),
        "settings": [each._asdict() for each in kind.settings.settings],
    }


def _lines(kinds: Kinds) -> list[str]:
    width = max(map(len, kinds))
    return [
        f"{name.ljust(width)}  {_doc(kind).partition(chr(10))[0]}"
        for name, kind in kinds.items()
    ]


def _page(name: str, kind: Kind[Any]) -> str:
    needed = [each for each in kind.settings.settings if each.default is None]
    example = ", ".join(f"{each.name} = {each.example}" for each in needed)
    lines = [
        _doc(kind),
        "",
        f'[destinations.my-{name}]\ntype = "{name}"',
        *([f"settings = {{ {example} }}"] if example else []),
    ]
    for each in kind.settings.settings:
        default = "needed" if each.default is None else f"default {each.default!r}"
        lines += ["", f"{each.name}  ({each.value}, {default})", f"    {each.doc}"]
    if said := words(kind.mapped, kind.actions):
        lines += ["", said]
    return "\n".join(lines)


def _doc(kind: Kind[Any]) -> str:
    return (kind.doc or "").strip()
