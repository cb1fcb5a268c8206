"""What a body costs before anything is wrong with it, or anybody has sent it."""

import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.config import parse
from gateway.errors import MessageError
from gateway.inbound import decode, fit
from gateway.inbound.decode import KEYLESS_BYTES, shared
from gateway.inbound.doors.readmit import Readmission
from gateway.inbound.fit import cut_deep, flaws, weigh
from gateway.inbound.refusal import POINTER_MAX, pointer
from tests.inbound.house import CONFIG, GOOD
from tests.inbound.samples import LIMITS, rules


def peak_bytes(work: Any) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_no_pointer_is_made_before_there_is_a_fault(monkeypatch):
    """A long key over many values was copied once for each of them."""
    made: list[str] = []
    monkeypatch.setattr(fit, "pointer", lambda way: (made.append(pointer(way)), "")[1])
    value: dict[str, Any] = {"context": {"k" * 10_000: [0] * 2_000}}
    assert peak_bytes(lambda: flaws(value, LIMITS.nesting)) < 30_000
    assert made == []
    value["context"]["k" * 10_000] += [float("nan")] * 50
    assert len(flaws(value, LIMITS.nesting)) == 10
    assert len(made) == 10


def test_a_pointer_is_cut_where_it_is_long():
    assert pointer(["a/b", 3, "c~d"]) == "/a~1b/3/c~0d"
    assert pointer(["k" * (POINTER_MAX - 1)]) == "/" + "k" * (POINTER_MAX - 1)
    long: list[Sequence[str | int]] = [
        ["k" * POINTER_MAX],
        ["k" * 10**6, 0],
        ["~" * 400],
        ["k"] * 400,
    ]
    for way in long:
        cut = pointer(way)
        assert len(cut) == POINTER_MAX
        assert cut.endswith("…")
    way = ["k" * 10**6]
    assert peak_bytes(lambda: pointer(way)) < 20_000


@pytest.mark.parametrize("name", ["a/b", "~", "", "1", "k" * 600])
def test_flaws_are_told_by_the_same_pointers_everywhere(name):
    for value, way in (
        ({name: float("nan")}, [name]),
        ({"x": [1, {name: [[], "\0"]}]}, ["x", 1, name, 1]),
        ([[{name: {"y": 2**64}}]], [0, 0, name, "y"]),
        ({name: [[[]]]}, [name, 0]),
    ):
        nesting = 2 if way == [name, 0] else LIMITS.nesting
        assert [fault.pointer for fault in flaws(value, nesting)] == [pointer(way)]


def test_flaws_are_told_in_the_order_of_the_text():
    value = {"a": [{"\0": 1}, "\0"], "b\0": {"c": 2**64}, "d": float("inf")}
    assert [(f.pointer, f.code) for f in flaws(value, LIMITS.nesting)] == [
        ("/b\ufffd", "nul"),
        ("/a/0/\ufffd", "nul"),
        ("/a/1", "nul"),
        ("/b\ufffd/c", "integer_range"),
        ("/d", "not_a_number"),
    ]


def test_what_is_too_large_is_weighed_and_not_walked(monkeypatch):
    monkeypatch.setattr(fit, "cut_deep", lambda *_: pytest.fail("it was walked"))
    large: list[Any]
    for large in ([[]] * 50_000, [[]] * 50_000 + [2**64], [[]] * 50_000 + ["\ud800"]):
        size, _ = weigh(large, LIMITS.nesting, LIMITS.message_bytes)
        assert size > LIMITS.message_bytes


def test_what_was_read_at_the_edge_of_the_stack_can_be_weighed_and_written():
    deep: Any = [2**64]
    for _ in range(5_000):
        deep = [deep]
    size, suspect = weigh(deep, LIMITS.nesting, LIMITS.message_bytes)
    assert size > 0
    assert suspect
    assert cut_deep(deep, LIMITS.nesting)
    json.dumps(deep)


NOT_PLAIN = [
    b'{"batch":[{}],"context":{"a":[%s],"b":NaN}}',
    b'{"batch":[{}],"context":{"a":[%s],"b":18446744073709551616}}',
    b'{"batch":[{}],"context":{"a":[%s],"b":' + b"[" * 4_000 + b"]" * 4_000 + b"}}",
    b'{"batch":[{}],"context":{"a":[%s],"b":nonsense}}',
]


@pytest.mark.parametrize("body", NOT_PLAIN, ids=["nan", "integer", "deep", "no json"])
def test_large_bodies_of_nobody_known_are_no_work_for_the_slow_reader(
    monkeypatch, body
):
    """2.4 s of CPU for 4 KB on the wire: orjson and json, twice, and a walk."""
    monkeypatch.setattr(decode, "_read_all", lambda _: pytest.fail("it was read"))
    large = body % b",".join([b"1"] * 600_000)
    with pytest.raises(MessageError) as error:
        decode.decode(large, LIMITS, known=False)
    assert error.value.code == "too_large"
    assert f"{len(large)} bytes, more than {KEYLESS_BYTES}" in str(error.value)
    monkeypatch.setattr(decode, "_read_all", lambda _: {"batch": [1]})
    assert decode.decode(large, LIMITS).value == {"batch": [1]}
    small = body % b",".join([b"1"] * 200_000)
    assert decode.decode(small, LIMITS, known=False).value == {"batch": [1]}


def test_large_plain_bodies_are_read_whoever_sends_them():
    body = b'{"batch":[{}],"context":{"a":[%s]}}' % b",".join([b"1"] * 600_000)
    assert decode.decode(body, LIMITS, known=False).value["batch"] == [{}]


async def test_nothing_is_walked_before_a_key_is_known(house, monkeypatch):
    for name in ("flaws", "weigh", "cut_deep"):
        monkeypatch.setattr(fit, name, lambda *_: pytest.fail("it was walked"))
        monkeypatch.setattr(decode, name, lambda *_: pytest.fail("it was walked"))
    context = {"k" * 1_000: [[0, {}]] * 1_000, "nul": "\0"}
    body: dict[str, Any] = {
        "batch": [GOOD, {**GOOD, "context": context}],
        "context": context,
    }
    status, said, _ = await house.post("/v1/batch", body, key=None)
    assert (status, said["code"]) == (401, "missing_write_key")
    key: dict[str, Any]
    for key in ({"writeKey": "nobody"}, {"writeKey": 5}):
        status, said, _ = await house.post("/v1/batch", {**body, **key}, key=None)
        assert status == 401
    body["batch"] = [{**each, "writeKey": "nobody"} for each in body["batch"]]
    status, said, _ = await house.post("/v1/batch", body, key=None)
    assert (status, said["code"]) == (401, "unknown_write_key")


def test_what_a_batch_shares_is_weighed_before_it_is_walked(monkeypatch):
    monkeypatch.setattr(decode, "flaws", lambda *_: pytest.fail("it was walked"))
    monkeypatch.setattr(fit, "cut_deep", lambda *_: pytest.fail("it was walked"))
    limits = replace(LIMITS, event_bytes=1_000)
    said: dict[str, Any]
    for said in (
        {"context": {"a": [0] * 1_000}},
        {"context": {"a": [0] * 1_000, "b": 2**64}},
        {"context": {"a": ["\0"] * 1_000}},
        {"context": {"a": {}}, "integrations": {"x" * 1_000: True}},
        {"context": "x" * 1_000},
        {"timestamp": "x" * 600, "sentAt": ["x" * 600]},
        {"context": [[[]]] * 500},
    ):
        with pytest.raises(MessageError) as error:
            shared({"batch": [{}], **said}, limits)
        assert error.value.code == "too_large"
        assert "more than 1000" in str(error.value)


async def test_a_context_that_no_event_can_hold_is_refused_once(house):
    """Each of its messages had a record of its own in `refused`, with all of it."""
    body = {"batch": [GOOD] * 100, "context": {"a": "x" * 70_000}}
    status, said, _ = await house.post("/v1/batch", body)
    assert (status, said["code"]) == (400, "too_large")
    assert "70020 bytes, more than 65536" in said["message"]
    (kept,) = await house.records("refused")
    assert len(kept.value) < 70_000
    assert house.metrics.messages["backend", "batch", "refused"] == 1
    assert await house.events() == []
    body["context"] = {"a": "x" * 60_000}
    body["batch"] = [GOOD] * 2
    assert (await house.post("/v1/batch", body))[0] == 200


@pytest.mark.parametrize("depth", [65, 240, 260, 600])
@pytest.mark.parametrize("line", ["/v1/identify", "/v1/track"])
async def test_a_batch_inside_a_single_message_hides_no_depth(house, line, depth):
    deep = b"[" * depth + b"]" * depth
    body = b'{"userId":"u","event":"E","batch":%s}' % deep
    status, said, _ = await house.post(line, body)
    assert (status, said["code"]) == (400, "too_large")
    assert said["errors"][0]["message"] == "nested deeper than 64"
    assert await house.events() == []
    fine = b'{"userId":"u","event":"E","batch":%s}' % (b"[" * 63 + b"]" * 63)
    assert (await house.post(line, fine))[0] == 200


async def test_a_batch_inside_a_single_message_is_not_taken_apart_later(house):
    inner = [{"type": "identify", "userId": "inner"}]
    body = {"userId": {}, "batch": inner}
    assert (await house.post("/v1/identify", body))[0] == 400
    (kept,) = [orjson.loads(each.value) for each in await house.records("refused")]
    sources = parse(CONFIG, folder=Path()).sources
    again = Readmission(sources, rules("crm"))
    assert again.judge(again.read(kept)) == "refused"
    mended = kept["bytes"].replace("{}", '"outer"')
    entries = again.judge(again.read({**kept, "bytes": mended}))
    assert not isinstance(entries, str)
    event = orjson.loads(entries[0].value)
    assert (event["userId"], event["batch"]) == ("outer", inner)
