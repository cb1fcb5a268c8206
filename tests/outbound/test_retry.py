import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.retry import RETRY_AFTER_MAX_S, delay_s, pause_s

CHANCE = st.floats(0, 1, exclude_max=True)


@given(
    attempts=st.integers(1, 10_000),
    base=st.floats(0.001, 60),
    cap=st.floats(0.001, 3_600),
    chance=CHANCE,
)
def test_a_delay_is_never_beyond_the_cap(
    attempts: int, base: float, cap: float, chance: float
) -> None:
    delay = delay_s(attempts, base_s=base, cap_s=cap, after_s=None, chance=chance)
    assert 0 <= delay <= cap


@given(attempts=st.integers(1, 50), after=st.floats(0, 1e9), chance=CHANCE)
def test_retry_after_is_never_undercut_and_is_bounded(
    attempts: int, after: float, chance: float
) -> None:
    delay = delay_s(attempts, base_s=1.0, cap_s=300.0, after_s=after, chance=chance)
    assert min(after, RETRY_AFTER_MAX_S) <= delay <= RETRY_AFTER_MAX_S + 300.0


@pytest.mark.parametrize(
    ("attempts", "wanted"), [(1, 0.5), (2, 1.0), (3, 2.0), (10, 150.0)]
)
def test_it_doubles_up_to_the_cap(attempts: int, wanted: float) -> None:
    delay = delay_s(attempts, base_s=1.0, cap_s=300.0, after_s=None, chance=0.5)
    assert delay == wanted


@given(failures=st.integers(1, 10_000), chance=CHANCE)
def test_the_log_is_asked_neither_at_once_nor_never(
    failures: int, chance: float
) -> None:
    assert 0.04 < pause_s(failures, chance=chance) <= 5.0


def test_one_answer_asks_for_an_hour_at_most() -> None:
    asked = [delay_s(1, base_s=1.0, cap_s=9.0, after_s=s, chance=0.0) for s in (9, 1e9)]
    assert asked == [9.0, 3_600.0]
