"""What is traced: the dice, or a sender's ``traceparent``; and what is carried on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.trace import QUEUE_SPANS, Context, Tracer, parsed

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def tracer(chance: float = 0.0, *, one_in: int = 100, follows: bool = True) -> Tracer:
    return Tracer(
        one_in=one_in, follows=follows, chance=lambda: chance, now_ns=lambda: 5
    )


def test_a_traceparent_is_read() -> None:
    context = parsed(PARENT)
    assert context == Context(int(TRACE, 16), int(SPAN, 16))
    assert context.header() == PARENT
    unsampled = parsed(f"00-{TRACE}-{SPAN}-00")
    assert unsampled is not None
    assert not unsampled.sampled


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "00",
        PARENT.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f" {PARENT}",
        PARENT[:-1],
    ],
)
def test_what_is_no_traceparent_is_none(text: str | None) -> None:
    assert parsed(text) is None


def test_a_later_version_may_say_more() -> None:
    assert parsed(f"01-{TRACE}-{SPAN}-01-more") == parsed(PARENT)


@given(st.text(max_size=60))
def test_no_text_is_an_error(text: str) -> None:
    parsed(text)


@given(
    trace=st.integers(1, 2**128 - 1),
    span=st.integers(1, 2**64 - 1),
    sampled=st.booleans(),
)
def test_what_is_said_is_read_again(*, trace: int, span: int, sampled: bool) -> None:
    context = Context(trace, span, sampled)
    assert parsed(context.header()) == context


# who decides


@pytest.mark.parametrize(
    ("chance", "one_in", "traced"),
    [(0.0099, 100, True), (0.01, 100, False), (0.999, 1, True), (0.0, 10**9, True)],
)
def test_the_dice_choose_one_of_so_many(
    *, chance: float, one_in: int, traced: bool
) -> None:
    trace = tracer(chance, one_in=one_in).begin("POST x", {})
    assert (trace is not None) == traced


@pytest.mark.parametrize(("flags", "traced"), [("01", True), ("00", False)])
def test_a_traceparent_decides_before_the_dice(*, flags: str, traced: bool) -> None:
    never = 0.99 if traced else 0.0
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-{flags}"}
    assert (tracer(never).begin("POST x", headers) is not None) == traced


def test_where_it_is_not_followed_only_the_dice_decide() -> None:
    headers = {"traceparent": PARENT}
    assert tracer(0.99, follows=False).begin("POST x", headers) is None
    made = tracer(0.0, follows=False)
    trace = made.begin("POST x", headers)
    assert trace is not None
    trace.end({})
    (span,) = made.take(9)
    assert span.parent == 0
    assert span.context.trace_id != int(TRACE, 16)


# spans


def test_a_request_its_append_and_a_delivery_are_one_trace() -> None:
    made = tracer(0.99)
    trace = made.begin("POST identify", {"traceparent": PARENT})
    assert trace is not None
    name, carried = trace.carried
    assert name == "traceparent"
    trace.did("append", 1, {"gateway.entries": 2})
    trace.end({}, "503")
    made.attempted("deliver crm", carried, 3, {"gateway.result": "retry"}, "500")
    append, post, delivery = made.take(9)
    assert {each.context.trace_id for each in (append, post, delivery)} == {
        int(TRACE, 16)
    }
    assert post.parent == int(SPAN, 16)
    assert append.parent == delivery.parent == post.context.span_id
    assert (post.failed, delivery.failed, append.failed) == ("503", "500", "")
    assert (append.start_ns, append.end_ns) == (1, 5)


@pytest.mark.parametrize(
    "carried", [b"", b"\xff\xfe", f"00-{TRACE}-{SPAN}-00".encode()]
)
def test_a_record_that_carries_no_trace_makes_no_span(carried: bytes) -> None:
    made = tracer()
    made.attempted("deliver crm", carried, 3, {})
    assert made.take(9) == []


def test_spans_that_nobody_takes_are_bounded_and_counted() -> None:
    made = tracer()
    trace = made.begin("POST x", {})
    assert trace is not None
    for _ in range(QUEUE_SPANS + 3):
        trace.end({})
    assert made.lost == 3
    assert len(made.take(10**9)) == QUEUE_SPANS
    assert made.take(1) == []
