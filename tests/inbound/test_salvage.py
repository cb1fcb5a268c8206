"""A body that is no JSON: its good messages are kept, and the rest as it came."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.config import parse
from gateway.errors import MessageError
from gateway.explain import explain
from gateway.inbound.doors.readmit import Readmission
from gateway.inbound.salvage import LOOKS, LOOKS_MIN, Salvage
from tests.chance import examples
from tests.inbound.attacks import attacks
from tests.inbound.house import House
from tests.inbound.samples import LIMITS

A, B, C = (
    b'{"type":"track","event":"%s","userId":"u","properties":{"of":[{"n":1},{"n":2}]}}'
    % name
    for name in (b"A", b"B", b"C")
)
TAIL = (
    b'],"sentAt":"2026-08-10T00:00:00.000Z","context":{"app":{"v":1}},"writeKey":"dev"}'
)
CUT_OFF = b'{"type":"track","event":"X","properties":{"of":[{"n":1},{"n'
NO_QUOTE = b'{"type":"track","event":"X,"userId":"u"}'
COMMAS = b'{"type":"track","event":"X",,"userId":"u"}'


def batch(*messages: bytes, by: bytes = b",", tail: bytes = TAIL) -> bytes:
    return b'{"batch":[' + by.join(messages) + tail


async def judged(house: House, body: bytes, key: str | None = None) -> tuple[Any, ...]:
    """The answer; the events' names; what is kept of the rest."""
    status, said, _ = await house.post("/v1/b", body, key=key)
    refused = [json.loads(each.value) for each in await house.records("refused")]
    names = [event["event"] for event in await house.events()]
    return status, said, names, [each["bytes"].encode() for each in refused]


WHOLE = {
    "two commas": batch(A, b"", B),
    "a comma first": batch(b"\n", A, B),
    "a comma last": batch(A, B, b""),
    "no comma": batch(A, B, by=b""),
    "lines": batch(A, B, by=b"\n"),
    "NULs between": batch(A, B, by=b"\0\0,\0"),
    "NULs at the end": batch(A, B) + b"\0" * 100,
    "a bracket too many": batch(A, B, tail=b"]" + TAIL),
    "two bodies in one": batch(A) + batch(B),
    "two bodies, a line each": batch(A) + b"\n" + batch(B) + b"\n",
    "a byte order mark between": batch(A) + b"\n\n" + batch(B),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_f5_what_is_between_messages_costs_none(house: House, name: str) -> None:
    status, said, names, kept = await judged(house, WHOLE[name])
    assert (status, said) == (200, {"success": True})
    assert (names, kept) == (["A", "B"], [])
    for event in await house.events():
        assert event["context"]["app"] == {"v": 1}
        assert event["sentAt"] == "2026-08-10T00:00:00.000Z"
        assert event["source"] == "backend"


DAMAGED = {
    "a character": (batch(A, b"x", B), [b"x"]),
    "commas in a message": (batch(A, COMMAS, B), [COMMAS]),
    "a quote is missing": (batch(A, NO_QUOTE, B), [NO_QUOTE]),
    "two quotes are missing": (batch(NO_QUOTE, A, NO_QUOTE, B), [NO_QUOTE, NO_QUOTE]),
    "a message has no end": (batch(A, CUT_OFF, B), [CUT_OFF]),
    "the last has no end": (batch(A, B, CUT_OFF), [CUT_OFF]),
    "the first has no beginning": (
        b'ck","properties":{"x":{"y":1}}},' + batch(A, B)[len(b'{"batch":[') :],
        [b'ck","properties":{"x":{"y":1}}}'],
    ),
    "an end too early": (
        batch(A, b'{"type":"track","userId":"u"},"event":"X"}', B),
        [b'{"type":"track","userId":"u"},"event":"X"}'],
    ),
    "a message has no beginning": (
        batch(A, b'"event":"X","userId":"u"}', B),
        [b'"event":"X","userId":"u"}'],
    ),
    "the list has no end": (
        batch(A, B, tail=b',"sentAt":"soon","writeKey":"dev"}'),
        [b'"sentAt":"soon","writeKey":"dev"}'],
    ),
    "text after the end": (batch(A, B) + b"<html>", [b"<html>"]),
    "a NUL in a message": (
        batch(A, b'{"type":"tr\0ack","userId":"u"}', B),
        [b'{"type":"tr\0ack","userId":"u"}'],
    ),
    "no JSON and no message": (batch(A, b"5", b"", B), [b"5"]),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("key", [None, "dev"], ids=["key in the text", "in a header"])
async def test_f5_what_is_damaged_is_kept_and_costs_no_other(
    house: House, name: str, key: str | None
) -> None:
    body, damaged = DAMAGED[name]
    status, said, names, kept = await judged(house, body, key)
    assert (names, kept) == (["A", "B"], damaged)
    assert (status, said["accepted"]) == (200, 2)
    told = [(each["index"], each["errors"][0]["code"]) for each in said["rejected"]]
    assert [code for _, code in told] == ["invalid_json"] * len(damaged)
    assert len({index for index, _ in told} & {0, 1, 2, 3}) == len(damaged)
    strict = await house.post("/v1/b", body, key="dev", X_Strict_Mode="1")
    assert strict[0] == 400


async def test_f5_old_clients_hear_200_and_all_of_it_is_kept(house: House) -> None:
    body = batch(A, COMMAS, B).replace(b'"dev"', b'"old"')
    status, said, names, kept = await judged(house, body)
    assert (status, said) == (200, {"success": True})
    assert (names, kept) == (["A", "B"], [COMMAS])


async def test_f5_bytes_that_are_no_utf8_cost_their_message_alone(house: House) -> None:
    body = batch(A, b'{"type":"track","event":"\xff","userId":"u"}', B)
    status, said, _ = await house.post("/v1/b", body, key=None)
    assert (status, said["accepted"]) == (200, 2)
    (kept,) = [json.loads(each.value) for each in await house.records("refused")]
    assert "bytesBase64" in kept


async def test_f5_nothing_is_known_of_a_sender_without_a_key(house: House) -> None:
    for body in (batch(A, b"", B, tail=b"]}"), batch(A, b"", B).replace(b"dev", b"no")):
        status, said, names, kept = await judged(house, body)
        assert (status, said["code"], names, kept) == (400, "invalid_json", [], [])


async def test_f5_a_key_in_the_text_is_judged_like_any_other(house: House) -> None:
    """Its origins, its rate; and a message's own key decides for that message."""
    body = batch(A, b"", B).replace(b'"dev"', b'"web"')
    status, said, _ = await house.post("/v1/b", body, key=None, Origin="https://e.vil")
    assert (status, said["code"]) == (401, "unknown_write_key")
    own = A.replace(b"{", b'{"writeKey":"old",', 1)
    assert (await house.post("/v1/b", batch(own, b"", B), key=None))[0] == 200
    other = A.replace(b"{", b'{"writeKey":"nobody",', 1)
    status, said, _ = await house.post("/v1/b", batch(B, b"", other), key=None)
    assert said["rejected"][0]["errors"][0]["code"] == "unknown_write_key"
    assert [e["source"] for e in await house.events()] == ["old", "backend", "backend"]
    body = batch(*[A] * 30, b"", B).replace(b'"dev"', b'"slow"')
    assert (await house.post("/v1/b", body, key=None))[0] == 200
    assert (await house.post("/v1/b", body, key=None))[0] == 429


async def test_f5_a_single_message_that_is_no_json_is_kept_by_its_key(
    house: House,
) -> None:
    body = b'{"writeKey": "dev", "userId": "u", "traits": {'
    status, said, _ = await house.post("/v1/identify", body, key=None)
    assert (status, said["code"]) == (400, "invalid_json")
    (kept,) = [json.loads(each.value) for each in await house.records("refused")]
    assert (kept["bytes"].encode(), kept["source"]) == (body, "backend")
    nothing = b'{"batch":[{"type":"track","event":"X"'
    assert (await house.post("/v1/b", nothing))[0] == 400
    assert len(await house.records("refused")) == 2


async def test_f5_what_the_batch_says_is_not_lost_unseen(house: House) -> None:
    """Without `integrations` an event would go where its sender does not want it."""
    tail = b'],"integrations":{"hook":false,},"writeKey":"dev"}'
    status, said, names, kept = await judged(house, batch(A, B, tail=tail))
    assert (status, names) == (400, [])
    assert said["errors"][0]["pointer"] == "/batch/0/integrations"
    assert kept[:2] == [A, B]


async def test_f5_an_envelope_says_nothing_for_another(house: House) -> None:
    off = batch(A, tail=b'],"integrations":{"hook":false},"writeKey":"dev"}')
    on = batch(B, tail=b'],"context":{"n":1},"writeKey":"dev"}')
    assert (await house.post("/v1/b", off + on, key=None))[0] == 200
    one, two = await house.events()
    assert (one["integrations"], "integrations" in two) == ({"hook": False}, False)
    assert ("n" in one["context"], two["context"]["n"]) == (False, 1)


def test_f5_no_message_is_made_of_what_stands_in_one() -> None:
    inner = b'{"type":"page","userId":"inner"}'
    for near in (inner, b"[" + inner + b"]", b'{"of":' + inner + b"}"):
        damaged = b'{"type":"track","messageId":"1","x":%s,"event":"X' % near
        ided = A.replace(b"{", b'{"messageId":"2",', 1)
        saved = Salvage.of(batch(damaged, ided), LIMITS)
        assert [each.text for each in saved.pieces if each.sound] == [ided]


@given(
    st.lists(st.sampled_from([A, B, C, COMMAS, b"x", b'"', b"}", b"]", b"1"])),
    st.sampled_from([b",", b"", b",,", b"\0", b"\n"]),
    st.sampled_from([b'{"batch":[', b"[", b"", b'tch":[']),
    st.sampled_from([TAIL, b"", b"]", b"]}", TAIL + b"x", TAIL + TAIL]),
)
@settings(max_examples=examples(500))
def test_f5_every_message_is_found_whatever_stands_between(messages, by, head, tail):
    saved = Salvage.of(head + by.join(messages) + tail, LIMITS)
    found = [each.text for each in saved.pieces if each.sound]
    assert found == [each for each in messages if each in (A, B, C)]


def is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


@given(st.data())
@settings(max_examples=examples(500))
def test_f5_a_wound_anywhere_costs_no_more_than_its_neighbours(data):
    """Bytes taken out, put in or garbled: whatever is far from there is found."""
    texts = [A.replace(b"{", b'{"messageId":"%d",' % n, 1) for n in range(6)]
    body = batch(*texts)
    at = data.draw(st.integers(0, len(body)))
    size = data.draw(st.integers(0, 60))
    wound = data.draw(st.binary(max_size=5))
    wounded = body[:at] + wound + body[at + size :]
    assume(not is_json(wounded))
    saved = Salvage.of(wounded, LIMITS)
    found = {each.text for each in saved.pieces if each.sound}
    touched = [body.index(text) for text in texts]
    far = [
        text
        for text, begin in zip(texts, touched, strict=True)
        if begin + len(text) < at or begin > at + size
    ]
    assert found >= set(far)


HOSTILE = attacks(400_000) | {
    "openings": b'{"a' * 100_000,
    "envelopes": b'{"batch":[' * 2_000,
    "endings": b'],"a":{"b":[' * 30_000,
    "messages without an end": b'{"type":"track","x":[' * 20_000,
    "quotes": b'}{"' * 100_000,
    "colons and braces": b'x{"type":"page"' * 30_000,
    "one long string": b'{"a":"' + b"x" * 400_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_s4_a_walk_is_bounded_by_a_multiple_of_the_body(name: str) -> None:
    """It never looks at more than it may, and one look is no longer than an event."""
    body = HOSTILE[name][1:] if name in attacks(1_000) else HOSTILE[name]
    saved, steps = Salvage(body, LIMITS), 0
    with suppress(MessageError):  # too many messages
        for _ in saved.walk():
            steps += 1
    assert saved.looked <= LOOKS * len(body) + LOOKS_MIN + 3 * LIMITS.event_bytes
    assert steps <= len(body)
    assert sum(len(each.text) for each in saved.pieces) <= len(body)


async def test_f5_replay_reads_the_same_from_what_was_kept(house: House) -> None:
    """Also from what was kept when no body of this kind was taken apart."""
    body = batch(A, COMMAS, B)
    await house.post("/v1/b", b'{"batch":[%s,' % COMMAS, key="dev")
    (kept,) = [json.loads(each.value) for each in await house.records("refused")]
    again = Readmission(house.config.sources, house.acceptor.rules)
    assert again.judge(again.read(kept)) == "refused"
    entries = again.judge(again.read({**kept, "bytes": body.decode()}))
    assert not isinstance(entries, str)
    events = [json.loads(each.value) for each in entries if each.topic == "events"]
    assert [each["event"] for each in events] == ["A", "B"]
    assert events[0]["context"]["app"] == {"v": 1}
    await house.post("/v1/b", body, key="dev")
    piece = json.loads((await house.records("refused"))[-1].value)
    mended = piece["bytes"].replace(",,", ",")
    entries = again.judge(again.read({**piece, "bytes": mended}))
    assert not isinstance(entries, str)
    assert json.loads(entries[0].value)["context"]["app"] == {"v": 1}


@pytest.mark.parametrize("name", DAMAGED)
async def test_f5_explain_says_of_a_damaged_body_what_the_intake_does(
    house: House, name: str
) -> None:
    body, _ = DAMAGED[name]
    _, said, _ = await house.post("/v1/b", body)
    config = parse('[sources.backend]\nwrite_keys = ["dev"]\n', folder=Path())
    told = (await explain(config, body))["messages"]
    refused = {
        index: each["check"]["errors"]
        for index, each in enumerate(told)
        if not each["check"]["ok"]
    }
    assert {each["index"]: each["errors"] for each in said["rejected"]} == refused
    names = [each["event"]["event"] for each in told if each["check"]["ok"]]
    assert names == ["A", "B"]


@pytest.mark.parametrize("by", [b"\n", b"\r\n", b"\n\n", b" "])
async def test_f13_messages_a_line_each_and_a_list_of_them(
    house: House, by: bytes
) -> None:
    for body in (A + by + B + by, b"[" + by.join((A, b",", B)) + b"]"):
        status, said, _ = await house.post("/v1/batch", body)
        assert (status, said) == (200, {"success": True})
    assert [each["event"] for each in await house.events()] == ["A", "B"] * 2
    status, said, _ = await house.post("/v1/batch", b"[%s,5]" % A)
    assert (said["accepted"], said["rejected"][0]["index"]) == (1, 1)
    assert (await house.post("/v1/batch", b"[]"))[0] == 400
    keyed = A.replace(b"{", b'{"writeKey":"web",', 1)
    assert (await house.post("/v1/batch", b"[%s]" % keyed, key=None))[0] == 200


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl; x=y"])
async def test_f13_one_line_is_a_batch_where_the_header_says_lines(
    house: House, kind: str
) -> None:
    assert (await house.post("/v1/batch", A + b"\n", Content_Type=kind))[0] == 200
    assert (await house.post("/v1/batch", batch(A, B), Content_Type=kind))[0] == 200
    keyed = A.replace(b"{", b'{"writeKey":"web",', 1)
    answer = await house.post("/v1/batch", keyed, key=None, Content_Type=kind)
    assert answer[0] == 200
    assert [each["event"] for each in await house.events()] == ["A", "A", "B", "A"]
    status, said, _ = await house.post("/v1/batch", A + b"\n")
    assert (status, said["code"]) == (400, "invalid_message")
    deep = A.replace(b'{"n":1}', b"[" * 80 + b"]" * 80)
    status, said, _ = await house.post("/v1/batch", deep, Content_Type=kind)
    assert (status, said["errors"][0]["code"]) == (400, "too_large")
