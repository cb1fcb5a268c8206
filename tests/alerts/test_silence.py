"""What comes regularly, and how long it is silent: a ledger that is behind is none."""

import pytest

from gateway.alerts.reading import Silence
from gateway.alerts.settings import EventStopped
from gateway.alerts.silence import known_until, silences
from gateway.ledger.names import HOUR_MS, Kind, Sent, Steady

DAY_MS = 24 * HOUR_MS
NOW = 100 * DAY_MS
ORDER = Kind("web", "track", "Order")
RULE = EventStopped()


def steady(
    *, events: int = 50, first: int = NOW - DAY_MS, silence: int = HOUR_MS
) -> Steady:
    return Steady(Sent(ORDER, events, first, NOW - 2 * HOUR_MS), silence)


def found(each: Steady, sources=("web",), latest=None) -> list[Silence]:
    return silences([each], latest or {}, RULE, sources, NOW)


def test_what_is_regular_is_silent_since_it_came_last() -> None:
    assert found(steady()) == [Silence(ORDER, 2 * HOUR_MS, HOUR_MS)]
    came = {ORDER: NOW - 5}
    assert found(steady(), latest=came) == [Silence(ORDER, 5, HOUR_MS)]


@pytest.mark.parametrize(
    "each",
    [
        steady(events=49),
        steady(first=NOW - DAY_MS + 1),
        steady(silence=7 * DAY_MS),  # twice that is all the past that is known
    ],
)
def test_what_is_not_regular_is_not_missed(each: Steady) -> None:
    assert found(each) == []


def test_a_source_that_is_not_configured_any_more_is_not_missed() -> None:
    assert found(steady(), sources=("app",)) == []


def test_a_ledger_that_is_behind_is_no_silence() -> None:
    app = Steady(Sent(Kind("app", "", ""), 50, 0, NOW - 3_000), 0)
    assert known_until(NOW, 0, [steady(), app], {}) == NOW
    assert known_until(NOW, 7, [steady(), app], {}) == NOW - 3_000
    assert known_until(NOW, None, [steady(), app], {ORDER: NOW - 1}) == NOW - 1
    assert known_until(NOW, 7, [steady()], {ORDER: NOW + 9}) == NOW
