"""Does an expression hold for an event? JMESPath and ``is_email()`` (config: ``when``).

Compiled once; a mistake is a ConfigError, unknown functions and numbers of arguments
included, which JMESPath itself would find only with the first event. False are null,
false, "", [] and {}; 0 is true. An error while evaluating, such as
``contains(null, 'x')``, is left to the caller.
"""

import re
from typing import Any

import jmespath
from jmespath import exceptions, functions, visitor

from gateway.errors import ConfigError
from gateway.event import Json

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def is_email(value: Json) -> bool:
    """True for a text that is an address; False for everything else, null included."""
    return isinstance(value, str) and EMAIL.fullmatch(value) is not None


class _Functions(functions.Functions):
    """JMESPath's own functions and ours."""

    @functions.signature({"types": []})
    def _func_is_email(self, value: Json) -> bool:
        return is_email(value)


class Filter:
    """A compiled expression over an event; ConfigError names ``place``."""

    def __init__(self, text: str, *, place: str) -> None:
        try:
            self._tree: Any = jmespath.compile(text).parsed
        except exceptions.JMESPathError as error:
            raise ConfigError(f"{place}: {text!r} is not JMESPath: {error}") from None
        _check(self._tree, place)
        options = visitor.Options(custom_functions=_Functions())
        self._interpreter = visitor.TreeInterpreter(options)

    def value(self, event: Json) -> Json:
        """What the expression gives."""
        return self._interpreter.visit(self._tree, event)

    def passes(self, event: Json) -> bool:
        """True when the expression holds."""
        return holds(self.value(event))


def holds(value: Json) -> bool:
    """JMESPath's truth."""
    if isinstance(value, (str, list, dict)):
        return bool(value)
    return value is not None and value is not False


def _check(node: Any, place: str) -> None:
    if node["type"] == "function_expression":
        _check_call(node["value"], len(node["children"]), place)
    for child in node["children"]:
        if isinstance(child, dict):
            _check(child, place)


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
