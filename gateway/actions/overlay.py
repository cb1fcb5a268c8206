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


def corrections(directory: str, action: str) -> Mapping[str, Json]:
    """The fields of an action that are mapped otherwise here."""
    return overlay().get(directory, {}).get(action, NONE).mapping
