"""Numbers and times as they are read."""

import pytest

from gateway.console import words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "-"),
        (0, "0"),
        (0.25, "0.25"),
        (7.5, "7.5"),
        (12.4, "12"),
        (1_234, "1.23k"),
        (2_500_000, "2.5M"),
    ],
)
def test_a_rate(value, said):
    assert words.rate(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "-"), (0, "0 %"), (0.00001, "< 0.01 %"), (0.0123, "1.2 %"), (1, "100 %")],
)
def test_a_share(value, said):
    assert words.share(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "-"),
        (0.00034, "340 µs"),
        (0.0123, "12.3 ms"),
        (1.5, "1.5 s"),
        (600, "10 min"),
        (7_200, "2 h"),
    ],
)
def test_a_duration(value, said):
    assert words.seconds(value) == said


@pytest.mark.parametrize(
    ("passed_ms", "said"),
    [
        (500, "just now"),
        (12_000, "12 s ago"),
        (180_000, "3 min ago"),
        (172_800_000, "2 d ago"),
        (-5_000, "just now"),
    ],
)
def test_how_long_ago(passed_ms, said):
    assert words.ago(1_800_000_000_000 - passed_ms, 1_800_000_000_000) == said


def test_never_and_counts_and_sizes():
    assert words.ago(None, 0) == "never"
    assert words.number(1234567) == "1,234,567"
    assert words.size(999) == "999 B"
    assert words.size(1_500_000) == "1.5 MB"
    assert words.clock(1_800_000_000_000) == "08:00:00"
    assert words.day(1_800_000_000_000) == "2027-01-15 08:00:00"
