"""Times as they are written and asked with."""

import pytest

from gateway.event import iso, unix_ms

FIRST, LAST = "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"


@pytest.mark.parametrize("text", [FIRST, LAST, "0999-12-31T23:59:59.001Z"])
def test_what_is_written_can_be_read(text: str) -> None:
    assert iso(unix_ms(text)) == text


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T01:00+01:00", 0),
        ("1969-12-31T23:59:59.999999", -1),
        ("9999-12-31T23:59:59.999999", 253_402_300_799_999),
    ],
)
def test_a_part_of_a_millisecond_is_left_out(text: str, ms: int) -> None:
    assert unix_ms(text) == ms


@pytest.mark.parametrize(
    "text",
    ["", "12:00", "2026-02-30", "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"],
)
def test_a_time_in_no_year_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        unix_ms(text)
