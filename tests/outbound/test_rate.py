from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.rate import BURST_S, Rate


def test_without_a_rate_nothing_waits() -> None:
    rate = Rate(None)
    assert [rate.take(1_000, 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]


@given(
    limit=st.integers(1, 1_000),
    takes=st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 20)), max_size=60),
)
def test_no_second_holds_more_than_the_rate_the_burst_and_one_batch(
    limit: int, takes: list[tuple[float, int]]
) -> None:
    rate, now = Rate(limit), 0.0
    starts: list[tuple[float, int]] = []
    for pause, events in takes:
        now += pause
        starts.append((now + rate.take(events, now), events))
    for begin, _ in starts:
        inside = [n for at, n in starts if begin <= at < begin + 1.0]
        assert sum(inside[:-1]) <= limit * (1 + BURST_S) + 1 + 1e-6


def test_a_steady_stream_goes_at_the_rate() -> None:
    rate = Rate(10)
    waits = [rate.take(1, 0.0) for _ in range(5)]
    assert [round(wait, 6) for wait in waits] == [0.0, 0.1, 0.2, 0.3, 0.4]
