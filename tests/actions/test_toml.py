"""What is written as TOML is read as it was."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.actions import toml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(TEXTS, VALUES)
def test_any_value_under_any_key_is_read_as_it_was(key: str, value: Any) -> None:
    text = f"{toml.key(key)} = {toml.value(value)}"
    assert tomllib.loads(text) == {key: value}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('type = "identify"', "'type = \"identify\"'"),
        ('it\'s "x"', '"it\'s \\"x\\""'),
        ("plain", '"plain"'),
        ("a\x7fb\n", '"a\\u007fb\\n"'),
        ("\ud800", '"?"'),
        (None, '""'),
        ({"@path": "$.a", "b": [1, True]}, '{ "@path" = "$.a", b = [1, true] }'),
        ({"a": None, "b": [None]}, '{ b = [""] }'),
        ({}, "{}"),
    ],
)
def test_it_is_written_so_that_it_is_read_well(value: Any, text: str) -> None:
    assert toml.value(value) == text


@given(TEXTS)
def test_a_comment_is_a_comment_whatever_stands_in_it(said: str) -> None:
    assert tomllib.loads(f"{toml.comment(said)}\na = 1\n") == {"a": 1}
