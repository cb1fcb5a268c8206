"""The public port on the wire: order, ends and faults of connections.

A POST that arrives whole goes a shorter way than any other request; which way one goes
must not be seen from outside.
"""

import asyncio
import json

import pytest

from gateway.inbound import judge
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
    async with asyncio.timeout(5):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.split("content-length: ")[1].split("\r\n")[0])
        return int(head.split()[1]), await reader.readexactly(size)


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
    await asyncio.sleep(0.05)  # it waits for the log
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


@pytest.mark.parametrize(
    "request_", [post("u", "Connection: close"), post("u", version="1.0")]
)
async def test_who_asks_for_one_answer_gets_one(house: House, request_: bytes) -> None:
    reader, writer = await connect(house)
    writer.write(request_)
    assert await answer(reader) == (200, OK)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    assert await users(house) == ["u"]
    writer.close()


async def test_a_sender_who_leaves_leaves_its_event(house: House) -> None:
    house.log.open.clear()
    reader, writer = await connect(house)
    writer.write(post("gone"))
    await asyncio.sleep(0.05)
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
    await asyncio.sleep(0.05)
    house.runner._shutdown_timeout = 5.0
    stopping = asyncio.create_task(house.runner.cleanup())
    await asyncio.sleep(0.1)
    assert not stopping.done()
    house.log.open.set()
    assert await answer(reader) == (200, OK)
    await stopping
    async with asyncio.timeout(5):
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
        patch.setattr(judge.Judge, "take", broken)
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
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    assert await users(house) == ["u"]
    writer.close()
