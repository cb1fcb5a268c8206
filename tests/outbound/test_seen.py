from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from gateway.log.contract import Past, Record
from gateway.outbound.seen import IDENTITY, Seen


def record(
    offset: int,
    message_id: str = "m1",
    *,
    source: str = "web",
    replay: str | None = None,
    at_ms: int = 0,
    partition: int = 0,
) -> Record:
    headers = [("messageId", message_id.encode()), ("source", source.encode())]
    if replay is not None:
        headers.append(("replay", replay.encode()))
    return Record("to.crm", partition, offset, b"u", b"{}", tuple(headers), at_ms)


def window(entries: int = 100, age_s: float = 60.0) -> Seen:
    return Seen(entries=entries, age_s=age_s)


def test_the_same_source_message_and_replay_is_a_duplicate() -> None:
    seen = window()
    assert not seen.is_duplicate(record(1))
    assert seen.is_duplicate(record(2))


def test_another_source_or_replay_is_none() -> None:
    seen = window()
    others: list[Callable[[], Record]] = [
        lambda: record(1),
        lambda: record(2, source="backend"),
        lambda: record(3, replay="r1"),
        lambda: record(4, replay="r2"),
        lambda: record(5, "m2"),
    ]
    assert [seen.is_duplicate(make()) for make in others] == [False] * 5
    assert seen.is_duplicate(record(6, replay="r1"))


def test_an_earlier_record_is_no_duplicate_of_a_later_one() -> None:
    # After a crash: 9, the duplicate, had been settled; 5, the original, had not.
    seen = window()
    assert not seen.is_duplicate(record(9))
    assert not seen.is_duplicate(record(5))


def test_a_record_that_comes_again_is_no_duplicate_of_itself() -> None:
    seen = window()
    assert [seen.is_duplicate(record(5)) for _ in range(2)] == [False, False]


def test_what_is_older_than_the_age_is_forgotten() -> None:
    seen = window(age_s=60.0)
    seen.is_duplicate(record(1, at_ms=0))
    assert seen.is_duplicate(record(2, at_ms=59_000))
    assert not seen.is_duplicate(record(3, at_ms=61_001))


def test_what_is_beyond_the_count_is_forgotten_oldest_first() -> None:
    seen = window(entries=3)
    for offset in range(4):
        seen.is_duplicate(record(offset, f"m{offset}"))
    assert len(seen) == 3
    assert seen.is_duplicate(record(9, "m1"))
    assert not seen.is_duplicate(record(10, "m0"))


def past(record: Record) -> Past:
    headers = dict(record.headers)
    picked = tuple([headers.get(name, b"") for name in IDENTITY])
    return Past(record.partition, record.offset, record.appended_at_ms, picked)


events = st.tuples(
    st.integers(0, 30),  # message
    st.integers(0, 3_000),  # ms since the last one
    st.sampled_from([None, "r1"]),  # replay
    st.integers(0, 1),  # partition
)


@given(
    st.lists(events, max_size=100),
    st.lists(st.integers(0, 40), max_size=10),
    st.integers(1, 60),
    st.sampled_from([1.0, 10.0, 1_000.0]),
)
def test_a_past_that_is_remembered_is_one_that_was_judged(
    told: list[tuple[int, int, str | None, int]],
    sizes: list[int],
    entries: int,
    age_s: float,
) -> None:
    judged, remembered = window(entries, age_s), window(entries, age_s)
    records, at_ms = [], 0
    for offset, (number, pause, replay, partition) in enumerate(told):
        at_ms += pause
        message = f"m{number}"
        records.append(
            record(offset, message, replay=replay, at_ms=at_ms, partition=partition)
        )
    for each in records:
        judged.is_duplicate(each)
    place = 0
    for size in (*sizes, len(records)):
        remembered.remember([past(each) for each in records[place : place + size]])
        place += size
    assert remembered._offsets == judged._offsets
    assert remembered._digests == judged._digests
    assert remembered._buckets == judged._buckets


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20_000)), max_size=200),
    st.integers(1, 20),
)
def test_the_window_is_bounded_whatever_comes(
    events: list[tuple[int, int]], entries: int
) -> None:
    seen, at_ms = window(entries=entries), 0
    for offset, (number, pause) in enumerate(events):
        at_ms += pause
        seen.is_duplicate(record(offset, f"m{number}", at_ms=at_ms))
        assert len(seen) <= entries
        assert len(seen._offsets) == len(seen) == sum(n for _, n in seen._buckets)
        assert len(seen._buckets) <= max(entries + 1, 62)
