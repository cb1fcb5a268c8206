"""Which kinds of events came, how many, and how long each is usually silent."""

from gateway.ledger import names
from gateway.ledger.keep import tidy
from gateway.ledger.names import HOUR_MS, OTHERS, Kind
from tests.ledger.conftest import Desk
from tests.ledger.records import AT_MS, Made

MINUTE_MS = 60_000
ALL = Kind("web", "", "")
ORDER = Kind("web", "track", "Order")


def send(desk: Desk, made: Made, *at_ms: int, name: str = "Order") -> None:
    desk.take(
        *(
            made.event(f"{name}-{at}", at=AT_MS + at, kind="track", event=name)
            for at in at_ms
        )
    )


def test_the_catalogue_has_each_kind_with_its_volume_and_times(
    desk: Desk, made: Made
) -> None:
    send(desk, made, 0, 1_000, 2 * HOUR_MS)
    desk.take(made.event("i1", at=AT_MS + 5))
    until = AT_MS + 3 * HOUR_MS
    assert desk.ask.catalogue(AT_MS, until) == [
        (ORDER, 3, AT_MS, AT_MS + 2 * HOUR_MS),
        (Kind("web", "identify", ""), 1, AT_MS + 5, AT_MS + 5),
    ]
    assert desk.ask.catalogue(AT_MS + HOUR_MS, until) == [
        (ORDER, 1, AT_MS + 2 * HOUR_MS, AT_MS + 2 * HOUR_MS)
    ]


def test_one_long_silence_is_not_the_usual_one(desk: Desk, made: Made) -> None:
    day = [minute * MINUTE_MS for minute in range(0, 240, 10)]
    outage = 9 * HOUR_MS
    send(desk, made, *day, *(outage + each for each in day))
    steady = {each.sent.kind: each for each in desk.ask.steadiness(AT_MS)}
    assert steady[ORDER].silence == 10 * MINUTE_MS
    assert steady[ORDER].sent.events == 48
    assert steady[ALL].silence == 10 * MINUTE_MS


def test_a_silence_over_groups_and_hours_is_seen(desk: Desk, made: Made) -> None:
    for at in (0, 90, 180, 270):  # minutes, each in a group and an hour of its own
        send(desk, made, at * MINUTE_MS)
    (steady, *_) = (e for e in desk.ask.steadiness(AT_MS) if e.sent.kind == ORDER)
    assert steady.silence == 90 * MINUTE_MS


def test_what_came_lately_is_told_with_its_last_time(desk: Desk, made: Made) -> None:
    send(desk, made, 0, name="Old")
    send(desk, made, 3 * HOUR_MS)
    assert desk.ask.latest(AT_MS + 2 * HOUR_MS) == {
        ORDER: AT_MS + 3 * HOUR_MS,
        ALL: AT_MS + 3 * HOUR_MS,
    }


def test_names_beyond_the_bound_count_as_one_after_a_restart_too(
    desk: Desk, made: Made, monkeypatch
) -> None:
    monkeypatch.setattr(names, "NAMES_MAX", 2)
    for name in "abc":
        send(desk, made, 0, name=name)
    desk.writer.forget()
    send(desk, made, 1, name="d")
    send(desk, made, 2, name="a")
    told = {
        each.kind.name: each.events
        for each in desk.ask.catalogue(AT_MS, AT_MS + HOUR_MS)
    }
    assert told == {"a": 2, "b": 1, OTHERS: 2}


def test_hours_that_are_too_old_go(desk: Desk, made: Made) -> None:
    send(desk, made, 0)
    send(desk, made, 3 * HOUR_MS)
    now = AT_MS + 4 * HOUR_MS
    desk.store.answer(lambda c: tidy(c, now, 2 * HOUR_MS, 10**9))
    (left,) = desk.ask.catalogue(0, now)
    assert left == (ORDER, 1, AT_MS + 3 * HOUR_MS, AT_MS + 3 * HOUR_MS)
