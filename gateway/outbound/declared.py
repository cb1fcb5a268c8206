"""A declared setting of a destination in an operator's words."""

from dataclasses import MISSING
from types import UnionType
from typing import Any, Literal, NamedTuple, get_args, get_origin


class Setting(NamedTuple):
    """One setting as the pages show it; ``default`` None: it must be given.

    ``value`` is what it is in words, ``example`` as it stands in TOML.
    """

    name: str
    value: str
    doc: str
    example: str
    default: str | None
    secret: bool


VALUES = {str: "text", int: "whole number", bool: "true or false", float: "number"}


def described(declared: Any, hint: Any) -> Setting:
    """A dataclass's field and its type, as the pages show it."""
    default: str | None = None
    if declared.default is not MISSING:
        default = "" if declared.default is None else str(declared.default)
    elif declared.default_factory is not MISSING:
        default = str(declared.default_factory())
    said = declared.metadata
    return Setting(
        declared.name,
        said.get("unit") or _value(hint),
        said["doc"],
        said["example"],
        default,
        bool(said["secret"]),
    )


def _value(hint: Any) -> str:
    """What a value is, in an operator's words."""
    if isinstance(hint, UnionType):
        hint = next(each for each in get_args(hint) if each is not type(None))
    if get_origin(hint) is Literal:
        return " or ".join(get_args(hint))
    if get_origin(hint) is tuple:
        return "list"
    return VALUES.get(hint, "table")
