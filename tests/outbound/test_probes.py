"""Whom an open breaker probes next, among many (DESIGN 5.3)."""

from typing import Any

from gateway.log.contract import Record
from gateway.outbound.contract import Retry
from gateway.outbound.lane import Pending, lane_a_person
from gateway.outbound.lanes import Lanes


def pending(offset: int) -> Pending:
    return Pending(Record("to.crm", 0, offset, b"%d" % offset, b"x", (), 0))


def with_people(number: int, **options: Any) -> Lanes:
    """Lanes that hold an event of each of so many people."""
    lanes = Lanes(lane_a_person, **options)
    for offset in range(number):
        lanes.add(pending(offset))
    return lanes


def fail(lanes: Lanes, batch: list[Pending], reason: str, due_s: float) -> None:
    for each in batch:
        each.failed(Retry(reason), 0)
    lanes.retry(batch, due_s)


def offsets(batch: list[Pending]) -> list[int]:
    return [each.record.offset for each in batch]


def test_probes_of_somebody_new_take_the_oldest_the_newest_and_any_in_turn() -> None:
    lanes = with_people(7)
    taken = [offsets(lanes.take_new(0.0, 0.5)) for _ in range(5)]
    assert taken == [[0], [6], [3], [5], [1]]


def test_every_other_probe_is_of_one_who_failed_otherwise_than_the_last_who_did() -> (
    None
):
    """After an outage those are served who failed by it, whoever else always fails."""
    lanes = with_people(6, senders=8)
    for number, reason in enumerate(["403", "403", "403", "500", "500", "403"]):
        fail(lanes, lanes.take(0.0), reason, due_s=float(number))
    probed = []
    for _ in range(4):
        batch = lanes.take_suspect(10.0)
        probed += offsets(batch)
        fail(lanes, batch, "403", due_s=20.0)
    assert probed == [3, 0, 4, 1]


def test_probes_of_those_who_failed_have_half_of_the_senders_at_most() -> None:
    lanes = with_people(4, senders=4)
    for _ in range(4):
        fail(lanes, lanes.take(0.0), "500", due_s=1.0)
    flying = [lanes.take_suspect(2.0), lanes.take_suspect(2.0)]
    assert all(flying)
    assert lanes.next_suspect_s() == float("inf")
    assert not lanes.take_suspect(2.0)
    lanes.done(flying[0])
    assert lanes.next_suspect_s() == 1.0
    assert lanes.take_suspect(2.0)
