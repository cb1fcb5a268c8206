"""What a misbehaving destination can do to an event: nothing to others."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.outbound.attempt import deliver
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Retry,
    Takes,
    Verdict,
)
from gateway.outbound.deadlines import Deadlines

TAKES = Takes(types=frozenset({"identify"}), batch_events=10)
KEPT = Delivered(200)


class Failing:
    """Raises for the events it is told to; each list is one call."""

    takes = TAKES

    def __init__(self, *bad: str, answer: Verdict = KEPT) -> None:
        self.bad = set(bad)
        self.answer = answer
        self.calls: list[list[str]] = []

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        ids = [each.event.message_id for each in deliveries]
        self.calls.append(ids)
        if self.bad & set(ids):
            raise KeyError("a value of the payload")
        return [self.answer] * len(deliveries)

    async def close(self) -> None: ...


async def test_an_exception_rejects_the_event_at_fault_alone(delivery: Any) -> None:
    remote = Failing("m2")
    batch = [delivery(number) for number in (1, 2, 3)]
    first, second, third = await deliver(
        remote, batch, timeout_s=5.0, under_way=Deadlines()
    )
    assert first == third == Delivered(200)
    assert isinstance(second, Rejected)
    assert second.reason == "bug"
    assert second.detail.startswith("deliver: KeyError in Failing.deliver:")
    assert "payload" not in second.detail
    assert remote.calls == [["m1", "m2", "m3"], ["m1"], ["m2"], ["m3"]]


async def test_after_a_retry_the_rest_are_not_tried(delivery: Any) -> None:
    remote = Failing("m1", answer=Retry("503"))
    batch = [delivery(number) for number in (1, 2, 3)]
    verdicts = await deliver(remote, batch, timeout_s=5.0, under_way=Deadlines())
    assert verdicts[1:] == [Retry("503")] * 2
    assert remote.calls[1:] == [["m1"], ["m2"]]


async def test_too_few_verdicts_are_a_bug_of_the_destination(delivery: Any) -> None:
    class Short(Failing):
        async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
            return []

    (verdict,) = await deliver(
        Short(), [delivery(1)], timeout_s=5.0, under_way=Deadlines()
    )
    assert isinstance(verdict, Rejected)


async def test_a_destination_that_never_answers_is_left(delivery: Any) -> None:
    class Never(Failing):
        async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
            await asyncio.Event().wait()
            return []

    verdicts = await deliver(
        Never(), [delivery(1), delivery(2)], timeout_s=0.01, under_way=Deadlines()
    )
    assert verdicts == [Retry("TimeoutError")] * 2


async def test_cancelling_passes_through(delivery: Any) -> None:
    class Cancelled(Failing):
        async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await deliver(Cancelled(), [delivery(1)], timeout_s=5.0, under_way=Deadlines())
