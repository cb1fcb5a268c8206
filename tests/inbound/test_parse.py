"""What is no request, or too much of one: told why in JSON, and ended, in few bytes."""

import asyncio
import contextlib
import json
import socket
import tracemalloc
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp.streams import EMPTY_PAYLOAD

from gateway.inbound.serve.connection import Connection
from gateway.inbound.serve.parse import HEAD_BYTES_MAX, Parser
from tests.inbound.house import House
from tests.inbound.test_connection import (
    HEAD,
    OK,
    answer,
    connect,
    everything,
    post,
    users,
)

BOTH_LOOPS = True
FILL = 12_000  # a header that is allowed alone
TOO_MANY_BYTES = "".join(f"X-{n}: {'x' * FILL}\r\n" for n in range(4))


TURNS = 20  # of the loop: its two ends are in one, so that no time has to pass


async def refusal(house: House, *pieces: bytes, first: bytes = b"") -> dict:
    """The JSON of a 400 that ends the connection."""
    reader, writer = await connect(house)
    if first:
        writer.write(first)
        assert await answer(reader) == (200, OK)
    for piece in pieces:
        unread = reader._buffer  # type: ignore[attr-defined]  # the test has no other way
        if unread or reader.at_eof():
            break  # it is refused already
        writer.write(piece)
        for _ in range(TURNS):  # it is read, refused, and the refusal is read, too
            await asyncio.sleep(0)
    status, body = await answer(reader)
    assert status == 400
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    writer.close()
    told: dict = json.loads(body)
    assert told["success"] is False
    return told


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [10_000, 40_000, 1_000_000])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "half"])
@pytest.mark.parametrize("first", [b"", post("first")], ids=["first", "second"])
async def test_a_head_is_bounded_as_a_whole_however_it_comes(
    house: House, first: bytes, size: int, *, whole: bool
) -> None:
    head = (HEAD + TOO_MANY_BYTES).encode()
    if whole:
        head += b"Content-Length: 2\r\n\r\n{}"
    else:
        head += TOO_MANY_BYTES.encode()
    told = await refusal(house, *in_pieces(head, size), first=first)
    assert told["code"] == "too_large"
    assert str(HEAD_BYTES_MAX) in told["message"]


@pytest.mark.parametrize("size", [999, 1_000_000])
async def test_a_large_head_that_is_allowed_is_taken_whatever_is_around_it(
    house: House, size: int
) -> None:
    headers = TOO_MANY_BYTES.replace("x" * FILL, "x" * 7_000).split("\r\n")[:-1]
    requests = [post("a" * 450, *headers), post("b"), *[post("c", *headers)] * 3]
    reader, writer = await connect(house)
    for piece in in_pieces(b"".join(requests), size):
        writer.write(piece)
        await asyncio.sleep(0)
    for _ in requests:
        assert await answer(reader) == (200, OK)
    assert await users(house) == ["a" * 450, "b", "c", "c", "c"]
    writer.close()


async def test_a_large_body_is_no_head_in_any_pieces(house: House) -> None:
    reader, writer = await connect(house)
    small = json.dumps({"type": "identify", "userId": "u"})
    batch = f'{{"batch": [{", ".join([small] * 2_000)}]}}'.encode() + b" " * 300_000
    head = HEAD.replace("/v1/i", "/v1/b")
    whole = f"{head}Content-Length: {len(batch)}\r\n\r\n".encode() + batch
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    chunked += b"".join(b"%x\r\n%s\r\n" % (len(b), b) for b in in_pieces(batch, 7_000))
    chunked += b"0\r\nX-Trailer: yes\r\n\r\n"
    for request in (whole, chunked, post("u")):
        writer.write(request)
        assert await answer(reader) == (200, OK)
    assert await users(house) == ["u"] * 4_001
    writer.close()


@pytest.mark.parametrize("kind", ["trailers", "extension"])
async def test_what_follows_a_body_without_end_ends_the_connection(
    house: House, kind: str
) -> None:
    reader, writer = await connect(house)
    writer.write(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
    if kind == "trailers":
        writer.write(b"2\r\n{}\r\n0\r\n" + 2 * TOO_MANY_BYTES.encode())
    else:
        writer.write(b"2;" + b"x" * 2 * HEAD_BYTES_MAX)
    async with asyncio.timeout(10):  # long before a slow body is cut off
        assert await reader.read() == b""
    assert await users(house) == []
    writer.close()


async def test_half_heads_hold_little(house: House) -> None:
    """2 MB of headers on each of 40 connections; the kernel holds the clients' part."""
    half = (HEAD + "".join(f"X-{n}: {'x' * 16_000}\r\n" for n in range(99))).encode()
    loop, address = asyncio.get_running_loop(), house.url[7:].split(":")
    server = house.runner.server
    assert server is not None
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    async def send() -> None:
        with socket.socket() as client, contextlib.suppress(OSError):
            client.setblocking(False)  # noqa: FBT003 -- its only form
            await loop.sock_connect(client, (address[0], int(address[1])))
            await loop.sock_sendall(client, half)
            await loop.sock_recv(client, 1)

    await asyncio.gather(*(send() for _ in range(40)))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    held = (most - before) / 40
    print(f"{held / 1_000:.0f} KB a connection")
    assert server.requests_count == 40  # each was refused
    assert held < 500_000  # a read of 256 KB, at most, and a head; unbounded: 3 MB


async def test_more_headers_than_any_proxy_adds_are_refused(house: House) -> None:
    many = [f"X-{n}: 1" for n in range(97)]
    reader, writer = await connect(house)
    writer.write(post("u", *many))  # with Host, Authorization, Content-Length
    assert await answer(reader) == (200, OK)
    writer.close()
    told = await refusal(house, post("v", *many, "X-More: 1"))
    assert told["code"] == "too_large"
    assert "more than 100 headers" in told["message"]
    assert await users(house) == ["u"]


@pytest.mark.parametrize(
    "line", ["X: " + "x" * 20_000, "x" * 20_000 + ": x"], ids=["value", "name"]
)
async def test_a_long_header_is_too_large(house: House, line: str) -> None:
    told = await refusal(house, post("u", line))
    assert told["code"] == "too_large"
    assert "16384" in told["message"]


async def test_a_long_path_is_too_large(house: House) -> None:
    told = await refusal(house, post("u", path="/" + "a" * 20_000))
    assert told["code"] == "too_large"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/customers/dan\u00e9@x.example".encode(),
        "/api/v1/customers/dan\u00e9@x.example".encode("latin-1"),
        "/api/v1/customers/\u540d?q=1".encode(),
        "/api/v1/customers/5?q=\u00e9".encode(),
        b"/api/v1/customers/dan smith",
        b"/api/v1/customers/\x01",
        b"api/v1/customers/5",
    ],
    ids=repr,
)
async def test_a_path_that_is_not_encoded_is_told_how(
    house: House, path: bytes
) -> None:
    told = await refusal(house, b"PUT " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert told["code"] == "invalid_message"
    assert "percent-encode" in told["message"]
    assert told["meta"]["error"] == told["message"]


async def test_what_is_no_http_at_all_is_told_so(house: House) -> None:
    told = await refusal(house, b"NONSENSE\r\n\r\n")
    assert told["code"] == "invalid_json"
    assert told["message"] == "this is not an HTTP request"


@pytest.mark.parametrize("body", [b"", b"{}"])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("to", ["h2c", "websocket", "TLS/1.0"])
async def test_what_follows_an_upgrade_that_is_declined_is_answered(
    house: House, to: str, body: bytes, *, together: bool
) -> None:
    reader, writer = await connect(house)
    upgrade = post("up", f"Upgrade: {to}", "Connection: Upgrade, HTTP2-Settings")
    if not body:
        upgrade = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        upgrade += f"Upgrade: {to}\r\n\r\n".encode()
    if together:
        writer.write(upgrade + post("a") + upgrade + post("b"))
    else:
        for each in (upgrade, post("a"), upgrade, post("b")):
            writer.write(each)
            await asyncio.sleep(0.02)
    told = [await answer(reader) for _ in range(4)]
    assert [status for status, _ in told] == [200] * 4
    assert [told[1], told[3]] == [(200, OK)] * 2
    assert await users(house) == (["up", "a", "up", "b"] if body else ["a", "b"])
    writer.close()


@pytest.mark.parametrize("before", [*range(0, 70_000, 7_001), *range(16_376, 16_392)])
async def test_a_head_with_an_upgrade_ends_where_a_piece_does_wherever_it_stands(
    before: int,
) -> None:
    """aiohttp drops what it is fed behind such a head."""
    ends: list[int] = []
    message = SimpleNamespace(headers={}, raw_headers=(), path="/")

    def feed_data(data: bytes) -> Any:
        ends.append(len(data) + (ends[-1] if ends else 0))
        return [(message, EMPTY_PAYLOAD)], False, b""

    parser = Parser(cast("Any", SimpleNamespace(feed_data=feed_data)), lambda: None)
    data = b"x" * before + b"Upgrade: h2c\r\n\r\n" + b"y" * 50_000
    parser.feed_data(data)
    assert data.index(b"\r\n\r\n") + 4 in ends
    assert ends[-1] == len(data)


async def test_a_tunnel_is_declined(house: House) -> None:
    reader, writer = await connect(house)
    writer.write(b"CONNECT x.example:443 HTTP/1.1\r\nHost: x.example:443\r\n\r\n")
    told = await everything(reader)
    assert told.startswith(b"HTTP/1.1 404 ")
    writer.close()


async def test_the_parser_is_ours(house: House) -> None:
    """Else no head would be counted."""
    _, writer = await connect(house)
    server = house.runner.server
    assert server is not None
    async with asyncio.timeout(30):
        while not server.connections:
            await asyncio.sleep(0.005)
    (each,) = server.connections
    assert isinstance(each, Connection)
    writer.close()
