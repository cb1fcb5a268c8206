"""The filter of ``POST /v1/customers``: JSON -> does this person match. Pure.

``and``, ``or`` (lists), ``not``, ``attribute`` {field, operator: eq or exists, value}.
Segments are not kept: nobody is in one.
"""

from collections.abc import Callable

from gateway.event import Json
from gateway.workspace.answers import as_text, attributes
from gateway.workspace.people import Person

DEPTH_MAX = 20
Matches = Callable[[Person], bool]


class FilterError(ValueError):
    """The filter cannot be read; the text says where."""


def compiled(given: Json, place: str = "filter", depth: int = 0) -> Matches:
    """What the filter means, or FilterError."""
    if not isinstance(given, dict) or len(given) != 1 or depth > DEPTH_MAX:
        raise FilterError(f"{place}: not one of and, or, not, attribute, segment")
    ((verb, inner),) = given.items()
    below = f"{place}.{verb}"
    if verb in ("and", "or") and isinstance(inner, list):
        parts = [
            compiled(each, f"{below}.{number}", depth + 1)
            for number, each in enumerate(inner)
        ]
        join = all if verb == "and" else any
        return lambda person: join(part(person) for part in parts)
    if verb == "not":
        part = compiled(inner, below, depth + 1)
        return lambda person: not part(person)
    if verb == "segment":
        return lambda person: False  # noqa: ARG005 -- whoever it is
    if verb == "attribute" and isinstance(inner, dict):
        return _attribute(inner, below)
    raise FilterError(f"{below}: not one of and, or, not, attribute, segment")


def _attribute(inner: dict[str, Json], place: str) -> Matches:
    field, operator = inner.get("field"), inner.get("operator")
    if not isinstance(field, str):
        raise FilterError(f"{place}.field: not a text")
    if operator == "exists":
        return lambda person: field in attributes(person)
    if operator != "eq":
        raise FilterError(f"{place}.operator: not eq or exists")
    value = as_text(inner.get("value"))
    if field == "email":
        return lambda person: attributes(person).get(field, "").lower() == value.lower()
    return lambda person: attributes(person).get(field) == value
