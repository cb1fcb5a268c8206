"""A batch cut into its messages: the same messages as when it is read as a whole."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import parse
from gateway.errors import MessageError
from gateway.inbound.accept import Acceptor
from gateway.inbound.authenticate import Keys
from gateway.inbound.cut import Cut, cut
from gateway.inbound.decode import decode
from gateway.inbound.doors.pipelines import Endpoint, Pipelines
from gateway.inbound.post import Post
from gateway.inbound.receipt import Receipt
from gateway.inbound.receive import Receiver
from gateway.log import EventLog
from gateway.metrics import Metrics
from gateway.notices import Notices
from tests.chance import examples
from tests.inbound.samples import LIMITS, RECEIVED_MS, recordings, rules

ONE, TWO = {"type": "track", "n": [1, {"a": []}]}, {"type": "page", "s": "},{"}
AROUND = {"sentAt": "2026-01-15T10:13:20Z", "context": {"ip": "::1"}, "n": 1}


def read(body: bytes) -> Any:
    """The whole of it by way of its pieces; None where it must be read as a whole."""
    pieces = cut(body, LIMITS)
    return None if pieces is None else joined(pieces)


def joined(pieces: Cut) -> Any:
    try:
        messages = [orjson.loads(text) for text in pieces.texts]
    except orjson.JSONDecodeError:
        return None
    return {**pieces.around, "batch": messages}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    "style",
    [
        {"separators": (",", ":")},
        {},
        {"indent": 2},
        {"separators": (" ,\n", " :\t")},
    ],
    ids=["compact", "spaced", "indented", "odd"],
)
@pytest.mark.parametrize("first", [True, False], ids=["batch-first", "batch-last"])
def test_every_style_of_json_is_cut(count, style, first):
    batch = {"batch": [ONE, TWO, ONE][:count]}
    value = {**batch, **AROUND} if first else {**AROUND, **batch}
    pieces = cut(json.dumps(value, **style).encode(), LIMITS)
    assert pieces is not None
    assert len(pieces.texts) == count
    assert joined(pieces) == value


def test_everything_that_sdks_send_in_batches_is_cut():
    seen = 0
    for _, request in recordings():
        if '"batch"' in request["body_text"]:
            body = request["body_text"].encode()
            assert read(body) == orjson.loads(body)
            seen += 1
    assert seen == 109


def test_after_a_byte_order_mark():
    assert read(b'\xef\xbb\xbf{"batch":[{"a":1}]}') == {"batch": [{"a": 1}]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"batch":[]}',
        b'{"batch":[1,{"a":1}]}',
        b'{"batch":{"a":1}}',
        b'{"batch":[{"a":1},{"a":2},]}',
        b'{"batch":[{"a":1}{"a":2}]}',
        b'{"batch":[{"a":1};{"a":2}]}',
        b'{"batch":[{"a":1}]{"a":2}]}',
        b'{"batch":[{"a":1},,{"a":2}]}',
        b'{"x":[{"a":1}],"batch":[{"a":1}]}',
        b'{"x":[{"a":1},{"a":{"batch":[{"a":1}]}}],"batch":[]}',
        b'{"batch":[,{"a":1}]}',
        b'{"batch":[{"a":1}]',
        b'{"batch":[{"a":1}]}]}',
        b'{"batch":[{"a":1}],"x":[{"b":1}]}',
        b'{"batch":[{"a":1},{"b":2}]}',
        b'{"batch":[{"a":[{"a":1},{"a":2}]}]}',
        b'{"batch":[{"a":"{\\"a\\":1}"},{"a":"x {"}],"b":"{\\"a\\":"}',
        b'{"x":{"batch":[{"a":1}]}}',
        b'{"x":{"batch":[{"a":1}]},"batch":[]}',
        b'{"x":{"batch":[{"a":1}]},"b\\u0061tch":[]}',
        b'{"batch":[{"a":1}],"batch":[{"a":2}]}',
        b'{"batch":[{"a":1}],"batch":[]}',
        b'{"batch":[],"batch":[{"a":1}]}',
        b'{"x":"\\"batch\\":[{\\"a\\":","batch":[{"a":1}]}',
        b'[{"batch":[{"a":1}]}]',
        b'{"batch":[{"a":"\\u0000"}]}',
        b'{"batch":[{"a":18446744073709551616}]}',
        b'{"batch":[{"a":NaN}]}',
        b'{"batch":[{"a":"\xff"}]}',
        b'{"batch":[{"a":1}],"b":"\xff"}',
    ],
)
def test_what_is_no_such_batch_is_read_as_a_whole(body):
    assert read(body) is None


def test_more_messages_than_may_be_are_left_to_the_whole():
    limits = replace(LIMITS, batch_messages=3)
    body = b'{"batch":[%s]}'
    assert cut(body % b",".join([b'{"a":1}'] * 3), limits) is not None
    assert cut(body % b",".join([b'{"a":1}'] * 4), limits) is None


def test_an_envelope_that_is_nested_too_deep_is_left_to_the_whole():
    limits = replace(LIMITS, nesting=4)
    assert cut(b'{"x":{"y":{}},"batch":[{"a":1}]}', limits) is not None
    assert cut(b'{"x":{"y":{"z":{}}},"batch":[{"a":1}]}', limits) is None


NAMES = st.sampled_from(["a", "b", "batch", '"', "\\", '{"a":'])
VALUES = st.recursive(
    st.none()
    | st.integers(-5, 5)
    | NAMES
    | st.sampled_from(["}]", "},{", '"batch":[{']),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=8,
)
MESSAGES = st.lists(st.dictionaries(NAMES, VALUES, max_size=3) | VALUES, max_size=4)
BODIES = st.tuples(
    st.dictionaries(NAMES, VALUES, max_size=2),
    MESSAGES,
    st.dictionaries(NAMES, VALUES, max_size=2),
    st.sampled_from([(",", ":"), (", ", ": "), ("\n,\t", " : ")]),
).map(
    lambda each: json.dumps(
        {**each[0], "batch": each[1], **each[2]}, separators=each[3]
    ).encode()
)
TOKENS = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b'{"a":', b"1"]
CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(TOKENS), st.booleans()), max_size=3
)


@given(BODIES, CHANGES)
@settings(max_examples=examples(1_000))
def test_pieces_that_are_json_are_what_the_whole_says(body, changes):
    """Whatever a body looks like, and whatever is broken in it."""
    for place, token, replaces in changes:
        at = int(place * len(body))
        body = body[:at] + token + body[at + replaces :]
    if (value := read(body)) is not None:
        assert decode(body, LIMITS).value == value


POISON = [
    b'{"type":"track","userId":"u","event":"E","messageId":"%d"}',
    b'{"type":"track","userId":"u","event":"E","messageId":"%d","integrations":{"X":1}}',
    b'{"type":"track","userId":"u","messageId":"%d"}',
    b'{"type":"track","userId":"u","event":"E","messageId":"%d","properties":NaN}',
    b'{"type":"track","userId":"u","event":"\\u0000","messageId":"%d"}',
    b'{"type":"identify","userId":"u","messageId":"%d","traits":'
    + b"[" * 99
    + b"]" * 99
    + b"}",
    b'{"type":"identify","userId":"u","messageId":"%d","traits":'
    + b"[" * 1_500
    + b"]" * 1_500
    + b"}",
    b'{"messageId":"%d","type":"page","userId":"u"}',
    b'{"type":"page","messageId":"%d","userId":"u","type":"page"}',
    b'{"type":"page","messageId":"%d","userId":"u"',
    b'"%d"',
    b'{"type":"page","messageId":"%d","userId":"u","context":{"x":[{"type":"y"}]}}',
]


@pytest.fixture(scope="module")
def pipelines() -> Pipelines:
    """With everything that is needed before something is appended."""
    config = parse('[sources.backend]\nwrite_keys = ["dev"]\n', folder=Path())
    acceptor = Acceptor(
        rules=rules("crm"),
        log=cast("EventLog", None),
        receiver=Receiver(body_bytes_max=10**6, reading_bytes_max=10**6),
        metrics=Metrics(),
        notices=Notices(),
    )
    return Pipelines(acceptor=acceptor, keys=Keys(config.sources))


async def taken(pipelines: Pipelines, body: bytes) -> Any:
    """What a request adds up to before it is appended, however it was read."""
    post = Post({}, "127.0.0.1", RECEIVED_MS)
    post.source = pipelines.sender({"Authorization": "Basic ZGV2Og=="})
    try:
        receipt = await pipelines.take(post, Endpoint("batch", None), body)
    except MessageError as error:
        return str(error)
    assert isinstance(receipt, Receipt)
    told = [(each.index, each.refusal) for each in receipt.rejected]
    total = receipt.events, receipt.refused_bytes, receipt.accepted
    return receipt.entries, told, total, receipt.counts, receipt.notices


async def test_a_message_is_parsed_when_its_turn_comes(pipelines, monkeypatch):
    texts = [POISON[0] % number for number in range(100)]
    parsed: list[int] = []
    loads = orjson.loads
    monkeypatch.setattr(orjson, "loads", lambda t: (parsed.append(len(t)), loads(t))[1])
    entries, *_ = await taken(pipelines, b'{"batch":[%s]}' % b",".join(texts))
    assert len(entries) == 2 * len(texts)  # to the archive and a destination
    assert parsed == [len(b'{"batch":[]}'), *map(len, texts)]


@given(st.lists(st.sampled_from(POISON), min_size=1, max_size=5), st.booleans())
@settings(max_examples=examples(300))
async def test_judged_is_the_same_as_from_the_whole(pipelines, messages, shared):
    texts = [text % number for number, text in enumerate(messages)]
    around = b',"context":{"ip":"::1"}' if shared else b""
    body = b'{"batch":[' + b",".join(texts) + b"]" + around + b"}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("secrets.token_hex", lambda size: "spare" * size)
        one = await taken(pipelines, body)
        patch.setattr("gateway.inbound.doors.pipelines.cut", lambda *_: None)
        whole = await taken(pipelines, body)
    assert one == whole
