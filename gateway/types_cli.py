"""``gateway destinations``: the types of destinations, and what each takes."""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.errors import ConfigError
from gateway.event import Json
from gateway.mistakes import meant
from gateway.outbound.kind import Kind
from gateway.parts import known_kinds

Kinds = Mapping[str, Kind[Any]]


def chosen(name: str | None) -> Kinds:
    """Every type, or one; ConfigError with the nearest for one that is not known."""
    kinds = known_kinds()
    if name is None:
        return kinds
    if name not in kinds:
        listed = f"{', '.join(kinds)}{meant(name, kinds)}"
        raise ConfigError(f"{name}: no such type; known are: {listed}")
    return {name: kinds[name]}


def as_json(kinds: Kinds) -> str:
    """``--json``: what each type is, by its name."""
    shown = {name: _described(kind) for name, kind in kinds.items()}
    return orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()


def _described(kind: Kind[Any]) -> dict[str, Json]:
    return {
        "doc": _doc(kind),
        "settings": [each._asdict() for each in kind.settings.settings],
    }


def as_text(kinds: Kinds) -> str:
    """For a person: a line a type, or the page of one."""
    if len(kinds) > 1:
        width = max(map(len, kinds))
        return "\n".join(
            f"{name.ljust(width)}  {_doc(kind).partition(chr(10))[0]}"
            for name, kind in kinds.items()
        )
    ((name, kind),) = kinds.items()
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
    return "\n".join(lines)


def _doc(kind: Kind[Any]) -> str:
    return (kind.doc or "").strip()
