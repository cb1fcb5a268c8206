"""The public port on the wire: order, ends and faults of connections.

A POST that arrives whole goes a shorter way than any other request; which way one goes
must not be seen from outside.
"""

import asyncio
import base64
import json

import pytest
from aiohttp import web

from gateway.inbound.accept import Acceptor
from tests.inbound.house import GOOD, House

HEAD = "POST /v1/i HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev\r\n"
OK = b'{"success": true}'


def post(user: str, *more: str, path: str = "/v1/i", version: str = "1.1") -> bytes:
    body = json.dumps({"userId": user, "messageId": user})
    head = HEAD.replace("/v1/i", path).replace("1.1", version)
    lines = "".join(f"{line}\r\n" for line in more)
    return f"{head}{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()


async def connect(house: House) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = house.url[7:].split(":")
    return await asyncio.open_connection(host, int(port))


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    async with asyncio.timeout(30):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.split("content-length: ")[1].split("\r\n")[0])
        return int(head.split()[1]), await reader.readexactly(size)


async def waits(house: House) -> None:
    """Until a request waits for the log."""
    async with asyncio.timeout(30):
        while not house.log.waiting:
            await asyncio.sleep(0.001)


async def silent(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.1):
            return not await reader.read(1)
    except TimeoutError:
        return True


async def users(house: House) -> list[str]:
    return [event["userId"] for event in await house.events()]


async def test_a_connection_is_used_again_and_again(house: House) -> None:
    reader, writer = await connect(house)
    for number in range(50):
        writer.write(post(f"u{number}"))
        assert await answer(reader) == (200, OK)
    assert await users(house) == [f"u{number}" for number in range(50)]
    writer.close()


@pytest.mark.parametrize("together", [True, False])
async def test_pipelined_requests_are_answered_in_their_order(
    house: House, *, together: bool
) -> None:
    reader, writer = await connect(house)
    requests = [
        *(post("a"), post("b", path="/v1/nowhere"), post("c", path="/v1/t")),
        *(post("d"), b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", post("e")),
    ]
    if together:
        writer.write(b"".join(requests))
    for request in requests if not together else ():
        writer.write(request)
        await writer.drain()
        await asyncio.sleep(0.01)
    statuses = [(await answer(reader))[0] for _ in requests]
    assert statuses == [200, 404, 400, 200, 200, 200]
    assert await users(house) == ["a", "d", "e"]
    writer.close()


async def test_an_answer_waits_for_the_answers_before_it(house: House) -> None:
    house.log.open.clear()
    reader, writer = await connect(house)
    writer.write(post("first"))
    await waits(house)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + post("second"))
    assert await silent(reader)
    house.log.open.set()
    assert await answer(reader) == (200, OK)
    assert await answer(reader) == (200, b'{"status": "ok"}')
    assert await answer(reader) == (200, OK)
    assert await users(house) == ["first", "second"]
    writer.close()


async def test_a_request_in_two_parts_is_the_same_request(house: House) -> None:
    reader, writer = await connect(house)
    for user, cut in (("in the head", 30), ("in the body", -5)):
        request = post(user)
        writer.write(request[:cut])
        await asyncio.sleep(0.05)
        writer.write(request[cut:])
        assert await answer(reader) == (200, OK)
    chunked = b"Transfer-Encoding: chunked\r\n\r\n"
    body = json.dumps({"userId": "chunked"}).encode()
    writer.write(HEAD.encode() + chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    assert await answer(reader) == (200, OK)
    assert await users(house) == ["in the head", "in the body", "chunked"]
    writer.close()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """What is said until it ends, or is silent for long."""
    told, silences = b"", 0
    while silences < 2:  # one may be a stall of this process
        try:
            async with asyncio.timeout(0.1):
                more = await reader.read(65_536)
        except TimeoutError:
            silences += 1
            continue
        if not more:
            break
        told, silences = told + more, 0
    return told


def changed(before: bytes, after: bytes, *, user: str = "second") -> bytes:
    return post(user).replace(before, after)


LIKE_THE_FIRST = {
    "the same": post("second"),
    "longer": post("second" * 300),
    "another path": post("second", path="/v1/t"),
    "nowhere": post("second", path="/v1/nowhere"),
    "another key": changed(b"Bearer dev", b"Bearer who"),
    "no key": changed(b"Authorization: Bearer dev\r\n", b""),
    "another case": changed(b"Content-Length", b"content-length"),
    "one header more": post("second", "X-More: 1"),
    "a zero before": changed(b"Length: ", b"Length: 0"),
    "a sign before": changed(b"Length: ", b"Length: +"),
    "a space behind": changed(b"\r\n\r\n", b" \r\n\r\n"),
    "no length": changed(b"Length: ", b"Lengths: "),
    "two lengths": post("second", "Content-Length: 5"),
    "both kinds of length": post("second", "Transfer-Encoding: chunked"),
    "too short a length": changed(b"\r\n\r\n", b"\r\n\r\n   "),
    "two at once": post("second") + post("third"),
    "one and a half": post("second") + post("third")[:40],
    "closing": post("second", "Connection: close"),
    "no json": changed(b'{"', b"{{"),
}


@pytest.mark.parametrize("name", LIKE_THE_FIRST)
async def test_what_is_like_the_last_request_is_read_as_if_it_were_the_first(
    house: House, name: str
) -> None:
    said = []
    for first in (post("first"), b""):
        before = len(await users(house)) + bool(first)
        reader, writer = await connect(house)
        if first:
            writer.write(first)
            assert await answer(reader) == (200, OK)
        writer.write(LIKE_THE_FIRST[name])
        told = await everything(reader)
        writer.write(b"?" * 40 + b"\r\n\r\n")  # what is not HTTP is seen behind it, too
        told += await everything(reader)
        said.append((told, len(await users(house)) - before))
        writer.close()
    primed, fresh = said
    assert primed == fresh


async def test_the_second_request_is_not_parsed_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = await connect(house)
    writer.write(post("first"))
    assert await answer(reader) == (200, OK)

    def parsed(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(web.RequestHandler, "data_received", parsed)
    writer.write(post("the second"))
    assert await answer(reader) == (200, OK)
    assert await users(house) == ["first", "the second"]
    writer.close()


async def test_a_request_behind_half_of_another_is_never_taken_for_a_head(
    house: House,
) -> None:
    reader, writer = await connect(house)
    writer.write(post("first"))
    assert await answer(reader) == (200, OK)
    inner = post("inner")
    outer = post("outer", f"X-Inner: {'x' * 20}").partition(b"\r\n\r\n")[0]
    head = outer.replace(b"Content-Length: ", b"Content-Length: 1")  # 1xx bytes follow
    size = int(head.rpartition(b"Content-Length: ")[2])
    writer.write(head + b"\r\n\r\n")
    await asyncio.sleep(0.05)
    writer.write(inner)  # looks like a request, and is a body
    await asyncio.sleep(0.05)
    assert await silent(reader)
    writer.write(b" " * (size - len(inner)))
    assert (await answer(reader))[0] == 400
    assert await users(house) == ["first"]
    writer.close()


@pytest.mark.parametrize(
    "request_", [post("u", "Connection: close"), post("u", version="1.0")]
)
async def test_who_asks_for_one_answer_gets_one(house: House, request_: bytes) -> None:
    reader, writer = await connect(house)
    writer.write(request_)
    assert await answer(reader) == (200, OK)
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    assert await users(house) == ["u"]
    writer.close()


@pytest.mark.parametrize(
    ("path", "key", "line"),
    [
        ("/v1/i", "dev:", b"100 Continue"),
        ("/v1/i", "nobody:", b"401 Unauthorized"),
        ("/api/v1/events", "site:key", b"100 Continue"),
        ("/api/v1/events", "site:wrong", b"401 Unauthorized"),
    ],
)
async def test_who_waits_is_asked_only_for_a_body_that_is_wanted(
    house: House, path: str, key: str, line: bytes
) -> None:
    reader, writer = await connect(house)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n"
    basic = base64.b64encode(key.encode()).decode()
    head += f"Authorization: Basic {basic}\r\nContent-Length: 2\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(30):
        assert await reader.readline() == b"HTTP/1.1 %s\r\n" % line
    writer.close()


async def test_a_sender_who_leaves_leaves_its_event(house: House) -> None:
    house.log.open.clear()
    reader, writer = await connect(house)
    writer.write(post("gone"))
    await waits(house)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    house.log.open.set()
    del reader
    assert (await house.post("/v1/i", GOOD))[0] == 200
    assert await users(house) == ["gone", "u"]


async def test_a_shutdown_answers_what_it_has_taken(house: House) -> None:
    house.log.open.clear()
    reader, writer = await connect(house)
    writer.write(post("taken"))
    await waits(house)
    house.runner._shutdown_timeout = 5.0
    stopping = asyncio.create_task(house.runner.cleanup())
    await asyncio.sleep(0.1)
    assert not stopping.done()
    house.log.open.set()
    assert await answer(reader) == (200, OK)
    await stopping
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    assert await users(house) == ["taken"]
    writer.close()


async def test_a_bug_costs_one_request(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    reader, writer = await connect(house)
    with monkeypatch.context() as patch:
        patch.setattr(Acceptor, "take", broken)
        writer.write(post("u"))
        status, body = await answer(reader)
    assert (status, json.loads(body)["success"]) == (500, False)
    assert house.notices.counts["bug"] == 1
    writer.write(post("v"))
    assert await answer(reader) == (200, OK)
    writer.close()


async def test_what_is_not_http_is_400_and_the_end(house: House) -> None:
    reader, writer = await connect(house)
    writer.write(post("u"))
    assert await answer(reader) == (200, OK)
    writer.write(b"NONSENSE\r\n\r\n")
    status, body = await answer(reader)
    assert (status, json.loads(body)["code"]) == (400, "invalid_json")
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    assert await users(house) == ["u"]
    writer.close()
