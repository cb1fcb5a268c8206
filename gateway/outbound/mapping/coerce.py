"""What JavaScript makes of a value: its text, its JSON, its truth, its blankness."""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal

import orjson

from gateway.event import Json
from gateway.outbound.mapping.path import INDEX, MISSING

LARGE = 21  # digits before the point: from there on a number is written as 1e+21
SMALL = -6  # zeros after the point: beyond them as 1e-7


def text_of(value: Json) -> str:
    """What stands where a value is put into a text."""
    if isinstance(value, str):
        return value
    if value is None or value is MISSING:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, list):
        return ",".join(map(text_of, value))
    return "[object Object]"


def number_text(value: float) -> str:
    """A number in the shortest form that reads back the same; whole ones stay exact."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if value == 0:
        return "0"
    sign, figures, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, figures))
    point = len(digits) + exponent
    digits = digits.rstrip("0")
    return ("-" if sign else "") + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    """Digits with their point, which stands after so many of them."""
    if SMALL < point <= LARGE:
        if point <= 0:
            return f"0.{'0' * -point}{digits}"
        if point >= len(digits):
            return digits.ljust(point, "0")
        return f"{digits[:point]}.{digits[point:]}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{rest}e{point - 1:+d}"


def json_of(value: Json) -> str:
    """``JSON.stringify``; what is missing is left out of objects, null in lists."""
    if isinstance(value, dict):
        pairs = _ordered(value)
        return f"{{{','.join(f'{_quoted(k)}:{json_of(v)}' for k, v in pairs)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(json_of, value))}]"
    if isinstance(value, str):
        return _quoted(value)
    if value is None or value is MISSING:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return text_of(value)


def _ordered(value: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """An object's keys as JavaScript lists them: whole numbers first, by size."""
    numbers = sorted((each for each in value if INDEX.fullmatch(each)), key=int)
    for key in (*numbers, *(each for each in value if not INDEX.fullmatch(each))):
        if value[key] is not MISSING:
            yield key, value[key]


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def truthy(value: Json) -> bool:
    """JavaScript's truth: every object and list is true, empty ones too."""
    if value is MISSING:
        return False
    return isinstance(value, (dict, list)) or bool(value)


def is_blank(value: Json) -> bool:
    """Whether ``value == ""`` or nothing is there; so 0, false and [] are blank."""
    if isinstance(value, (list, str)):
        return text_of(value) == ""
    return value is None or value is MISSING or not truthy(value)


def kind_of(value: Json) -> str:
    """What a value is, in the words of an error."""
    if value is MISSING:
        return "nothing"
    kinds: Mapping[type, str] = {
        type(None): "null",
        str: "a text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
    }
    return kinds.get(type(value), "a time")
