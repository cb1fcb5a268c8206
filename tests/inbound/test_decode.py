"""Bytes to messages: whatever comes, bounded, and each message judged alone."""

import gzip
import json
import math
import time
import zlib
from dataclasses import replace

import pytest

from gateway.errors import MessageError
from gateway.inbound import decode
from gateway.inbound.fit import flaws, message_bytes, weigh
from gateway.inbound.inflate import inflate
from gateway.inbound.refusal import Fault
from tests.inbound.samples import LIMITS, recordings

TEXT = b'{"userId":"user-1"}'
NESTING = LIMITS.nesting


def fault_codes(value):
    return {(fault.pointer, fault.code) for fault in flaws(value, NESTING)}


def refused(body, encoding=None, limit=1_000):
    with pytest.raises(MessageError) as error:
        inflate(body, encoding, limit)
    return error.value.code, str(error.value)


NO_COMPRESSION = ["utf-8", "UTF8", "none", "identity", "binary", "base64", "x" * 5_000]
LABELS = [None, "", *NO_COMPRESSION, "gzip", " GZIP ", "x-gzip", "deflate"]
LABELS += [
    "gzip, identity",
    "identity,gzip",
    "deflate, utf-8",
    "br",
    "zstd",
    "br, gzip",
]


@pytest.mark.parametrize("encoding", LABELS)
@pytest.mark.parametrize("before", [b"", b" ", b"\r\n\t ", b"\xef\xbb\xbf"])
def test_f14_a_plain_body_stays_as_it_is_whatever_its_label(before, encoding):
    assert inflate(before + TEXT, encoding, 1_000) == before + TEXT
    assert inflate(before + b"[%s]" % TEXT, encoding, 1_000) == before + b"[%s]" % TEXT


@pytest.mark.parametrize("encoding", [None, *NO_COMPRESSION, "gzip, utf-8"])
def test_f14_what_is_no_json_stays_as_it_is_without_compression(encoding):
    assert inflate(b"email=a%40b", encoding, 1_000) == b"email=a%40b"


@pytest.mark.parametrize("encoding", LABELS)
def test_gzip_is_known_by_its_bytes(encoding):
    assert inflate(gzip.compress(TEXT), encoding, 1_000) == TEXT


def test_gzip_of_several_members_and_with_padding():
    body = gzip.compress(TEXT[:5]) + gzip.compress(TEXT[5:]) + b"\0" * 8
    assert inflate(body, "gzip", 1_000) == TEXT
    assert inflate(gzip.compress(b"") + gzip.compress(TEXT), "gzip", 1_000) == TEXT


@pytest.mark.parametrize("behind", [b"\n", b"\r\n", b" \0\t\n" * 9])
def test_f14_gzip_with_white_space_behind_it(behind):
    assert inflate(gzip.compress(TEXT) + behind, "gzip", 1_000) == TEXT
    twice = gzip.compress(TEXT) + behind + gzip.compress(TEXT) + behind
    assert inflate(twice, None, 1_000) == TEXT * 2
    assert refused(gzip.compress(TEXT) + behind + b"x")[0] == "invalid_json"


def test_gzip_of_very_many_members_is_not_followed():
    body = gzip.compress(b"") * 150_000
    began = time.thread_time()
    assert refused(body)[0] == "invalid_json"
    assert time.thread_time() - began < 2


@pytest.mark.parametrize("window", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_deflate_with_and_without_its_header(window):
    packer = zlib.compressobj(wbits=window)
    body = packer.compress(TEXT) + packer.flush()
    for label in ("deflate", "deflate, identity", "Deflate"):
        assert inflate(body, label, 1_000) == TEXT


@pytest.mark.parametrize("encoding", ["br", "zstd", "BR ", "identity, zstd"])
@pytest.mark.parametrize(
    "body",
    [b"\x0b\x09\x80" + TEXT + b"\x03", b"[\x13\x80\xf8", b"\x28\xb5\x2f\xfd\x24"],
)
def test_f14_another_compression_is_refused_and_told_what_is_read(encoding, body):
    code, text = refused(body, encoding)
    assert code == "invalid_message"
    assert "send gzip, deflate or none" in text


def test_f14_a_body_that_is_neither_deflate_nor_json_is_damaged():
    assert refused(b"x" + TEXT, "deflate")[0] == "invalid_json"


def test_a_large_body_is_refused_with_size_and_limit():
    assert inflate(b"x" * 1_000, None, 1_000) == b"x" * 1_000
    code, text = refused(b"x" * 1_001)
    assert code == "too_large"
    assert "1001" in text
    assert "1000" in text


@pytest.mark.parametrize("size", [1_001, 100_000_000])
def test_a_bomb_is_cut_off_while_it_inflates(size):
    packer = zlib.compressobj(wbits=31)
    body = b"".join(packer.compress(b"0" * 1_000) for _ in range(size // 1_000))
    body += packer.compress(b"0" * (size % 1_000)) + packer.flush()
    began = time.thread_time()
    code, text = refused(body)
    assert time.thread_time() - began < 0.1
    assert code == "too_large"
    assert "1000" in text
    assert refused(gzip.compress(b"0" * 600) * 2)[0] == "too_large"


def test_exactly_the_limit_inflates():
    assert inflate(gzip.compress(b"0" * 1_000), "gzip", 1_000) == b"0" * 1_000
    assert inflate(gzip.compress(b"0" * 500) * 2, "gzip", 1_000) == b"0" * 1_000


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(TEXT, mtime=0)[:-6],
        gzip.compress(TEXT, mtime=0)[:-1],
        gzip.compress(TEXT, mtime=0)[:4],
        b"\x1f\x8bnonsense",
        gzip.compress(TEXT, mtime=0) + b"{}",
        gzip.compress(TEXT, mtime=0)[:-8] + b"\1" * 8,
    ],
    ids=["cut", "short", "head", "nonsense", "trailing", "checksum"],
)
def test_damaged_gzip_is_no_json(body):
    assert refused(body, "gzip")[0] == "invalid_json"


def test_damaged_deflate_is_no_json():
    assert refused(b"\x78\x9cnonsense", "deflate")[0] == "invalid_json"
    assert refused(zlib.compress(TEXT)[:-1], "deflate")[0] == "invalid_json"


def test_json_is_read():
    body = '{"a": ["naïve 日本語 🎉", 1, 1.5, true, null]}'.encode()
    assert decode.decode(body, LIMITS)[:2] == (json.loads(body), False)


def test_a_byte_order_mark_is_skipped():
    assert decode.decode(b"\xef\xbb\xbf" + TEXT, LIMITS).value == {"userId": "user-1"}


def test_of_duplicate_keys_the_last_wins():
    assert decode.decode(b'{"a": 1, "a": 2}', LIMITS).value == {"a": 2}
    assert decode.decode(b'{"a": 1, "a": NaN}', LIMITS).value["a"] is not None


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "line 1, column 1"),
        (b'{"secret":', "line 1, column 11"),
        (b'{\n"secret": secret}', "line 2, column 11"),
        (b'{"secret": 1}}', "line 1, column 14"),
        (b'{"secret": "a\x00b"}', "line 1, column 14"),
        (b'{"secret": 01}', "line 1, column"),
        (b'{"secret": "\xff"}', "byte 13"),
        (b'{"secret": "\xed\xa0\x80"}', "byte 13"),
        (b"\xff\xfe{\x00}\x00", "byte 1"),
        ("secret".encode("utf-16"), "byte 1"),
    ],
    ids=repr,
)
def test_malformed_json_names_the_place_and_not_the_payload(body, place):
    with pytest.raises(MessageError) as error:
        decode.decode(body, LIMITS)
    assert error.value.code == "invalid_json"
    assert place in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("literal", "code"),
    [
        (b"NaN", "not_a_number"),
        (b"Infinity", "not_a_number"),
        (b"-Infinity", "not_a_number"),
        (b"1e999", "not_a_number"),
        (b'"\\ud800"', "surrogate"),
        (b'"\\udc00 x"', "surrogate"),
        (b'"a\\u0000"', "nul"),
        (b"18446744073709551616", "integer_range"),
        (b"-9223372036854775809", "integer_range"),
        (b"9" * 5_000, "integer_range"),
    ],
    ids=lambda each: str(each)[:20],
)
def test_what_no_event_can_hold_is_found_by_pointer(literal, code):
    body = b'{"batch":[{"a":[1,%s]},{"b":"fine"}]}' % literal
    value, suspect, _crowded = decode.decode(body, LIMITS)
    assert suspect
    bad, good = value["batch"]
    assert fault_codes(bad) == {("/a/1", code)}
    assert fault_codes(good) == set()


@pytest.mark.parametrize("code", ["surrogate", "nul"])
def test_keys_are_judged_too_and_their_pointer_can_be_written(code):
    key = {"surrogate": b"\\ud800", "nul": b"\\u0000"}[code]
    value, suspect, _crowded = decode.decode(b'{"a":{"x/~%s":1}}' % key, LIMITS)
    assert suspect
    (fault,) = flaws(value, NESTING)
    assert fault.code == code
    assert fault.pointer.startswith("/a/x~1~0")
    json.dumps(fault.pointer).encode()
    fault.pointer.encode()
    assert "\0" not in fault.pointer


@pytest.mark.parametrize(
    "literal",
    [
        b"18446744073709551615",
        b"-9223372036854775808",
        b"9223372036854775807",
        b'"18446744073709551616000"',
        b'"\\\\u0000"',
        b'"\\ud83c\\udf89"',
        b"1.5",
        b"1e300",
        b"0.1234567890123456789012",
    ],
    ids=str,
)
def test_what_only_looks_suspicious_is_kept_exactly(literal):
    value, *_ = decode.decode(b'{"a":%s}' % literal, LIMITS)
    assert value == json.loads(b'{"a":%s}' % literal)
    assert flaws(value, NESTING) == []


def test_flaws_tell_the_first_ten():
    value = {"a": [math.nan] * 5, "b": [math.inf] * 50}
    assert [fault.pointer for fault in flaws(value, NESTING)] == [
        *(f"/a/{n}" for n in range(5)),
        *(f"/b/{n}" for n in range(5)),
    ]


def nested(levels):
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("inner", [nested, lambda n: b'{"a":' * n + b"1" + b"}" * n])
def test_one_message_may_nest_64_deep(inner):
    good = b'{"traits":%s}' % inner(NESTING - 1)
    bad = b'{"traits":%s}' % inner(NESTING)
    value, suspect, crowded = decode.decode(
        b'{"batch":[%s,%s,{}]}' % (good, bad), LIMITS
    )
    assert crowded
    one, two, three = value["batch"]
    assert [weigh(each, NESTING)[1] for each in value["batch"]] == [False, True, False]
    assert flaws(one, NESTING) == []
    assert flaws(three, NESTING) == []
    (fault,) = flaws(two, NESTING)
    assert fault.code == "too_large"
    assert fault.message == "nested deeper than 64"
    assert fault.pointer.startswith("/traits/")
    value, suspect, crowded = decode.decode(good, LIMITS)
    assert flaws(value, NESTING) == []
    value, suspect, crowded = decode.decode(bad, LIMITS)
    assert suspect
    assert fault_codes(value) == {(fault.pointer, "too_large")}


def test_many_brackets_side_by_side_are_not_deep():
    body = b'{"batch":[%s]}' % b",".join([b'{"a":{"b":[1,2,{}]}}'] * 500)
    assert decode.decode(body, LIMITS)[:2] == (json.loads(body), False)


@pytest.mark.parametrize("levels", [65, 300, 990, 1_100, 5_000, 400_000])
@pytest.mark.parametrize("filler", [b"", b'"]\\"[",', b"NaN,"])
def test_a_message_of_any_depth_costs_only_itself(levels, filler):
    deep = (b"[" + filler) * levels + b"1" + b"]" * levels
    body = b'{"batch":[{"userId":"a]"},{"x":%s},{"userId":"[b"}]}' % deep
    began = time.thread_time()
    value, suspect, crowded = decode.decode(body, LIMITS)
    took = time.thread_time() - began
    first, bad, last = value["batch"]
    assert suspect or (crowded and weigh(bad, NESTING)[1])
    weigh(bad, NESTING)  # cuts what is far too deep
    assert (first, last) == ({"userId": "a]"}, {"userId": "[b"})
    assert {code for _, code in fault_codes(bad)} <= {"too_large", "not_a_number"}
    assert fault_codes(bad)
    assert message_bytes(bad) > 0
    json.dumps(bad)
    assert took < 5


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 2_000 + b"]" * 1_999, b'["' * 90_000],
    ids=["array", "object", "short", "quotes"],
)
def test_a_deep_body_that_is_not_closed_is_no_json(body):
    with pytest.raises(MessageError) as error:
        decode.decode(body, LIMITS)
    assert error.value.code == "invalid_json"


def test_the_search_for_a_way_out_of_the_depth_is_bounded():
    escaped_quotes = b"[" * 1_100 + b'"' + b'\\"' * 2_000_000
    many = b"[" * 1_100 + b"[],0," * 800_000
    for body in (escaped_quotes, many, many + b"]" * 1_100):
        began = time.thread_time()
        with pytest.raises(MessageError):
            decode.decode(body, LIMITS)
        assert time.thread_time() - began < 5


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"a": "naïve 日本語 🎉", "b": [1, 1.5, True, None]},
        {"a": 'line\nbreak "quoted" \\ \u2028'},
        "x",
        5,
    ],
    ids=repr,
)
def test_message_bytes_are_compact_utf8(message):
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    assert message_bytes(message) == len(text.encode())


def test_message_bytes_of_what_json_cannot_hold():
    assert message_bytes({"a": "\ud800"}) == len('{"a":"\\ud800"}')
    assert message_bytes({"a": 2**70}) == len('{"a":1180591620717411303424}')
    assert message_bytes({"a": math.nan}) > 0


def test_every_recording_comes_apart_and_gzip_is_found():
    seen = 0
    for _, request in recordings():
        body = request["body_text"].encode()
        packed = gzip.compress(body)
        assert inflate(packed, None, LIMITS.request_bytes) == body
        value, suspect, _crowded = decode.decode(body, LIMITS)
        assert not suspect
        assert value == json.loads(body)
        seen += 1
    assert seen == 146


def test_the_nesting_limit_is_the_configured_one():
    limits = replace(LIMITS, nesting=3)
    value, suspect, _crowded = decode.decode(b'{"a":{"b":{"c":{}}}}', limits)
    assert suspect
    assert flaws(value, 3) == [Fault("/a/b/c", "nested deeper than 3", "too_large")]
