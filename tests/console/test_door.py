"""Sessions end, links open once, a changed token shuts everybody out."""

import pytest

from gateway.console.door import (
    LINK_S,
    LINKS_MAX,
    SESSION_S,
    WRONG_MAX,
    WRONG_S,
    Door,
    Session,
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock: Clock) -> Door:
    return Door("the-token", clock)


def entered(door: Door) -> str:
    session = door.by_token("the-token")
    assert session is not None
    return session


def known(door: Door, said: str) -> Session:
    session = door.knows(said)
    assert session is not None
    return session


def test_a_session_ends_after_its_time(door, clock):
    session = entered(door)
    clock.now_s += SESSION_S - 1
    assert door.knows(session) is not None
    clock.now_s += 1
    assert door.knows(session) is None


def test_a_session_outlives_a_restart_and_ends_with_its_token(door, clock):
    session = entered(door)
    assert Door("the-token", clock).knows(session) is not None
    assert Door("another-token", clock).knows(session) is None


def test_a_session_that_was_left_is_over_and_no_other_is(door):
    mine, theirs = entered(door), entered(door)
    door.leave(known(door, mine))
    assert door.knows(mine) is None
    assert door.knows(theirs) is not None


@pytest.mark.parametrize("said", ["", ".", "..", "...", "a.b.c", "1.2", "9.9.é"])
def test_what_is_no_session_is_none(door, said):
    assert door.knows(said) is None


def test_a_link_opens_once_and_in_its_time(door, clock):
    code = door.link()
    assert door.by_link(code) is not None
    assert door.by_link(code) is None
    late = door.link()
    clock.now_s += LINK_S
    assert door.by_link(late) is None
    assert door.by_link("") is None


def test_of_many_unused_links_the_oldest_goes(door):
    codes = [door.link() for _ in range(LINKS_MAX + 1)]
    assert door.by_link(codes[0]) is None
    assert all(door.by_link(code) is not None for code in codes[1:])


def test_wrong_tokens_are_counted_for_a_minute(door, clock):
    for _ in range(WRONG_MAX):
        assert not door.is_tried
        assert door.by_token("wrong") is None
    assert door.is_tried
    clock.now_s += WRONG_S
    assert not door.is_tried


def test_a_form_is_of_one_session(door):
    mine, theirs = known(door, entered(door)), known(door, entered(door))
    token = door.form_token(mine.number)
    assert door.is_form_token(mine.number, token)
    assert not door.is_form_token(theirs.number, token)
    assert not door.is_form_token(mine.number, "")
    assert not door.is_form_token(mine.number, "é" * 64)
