"""Our corrections of the package's default mappings, each with why: overlay.toml."""

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from gateway.event import Json

FILE = Path(__file__).with_name("overlay.toml")


class Correction(NamedTuple):
    """Fields of one action that are mapped otherwise here, and why."""

    why: str
    mapping: Mapping[str, Json]


NONE = Correction("", MappingProxyType({}))


@functools.cache
def overlay() -> Mapping[str, Mapping[str, Correction]]:
    """Directory -> action -> what we correct."""
    read = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {
        directory: {
            action: Correction(said["why"], said["mapping"])
            for action, said in actions.items()
        }
        for directory, actions in read.items()
    }


def corrections(directory: str, action: str) -> Correction:
    """The fields of an action that are mapped otherwise here, if there are some."""
    return overlay().get(directory, {}).get(action, NONE)


def corrected(
    mapping: Mapping[str, Json], directory: str, action: str
) -> dict[str, Json]:
    """A default mapping with our corrections: by field, also inside of a table."""
    found = dict(mapping)
    for key, fixed in corrections(directory, action).mapping.items():
        had = found.get(key)
        inside = _is_table(had) and _is_table(fixed)
        found[key] = {**_table(had), **_table(fixed)} if inside else fixed
    return found


def _is_table(value: Json) -> bool:
    """Whether it names fields; a directive is a value."""
    return bool(_table(value)) and not any(key[0] == "@" for key in _table(value))


def _table(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
