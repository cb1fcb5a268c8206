"""The filter of ``POST /v1/customers``: JSON -> does this person match. Pure.

``and``, ``or`` (lists), ``not``, ``attribute`` {field, operator: eq or exists, value}.
Segments are not kept: nobody is in one. It is asked of a person's attributes as the
look-up API shows them.
"""

from collections.abc import Callable, Iterator, Mapping

from gateway.event import Json
from gateway.workspace.answers import as_text

DEPTH_MAX = 20
CONDITIONS_MAX = 1_000
Matches = Callable[[Mapping[str, str]], bool]


class FilterError(ValueError):
    """The filter cannot be read; the text says where."""


def compiled(given: Json) -> Matches:
    """What the filter means, or FilterError."""
    left = iter(range(CONDITIONS_MAX))
    return _compiled(given, "filter", 0, left)


def _compiled(given: Json, place: str, depth: int, left: Iterator[int]) -> Matches:
    if next(left, None) is None:
        raise FilterError(f"{place}: more than {CONDITIONS_MAX} conditions")
    if not isinstance(given, dict) or len(given) != 1 or depth > DEPTH_MAX:
        raise FilterError(f"{place}: not one of and, or, not, attribute, segment")
    ((verb, inner),) = given.items()
    below = f"{place}.{verb}"
    if verb in ("and", "or") and isinstance(inner, list):
        parts = [
            _compiled(each, f"{below}.{number}", depth + 1, left)
            for number, each in enumerate(inner)
        ]
        join = all if verb == "and" else any
        return lambda shown: join(part(shown) for part in parts)
    if verb == "not":
        part = _compiled(inner, below, depth + 1, left)
        return lambda shown: not part(shown)
    if verb == "segment":
        return lambda shown: False  # noqa: ARG005 -- whoever it is
    if verb == "attribute" and isinstance(inner, dict):
        return _attribute(inner, below)
    raise FilterError(f"{below}: not one of and, or, not, attribute, segment")


def _attribute(inner: dict[str, Json], place: str) -> Matches:
    field, operator = inner.get("field"), inner.get("operator")
    if not isinstance(field, str):
        raise FilterError(f"{place}.field: not a text")
    if operator == "exists":
        return lambda shown: field in shown
    if operator != "eq":
        raise FilterError(f"{place}.operator: not eq or exists")
    value = as_text(inner.get("value"))
    if field == "email":
        folded = value.lower()
        return lambda shown: shown.get(field, "").lower() == folded
    return lambda shown: shown.get(field) == value
