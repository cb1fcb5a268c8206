"""What may go, and what a misbehaving destination can do to it: nothing to others."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from gateway.config import DestinationConfig
from gateway.outbound.attempt import Gate, deliver
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Outcome,
    Rejected,
    Retry,
    Takes,
    Verdict,
)
from gateway.outbound.suppressed import Suppressed

TAKES = Takes(types=frozenset({"identify"}), batch_events=10)
KEPT = Delivered(200)


def gate(**config: Any) -> Gate:
    suppressed = config.pop("suppressed", Suppressed())
    return Gate(
        DestinationConfig(name="crm", type="webhook", **config),
        TAKES,
        source_kinds={"web": "browser"},
        suppressed=suppressed,
    )


def test_the_record_s_bytes_are_used_again_when_the_spelling_changes_nothing(
    body: Any,
) -> None:
    value = orjson.dumps(body(1, "u1"))
    prepared = gate().prepare(value, "r1")
    assert isinstance(prepared, Delivery)
    assert prepared.value is value
    assert prepared.replay == "r1"


def test_the_spelling_of_the_destination_is_in_the_event_and_its_bytes(
    body: Any,
) -> None:
    prepared = gate(spelling="snake_case").prepare(orjson.dumps(body(1, "u1")))
    assert isinstance(prepared, Delivery)
    assert prepared.event.body["traits"]["first_name"] == "Jane"
    assert orjson.loads(prepared.value) == prepared.event.body


@pytest.mark.parametrize(
    ("integrations", "sent"),
    [
        ({}, True),
        ({"All": False, "CRM": True}, True),
        ({"My CRM": {"list": 1}}, True),
        ({"webhook": False}, False),
        ({"my crm": False, "crm": {"list": 1}}, False),
        ("nonsense", True),
        (None, True),
    ],
)
def test_integrations_that_say_no_are_obeyed(
    body: Any,
    integrations: Any,
    sent: bool,  # noqa: FBT001 -- a parameter of the case
) -> None:
    value = orjson.dumps(body(1, "u1", integrations=integrations))
    prepared = gate(display_name="My CRM").prepare(value)
    assert isinstance(prepared, Delivery) is sent
    if not sent:
        assert prepared == Outcome(kind="filtered", reason="integrations")


@pytest.mark.parametrize("identifier", ["id:U1", "email:u1@example.com"])
def test_suppressed_people_are_sent_nothing(body: Any, identifier: str) -> None:
    value = orjson.dumps(body(1, "U1", traits={"email": "U1@example.com"}))
    prepared = gate(suppressed=Suppressed([identifier])).prepare(value)
    assert prepared == Outcome(kind="suppressed", reason="suppressed")


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
    first, second, third = await deliver(remote, batch, timeout_s=5.0, under_way=set())
    assert first == third == Delivered(200)
    assert isinstance(second, Rejected)
    assert second.reason == "bug"
    assert second.detail.startswith("deliver: KeyError in Failing.deliver:")
    assert "payload" not in second.detail
    assert remote.calls == [["m1", "m2", "m3"], ["m1"], ["m2"], ["m3"]]


async def test_after_a_retry_the_rest_are_not_tried(delivery: Any) -> None:
    remote = Failing("m1", answer=Retry("503"))
    batch = [delivery(number) for number in (1, 2, 3)]
    verdicts = await deliver(remote, batch, timeout_s=5.0, under_way=set())
    assert verdicts[1:] == [Retry("503")] * 2
    assert remote.calls[1:] == [["m1"], ["m2"]]


async def test_too_few_verdicts_are_a_bug_of_the_destination(delivery: Any) -> None:
    class Short(Failing):
        async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
            return []

    (verdict,) = await deliver(Short(), [delivery(1)], timeout_s=5.0, under_way=set())
    assert isinstance(verdict, Rejected)


async def test_a_destination_that_never_answers_is_left(delivery: Any) -> None:
    class Never(Failing):
        async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
            await asyncio.Event().wait()
            return []

    verdicts = await deliver(
        Never(), [delivery(1), delivery(2)], timeout_s=0.01, under_way=set()
    )
    assert verdicts == [Retry("TimeoutError")] * 2


async def test_cancelling_passes_through(delivery: Any) -> None:
    class Cancelled(Failing):
        async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await deliver(Cancelled(), [delivery(1)], timeout_s=5.0, under_way=set())
