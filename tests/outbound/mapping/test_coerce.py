"""Values become texts and JSON as JavaScript makes them."""

import math
from typing import Any

import pytest

from gateway.outbound.mapping.coerce import is_blank, json_of, text_of
from gateway.outbound.mapping.path import MISSING


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (5.0, "5"),
        (-0.0, "0"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (0.000001, "0.000001"),
        (0.0000001, "1e-7"),
        (1.25e-10, "1.25e-10"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (-1.5e300, "-1.5e+300"),
        (2**63 + 1, "9223372036854775809"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        (MISSING, ""),
        ([1, [2, None], {}], "1,2,,[object Object]"),
    ],
)
def test_a_value_in_a_text(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {"b": 1.0, "2": "é\n", "a": MISSING, "10": None, "01": []},
            '{"2":"é\\n","10":null,"b":1,"01":[]}',
        ),
        ([MISSING, math.nan, True], "[null,null,true]"),
        ('\u2028\u0001"', '"\u2028\\u0001\\""'),
    ],
)
def test_a_value_as_json(value: Any, text: str) -> None:
    assert json_of(value) == text


BLANK: list[Any] = [None, MISSING, "", 0, 0.0, False, [], [None], [[""]]]
FULL: list[Any] = [" ", "0", 1, True, {}, [0], [None, None]]


@pytest.mark.parametrize(
    ("value", "blank"),
    [*((each, True) for each in BLANK), *((each, False) for each in FULL)],
)
def test_a_value_that_equals_an_empty_text_is_blank(value: Any, blank: bool) -> None:  # noqa: FBT001 -- a parameter of the case
    assert is_blank(value) is blank
