"""What bad input gets: the right 4xx with a reason, in bounded time; never a 500.

Through the running gateway and raw sockets, as a stranger would send it.
"""

import asyncio
import gzip
import json
import time
import zlib
from typing import Any

import pytest
import pytest_asyncio

from tests.path.running import Gateway, config

GOOD = {"type": "identify", "userId": "u", "traits": {"plan": "x"}}
AUTH = "Authorization: Basic ZGV2Og==\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory):
    more = '[sources.old]\nwrite_keys = ["old"]\non_invalid = "accept"\n'
    async with Gateway(tmp_path_factory.mktemp("bad"), config(more=more)) as running:
        yield running


pytestmark = [pytest.mark.service, pytest.mark.asyncio(loop_scope="module")]


async def raw(gateway: Gateway, data: bytes, *, end: bool = False) -> bytes:
    """Send bytes, return what comes back until there is a whole answer, or the end."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    await writer.drain()
    if end:
        writer.write_eof()
    answer = b""
    try:
        async with asyncio.timeout(10):
            while piece := await reader.read(65_536):
                answer += piece
                head, _, body = answer.rpartition(b"\r\n\r\n")
                if f"Content-Length: {len(body)}".encode() in head:
                    break
    finally:
        writer.close()
    return answer


def post(body: bytes, *headers: str, length: int | None = None) -> bytes:
    given = len(body) if length is None else length
    head = f"POST /v1/identify HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Length: {given}\r\n"
    return (head + "".join(f"{h}\r\n" for h in headers) + "\r\n").encode() + body


def assert_an_error(status: int, body: dict[str, Any], code: str) -> None:
    assert (status, body["code"]) == (400, code)
    assert body["success"] is False
    assert body["message"]
    assert body["error"] == body["message"] == body["meta"]["error"]
    assert isinstance(body["errors"], list)


async def still_well(gateway: Gateway) -> None:
    status, body = await gateway.post("/v1/identify", {**GOOD})
    assert (status, body) == (200, {"success": True})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"userId": "u"',
        b'{"userId": "u"}}',
        b"\xff\xfe{}",
        b'{"userId": "\xff"}',
        b'{"userId": "a\x00b"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        gzip.compress(b'{"userId": "u"}', mtime=0)[:-6],
        b"\x1f\x8b" + b"nonsense",
    ],
    ids=lambda body: repr(body[:16]),
)
async def test_what_is_no_json_is_400_invalid_json(gateway, body):
    began = time.monotonic()
    status, answer = await gateway.post("/v1/identify", body)
    assert_an_error(status, answer, "invalid_json")
    assert time.monotonic() - began < 5
    await still_well(gateway)


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (b"5", "", "type"),
        (b"null", "", "type"),
        (b"[]", "", "type"),
        (b'"text"', "", "type"),
        (b'{"userId": {}}', "/userId", "type"),
        (b'{"userId": "u", "traits": [1]}', "/traits", "type"),
        (b'{"userId": "u", "traits": {"a": NaN}}', "/traits/a", "not_a_number"),
        (b'{"userId": "u", "traits": {"a": -Infinity}}', "/traits/a", "not_a_number"),
        (b'{"userId": "u", "traits": {"a": "\\ud800"}}', "/traits/a", "surrogate"),
        (b'{"userId": "u", "traits": {"a": "x\\u0000"}}', "/traits/a", "nul"),
        (
            b'{"userId": "u", "traits": {"a": 18446744073709551616}}',
            "/traits/a",
            "integer_range",
        ),
        (b'{"userId": 9007199254740993}', "/userId", None),
        (b"{}", "", "missing_identifier"),
        (b'{"userId": ""}', "", "missing_identifier"),
    ],
)
async def test_a_bad_message_is_400_with_a_pointer(gateway, body, pointer, code):
    status, answer = await gateway.post("/v1/identify", body)
    assert_an_error(status, answer, "invalid_message")
    fault = answer["errors"][0]
    assert fault["pointer"] == pointer
    assert code is None or fault["code"] == code
    assert fault["message"]


async def test_a_deep_message_is_refused_by_pointer_or_as_a_whole(gateway):
    deep = b'{"userId":"u","traits":{"a":' + b"[" * 100 + b"]" * 100 + b"}}"
    status, answer = await gateway.post("/v1/identify", deep)
    assert (status, answer["code"]) == (400, "too_large")
    assert "64" in answer["message"]
    inside = b'{"userId":"u","traits":{"a":' + b"[" * 62 + b"]" * 62 + b"}}"
    assert (await gateway.post("/v1/identify", inside))[0] == 200


async def test_large_is_400_with_size_and_limit_never_413(gateway):
    big = {**GOOD, "traits": {"a": "x" * 33_000}}
    status, answer = await gateway.post("/v1/identify", big)
    assert_an_error(status, answer, "too_large")
    assert "32768" in answer["message"]
    body = b'{"userId": "u", "traits": {"a": "' + b"x" * 4_200_000 + b'"}}'
    status, answer = await gateway.post("/v1/identify", body)
    assert_an_error(status, answer, "too_large")
    assert "4194304" in answer["message"]
    await still_well(gateway)


async def test_a_gzip_bomb_is_cut_off_while_it_inflates(gateway):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b"\0" * 10_000_000) for _ in range(100))
    bomb += packer.flush()
    began = time.monotonic()
    status, answer = await gateway.post("/v1/identify", bomb)
    assert_an_error(status, answer, "too_large")
    assert time.monotonic() - began < 5
    await still_well(gateway)


async def test_too_many_messages_are_400(gateway):
    status, answer = await gateway.post("/v1/batch", {"batch": [GOOD] * 2_501})
    assert_an_error(status, answer, "too_many_messages")
    assert "2500" in answer["message"]


@pytest.mark.parametrize("batch", [{}, {"batch": []}, {"batch": {}}, {"batch": None}])
async def test_a_batch_without_messages_is_400(gateway, batch):
    status, answer = await gateway.post("/v1/batch", batch)
    assert_an_error(status, answer, "invalid_message")


async def test_a_missing_key_is_401_and_an_unknown_one_too(gateway):
    status, answer = await gateway.post("/v1/identify", GOOD, key=None)
    assert (status, answer["code"]) == (401, "missing_write_key")
    status, answer = await gateway.post("/v1/identify", GOOD, key="nobody")
    assert (status, answer["code"]) == (401, "unknown_write_key")
    assert "nobody" not in json.dumps(answer)
    body = {**GOOD, "writeKey": "nobody"}
    status, answer = await gateway.post("/v1/identify", body, key=None)
    assert (status, answer["code"]) == (401, "unknown_write_key")


async def test_unknown_paths_and_methods_are_json(gateway):
    assert (await gateway.post("/v1/nothing", {}))[1]["code"] == "not_found"
    status, answer = await gateway.post("/v1/identify", {}, method="PUT")
    assert (status, answer["code"]) == (405, "method_not_allowed")
    status, answer = await gateway.post("/healthz", {})
    assert (status, answer["code"]) == (405, "method_not_allowed")
    status, answer = await gateway.get("/v1/projects/nobody/settings")
    assert (status, answer["code"]) == (404, "not_found")
    status, answer = await gateway.post("/api/v1/customers/1", {}, method="PUT")
    assert (status, answer["code"]) == (401, "unknown_write_key")
    status, answer = await gateway.post("/api/v1/nothing", {}, method="PUT")
    assert (status, answer["code"]) == (404, "not_found")


async def test_accepting_sources_hear_200_and_their_refusals_are_kept(gateway):
    body: Any
    for body in ({"userId": {}}, b"{nonsense"):
        status, answer = await gateway.post("/v1/identify", body, key="old")
        assert (status, answer) == (200, {"success": True})
    kept = [r["value"] for r in await gateway.read("refused")]
    mine = [value for value in kept if value["source"] == "old"]
    assert {value["bytes"] for value in mine} == {'{"userId": {}}', "{nonsense"}


async def test_a_truncated_body_closes_and_harms_nobody(gateway):
    before = len(await gateway.read("refused"))
    truncated = post(b'{"userId": "u"}', length=100)
    assert b" 200 " not in await raw(gateway, truncated, end=True)
    await still_well(gateway)
    assert len(await gateway.read("refused")) == before  # nobody waits for an answer


async def test_a_body_shorter_than_content_length_says_is_not_json(gateway):
    """The rest of the body is the start of another request, which is no HTTP."""
    answer = await raw(gateway, post(b'{"userId": "u"}', length=5))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"invalid_json" in answer
    await still_well(gateway)


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"POST /v1/identify HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/identify HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/identify HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        post(b"zz\r\n", "Transfer-Encoding: chunked"),
        (
            b"POST /v1/identify HTTP/1.1\r\nHost: x\r\n"
            + AUTH.encode()
            + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nnonsense\r\n"
        ),
    ],
    ids=[
        "no-head",
        "tls",
        "version",
        "length-text",
        "length-negative",
        "long-header",
        "long-line",
        "length-and-chunked",
        "bad-chunk",
    ],
)
async def test_what_is_no_http_is_400_as_json_or_closed(gateway, data):
    answer = await raw(gateway, data, end=True)
    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert json.loads(body)["success"] is False
    await still_well(gateway)


async def test_headers_that_are_no_text_harm_nobody(gateway):
    odd = "User-Agent: caf\xe9 \udcff".encode("utf-8", "surrogateescape").decode(
        "latin-1"
    )
    for body in (b'{"userId": "u"}', b"{}"):
        head = post(body).replace(b"Host: x", b"Host: x\r\n" + odd.encode("latin-1"))
        answer = await raw(gateway, head)
        assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))


async def test_a_batch_whose_context_json_cannot_hold_refuses_its_messages(gateway):
    for flaw in (b"NaN", b'"\\ud800"', b'"\\u0000"', b"18446744073709551616"):
        body = b'{"context": {"a": ' + flaw + b'}, "batch": [{"type": "identify"}]}'
        status, answer = await gateway.post("/v1/batch", body)
        assert_an_error(status, answer, "invalid_message")
        assert answer["rejected"][0]["errors"][0]["pointer"] == "/context/a"
    kept = await gateway.read("refused")
    assert all(isinstance(record["value"], dict) for record in kept)


async def test_chunked_and_labelled_as_anything_is_read_by_its_bytes(gateway):
    packed = gzip.compress(json.dumps(GOOD).encode())
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await gateway.post("/v1/identify", packed, headers=form))[0] == 200
    labelled = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    assert (await gateway.post("/v1/identify", packed, headers=labelled))[0] == 200
    head = f"POST /v1/identify HTTP/1.1\r\nHost: x\r\n{AUTH}"
    chunk = json.dumps(GOOD).encode()
    data = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n"
    data += f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n0\r\n\r\n"
    assert (await raw(gateway, data)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_expect_100_continue_is_answered(gateway):
    body = json.dumps(GOOD).encode()
    request = post(body, "Expect: 100-continue")
    answer = await raw(gateway, request)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


async def test_a_flood_of_unfinished_requests_leaves_the_others_in_peace(gateway):
    host, port = gateway.url.removeprefix("http://").split(":")
    slow = []
    for _ in range(200):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(post(b"{", length=30_000))
        slow.append(writer)
    began = time.monotonic()
    await still_well(gateway)
    assert time.monotonic() - began < 10  # long before any of them is cut off
    for writer in slow:
        writer.close()


async def test_nothing_of_this_was_a_500(gateway):
    await still_well(gateway)
    async with gateway.session.get(gateway.admin + "/metrics") as response:
        text = await response.text()
    assert "gateway_requests_total" in text
    assert 'status="500"' not in text
    assert "Traceback" not in gateway.errors()
