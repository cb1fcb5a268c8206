"""A function of the operator that changes events on their way to one destination.

``transform = "transforms/shop.py:clean"``: it is given the event, may write into it,
and gives back what is sent on, or None to leave the event out. The file is run once, as
a module of its own. It is asked before every attempt, of the event as the log has it;
whom an event is for, its order, and what tells it apart, stay what they were.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import ModuleType, TracebackType
from typing import Any

import orjson

from gateway.errors import ConfigError
from gateway.event import Event, EventType, Json
from gateway.mistakes import meant
from gateway.notices import Notice
from gateway.outbound.contract import Delivery, Outcome, Rejected

SLOW_S = 0.05  # the loop stood still so long
FAILS = (Exception, SystemExit)
"""What an operator's code may do, and be told of; an interrupt is not its own."""


@dataclass(frozen=True, slots=True)
class Transform:
    """One function, of one file."""

    file: Path
    name: str
    function: Callable[[dict[str, Json]], Any]

    def __str__(self) -> str:
        return f"{self.file.name}:{self.name}"


def load(where: Path, *, place: str = "transform") -> Transform:
    """The function at FILE.py:NAME; ConfigError says what is wrong with it."""
    file, colon, name = str(where).rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        text = 'is not FILE.py:FUNCTION, such as "transforms/shop.py:clean"'
        raise ConfigError(f"{place}: {text}")
    try:
        module = _module(Path(file))
    except FAILS as error:
        raise ConfigError(f"{place}: {_why(Path(file), error)}") from error
    found: Any = vars(module).get(name)
    if (wrong := _unfit(found)) is not None:
        known = [key for key, each in vars(module).items() if inspect.isfunction(each)]
        nearest = meant(name, known) if found is None else ""
        raise ConfigError(f"{place}: {Path(file).name}: {name} {wrong}{nearest}")
    return Transform(Path(file), name, found)


@functools.cache
def _module(file: Path) -> ModuleType:
    """The file, run once in a namespace of its own."""
    module = ModuleType(f"transform:{file}")
    vars(module)["__file__"] = str(file)
    code = compile(file.read_bytes(), str(file), "exec")
    sys.modules[module.__name__] = module  # where dataclasses look for their module
    try:
        exec(code, vars(module))  # noqa: S102 -- the operator's own
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def _why(file: Path, error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename == str(file):
        return f"{file}: cannot be read: {error.strerror}"
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f"{file.name}:{error.lineno}: {error.msg}"
    return f"{_at(file, error)}: {type(error).__name__}: {error}"


def _unfit(found: Any) -> str | None:
    if found is None:
        return "is not there"
    if not callable(found):
        return "is no function"
    if any(map(inspect.iscoroutinefunction, (found, type(found).__call__))):
        return "is async: a transform is a plain function"
    try:
        inspect.signature(found).bind({})
    except TypeError:
        return "does not take one argument, the event"
    except ValueError:  # some of Python's own do not say
        return None
    return None


def asking(
    transform: Transform,
    types: frozenset[EventType],
    tell: Callable[[Notice], None],
) -> Callable[[Delivery], Delivery | Outcome | Rejected]:
    """What a gate asks; ``types`` are those that the destination takes."""
    left_out = Outcome(kind="filtered", reason="transform")
    not_taken = Outcome(kind="filtered", reason="type")
    slow = Notice("transform_slow", str(transform))

    def ask(going: Delivery) -> Delivery | Outcome | Rejected:
        event = going.event
        began_s = perf_counter()
        made = _made(transform, event.body)  # read anew for this attempt: nobody else's
        if perf_counter() - began_s > SLOW_S:
            tell(slow)
        if isinstance(made, Rejected):
            return made
        if made is None:
            return left_out
        body = orjson.loads(made)
        if body.get("type") not in types:
            return not_taken
        event = Event(event[0], body["type"], *event[2:5], body)
        return going.changed(event, made)

    return ask


def _made(transform: Transform, body: dict[str, Json]) -> bytes | Rejected | None:
    """What the function gives, as JSON."""
    try:
        found = transform.function(body)
    except FAILS as error:
        at = _at(transform.file, error)
        return _failed(f"{type(error).__name__} in {at}")
    if found is None:
        return None
    if not isinstance(found, dict):
        return _failed(f"{transform} gives neither an event nor None")
    try:
        return orjson.dumps(found)
    except TypeError:  # says which value: not for a dead letter
        return _failed(f"{transform} gives what is no JSON")


def _failed(why: str) -> Rejected:
    return Rejected("bug", f"transform: {why}", unsent=True)


def _at(file: Path, error: BaseException) -> str:
    """The innermost line of the file that an error went through."""
    trace: TracebackType | None = error.__traceback__
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{file.name}:{line}" if line else file.name
