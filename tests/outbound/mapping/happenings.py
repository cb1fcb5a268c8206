"""Events of chance, of keys and values few enough to meet each other."""

from typing import Any

from hypothesis import strategies as st

from gateway.event import PIPELINE_TYPES

KEYS = ["a", "b", "ab", "0", "1", "length", "first name", "x-1", "and", "or", "é"]
TEXTS = ["", "a", "b", "ab", "A b", "5", "true", "null", "a*b", "*", "Straße"]
NUMBERS = [0, 1, 5, -1, 5.5, -0.5, 1e21, 1e-7, 123456789012345680000.0, 2**53, 1.5e300]
LETTERS = "aAbB 0$&'`ßΣσς.éÉİK\"\\\n"
texts = st.sampled_from(TEXTS) | st.text(LETTERS, max_size=6)
numbers = st.sampled_from(NUMBERS) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | texts | numbers
keys = st.sampled_from(KEYS)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys | st.just(""), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(keys, values, max_size=4)
events: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"type": st.sampled_from(PIPELINE_TYPES)},
    optional={
        "event": texts,
        "name": texts,
        "userId": texts,
        "traits": objects,
        "properties": objects,
        "context": objects,
    },
)
