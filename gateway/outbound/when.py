"""Does an expression hold for an event? JMESPath and ``is_email()`` (config: ``when``).

Compiled once; a mistake is a ConfigError, unknown functions and numbers of arguments
included, which JMESPath itself would find only with the first event. False are null,
false, "", [] and {}; 0 is true. An error while evaluating, such as
``contains(null, 'x')``, is left to the caller of ``passes``; who asks which events are
meant (``chooses``) is told that this one is not.
"""

from collections.abc import Iterator
from typing import Any

import jmespath
import orjson
from jmespath import functions, lexer, visitor

from gateway.email import is_email
from gateway.errors import ConfigError
from gateway.event import EVENT_FIELDS, Json

COMPARES = frozenset({"eq", "ne", "lt", "lte", "gt", "gte"})
CALLS = frozenset({"lparen", "rparen", "comma"})
BEFORE = COMPARES | {"start", "and", "or", "not", "lparen", "comma", "filter"}
AFTER = COMPARES | {"eof", "and", "or", "rparen", "comma", "rbracket"}
OPENS = frozenset({"lparen", "lbracket", "lbrace", "filter"})
CLOSES = frozenset({"rparen", "rbracket", "rbrace"})
LITERALS = frozenset({"true", "false", "null"})
DEPTH_MAX = 400  # levels of an expression; Python ends at a thousand calls, two a level
SENSELESS = (TypeError, ValueError, ArithmeticError)
"""What JMESPath raises of a value that is not of the kind that an expression wants.

Its own errors are ValueErrors; ``contains('text', null)`` is a TypeError of Python's.
"""
WITHIN = frozenset({"starts_with", "ends_with", "contains"})
PLACES = frozenset({"field", "current", "index", "subexpression", "index_expression"})


TOO_DEEP = (
    f"nests deeper than {DEPTH_MAX} levels: one of many values is asked for with"
    """ contains(`["a", "b"]`, field)"""
)


class _Functions(functions.Functions):
    """JMESPath's own functions and ours."""

    @functions.signature({"types": []})
    def _func_is_email(self, value: Json) -> bool:
        return isinstance(value, str) and is_email(value)


class Filter:
    """A compiled expression over an event; ConfigError names ``place``."""

    def __init__(self, text: str, *, place: str) -> None:
        try:
            self._tree: Any = jmespath.compile(text).parsed
        except ValueError as error:  # JMESPath's own, or a number of too many digits
            raise ConfigError(f"{place}: {text!r} is not JMESPath: {error}") from None
        except RecursionError:
            raise ConfigError(f"{place}: {TOO_DEEP}") from None
        _check_texts(text, place)
        _check(self._tree, place)
        options = visitor.Options(custom_functions=_Functions())
        self._interpreter = visitor.TreeInterpreter(options)
        self._needed = tuple(map(_written, _texts_needed(self._tree)))

    def value(self, event: Json) -> Json:
        """What the expression gives."""
        return self._interpreter.visit(self._tree, event)

    def passes(self, event: Json) -> bool:
        """True when the expression holds."""
        return holds(self.value(event))

    def chooses(self, event: Json) -> bool:
        """True when the expression holds; where it makes no sense it does not."""
        try:
            return self.passes(event)
        except SENSELESS:
            return False

    def surely_passes_over(self, written: bytes) -> bool:
        """Whether an event's JSON alone makes certain that it is not chosen.

        Of many events few have the texts that the expression compares with, and a
        search costs less than to read them all. A text may be written with escapes,
        which a search would not find.
        """
        for text in self._needed:
            if text not in written:
                return b"\\" not in written
        return False


def holds(value: Json) -> bool:
    """JMESPath's truth."""
    if isinstance(value, (str, list, dict)):
        return bool(value)
    return value is not None and value is not False


def _texts_needed(node: Any) -> Iterator[str]:
    """The texts without which it cannot hold: they stand in what it is asked about."""
    if node["type"] == "and_expression":
        for child in node["children"]:
            yield from _texts_needed(child)
    elif node["type"] == "comparator" and node["value"] == "eq":
        one, other = node["children"]
        yield from _text_at(one, other)
        yield from _text_at(other, one)
    elif node["type"] == "function_expression" and node["value"] in WITHIN:
        yield from _text_at(*node["children"])


def _text_at(place: Any, text: Any) -> Iterator[str]:
    is_text = text["type"] == "literal" and isinstance(text["value"], str)
    if is_text and _is_place(place):
        yield text["value"]


def _is_place(node: Any) -> bool:
    """Whether it is a part of the event as it stands, and nothing that is computed."""
    return node["type"] in PLACES and all(map(_is_place, node["children"]))


def _written(text: str) -> bytes:
    """A text inside JSON; half a character is in none, and is not looked for."""
    try:
        return orjson.dumps(text)[1:-1]
    except TypeError:
        return b""


def _check_texts(text: str, place: str) -> None:
    """Raise for a field that was meant as a text or a literal: it would be null.

    JMESPath reads ``plan == "pro"`` and ``active == true`` as fields called so.
    """
    start = {"type": "start", "value": ""}
    tokens: list[Any] = [start, *lexer.Lexer().tokenize(text)]
    inside: list[str] = []
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        kinds = before["type"], after["type"]
        if token["type"] in OPENS:
            inside.append(token["type"])
        elif token["type"] in CLOSES and inside:
            inside.pop()
        compared = not COMPARES.isdisjoint(kinds)
        given = inside[-1:] == ["lparen"] and not CALLS.isdisjoint(kinds)
        alone = kinds[0] in BEFORE and kinds[1] in AFTER
        if alone and (compared or given):
            _check_operand(token["type"], token["value"], place)


def _check_operand(kind: str, name: Json, place: str) -> None:
    if kind == "quoted_identifier" and name not in EVENT_FIELDS:
        said = f"a text is '{name}', the field is @.\"{name}\""
        raise ConfigError(f'{place}: "{name}" in double quotes is a field: {said}')
    if kind == "unquoted_identifier" and name in LITERALS:
        raise ConfigError(f"{place}: {name} is read as a field: write `{name}`")


def _check(node: Any, place: str, depth: int = 1) -> None:
    if depth > DEPTH_MAX:
        raise ConfigError(f"{place}: {TOO_DEEP}")
    if node["type"] == "function_expression":
        _check_call(node["value"], len(node["children"]), place)
    for child in node["children"]:
        if isinstance(child, dict):
            _check(child, place, depth + 1)


def _check_call(name: str, given: int, place: str) -> None:
    known = _Functions.FUNCTION_TABLE
    if name not in known:
        names = ", ".join(sorted(known))
        raise ConfigError(f"{place}: unknown function {name}(); known are: {names}")
    signature = known[name]["signature"]
    variadic = bool(signature and signature[-1].get("variadic"))
    if given < len(signature) or (given > len(signature) and not variadic):
        wanted = f"{'at least ' if variadic else ''}{len(signature)}"
        raise ConfigError(f"{place}: {name}() takes {wanted} arguments, not {given}")
