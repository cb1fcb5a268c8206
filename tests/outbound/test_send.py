"""The client against servers that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.outbound.client.connection import HEAD_BYTES
from gateway.outbound.http import NoResponse, Request, Response
from gateway.outbound.reach import Reach
from gateway.outbound.send import HttpSend, open_pool

BOTH_LOOPS = True
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def send() -> AsyncIterator[HttpSend]:
    async with open_pool(Reach(["127.0.0.0/8"])) as pool:
        yield HttpSend(pool, timeout_s=2.0)
    await asyncio.sleep(0.01)  # the servers of the test hear of it, and close


async def ask(send: HttpSend, handler: Handler, **changes: Any) -> Any:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(application) as server:
        url = str(server.make_url("/hook"))
        return await send(Request(url=url, body=b'{"a":1}', **changes))


async def ask_raw(send: HttpSend, answer: bytes | None) -> Any:
    """A server that writes these bytes, or resets the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            writer.transport.abort()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await send(Request(url=f"http://127.0.0.1:{port}/", body=b"x"))


def found(answer: Any) -> Response:
    assert isinstance(answer, Response)
    return answer


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
async def test_a_request_without_a_body_has_no_content_type(
    send: HttpSend, method: str
) -> None:
    heard: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        heard.append(request)
        return web.Response()

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        found(await send(Request(url=str(server.make_url("/")), method=method)))
    (request,) = heard
    assert "Content-Type" not in request.headers
    assert not request.body_exists


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"X-Err: caf\xe9", {"x-err": "caf\ufffd"}),
        (b"X-Err: caf\xc3\xa9", {"x-err": "caf\u00e9"}),
        (b"X-Err: \xed\xa0\x80", {"x-err": "\ufffd\ufffd\ufffd"}),
        (b"X-Err: \xff\xfe", {"x-err": "\ufffd\ufffd"}),
    ],
)
async def test_whatever_bytes_a_header_has_it_can_be_written(
    send: HttpSend, line: bytes, wanted: dict[str, str]
) -> None:
    head = b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n"
    response = found(await ask_raw(send, head + line + b"\r\n\r\n"))
    assert response.status == 400
    assert wanted.items() <= response.headers.items()
    orjson.dumps(dict(response.headers))


async def test_several_lines_of_a_header_are_joined(send: HttpSend) -> None:
    head = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n"
    lines = b"Retry-After: 7\r\nRetry-After: 60\r\n\r\n"
    response = found(await ask_raw(send, head + lines))
    assert response.headers["retry-after"] == "7, 60"


async def test_of_headers_as_much_is_kept_as_of_a_body(send: HttpSend) -> None:
    lines = b"".join(b'X-%d: "%s"\r\n' % (n, b'"' * 8_000) for n in range(100))
    head = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n" + lines
    response = found(await ask_raw(send, head + b"Retry-After: 7\r\n\r\n"))
    assert response.status == 503
    assert sum(len(k) + len(v) for k, v in response.headers.items()) <= 8_192
    assert response.headers["retry-after"] == "7"  # a small one still fits


class Late:
    """A server that keeps connections and sends one answer more, when it is told."""

    def __init__(self, first: bytes, more: bytes, then: bytes) -> None:
        self.first, self.more, self.then = first, more, then
        self.connections = 0
        self.writer: Any = None
        self.gone = asyncio.Event()

    async def talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        self.writer = writer
        answer = self.first if self.connections == 1 else self.then
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                answer = self.then
        self.gone.set()
        writer.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO = b"HTTP/1.1 422 No\r\nContent-Length: 2\r\n\r\nno"


@pytest.mark.parametrize("more", [OK, OK + OK, b"\r\n", b"ok", b"HTTP/1.1 200 "])
async def test_an_answer_that_nobody_asked_for_judges_no_later_request(
    send: HttpSend, more: bytes
) -> None:
    late = Late(OK, more, NO)
    server = await asyncio.start_server(late.talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        request = Request(url=f"http://127.0.0.1:{port}/", method="GET")
        assert found(await send(request)).status == 200
        late.writer.write(late.more)
        await asyncio.wait_for(late.gone.wait(), 5.0)  # the connection is closed
        response = found(await send(request))
        assert (response.status, response.body) == (422, b"no")
        assert late.connections == 2


async def test_connections_are_kept_for_the_next_request(send: HttpSend) -> None:
    late = Late(OK, b"", NO)
    server = await asyncio.start_server(late.talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        request = Request(url=f"http://127.0.0.1:{port}/", method="GET")
        statuses = [found(await send(request)).status for _ in range(3)]
    assert statuses == [200, 422, 422]
    assert late.connections == 1


async def test_the_request_arrives_as_it_is(send: HttpSend) -> None:
    got: dict[str, Any] = {}

    async def handler(request: web.Request) -> web.Response:
        got.update(method=request.method, body=await request.read())
        got.update(headers=dict(request.headers))
        return web.Response(status=202, body=b"ok", headers={"X-Id": "7"})

    headers = {"Content-Type": "application/json", "X-Gateway-Message-Id": "m1"}
    response = await ask(send, handler, method="PUT", headers=headers)
    assert (response.status, response.body) == (202, b"ok")
    assert response.headers["x-id"] == "7"
    assert (got["method"], got["body"]) == ("PUT", b'{"a":1}')
    assert headers.items() <= got["headers"].items()
    assert got["headers"]["Accept-Encoding"] == "identity"
    assert got["headers"]["User-Agent"].startswith("gateway/")


async def test_a_redirect_is_not_followed(send: HttpSend) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere" if request.path == "/hook" else "/")

    assert (await ask(send, handler)).status == 302


async def test_only_the_beginning_of_an_answer_is_read(send: HttpSend) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):  # when the reader goes away
            while True:
                await response.write(b"x" * 65_536)
        return response

    response = await asyncio.wait_for(ask(send, handler), 5.0)
    assert response.body == b"x" * 8_192


async def test_a_compressed_answer_is_not_inflated(send: HttpSend) -> None:
    async def handler(request: web.Request) -> web.Response:
        del request
        return web.Response(body=b"not gzip", headers={"Content-Encoding": "gzip"})

    assert (await ask(send, handler)).body == b"not gzip"


async def test_a_slow_server_is_left(send: HttpSend) -> None:
    send = HttpSend(send._pool, timeout_s=0.05)
    ends = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        del request
        await ends.wait()
        return web.Response()

    asyncio.get_running_loop().call_later(0.2, ends.set)
    answer = await ask(send, handler)
    assert isinstance(answer, NoResponse)
    assert "Timeout" in answer.reason


@pytest.mark.parametrize("status", [200, 400, 503])
async def test_an_answer_whose_body_drips_is_what_its_status_says(
    send: HttpSend, status: int
) -> None:
    send = HttpSend(send._pool, timeout_s=0.05)
    ends = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        await response.write(b"x")
        await ends.wait()
        return response

    asyncio.get_running_loop().call_later(0.2, ends.set)
    response = found(await ask(send, drip))
    assert (response.status, response.body) == (status, b"x")


@pytest.mark.parametrize("status", [b"200 OK", b"400 Bad", b"503 Busy"])
@pytest.mark.parametrize(
    ("rest", "body"),
    [
        (b"Content-Length: 100\r\n\r\nshort", b"short"),
        (b"Content-Length: 100\r\n\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", b"short"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b""),
        (b"Content-Length: 2\r\n\r\nok, and more", b"ok"),
        (b"Content-Length: nonsense\r\n\r\n", b""),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", b""),
        (b"X: " + b"x" * 100_000 + b"\r\n\r\n", b""),
        (b"".join(b"X-%d: 1\r\n" % n for n in range(500)) + b"\r\n", b""),
        (b"no header\r\n\r\n", b""),
        (b"X: cut off", b""),
    ],
)
async def test_the_status_line_is_the_answer_whatever_breaks_behind_it(
    send: HttpSend, status: bytes, rest: bytes, body: bytes
) -> None:
    """Of F3: a 200 was sent again until max_age, though the receiver had it."""
    response = found(await ask_raw(send, b"HTTP/1.1 " + status + b"\r\n" + rest))
    assert response.status == int(status[:3])
    assert response.body == body


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\nok",
    ],
)
async def test_a_body_where_none_may_be_takes_nothing_from_the_answer(
    send: HttpSend, answer: bytes
) -> None:
    response = found(await ask_raw(send, answer))
    assert (response.status, response.body) == (204, b"")


async def test_a_reset_in_the_body_takes_nothing_from_the_answer(
    send: HttpSend,
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        await asyncio.sleep(0.05)
        writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        request = Request(url=f"http://127.0.0.1:{port}/", body=b"x")
        response = found(await send(request))
    assert (response.status, response.body) == (200, b"short")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"\x00\x01HTTP/1.1 200 OK\r\n\r\n",
    ],
)
async def test_what_is_no_answer_names_the_error(
    send: HttpSend, answer: bytes | None
) -> None:
    found = await ask_raw(send, answer)
    assert isinstance(found, NoResponse)
    assert found.reason.endswith("Error")


async def test_endless_announcements_are_not_kept(send: HttpSend) -> None:
    """Each piece was added to all before it, until the attempt's deadline."""
    announced = b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD_BYTES // 10)
    answer = await ask_raw(send, announced + OK)
    assert answer == NoResponse("BadAnswerError")


async def test_nobody_there(send: HttpSend) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    found = await send(Request(url=f"http://127.0.0.1:{port}/"))
    assert found == NoResponse("ConnectionRefusedError")


async def test_a_proxy_in_the_environment_is_not_believed(
    send: HttpSend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    async def handler(request: web.Request) -> web.Response:
        del request
        return web.Response()

    assert isinstance(await ask(send, handler), Response)
