"""Events by several endpoints: within bounds, each told what became of its items."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.contract import Delivered, Delivery, Rejected, Retry, Skipped
from gateway.outbound.endpoints import Endpoint, Made, by_endpoint
from gateway.outbound.http import NoResponse, Request, Response, by_status
from gateway.outbound.talk import NO_ACCESS
from tests.outbound.conftest import make_delivery

Items = Sequence[tuple[str, Any]]


def endpoint(name: str, judge: Any = None, **bounds: int) -> Endpoint[Any]:
    def request(items: Sequence[bytes], settings: Any) -> Request:
        return Request(url=name, body=b"[%b]" % b",".join(items))

    return Endpoint(
        request=request, judge=judge or (lambda answer, _: by_status(answer)), **bounds
    )


def run(
    events: Sequence[Made], endpoints: Mapping[str, Endpoint[Any]], *answers: Any
) -> tuple[list[tuple[str, Any]], Any]:
    """What was asked, and what was said at the end; 200 after the answers."""
    deliveries = [make_delivery(number) for number in range(len(events))]

    def make(delivery: Delivery, settings: Any) -> Made:
        return events[int(delivery.event.message_id[1:])]

    talk = by_endpoint(make, endpoints)(deliveries, None, NO_ACCESS)
    left, asked = list(answers), []
    try:
        request = next(talk)
        while True:
            asked.append((request.url, orjson.loads(request.body)))
            answer = left.pop(0) if left else Response(status=200)
            request = talk.send(answer)
    except StopIteration as end:
        return asked, end.value


@given(
    st.lists(st.lists(st.text("x", max_size=40), max_size=4), min_size=1, max_size=12)
)
def test_every_item_is_sent_once_in_order_within_count_and_bytes(
    events: list[list[str]],
) -> None:
    made = [Made([("a", item) for item in items]) for items in events]
    asked, said = run(made, {"a": endpoint("a", count=3, size=60, item=50)})
    sent = [item for _, items in asked for item in items]
    assert sent == [item for items in events for item in items]
    for _, items in asked:
        assert len(items) <= 3
        assert len(orjson.dumps(items)) <= 61
    assert said == [
        Delivered(200) if items else Skipped("no request") for items in events
    ]


def test_an_event_that_is_too_large_is_not_sent_at_all() -> None:
    events = [Made([("a", "small"), ("b", "x" * 99)]), Made([("a", "other")])]
    endpoints = {"a": endpoint("a"), "b": endpoint("b", item=50)}
    asked, said = run(events, endpoints)
    assert asked == [("a", ["other"])]
    assert said[0] == Rejected("too_large", "101 bytes, at most 50", unsent=True)
    assert said[1] == Delivered(200)


def test_an_event_is_delivered_when_all_of_its_items_are() -> None:
    events = [Made([("a", 1), ("b", 1)]), Made([("b", 2)])]
    endpoints = {"a": endpoint("a"), "b": endpoint("b")}
    refused = Response(status=400)
    asked, said = run(events, endpoints, Response(status=200), refused)
    assert asked == [("a", [1]), ("b", [1]), ("b", [2])]
    assert said == [Rejected("rejected", "400", 400), Delivered(200)]


def test_what_belongs_to_an_event_that_was_refused_is_not_sent() -> None:
    events = [Made([("a", 1), ("b", 1)]), Made([("b", 2)])]
    endpoints = {"a": endpoint("a"), "b": endpoint("b", count=9)}
    asked, said = run(events, endpoints, Response(status=400))
    assert asked == [("a", [1]), ("b", [2])]
    assert said == [Rejected("rejected", "400", 400), Delivered(200)]


@pytest.mark.parametrize("answer", [Response(status=503), NoResponse("TimeoutError")])
def test_nothing_more_is_sent_after_what_may_succeed_later(answer: Any) -> None:
    events = [Made([("a", 1)]), Made([("a", 2), ("b", 2)]), Made([("b", 3)])]
    endpoints = {"a": endpoint("a"), "b": endpoint("b")}
    asked, said = run(events, endpoints, Response(status=200), answer)
    assert asked == [("a", [1]), ("a", [2])]
    assert [type(each) for each in said] == [Delivered, Retry, Retry]


def test_a_refusal_of_several_is_told_as_one_so_that_they_are_parted() -> None:
    events = [Made([("a", 1)]), Made([("a", 2)])]
    asked, said = run(events, {"a": endpoint("a", count=2)}, Response(status=413))
    assert said == Rejected("rejected", "413", 413)
    assert len(asked) == 1


def test_what_was_good_but_not_taken_is_sent_again() -> None:
    def judge(answer: Response, count: int) -> Any:
        if answer.status == 200:
            return Delivered(200)
        return [Rejected("rejected", "bad", 400), *[None] * (count - 1)]

    events = [Made([("a", number)]) for number in range(3)]
    endpoints = {"a": endpoint("a", judge, count=3)}
    asked, said = run(events, endpoints, Response(status=400))
    assert asked == [("a", [0, 1, 2]), ("a", [1, 2])]
    assert said == [Rejected("rejected", "bad", 400), Delivered(200), Delivered(200)]


def test_a_judge_that_refuses_nothing_and_takes_nothing_is_a_bug() -> None:
    endless = {"a": endpoint("a", lambda _, count: [None] * count)}
    with pytest.raises(ValueError, match="nothing of a request was refused"):
        run([Made([("a", 1)])], endless)


def test_what_is_lost_is_told_of_what_is_delivered_and_of_nothing_else() -> None:
    events = [
        Made([("a", 1)], lost=["traits.x (why)"]),
        Made(end=Skipped("no"), lost=["traits.y (why)"]),
    ]
    _, said = run(events, {"a": endpoint("a")})
    assert said == [Delivered(200, "not sent: traits.x (why)"), Skipped("no")]
