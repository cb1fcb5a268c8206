"""A plot's lines, axes and words."""

import pytest

from gateway.console import words
from gateway.console.plot import HEIGHT, WIDTH, ceiling, plot, spark


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (0.3, 0.5), (1, 1), (1.01, 2), (37, 50), (0.0021, 0.0025), (999, 1_000)],
)
def test_an_axis_ends_at_a_number_that_reads_well(value, top):
    assert ceiling(value) == pytest.approx(top)


def test_what_is_not_known_is_a_gap():
    line, area = spark([1.0, None, 2.0, 2.0])
    assert line.count("M") == 2
    assert area.count("Z") == 2
    assert spark([None, None]) == ("", "")
    assert spark([]) == ("", "")


def test_a_line_stays_within_its_frame():
    line, _ = spark([0.0, 5.0, 10.0])
    points = [pair.split() for pair in line.replace("M", "").split(" L")]
    assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in points)
    assert float(points[0][1]) > float(points[2][1])  # more is higher


def test_a_plot_says_in_words_what_it_shows():
    made = plot(
        "Messages a second",
        [("accepted", "one", [1.0, 8.0, 4.0]), ("refused", "bad", [None, None, None])],
        times=["12:00", "12:01", "12:02"],
        say=words.rate,
    )
    assert made.summary == "Messages a second: accepted now 4, at most 8"
    assert (made.top, made.middle) == ("10", "5")
    assert [line.last for line in made.lines] == ["4", "-"]
    assert made.spots[1].text == "12:01 · accepted 8"


def test_a_plot_of_nothing_says_so():
    made = plot("Lag", [("crm", "one", [])], times=[], say=words.rate)
    assert made.summary == "Lag: nothing known yet"
    assert made.spots == []
