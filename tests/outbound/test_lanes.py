"""Lanes against a model that keeps one plain list."""

from collections import Counter
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.log.contract import Record
from gateway.outbound.contract import Takes
from gateway.outbound.lane import (
    Pending,
    lane_a_person,
    lane_an_event,
    lane_of,
    one_lane,
)
from gateway.outbound.lanes import CROWDED, Lanes
from tests.chance import examples

KEYS = st.sampled_from([b"ann", b"bob", b"cid", b"dan"])


def pending(offset: int, key: bytes = b"ann", size: int = 10) -> Pending:
    return Pending(Record("to.crm", 0, offset, key, b"x" * size, (), 0))


def with_people(number: int, **options: Any) -> Lanes:
    """Lanes that hold an event of each of so many people."""
    lanes = Lanes(lane_a_person, **options)
    for offset in range(number):
        lanes.add(pending(offset, b"%d" % offset))
    return lanes


def offsets(batch: list[Pending]) -> list[int]:
    return [each.record.offset for each in batch]


class LanesMachine(RuleBasedStateMachine):
    """Any order of add, take, end and retry: order per key, one in flight, no loss."""

    lane_of = staticmethod(lane_a_person)
    events, size, senders = 3, 35, 4

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes(
            self.lane_of, events=self.events, size=self.size, senders=self.senders
        )
        self.failed: set[object] = set()  # lanes whose first event has failed
        self.suspects: set[object] = set()  # since somebody was served
        self.known: set[object] = set()  # they failed while others were served
        self.given_up: Counter[object] = Counter()  # how often events of a lane were
        self.again: set[object] = set()  # lanes in flight that are tried again
        self.held: list[Pending] = []  # in log order
        self.flying: list[list[Pending]] = []
        self.blocked: dict[object, float] = {}
        self.numbers = count()
        self.now = 0.0

    def lane(self, each: Pending) -> object:
        return self.lane_of(each.record)

    @rule(key=KEYS, size=st.integers(1, 30))
    def add(self, key: bytes, size: int) -> None:
        each = pending(next(self.numbers), key, size)
        self.held.append(each)
        self.lanes.add(each)

    @rule()
    def take(self) -> None:
        lanes = {self.lane(each) for each in self.held if self.may_start(each)}
        free = len(self.again) < self.senders // 2
        batch = self.lanes.take(self.now)
        assert bool(batch) == bool(
            lanes - self.failed or (lanes & self.failed and free)
        )
        taken = {self.lane(each) for each in batch}
        if taken & self.failed:
            assert free
            assert len(taken) == 1  # what failed goes alone
            self.again |= taken
        self.check(batch)

    @rule(chance=st.floats(0, 1, exclude_max=True))
    def probe_somebody_new(self, chance: float) -> None:
        lanes = {self.lane(each) for each in self.held if self.may_start(each)}
        batch = self.lanes.take_new(self.now, chance)
        taken = {self.lane(each) for each in batch}
        assert len(taken) == bool(lanes - self.failed)
        assert taken <= lanes - self.failed
        self.check(batch)

    @rule()
    def probe(self) -> None:
        busy = {self.lane(each) for flight in self.flying for each in flight}
        idle = {self.lane(each) for each in self.held} - busy
        batch = self.lanes.take_stalest(self.now)
        taken = {self.lane(each) for each in batch}
        assert len(taken) == bool(idle)
        alone = self.failed - self.suspects
        assert not taken & alone or idle <= alone
        for lane in taken:
            self.blocked.pop(lane, None)
        self.check(batch)

    @rule(wake=st.booleans())
    def somebody_was_served(self, *, wake: bool) -> None:
        busy = {self.lane(each) for flight in self.flying for each in flight}
        self.lanes.somebody_was_served(wake=wake)
        if wake:
            for lane in (self.suspects & self.blocked.keys()) - busy:
                self.blocked.pop(lane)
                self.failed.discard(lane)
        self.known |= self.suspects
        self.suspects.clear()

    def ended(self, each: Pending) -> None:
        lane = self.lane(each)
        if each is next(one for one in self.held if self.lane(one) == lane):
            self.failed.discard(lane)
            self.suspects.discard(lane)
            self.known.discard(lane)
            self.given_up.pop(lane, None)
        self.held.remove(each)

    def check(self, batch: list[Pending]) -> None:
        assert len(batch) <= self.events
        sizes = [len(each.record.value) for each in batch]
        assert len(batch) <= 1 or sum(sizes) <= self.size
        busy = {self.lane(each) for flight in self.flying for each in flight}
        for lane, number in Counter(map(self.lane, batch)).items():
            assert lane not in busy
            assert lane not in self.blocked
            mine = [each for each in self.held if self.lane(each) == lane]
            assert [each for each in batch if self.lane(each) == lane] == mine[:number]
            assert number == 1 or self.lane_of is one_lane
        if batch:
            self.flying.append(batch)

    def may_start(self, each: Pending) -> bool:
        lane = self.lane(each)
        busy = {self.lane(one) for flight in self.flying for one in flight}
        return lane not in busy and lane not in self.blocked

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def land(self, data: Any) -> None:
        """Each event of a batch ends, fails or was not tried."""
        batch = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        for each in batch:
            verdict = data.draw(st.sampled_from(["done", "retry", "back"]))
            if verdict == "done":
                self.lanes.done([each])
                self.ended(each)
            elif verdict == "retry":
                if self.lane(each) not in self.failed:
                    self.failed.add(self.lane(each))
                    self.suspects |= {self.lane(each)} - self.known
                due = self.now + data.draw(st.integers(1, 5))
                self.lanes.retry([each], due)
                lane = self.lane(each)
                self.blocked[lane] = max(self.blocked.get(lane, 0.0), due)
            else:
                self.lanes.put_back([each])
        self.again -= {self.lane(each) for each in batch}

    @rule(seconds=st.integers(1, 4))
    def wake(self, seconds: int) -> None:
        self.now += seconds
        self.lanes.wake(self.now)
        self.blocked = {k: due for k, due in self.blocked.items() if due > self.now}

    @rule(suspects=st.booleans())
    def give_up(self, *, suspects: bool) -> None:
        flying = Counter(self.lane(one) for flight in self.flying for one in flight)
        idle = self.blocked.keys() - flying
        idle = idle if suspects else idle - self.suspects
        held = Counter(map(self.lane, self.held))
        bad = self.failed | self.given_up.keys()
        bad = bad if suspects else bad - self.suspects
        behind = {lane for lane in bad if 0 < flying[lane] < held[lane]}
        batch = self.lanes.give_up(suspects=suspects)
        assert bool(batch) == bool(idle or behind)
        if batch:
            lane = self.lane(batch[0])
            assert lane in (idle or behind)
            mine = [one for one in self.held if self.lane(one) == lane]
            number = 1 << self.given_up[lane]
            assert batch == mine[flying[lane] : flying[lane] + number]
            self.given_up[lane] += 1
            self.held = [one for one in self.held if one not in batch]
            if not flying[lane]:
                self.blocked.pop(lane)
                self.failed.discard(lane)
                self.suspects.discard(lane)
            self.forget(lane)

    def forget(self, lane: object) -> None:
        if all(self.lane(one) != lane for one in self.held):
            self.given_up.pop(lane, None)
            self.known.discard(lane)

    @invariant()
    def counts_agree(self) -> None:
        assert self.lanes.count == len(self.held)
        bad = self.failed | self.given_up.keys()
        behind = [each for each in self.held if self.lane(each) in bad]
        assert self.lanes.blocked == len(behind)

    def teardown(self) -> None:
        """Nothing is lost: what is held comes out in the end."""
        for batch in self.flying:
            self.lanes.done(batch)
            self.held = [each for each in self.held if each not in batch]
        self.lanes.wake(float("inf"))
        while batch := self.lanes.take(self.now):
            self.lanes.done(batch)
            self.held = [each for each in self.held if each not in batch]
        assert not self.held
        assert not self.lanes.count


class OneLane(LanesMachine):
    lane_of = staticmethod(one_lane)  # type: ignore[assignment]  # called by place


class NoOrder(LanesMachine):
    lane_of = staticmethod(lane_an_event)


few = settings(max_examples=examples(60), stateful_step_count=40)
TestPerson, TestOneLane, TestNoOrder = (
    LanesMachine.TestCase,
    OneLane.TestCase,
    NoOrder.TestCase,
)
TestPerson.settings = TestOneLane.settings = TestNoOrder.settings = few


def test_a_failed_event_goes_before_later_ones_of_its_key_and_others_go_on() -> None:
    lanes = Lanes(lane_a_person)
    for each in [pending(0, b"ann"), pending(1, b"ann"), pending(2, b"bob")]:
        lanes.add(each)
    first = lanes.take(0.0)
    lanes.retry(first, due_s=10.0)
    assert offsets(lanes.take(1.0)) == [2]
    assert lanes.take(1.0) == []
    assert lanes.next_due_s == 10.0
    lanes.wake(10.0)
    assert offsets(lanes.take(10.0)) == [0]


def test_keys_take_turns() -> None:
    lanes = Lanes(lane_a_person)
    for offset in range(6):
        lanes.add(pending(offset, b"ann" if offset < 4 else b"bob%d" % offset))
    order = []
    while batch := lanes.take(0.0):
        order += offsets(batch)
        lanes.done(batch)
    assert order == [0, 4, 5, 1, 2, 3]


def test_a_batch_in_order_is_the_next_events_of_the_log() -> None:
    lanes = Lanes(one_lane, events=3, size=1_000)
    for offset, key in enumerate([b"a", b"a", b"b", b"a"]):
        lanes.add(pending(offset, key))
    batch = lanes.take(0.0)
    assert offsets(batch) == [0, 1, 2]
    assert lanes.take(0.0) == []
    lanes.retry(batch, 1.0)
    lanes.wake(1.0)
    assert offsets(lanes.take(1.0)) == [0, 1, 2]


def test_what_was_not_tried_after_all_goes_first_and_in_its_order() -> None:
    lanes = with_people(5, events=2, size=1_000)
    batch = lanes.take(0.0)
    lanes.add(pending(5, b"0"))
    lanes.put_back(batch)
    assert [offsets(lanes.take(1.0)) for _ in range(3)] == [[0, 1], [2, 3], [4]]


def test_what_failed_and_was_not_tried_again_waits_no_longer() -> None:
    lanes = with_people(2, senders=4)
    for _ in range(2):
        lanes.retry(lanes.take(0.0), 10.0)
    lanes.wake(10.0)
    first = lanes.take(10.0)
    lanes.put_back(first)
    assert lanes.take(10.0) == first


def test_what_is_tried_again_has_half_of_the_senders_at_most() -> None:
    lanes = with_people(4, senders=4)
    for _ in range(4):
        lanes.retry(lanes.take(0.0), 1.0)
    lanes.wake(1.0)
    first = lanes.take(1.0)
    assert [len(first), len(lanes.take(1.0)), len(lanes.take(1.0))] == [1, 1, 0]
    assert lanes.batches == 0
    lanes.add(pending(4, b"new"), 1.0)
    assert offsets(lanes.take(1.0)) == [4]
    lanes.done(first)
    assert len(lanes.take(1.0)) == 1


def test_while_new_ones_linger_those_that_failed_go_again() -> None:
    lanes = Lanes(lane_a_person, events=9, size=1_000, linger_s=5.0, senders=4)
    for offset in range(2):
        lanes.add(pending(offset, b"bad%d" % offset))
    lanes.retry(lanes.take(5.0), 6.0)
    lanes.wake(6.0)
    lanes.add(pending(2, b"new"), 6.0)
    taken = [offsets(lanes.take(now_s)) for now_s in (6.0, 6.0, 10.9, 11.0)]
    assert taken == [[0], [1], [], [2]]


def test_an_event_larger_than_a_batch_goes_alone() -> None:
    lanes = Lanes(lane_a_person, events=10, size=50)
    for offset, size in enumerate([40, 60, 5]):
        lanes.add(pending(offset, b"%d" % offset, size))
    assert [offsets(lanes.take(0.0)) for _ in range(3)] == [[0], [1], [2]]


def test_a_crowded_key_is_told_once() -> None:
    lanes = Lanes(lane_a_person)
    told = [lanes.add(pending(offset)) for offset in range(CROWDED + 50)]
    assert told.count(True) == 1


def test_the_longest_blocked_is_the_one_that_failed_first() -> None:
    lanes = with_people(3)
    for due in (30.0, 20.0, 10.0):
        lanes.retry(lanes.take(0.0), due)
    lanes.wake(10.0)
    lanes.retry(lanes.take(10.0), 40.0)
    assert offsets(lanes.give_up()) == [0]


def test_who_is_given_up_again_and_again_makes_room_faster() -> None:
    lanes = Lanes(lane_a_person)
    for offset in range(12):
        lanes.add(pending(offset))
    lanes.retry(lanes.take(0.0), 10.0)
    assert offsets(lanes.give_up()) == [0]
    assert offsets(lanes.take(0.0)) == [1]  # and it hangs: what is behind it may go
    assert offsets(lanes.give_up()) == [2, 3]
    assert offsets(lanes.give_up()) == [4, 5, 6, 7]
    assert lanes.blocked == 5


def test_what_others_have_now_blocks_nobody_here() -> None:
    lanes = Lanes(lane_a_person)
    for offset in range(6):
        lanes.add(pending(offset, b"bad" if offset < 4 else b"good"))
    lanes.retry(lanes.take(0.0), 10.0)
    assert (lanes.count, lanes.blocked) == (6, 4)
    lost = lanes.drop(lambda record: record.offset in (2, 3))
    assert offsets(lost) == [2, 3]
    assert (lanes.count, lanes.blocked) == (4, 2)
    lanes.drop(lambda record: record.key == b"bad")
    assert (lanes.count, lanes.blocked, lanes.give_up()) == (2, 0, [])


def test_who_is_served_is_blocked_no_more() -> None:
    lanes = Lanes(lane_a_person)
    for offset in range(4):
        lanes.add(pending(offset))
    lanes.retry(lanes.take(0.0), 10.0)
    lanes.give_up()
    lanes.done(lanes.take(0.0))
    assert lanes.blocked == 0
    lanes.take(0.0)
    assert lanes.give_up() == []


@pytest.mark.parametrize(
    ("takes", "order", "wanted"),
    [
        (Takes(types=frozenset()), "person", lane_a_person),
        (Takes(types=frozenset()), "none", lane_an_event),
        (Takes(types=frozenset(), same_key="in_order"), "none", one_lane),
        (Takes(types=frozenset(), order="total"), "person", one_lane),
    ],
)
def test_lanes_follow_what_is_declared(takes: Takes, order: Any, wanted: Any) -> None:
    assert lane_of(takes, order) is wanted
