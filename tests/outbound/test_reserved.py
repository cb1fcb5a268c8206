"""Reserved traits and their fields: either spelling, any form, nothing lost."""

import copy
from typing import Any

import pytest

from gateway.outbound.reserved import (
    Field,
    Placed,
    at_ms,
    full_name,
    iso_date,
    left_out,
    placed,
    text,
    unix_ms,
    unix_s,
    whole,
)

TABLE = {
    "createdAt": Field("since", unix_s),
    "address.postalCode": Field("zip", text),
    "phone": Field("phone", text),
}


@pytest.mark.parametrize("created", ["createdAt", "created_at"])
@pytest.mark.parametrize("code", ["postalCode", "postal_code"])
def test_either_spelling_is_the_same_trait(created: str, code: str) -> None:
    traits = {created: 1710144930, "address": {code: 89073, "city": "Ulm"}, "own": 1}
    before = copy.deepcopy(traits)
    assert placed(traits, TABLE) == Placed(
        {"since": 1710144930, "zip": "89073"},
        {"address": {"city": "Ulm"}, "own": 1},
        [],
    )
    assert traits == before  # others read them, too


def test_of_both_spellings_the_canonical_is_taken_and_the_other_is_not_sent() -> None:
    traits = {"created_at": 1, "createdAt": 1710144930}
    assert placed(traits, TABLE) == Placed({"since": 1710144930}, {}, [])


@pytest.mark.parametrize(
    ("traits", "lost"),
    [
        ({"createdAt": "tuesday"}, ["traits.createdAt (not unix seconds)"]),
        ({"phone": {"home": 1}}, ["traits.phone (not a text)"]),
        ({"address": {"postalCode": True}}, ["traits.address.postalCode (not a text)"]),
    ],
)
def test_what_cannot_be_placed_is_named_without_its_value(
    traits: Any, lost: list[str]
) -> None:
    assert placed(traits, TABLE) == Placed({}, {}, lost)


@pytest.mark.parametrize("traits", [None, [], "x", {}, {"address": None}])
def test_what_are_no_traits_have_no_fields(traits: Any) -> None:
    assert placed(traits, TABLE).fields == {}


def test_a_null_keeps_its_place_where_there_are_nulls() -> None:
    assert placed({"phone": None}, TABLE).fields == {"phone": None}
    assert placed({"phone": None}, TABLE, nulls=False) == Placed({}, {}, [])


@pytest.mark.parametrize(
    ("form", "value", "read"),
    [
        (unix_s, "2024-03-11T09:15:30.999+01:00", 1710144930),
        (unix_ms, 1710144930, 1710144930000),
        (iso_date, "2024-03-11", "2024-03-11T00:00:00.000Z"),
        (text, 4.0, "4"),
        (text, True, None),
        (whole, 12.9, 12),
        (whole, 2**31, None),
        (whole, True, None),
    ],
)
def test_a_form(form: Any, value: Any, read: Any) -> None:
    assert form(value) == read


@pytest.mark.parametrize(
    ("traits", "name"),
    [
        ({"name": "N", "firstName": "F"}, "N"),
        ({"first_name": "F", "lastName": "L"}, "F L"),
        ({"lastName": "L", "firstName": ""}, "L"),
        ({"name": 7, "firstName": None}, None),
    ],
)
def test_a_full_name_is_what_there_is(traits: Any, name: Any) -> None:
    assert full_name(traits) == name


def test_an_event_happened_at_its_timestamp_or_when_it_came() -> None:
    received = "2026-01-15T10:12:14.100Z"
    for timestamp in (None, "soon", 5):
        assert at_ms({"timestamp": timestamp, "receivedAt": received}) == 1768471934100
    assert at_ms({"timestamp": 1768471933456, "receivedAt": received}) == 1768471933456


def test_a_detail_is_bounded() -> None:
    assert left_out([]) == ""
    assert len(left_out(["traits.x (why)"] * 1_000)) == 1_000
