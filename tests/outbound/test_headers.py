"""Which actions a record is about: those that refused it, those that are repeated."""

from typing import Any

import orjson
import pytest

from gateway.outbound.contract import Outcome
from gateway.outbound.headers import repeated
from gateway.outbound.settle import Attempts, entries_of

AT_MS = 1_768_472_000_123


def test_an_outcome_names_the_actions_that_refused_or_were_repeated(
    record: Any,
) -> None:
    again = record(7, replay="r1")
    again = again._replace(headers=(*again.headers, ("actions", b'["a","b"]')))
    assert repeated(again.headers) == frozenset({"a", "b"})
    refused = Outcome(kind="dead", more={"actions": ["b"], "delivered": ["a"]})
    for given, outcome, names in (
        (again, Outcome(kind="delivered"), ["a", "b"]),
        (again, refused, ["b"]),
        (record(7), refused, ["b"]),
        (record(7), Outcome(kind="delivered"), None),
        (record(7), Outcome(kind="dead", more={"actions": 7}), None),
    ):
        told, *_ = entries_of("crm", given, outcome, Attempts(1), AT_MS)
        assert orjson.loads(told.value).get("actions") == names


@pytest.mark.parametrize("value", [b"", b"{", b"7", b"null", b"[]"])
def test_a_header_of_another_make_names_no_actions(value: bytes) -> None:
    assert repeated((("actions", value),)) is None
