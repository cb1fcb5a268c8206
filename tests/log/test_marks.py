import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.log.marks import Marks

OFFSETS = st.integers(0, 60)
ACTIONS = st.lists(
    st.one_of(
        OFFSETS,
        st.tuples(OFFSETS, st.integers(0, 8)).map(lambda p: (p[0], p[0] + p[1])),
        st.lists(OFFSETS, max_size=6),
    ),
    max_size=40,
)


def apply(actions: list, mark: int = 0) -> tuple[Marks, set[int]]:
    marks, model = Marks(mark), set(range(mark))
    for action in actions:
        match action:
            case int():
                marks.settle(action)
                model.add(action)
            case (start, stop) if isinstance(action, tuple):
                marks.skip(start, stop)
                model.update(range(start, stop))
            case offsets:
                marks.settle_all(offsets)
                model.update(offsets)
    return marks, model


@given(ACTIONS, st.integers(0, 20))
def test_it_is_a_set_of_offsets(actions: list, mark: int) -> None:
    marks, model = apply(actions, mark)
    assert {o for o in range(80) if marks.is_settled(o)} == model
    mark = next(o for o in range(80) if o not in model)
    assert marks.mark == mark
    above = {o for o in model if o > mark}
    assert marks.above == len(above)
    assert marks.runs == sum(o - 1 not in above for o in above)
    assert marks.top == max([mark, *(o + 1 for o in above)])
    assert {o for run in marks.settled() for o in range(*run)} == above


@given(ACTIONS, OFFSETS, OFFSETS)
def test_unsettled_is_the_rest(actions: list, start: int, stop: int) -> None:
    marks, model = apply(actions)
    ranges = list(marks.unsettled(start, stop))
    assert [o for r in ranges for o in range(*r)] == [
        o for o in range(start, stop) if o not in model
    ]
    assert all(a < b for a, b in ranges)


@given(ACTIONS, st.integers(0, 2**60))
def test_text_and_back(actions: list, base: int) -> None:
    marks, _ = apply(actions)
    again = Marks.decode(marks.mark, marks.encode())
    assert (again.mark, again.above) == (marks.mark, marks.above)
    assert list(again.settled()) == list(marks.settled())
    moved = Marks.decode(marks.mark + base, marks.encode())
    assert [a - base for a, _ in moved.settled()] == [a for a, _ in marks.settled()]


def test_a_copy_is_independent() -> None:
    marks = Marks()
    marks.settle(2)
    copy = marks.copy()
    copy.settle(0)
    copy.settle(4)
    assert (marks.mark, marks.runs, marks.above) == (0, 1, 1)
    assert (copy.mark, copy.runs, copy.above) == (1, 2, 2)


def test_a_gap_is_passed() -> None:
    marks = Marks()
    marks.settle(0)
    marks.settle(5)
    assert (marks.mark, marks.runs) == (1, 1)
    marks.skip(1, 5)
    assert (marks.mark, marks.runs) == (6, 0)


def test_four_hundred_runs_fit_in_the_metadata_of_a_kafka_commit() -> None:
    marks = Marks(10**15)
    for n in range(400):
        start = marks.mark + 1 + n * 30_000
        marks.skip(start, start + 20_000)
    assert marks.runs == 400
    assert len(marks.encode()) < 4096
    assert Marks.decode(marks.mark, marks.encode()).runs == 400


@pytest.mark.parametrize("text", ["0", "1.0", "-1", "x y", "1,,1", "1.1.1", "1,0.2,-2"])
def test_another_text_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Marks.decode(7, text)
