"""The client's connections: kept, doubted, closed; what is heard on them and when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from gateway.outbound.client import pool as pools
from gateway.outbound.client.pool import Pool
from gateway.outbound.http import NoResponse, Request, Response
from gateway.outbound.send import HttpSend, open_pool
from tests.outbound.served import LOCAL, OK, Server, said

BOTH_LOOPS = True


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with open_pool(LOCAL) as made:
        yield made
    await asyncio.sleep(0.01)  # the servers of the test hear of it, and close


@pytest.fixture
def send(pool: Pool) -> HttpSend:
    return HttpSend(pool, timeout_s=2.0)


def request(port: int, **changes: Any) -> Request:
    return Request(url=f"http://127.0.0.1:{port}/", body=b"x", **changes)


@pytest.mark.parametrize(
    "more", [OK, b"\r\n" + OK, b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nX: 1\r\n", b"ok"]
)
async def test_what_comes_with_an_answer_and_behind_it_judges_nobody(
    send: HttpSend, more: bytes
) -> None:
    """One segment: the connection looked idle, and its next answer was read wrong."""
    server = Server(OK + more)
    async with server.at() as port:
        assert said(await send(request(port))) == (200, b"ok")
        assert said(await send(request(port))) == (422, b"no")
    assert server.connections == 2


async def test_what_a_kept_connection_did_not_answer_is_sent_again(
    send: HttpSend,
) -> None:
    server = Server(OK, None, OK)
    async with server.at() as port:
        for _ in range(2):
            assert said(await send(request(port))) == (200, b"ok")
    assert (server.connections, len(server.heard)) == (2, 3)


async def test_what_a_new_connection_did_not_answer_is_no_answer(
    send: HttpSend,
) -> None:
    server = Server(None)
    async with server.at() as port:
        assert await send(request(port)) == NoResponse("ServerDisconnectedError")
    assert len(server.heard) == 1


async def test_once_something_of_an_answer_came_it_is_not_sent_again(
    send: HttpSend,
) -> None:
    server = Server(OK, b"HTTP/1.1 200\r\nX: close")
    async with server.at() as port:
        await send(request(port))
        assert said(await send(request(port))) == (200, b"")
    assert len(server.heard) == 2


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.0 200 OK\r\nX: close\r\n\r\nold", b"old"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\nConnection: close\n\nok", b"ok"),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", b"ok"),
    ],
)
async def test_an_answer_that_ends_with_its_connection_is_whole(
    send: HttpSend, answer: bytes, body: bytes
) -> None:
    server = Server(answer)
    async with server.at() as port:
        assert said(await send(request(port))) == (200, body)
        assert said(await send(request(port))) == (422, b"no")
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (
            b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nTrailer: 1\r\n\r\n",
            b"ok",
        ),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
        (b"Content-Length: 0\r\n\r\n", b""),
    ],
)
async def test_a_connection_whose_answer_is_heard_to_its_end_is_kept(
    send: HttpSend, answer: bytes, body: bytes
) -> None:
    server = Server(b"HTTP/1.1 200 OK\r\n" + answer)
    async with server.at() as port:
        first = await send(request(port))
        assert said(first) == (200, body)
        assert isinstance(first, Response)
        assert "trailer" not in first.headers
        assert said(await send(request(port))) == (422, b"no")
    assert server.connections == 1


async def test_an_answer_that_needs_no_body_has_none_to_head(send: HttpSend) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
    server = Server(head)
    async with server.at() as port:
        answer = await send(Request(url=f"http://127.0.0.1:{port}/", method="HEAD"))
        assert said(answer) == (200, b"")


async def test_who_switches_to_another_protocol_has_said_so(send: HttpSend) -> None:
    server = Server(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nHTTP")
    async with server.at() as port:
        assert said(await send(request(port)))[0] == 101
        assert said(await send(request(port))) == (422, b"no")
    assert server.connections == 2


async def test_an_answer_before_the_request_is_written_ends_the_connection(
    send: HttpSend,
) -> None:
    """What is left of the request would be read as the beginning of the next."""
    reading = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        await reading.wait()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=1_024)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/"
        answer = await send(Request(url=url, body=b"x" * 50_000_000))
        assert said(answer) == (413, b"no")
        assert not any(send._pool._idle.values())
        reading.set()
        await asyncio.sleep(0.05)


async def test_a_head_that_drips_ends_at_the_deadline(pool: Pool) -> None:
    async def drip(reader: asyncio.StreamReader, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            for byte in b"HTTP/1.1 200 " + b"O" * 1_000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        send = HttpSend(pool, timeout_s=0.2)
        port = server.sockets[0].getsockname()[1]
        answer = await asyncio.wait_for(send(request(port)), 5.0)
        assert answer == NoResponse("TimeoutError")
        await asyncio.sleep(0.05)


async def test_a_request_that_is_cancelled_closes_its_connection(
    send: HttpSend,
) -> None:
    """Its answer may still come; the next request must not be judged by it."""
    server = Server(b"")
    async with server.at() as port:
        asking = asyncio.create_task(send(request(port)))
        while not server.heard:
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(server.ended.wait(), 5.0)
        assert len(send._pool.deadlines) == 0
        assert said(await send(request(port))) == (422, b"no")


async def test_an_idle_connection_is_closed_after_a_while(
    send: HttpSend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "KEPT_S", 0.03)
    server = Server(OK)
    async with server.at() as port:
        await send(request(port))
        await asyncio.wait_for(server.ended.wait(), 5.0)
        assert not send._pool._idle
