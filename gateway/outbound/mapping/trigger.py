"""A trigger: does an event call for an action? Compiled once, asked of each event."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from gateway.event import EVENT_TYPES, EventType, Json
from gateway.outbound.mapping import fql
from gateway.outbound.mapping.fql import Condition, Group, Operator, Tree
from gateway.outbound.mapping.path import MISSING, Run, reader

Holds: TypeAlias = Callable[[dict[str, Json]], bool]
ALL: frozenset[EventType] = frozenset(EVENT_TYPES)


class _Part(NamedTuple):
    """A condition or several; ``parts`` are those of which each must hold."""

    text: str
    holds: Holds
    parts: "tuple[_Part, ...]"


class Trigger:
    """Says of an event whether it holds; ``text`` is how it was written."""

    __slots__ = ("_holds", "_whole", "text", "types")

    text: str
    types: frozenset[EventType] | None
    """The types that it can hold for; None is all of them."""

    def __init__(self, text: str, *, place: str) -> None:
        self.text = text
        tree = fql.tree(text, place=place)
        self._whole = _compiled(tree)
        self._holds = self._whole.holds
        types = _types(tree)
        self.types = None if types == ALL else types

    def __call__(self, event: dict[str, Json]) -> bool:
        """True when it holds."""
        return self._holds(event)

    def because(self, event: dict[str, Json]) -> str | None:
        """The first condition that said no, readable; None when the trigger holds.

        Of an `or` it is the whole: each of its parts said no.
        """
        part = self._whole
        if part.holds(event):
            return None
        while part.parts:
            part = next(each for each in part.parts if not each.holds(event))
        return f"trigger: {part.text} is false"


def parse(text: str, *, place: str = "trigger") -> Trigger:
    """The trigger of a text; ConfigError names ``place``, the column and the remedy."""
    return Trigger(text, place=place)


def _types(tree: Tree) -> frozenset[EventType]:
    if isinstance(tree, Group):
        sets = [_types(each) for each in tree.parts]
        if tree.word == "and":
            return ALL.intersection(*sets)
        return frozenset().union(*sets)
    if tree.subject != "type":
        return ALL
    equal = tree.operator == "="
    return frozenset(each for each in ALL if (each == tree.value) is equal)


def _compiled(tree: Tree) -> _Part:
    if isinstance(tree, Condition):
        return _Part(tree.text, _condition(tree), ())
    parts = tuple(map(_compiled, tree.parts))
    join = _both if tree.word == "and" else _either
    *others, holds = [each.holds for each in parts]
    for other in reversed(others):
        holds = join(other, holds)
    return _Part(tree.text, holds, parts if tree.word == "and" else ())


def _both(one: Holds, two: Holds) -> Holds:
    return lambda event: one(event) and two(event)


def _either(one: Holds, two: Holds) -> Holds:
    return lambda event: one(event) or two(event)


def _condition(asked: Condition) -> Holds:
    read = reader((asked.subject, *asked.keys))
    if isinstance(asked.value, bool):
        return _is(read, wanted=asked.value)
    if isinstance(asked.value, (int, float)):
        return _compares(read, asked.operator, asked.value)
    if isinstance(asked.value, str) and asked.operator in {"=", "!="}:
        if asked.operator == "=" and not asked.keys:
            return _text_is(asked.subject, asked.value)
        return _equals(read, asked.value, wanted=asked.operator == "=")
    if asked.value is None:
        return _exists(read, wanted=asked.operator == "exists")
    return _of_text(read, asked.operator, asked.value)


def _text_is(key: str, wanted: str) -> Holds:
    """What most triggers begin with: the type, the event's name."""
    return lambda event: event.get(key) == wanted


def _equals(read: Run, value: str, *, wanted: bool) -> Holds:
    return lambda event: (read(event) == value) is wanted


def _is(read: Run, *, wanted: bool) -> Holds:
    return lambda event: read(event) is wanted


def _exists(read: Run, *, wanted: bool) -> Holds:
    def holds(event: dict[str, Json]) -> bool:
        found = read(event)
        return (found is not None and found is not MISSING) is wanted

    return holds


ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _compares(read: Run, operator: Operator, value: float) -> Holds:
    """Of numbers only: what is no number, or not there, is not `!= 5` either."""
    order = ORDERS[operator]

    def holds(event: dict[str, Json]) -> bool:
        found = read(event)
        number = found.__class__ is int or found.__class__ is float
        return number and order(found, value)

    return holds


ASKS: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "lacks": lambda text, part: part not in text,
    "starts": lambda text, part: text.startswith(part),
    "starts_not": lambda text, part: not text.startswith(part),
    "ends": lambda text, part: text.endswith(part),
    "ends_not": lambda text, part: not text.endswith(part),
}


def _of_text(read: Run, operator: Operator, part: str) -> Holds:
    """Of texts only: what is no text, or not there, neither contains nor lacks it."""
    asks = ASKS[operator]

    def holds(event: dict[str, Json]) -> bool:
        found = read(event)
        return found.__class__ is str and asks(found, part)

    return holds
