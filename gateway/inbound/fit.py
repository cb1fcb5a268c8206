"""Whether a message can be an event: how large it is, how deep, what it holds.

Whatever came, finding out costs no more than a small multiple of its own size. Size is
asked first: it is cheap to know, and what is too large is not walked at all.
"""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from typing import TypeAlias

import orjson

from gateway.config import NESTING_MAX
from gateway.event import Json
from gateway.inbound.refusal import FAULTS_MAX, Fault, pointer

INTEGER_MIN, INTEGER_END = -(2**63), 2**64  # what orjson reads and writes exactly
ENVELOPE_DEPTH = 2  # the body's object and its batch array
NOTHING_LEFT = None, None
Flaw: TypeAlias = tuple[str, str]  # a fault's text and code; where, its finder knows


def brackets(json_text: bytes) -> int:
    """How many containers it has at most: no text is nested deeper than that."""
    return json_text.count(b"{") + json_text.count(b"[")


def weigh(message: Json, nesting: int, limit: int | None = None) -> tuple[int, bool]:
    """Its length as compact UTF-8 JSON, and whether ``flaws`` must look how deep it is.

    What is larger than ``limit`` is not walked: its size is enough to refuse it. What
    is far too deep is cut out in place, so that it can be written at all.
    """
    try:
        compact = orjson.dumps(message)
    except TypeError:  # too deep to be written, or what only ``flaws`` can name
        size = message_bytes(message)
        if limit is None or size <= limit:
            cut_deep(message, nesting)
        return size, True
    size = len(compact)
    if (limit is not None and size > limit) or brackets(compact) <= nesting:
        return size, False
    return size, cut_deep(message, nesting)


def message_bytes(message: Json) -> int:
    """Its length as compact UTF-8 JSON: what the limit of a message is about."""
    try:
        return len(orjson.dumps(message))
    except TypeError:
        # A lone surrogate is as long as its escape; integers may be of any size.
        return len(written(message).encode("utf-8", "backslashreplace"))


def written(message: Json, *, ascii_only: bool = False) -> str:
    """Compact JSON by the standard library, which writes what orjson does not."""
    write = partial(json.dumps, ensure_ascii=ascii_only, separators=(",", ":"))
    try:
        return write(message)
    except RecursionError:  # it was read a little higher on the stack
        cut_deep(message, NESTING_MAX)
        return write(message)


def cut_deep(value: Json, nesting: int) -> bool:
    """Whether it is nested deeper than ``nesting``; in place, what is far deeper goes.

    Level by level, without recursion. A little more than the limit is kept, so that
    ``flaws`` finds it in a message of a batch too.
    """
    level = [value] if isinstance(value, dict | list) else []
    depth = 0
    while level:
        depth += 1
        if depth > nesting + ENVELOPE_DEPTH + 1:
            for container in level:
                container.clear()
            return True
        level = [
            item
            for each in level
            for item in (each.values() if type(each) is dict else each)
            if type(item) is dict or type(item) is list
        ]
    return depth > nesting


def flaws(value: Json, nesting: int) -> list[Fault]:
    """What no event can hold, by pointer: in values and in keys, the first ten.

    It knows where it is by the keys on the way there; a pointer is made for a fault
    alone. Ask it only of what is known not to be too large: it walks all of it.
    """
    faults: list[Fault] = []
    way: list[str | int] = [""]  # the key of what each of ``open_`` is at
    open_: list[Iterator[tuple[str | int, Json]]] = [iter([("", value)])]
    while open_ and len(faults) < FAULTS_MAX:
        key, item = next(open_[-1], NOTHING_LEFT)
        if key is None:
            open_.pop()
            way.pop()
            continue
        way[-1] = key
        if not isinstance(item, dict | list):
            if (flaw := _scalar_flaw(item)) is not None:
                faults.append(Fault(pointer(way[1:]), *flaw))
        elif len(open_) > nesting:
            text = f"nested deeper than {nesting}"
            faults.append(Fault(pointer(way[1:]), text, "too_large"))
        else:
            pairs = item.items() if isinstance(item, dict) else enumerate(item)
            if isinstance(item, dict):
                faults += _key_flaws(item, way[1:])
            open_.append(iter(pairs))
            way.append("")
    return faults[:FAULTS_MAX]


def _key_flaws(item: Mapping[str, Json], way: list[str | int]) -> list[Fault]:
    """Of an object's keys: ten are more than enough."""
    found = (
        Fault(pointer([*way, key]), *flaw)
        for key in item
        if (flaw := _text_flaw(key, "a key")) is not None
    )
    return list(islice(found, FAULTS_MAX))


def _scalar_flaw(value: Json) -> Flaw | None:
    if isinstance(value, str):
        return _text_flaw(value, "a string")
    if isinstance(value, float) and not abs(value) < float("inf"):
        text = "NaN, Infinity and numbers as large are not numbers in JSON"
        return text, "not_a_number"
    if isinstance(value, int) and not INTEGER_MIN <= value < INTEGER_END:
        text = "an integer must be from -2^63 to 2^64 - 1; send it as a string"
        return text, "integer_range"
    return None


def _text_flaw(text: str, what: str) -> Flaw | None:
    if "\0" in text:
        return f"{what} holds the character U+0000", "nul"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{what} holds half a surrogate pair", "surrogate"
    return None
