"""What of a reading is trouble, by each rule; and what is well below, or between."""

from dataclasses import replace

import pytest

from gateway.alerts.reading import (
    Filled,
    Moving,
    Reading,
    Refusals,
    Risen,
    Seen,
    Silence,
)
from gateway.alerts.rules import Level, levels, words
from gateway.alerts.settings import RULES, Alerts, Lag, Rule
from gateway.ledger.names import Kind

HERE = Alerts(slack="https://hooks.example/x")
MINUTE_MS = 60_000
ORDER = Kind("web", "track", "Order")
WEB = Kind("web", "", "")


def one(rule: Rule, reading: Reading) -> Level:
    (level,) = levels(HERE, reading)[rule]
    return level


def test_every_rule_says_when_it_begins_and_when_it_is_over() -> None:
    assert set(levels(HERE, full())) == set(RULES)
    assert all(each.begins and each.ends for each in RULES.values())


def full() -> Reading:
    return Reading(
        destinations={"crm": Seen(open=False, lag=0)},
        dead={"crm": 0},
        refused={"web": Refusals(0, 10)},
        silences=[Silence(ORDER, 0, 0)],
        log=Filled(),
    )


def test_nothing_is_wrong_with_a_gateway_that_works() -> None:
    found = levels(HERE, full())
    assert {each.state for of in found.values() for each in of} == {"good"}


def test_what_was_not_read_and_what_is_switched_off_says_nothing() -> None:
    assert set(levels(HERE, Reading())) == {"destination_down", "lag"}
    off = replace(HERE, lag=Lag(enabled=False))
    assert "lag" not in levels(off, full())


def test_an_open_breaker_is_a_destination_that_is_down() -> None:
    seen = Seen(open=True, why="503 at crm.example", lag=1_204)
    level = one("destination_down", Reading(destinations={"crm": seen}))
    assert level.state == "bad"
    said = "crm serves nobody: 503 at crm.example; 1,204 events wait"
    assert level.text == said


@pytest.mark.parametrize(("moves", "state"), [(True, "good"), (False, "between")])
def test_a_closed_breaker_alone_does_not_say_that_it_serves_again(
    *, moves: bool, state: str
) -> None:
    seen = Seen(open=False, moves=moves, lag=5)
    level = one("destination_down", Reading(destinations={"crm": seen}))
    assert level.state == state


@pytest.mark.parametrize(("moves", "state"), [(True, "good"), (False, "bad")])
def test_of_a_destination_elsewhere_it_counts_whether_events_end(
    *, moves: bool, state: str
) -> None:
    seen = Seen(open=None, moves=moves, lag=5)
    level = one("destination_down", Reading(destinations={"crm": seen}))
    assert level.state == state


@pytest.mark.parametrize(
    ("events", "state"), [(10, "bad"), (9, "between"), (5, "between"), (4, "good")]
)
def test_dead_letters_are_over_below_half(events: int, state: str) -> None:
    reading = Reading(dead={"crm": events}, dead_why={"crm": "rejected 400"})
    level = one("dead_letters", reading)
    assert level.state == state
    text = f"crm: {events} dead letters within 15 min, most of them rejected 400"
    assert level.text == text


@pytest.mark.parametrize(
    ("lag", "state"), [(20_000, "bad"), (10_000, "between"), (9_999, "good")]
)
def test_lag_is_over_below_half(lag: int, state: str) -> None:
    assert one("lag", Reading(destinations={"crm": Seen(lag=lag)})).state == state


def test_a_lag_that_is_not_known_says_nothing() -> None:
    assert levels(HERE, Reading(destinations={"crm": Seen()}))["lag"] == []


@pytest.mark.parametrize(
    ("refused", "messages", "state"),
    [
        (20, 200, "bad"),
        (20, 201, "between"),  # too small a part
        (19, 19, "between"),  # too few
        (9, 9, "good"),
        (100, 10_000, "good"),
        (0, 0, "good"),
    ],
)
def test_refusals_need_a_part_and_a_number(
    refused: int, messages: int, state: str
) -> None:
    reading = Reading(refused={"web": Refusals(refused, messages, "type /traits/age")})
    assert one("refused_rate", reading).state == state


def test_refusals_name_the_most_frequent_reason() -> None:
    reading = Reading(refused={"web": Refusals(50, 100, "type /traits/age")})
    said = "web: 50 of 100 messages refused (50 %) within 10 min, most often"
    assert one("refused_rate", reading).text == f"{said} type /traits/age"


@pytest.mark.parametrize(
    ("silent", "usual", "state"),
    [
        (14, 1, "good"),  # never before 15 minutes
        (15, 1, "bad"),
        (59, 30, "good"),  # a nightly pause is no trouble
        (60, 30, "bad"),
    ],
)
def test_silence_is_measured_by_what_is_usual(
    silent: int, usual: int, state: str
) -> None:
    silence = Silence(ORDER, silent * MINUTE_MS, usual * MINUTE_MS)
    level = one("event_stopped", Reading(silences=[silence]))
    assert level.state == state
    assert level.subject == "web / track / Order"


def test_the_text_says_what_is_usual() -> None:
    level = one("event_stopped", Reading(silences=[Silence(ORDER, 120 * MINUTE_MS, 1)]))
    assert level.text == (
        "web: track Order has not come for 2 h; it is seldom silent for 7 min"
    )


def test_a_silent_source_is_told_alone() -> None:
    silences = [Silence(WEB, 20 * MINUTE_MS, 1), Silence(ORDER, 30 * MINUTE_MS, 1)]
    whole, part = levels(HERE, Reading(silences=silences))["event_stopped"]
    assert (whole.state, whole.subject) == ("bad", "web")
    assert part.state == "unknown"
    assert whole.text.startswith("web: anything has not come for 20 min")


@pytest.mark.parametrize(
    ("log", "state", "words_of"),
    [
        (Filled(unread=0.7, unread_by="crm"), "bad", "crm has to catch up"),
        (Filled(unread=0.65, unread_by="crm"), "between", "there is room"),
        (Filled(unread=0.62, unread_by="crm"), "good", "there is room"),
        (Filled(disk_free=999_999_999), "bad", "the log's disk has 999 MB left"),
        (Filled(disk_free=1_050_000_000), "between", ""),
        (Filled(disk_free=1_200_000_000), "good", ""),
        (Filled(refuses="the log is full"), "bad", "senders get 503: the log is full"),
    ],
)
def test_a_log_that_fills(log: Filled, state: str, words_of: str) -> None:
    level = one("log_filling", Reading(log=log))
    assert level.state == state
    assert words_of in level.text


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0 s"),
        (119_000, "119 s"),
        (120_000, "2 min"),
        (119 * MINUTE_MS, "119 min"),
        (120 * MINUTE_MS, "2 h"),
        (48 * 60 * MINUTE_MS, "2 days"),
    ],
)
def test_durations_in_words(ms: int, said: str) -> None:
    assert words(ms) == said


# counters over time


def test_what_rose_within_a_time() -> None:
    risen = Risen(60)
    assert risen.add(0, {"crm": 500}) == {"crm": 0}  # what was there before
    assert risen.add(30, {"crm": 503}) == {"crm": 3}
    assert risen.add(60, {"crm": 504, "erp": 9}) == {"crm": 4, "erp": 0}
    assert risen.add(90, {"crm": 504, "erp": 9}) == {"crm": 1, "erp": 0}


def test_what_was_tidied_is_not_undone() -> None:
    risen = Risen(60)
    risen.add(0, {"crm": 500})
    risen.add(1, {"crm": 510})
    assert risen.add(2, {"crm": 100}) == {"crm": 10}
    assert risen.add(3, {"crm": 101}) == {"crm": 11}
    assert risen.add(4, {}) == {}


def test_events_end_where_the_mark_or_the_lag_moves() -> None:
    moving = Moving()
    assert moving.moves("crm", 10, 5)
    assert not moving.moves("crm", 10, 5)
    assert not moving.moves("crm", 10, 7)  # more came, nothing ended
    assert moving.moves("crm", 10, 6)  # something above the mark ended
    assert moving.moves("crm", 12, 9)
    assert moving.moves("crm", 12, 0)
