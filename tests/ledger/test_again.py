"""Dead letters that were sent again: what became of them, and what is still open."""

from typing import Any

import pytest

from gateway.ledger.again import Letter, Since, Standing
from gateway.log.contract import Record
from tests.ledger.conftest import Desk
from tests.ledger.records import AT_MS, Made

SECOND = 1_000


def later(record: Record, seconds: int) -> Record:
    return record._replace(appended_at_ms=record.appended_at_ms + seconds * SECOND)


def dead(made: Made, name: str, seconds: int = 0, **more: Any) -> Record:
    given = {"kind": "dead", "reason": "rejected", "status": 400, **more}
    return later(made.end(name, **given), seconds)


def replayed(made: Made, name: str, replay: str, seconds: int, **more: Any) -> Record:
    return later(made.end(name, replay=replay, **more), seconds)


def test_what_was_delivered_since_needs_nobody(desk: Desk, made: Made) -> None:
    desk.take(*(dead(made, f"m{number}") for number in range(12)))
    (group,) = desk.ask.dead(0, 2**53)
    assert (group["events"], group["open"], group["since"]) == (12, 12, {})
    desk.take(*(replayed(made, f"m{number}", "r1", 9) for number in range(3)))
    desk.take(replayed(made, "m3", "r2", 9, kind="filtered", reason="when"))
    (group,) = desk.ask.dead(0, 2**53)
    assert (group["events"], group["open"]) == (12, 8)
    assert group["since"] == {"delivered": 3, "filtered": 1}
    assert group["replays"] == ["r1", "r2"]


def test_what_died_again_is_counted_where_it_is_now(desk: Desk, made: Made) -> None:
    desk.take(*(dead(made, f"m{number}") for number in range(3)))
    again = dead(made, "m0", 9, replay="r1", reason="max_age", status=503)
    desk.take(again)
    now, before = desk.ask.dead(0, 2**53)
    if now["reason"] == "rejected":
        now, before = before, now
    assert (before["events"], before["open"], before["since"]) == (3, 2, {"dead": 1})
    assert (now["reason"], now["events"], now["open"]) == ("max_age", 1, 1)
    desk.take(replayed(made, "m0", "r2", 20))
    groups = {each["reason"]: each for each in desk.ask.dead(0, 2**53)}
    assert groups["rejected"]["since"] == {"delivered": 1}  # the last word counts
    assert groups["max_age"]["since"] == {"delivered": 1}
    assert sum(each["open"] for each in groups.values()) == 2


def test_what_counts_comes_later_at_the_same_place(desk: Desk, made: Made) -> None:
    desk.take(
        replayed(made, "m1", "r0", 0),  # it was delivered, and a replay of it died
        dead(made, "m1", 5, replay="r1"),
        dead(made, "m2"),
        replayed(made, "m2", "r1", 9, destination="inbox"),
        replayed(made, "m2", "r1", 9, source="app"),
        replayed(made, "m2", "r1", 9, kind="duplicate"),
    )
    (group,) = desk.ask.dead(0, 2**53)
    assert (group["events"], group["open"], group["since"]) == (2, 2, {})


def test_two_replays_that_end_in_one_moment_count_once(desk: Desk, made: Made) -> None:
    desk.take(dead(made, "m1"), dead(made, "m2"))
    desk.take(*(replayed(made, "m1", replay, 9) for replay in ("r1", "r2", "r3")))
    (group,) = desk.ask.dead(0, 2**53)
    assert (group["events"], group["open"], group["since"]) == (2, 1, {"delivered": 1})
    assert len(group["replays"]) == 1


def test_the_most_open_group_comes_first(desk: Desk, made: Made) -> None:
    desk.take(*(dead(made, f"m{number}") for number in range(3)))
    desk.take(*(replayed(made, f"m{number}", "r1", 9) for number in range(3)))
    desk.take(dead(made, "few", reason="max_age"))
    assert [each["open"] for each in desk.ask.dead(0, 2**53)] == [1, 0]


def test_those_given_up_lately_are_counted_by_destination(
    desk: Desk, made: Made
) -> None:
    ended = AT_MS + 30
    desk.take(
        *(dead(made, f"m{number}") for number in range(4)),
        dead(made, "i1", destination="inbox"),
        replayed(made, "m0", "r1", 9),
    )
    found = desk.ask.letters(ended, ended + 1)
    assert found == {"crm": Standing(4, 3), "inbox": Standing(1, 1)}
    assert desk.ask.letters(ended + 1, ended + 9_000) == {}
    assert desk.ask.letters(ended - 9_000, ended) == {}


def test_of_each_letter_the_last_replay_is_told(desk: Desk, made: Made) -> None:
    letters = [dead(made, f"m{number}") for number in range(900)]
    desk.take(*letters)
    desk.take(*(replayed(made, f"m{number}", "r1", 9) for number in range(1, 900)))
    again = dead(made, "m5", 20, replay="r2")
    desk.take(again)

    def letter(number: int, record: Record, replay: str | None = None) -> Letter:
        name, at = f"m{number}", record.appended_at_ms
        return Letter("web", name, AT_MS, at, replay)

    asked = [letter(number, record) for number, record in enumerate(letters)]
    asked.append(letter(5, again, "r2"))
    found = desk.ask.since("crm", asked)
    ended = AT_MS + 30
    assert found[0] is None
    assert found[1] == found[899] == Since("r1", "delivered", ended)
    assert found[5] == Since("r2", "dead", ended)
    assert found[900] is None  # its own end is nothing that came after
    assert desk.ask.since("inbox", asked[:2]) == [None, None]
    assert desk.ask.since("crm", []) == []


@pytest.mark.parametrize("kind", ["delivered", "dead"])
def test_a_rebuilt_ledger_says_the_same(desk: Desk, made: Made, kind: str) -> None:
    records = [dead(made, "m1"), replayed(made, "m1", "r1", 9, kind=kind)]
    desk.take(*records)
    before = desk.ask.dead(0, 2**53)
    desk.take(*records)  # what comes twice is passed over
    assert desk.ask.dead(0, 2**53) == before
