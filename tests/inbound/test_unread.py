"""Answers that nobody reads: bounded in bytes, and in time; a slow reader gets all."""

import asyncio
import contextlib
import functools
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.inbound import answer
from gateway.inbound.serve import connection, unread
from gateway.inbound.serve.connection import Connection
from gateway.inbound.serve.unread import UNREAD_BYTES_MAX
from tests.inbound.house import House

LINE = "POST /v1/b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev\r\n"
DOCUMENT = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
PREFLIGHT = (
    b"OPTIONS /v1/i HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\n"
    b"Access-Control-Request-Headers: %s\r\n\r\n" % (b"a" * 2_000)
)


def post(*users: str, close: bool = False) -> bytes:
    """A batch; with bad messages its answer is long."""
    batch: list[dict[str, Any]] = [
        {"type": "identify", "userId": user or {}} for user in users
    ]
    body = json.dumps({"batch": batch})
    more = "Connection: close\r\n" if close else ""
    return f"{LINE}{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()


REFUSED = post(*[""] * 300)
BOTH_LOOPS = True
KINDS = {"documents": DOCUMENT, "preflights": PREFLIGHT, "posts": REFUSED}


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


class Client:
    """A sender on a raw socket with small buffers in the kernel, here and there."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.setblocking(False)  # noqa: FBT003 -- its only form
        self.loop = asyncio.get_running_loop()
        assert house.runner.server is not None
        self.server = house.runner.server
        self.sent = 0
        self.connection: Connection
        self.transport: asyncio.Transport

    async def connect(self) -> None:
        server = self.server
        before = set(server.connections)
        host, port = self.house.url[7:].split(":")
        await self.loop.sock_connect(self.socket, (host, int(port)))
        await until(lambda: set(server.connections) - before)
        (found,) = set(server.connections) - before
        assert isinstance(found, Connection)
        assert found.transport is not None
        self.connection, self.transport = found, found.transport
        theirs = self.transport.get_extra_info("socket")
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)

    async def send(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.socket, data)
        self.sent += len(data)

    async def send_for_ever(self, data: bytes) -> None:
        while True:
            await self.send(data)

    async def read(self, size: int = 65_536) -> bytes:
        async with asyncio.timeout(30):
            return await self.loop.sock_recv(self.socket, size)

    @property
    def unread(self) -> int:
        return self.transport.get_write_buffer_size()

    def has_taken(self, number: int) -> bool:
        return self.taken >= number or self.connection.writing_paused

    @property
    def taken(self) -> int:
        return self.house.metrics.requests.total()

    @property
    def is_gone(self) -> bool:
        return self.connection not in self.server.connections


@asynccontextmanager
async def connected(house: House) -> AsyncIterator[Client]:
    client = Client(house)
    await client.connect()
    try:
        yield client
    finally:
        client.socket.close()
        await until(lambda: client.is_gone)


@asynccontextmanager
async def flooding(client: Client, request: bytes) -> AsyncIterator[None]:
    """Send on and on, and never read."""
    sending = asyncio.create_task(client.send_for_ever(request))
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def fill(client: Client, request: bytes, *, singly: bool) -> None:
    """Send and never read, until the gateway takes no more."""
    sent = client.taken
    while not client.connection.writing_paused:
        sent += 1 if singly else 20
        await client.send(request if singly else request * 20)
        await until(functools.partial(client.has_taken, sent))


@pytest.mark.parametrize("singly", [True, False], ids=["singly", "pipelined"])
@pytest.mark.parametrize("kind", KINDS)
async def test_who_does_not_read_is_not_read_and_holds_little(
    house: House, kind: str, *, singly: bool
) -> None:
    async with connected(house) as client:
        request = KINDS[kind]
        await client.send(request)
        longest = len(await client.read(1_000_000))
        await fill(client, request, singly=singly)
        async with flooding(client, request):
            before: tuple[int, ...] = ()
            while before != (now := (client.sent, client.unread, client.taken)):
                before = now  # the kernel still takes some
                await asyncio.sleep(0.2)
        assert client.connection.writing_paused
        assert not client.transport.is_reading()
        assert client.unread <= UNREAD_BYTES_MAX + max(longest, 100_000)


ENDS = {
    "going on": (DOCUMENT * 3, connection.KEEPALIVE_SECONDS),
    "closing": (DOCUMENT + DOCUMENT.replace(b"x\r", b"x\r\nConnection: close\r"), 75),
    "idle": (DOCUMENT, 0.1),
    "posts": (REFUSED * 3, 75),
    "a closing post": (REFUSED + post(*[""] * 300, close=True), 75),
}


@pytest.mark.parametrize("name", ENDS)
async def test_what_is_not_read_for_long_is_given_up_also_when_it_is_closed(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    requests, keep_s = ENDS[name]
    monkeypatch.setattr(unread, "UNREAD_SECONDS", 0.3)
    monkeypatch.setattr(connection, "KEEPALIVE_SECONDS", keep_s)
    async with connected(house) as client:
        await client.send(requests)
        await until(lambda: client.unread)
        await until(lambda: client.is_gone)
        assert client.transport.is_closing()
        told, more = 0, b" "
        with contextlib.suppress(ConnectionResetError):
            while more:
                more = await client.read()
                told += len(more)
        assert told < 60_000  # what the kernel had; the document alone is longer


async def test_a_slow_reader_outlasts_the_bounds_and_gets_everything_in_order(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread, "UNREAD_SECONDS", 0.3)
    monkeypatch.setattr(connection, "KEEPALIVE_SECONDS", 0.5)
    rounds = 4
    requests = b"".join(
        DOCUMENT
        + post(f"u{number}")
        + post(*[""] * 100)
        + b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
        + PREFLIGHT
        for number in range(rounds)
    )
    async with connected(house) as client:
        sending = asyncio.create_task(client.send(requests))
        told, began = b"", asyncio.get_running_loop().time()
        statuses: list[bytes] = []
        while len(statuses) < rounds * 5:
            await asyncio.sleep(0.03)
            told += await client.read(20_000)
            while (answered := whole(told)) is not None:
                statuses.append(told.split(b" ", 2)[1])
                told = told[answered:]
        await sending
        assert asyncio.get_running_loop().time() - began > 1  # twice the bounds
        assert statuses == [b"200", b"200", b"400", b"404", b"200"] * rounds
    users = [event["userId"] for event in await house.events()]
    assert users == [f"u{number}" for number in range(rounds)]


def whole(told: bytes) -> int | None:
    """The length of the answer that it begins with, if all of it is there."""
    head, end, body = told.partition(b"\r\n\r\n")
    if not end:
        return None
    size = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
    return len(head) + 4 + size if len(body) >= size else None


@pytest.mark.parametrize("kind", ["documents", "posts"])
async def test_reading_again_goes_on_where_it_stopped(house: House, kind: str) -> None:
    async with connected(house) as client:
        await fill(client, KINDS[kind], singly=True)
        await client.send(post("late"))
        told = b""
        while not told.endswith(b'{"success": true}'):
            told += await client.read()
        assert not client.connection.writing_paused
        await client.send(post("later"))
        assert (await client.read()).endswith(b'{"success": true}')
    assert [event["userId"] for event in await house.events()] == ["late", "later"]


async def test_a_stop_waits_for_nobody_who_does_not_read(house: House) -> None:
    async with connected(house) as client:
        await fill(client, DOCUMENT, singly=False)
        house.runner._shutdown_timeout = 20.0
        async with asyncio.timeout(10):
            await house.runner.cleanup()


async def test_a_description_is_rendered_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = ("/openapi.json", "/schemas/identify.json")

    async def bodies() -> list[bytes]:
        found = []
        for path in paths:
            async with house.session.get(house.url + path) as each:
                assert each.status == 200
                found.append(await each.read())
        return found

    first = await bodies()

    def rendered(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(answer, "document", rendered)
    assert await bodies() == first
    house.listener.public_url = "https://elsewhere.example"
    monkeypatch.undo()
    assert b"https://elsewhere.example" in (await bodies())[0]


@pytest.mark.parametrize("name", ["Origin", "Access-Control-Request-Headers"])
async def test_no_more_of_a_header_comes_back_than_a_browser_would_send(
    house: House, name: str
) -> None:
    given = {"Origin": "https://shop.example", name: "a" * 16_000}
    url = f"{house.url}/v1/i"
    async with house.session.options(url, headers=given) as each:
        assert each.status == 200
        assert "a" * 100 not in str(each.headers)
    given[name] = "https://" + "a" * 250 if name == "Origin" else "x-" + "a" * 1_000
    async with house.session.options(url, headers=given) as each:
        assert given[name] in str(each.headers)
