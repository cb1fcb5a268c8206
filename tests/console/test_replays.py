"""What a form asks for, and what an example shows."""

import pytest

from gateway.console.replays import asked_of, beside
from gateway.errors import ConfigError


def test_a_form_asks_as_the_command_line_does():
    assert asked_of(
        {
            "topic": "events",
            "to": "crm",
            "from": "2026-01-15T10:12",
            "until": "2026-01-15T11:12:00+01:00",
            "where": " type == 'track' ",
            "rate": "50",
        }
    ) == {
        "topic": "events",
        "to": "crm",
        "from_ms": 1_768_471_920_000,
        "until_ms": 1_768_471_920_000,
        "where": "type == 'track'",
        "rate": 50,
    }


def test_refused_messages_go_where_they_are_routed():
    assert asked_of({"topic": "refused", "to": "crm"})["to"] is None


@pytest.mark.parametrize(
    "given",
    [
        {"topic": "outcomes"},
        {"from": "soon"},
        {"until": "2026-13-01"},
        {"rate": "0"},
        {"rate": "-1"},
        {"rate": "1.5"},
        {"rate": "٣"},
        {"rate": "99999999999999"},
        {"rate": "0000000001999999999"},
        {"rate": "0000000001" + "9" * 5_000},
    ],
)
def test_what_cannot_be_is_said(given):
    with pytest.raises(ConfigError):
        asked_of(given)


def test_lines_that_differ_are_marked():
    shown = beside("a\nb\nc", "a\nB\nc\nd")
    assert shown["before"] == [("a", False), ("b", True), ("c", False)]
    assert shown["after"] == [("a", False), ("B", True), ("c", False), ("d", True)]
    assert not shown["same"]


def test_what_is_alone_or_the_same_has_no_marks():
    assert beside("a\nb", "a\nb")["same"]
    assert beside("", "a") == {"before": [], "after": [("a", False)], "same": False}
