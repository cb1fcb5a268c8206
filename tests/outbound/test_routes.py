"""Where the client's requests go: names, addresses, URLs, TLS, proxies, headers."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.outbound.client.names import Names
from gateway.outbound.client.origin import Origins
from gateway.outbound.client.pool import Pool
from gateway.outbound.http import NoResponse, Request
from gateway.outbound.reach import Found
from gateway.outbound.send import HttpSend, open_pool
from tests.outbound.served import LOCAL, OK, Server, said
from tests.path.sdks import kits

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


def standing_for(*addresses: str) -> Names:
    """Names that all stand for these addresses."""

    async def resolve(host: str, port: int) -> Sequence[Found]:
        del host
        found: list[Found] = []
        for each in addresses:
            v6 = ":" in each
            at = (each, port, 0, 0) if v6 else (each, port)
            found.append((10 if v6 else 2, 1, 6, "", at))
        return found

    return Names(resolve)


async def test_of_several_addresses_one_that_answers_is_enough() -> None:
    server = Server(OK)
    names = standing_for("::1", "127.0.0.2", "127.0.0.1")
    async with server.at() as port, open_pool(LOCAL, names) as pool:
        answer = await HttpSend(pool, timeout_s=2.0)(
            Request(url=f"http://crm.example:{port}/")
        )
        assert said(answer) == (200, b"ok")
    assert server.heard[0].startswith(b"POST / HTTP/1.1\r\n")
    assert f"Host: crm.example:{port}\r\n".encode() in server.heard[0]


async def test_an_address_of_ipv6_is_reached(send: HttpSend) -> None:
    server = Server(OK)
    async with server.at("::1") as port:
        answer = await send(Request(url=f"http://[::1]:{port}/a"))
        assert said(answer) == (200, b"ok")
        assert f"Host: [::1]:{port}\r\n".encode() in server.heard[0]


async def test_a_name_that_nobody_knows_says_so(send: HttpSend) -> None:
    for host in ("nobody.invalid", "a..b", "a" * 70 + ".example"):
        answer = await send(Request(url=f"http://{host}/"))
        assert answer == NoResponse("UnknownNameError"), host


@pytest.mark.parametrize(
    "url", ["http://", "http://:80/", "ftp://a/", "http://a:99999/"]
)
async def test_a_url_that_is_none_says_so(send: HttpSend, url: str) -> None:
    assert await send(Request(url=url)) == NoResponse("InvalidURLError")


@pytest.mark.parametrize(
    ("written", "wire"),
    [
        ("", "/"),
        ("/a%2Fb/../c?x=%7E&y=a+b", "/a%2Fb/../c?x=%7E&y=a+b"),
        ("?x=1", "/?x=1"),
        ("/a?x=/b#part", "/a?x=/b"),
        ("/caf\u00e9 au lait", "/caf%C3%A9%20au%20lait"),
    ],
)
async def test_a_url_goes_out_byte_for_byte_where_it_can(
    send: HttpSend, written: str, wire: str
) -> None:
    server = Server(OK)
    async with server.at() as port:
        await send(Request(url=f"http://127.0.0.1:{port}{written}"))
    assert server.heard[0].split(b"\r\n")[0] == f"POST {wire} HTTP/1.1".encode()


async def test_a_user_in_the_url_is_a_header(send: HttpSend) -> None:
    server = Server(OK)
    async with server.at() as port:
        await send(Request(url=f"http://jane:p%40ss@127.0.0.1:{port}/a"))
    assert b"\r\nAuthorization: Basic amFuZTpwQHNz\r\n" in server.heard[0]
    assert b"jane" not in server.heard[0]


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\r\nY: b"}, {"X": "a\nb"}, {"X\r\nY": "a"}, {"X": "a\rb"}],
)
async def test_a_line_break_in_a_header_sends_nothing(
    send: HttpSend, headers: dict[str, str]
) -> None:
    server = Server(OK)
    async with server.at() as port:
        with pytest.raises(ValueError, match="line break"):
            await send(request(port, headers=headers))
    assert server.heard == []


async def test_of_the_connection_only_we_say_something(send: HttpSend) -> None:
    server = Server(OK)
    given = {"content-length": "99", "Transfer-Encoding": "chunked", "X-Own": "1"}
    async with server.at() as port:
        await send(
            request(port, headers={**given, "User-Agent": "me", "ACCEPT": "a/b"})
        )
    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert body == b"x"
    assert [each for each in lines if b"length" in each] == [b"content-length: 1"]
    assert not [each for each in lines if b"chunked" in each]
    assert [each for each in lines if each.startswith(b"accept:")] == [b"accept: a/b"]
    assert [each for each in lines if b"agent" in each] == [b"user-agent: me"]


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cert.pem and key.pem for 127.0.0.1, and the ca.pem who signed."""
    folder = tmp_path_factory.mktemp("certified")
    kits.certify(folder)
    return folder


def serving(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_whom_no_authority_knows_hears_nothing(
    send: HttpSend, certified: Path
) -> None:
    server = Server(OK, tls=serving(certified))
    async with server.at() as port:
        answer = await send(Request(url=f"https://127.0.0.1:{port}/"))
    assert answer == NoResponse("SSLCertVerificationError")
    assert server.heard == []


async def test_plain_http_where_tls_was_expected_is_an_error_of_tls(
    send: HttpSend,
) -> None:
    async with Server(OK).at() as port:
        answer = await send(Request(url=f"https://127.0.0.1:{port}/"))
    assert isinstance(answer, NoResponse)
    assert answer.reason in {"SSLError", "TimeoutError", "ConnectionResetError"}


async def test_tls_is_spoken_and_its_connections_are_kept(
    certified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certified / "ca.pem"))
    server = Server(OK, tls=serving(certified))
    async with server.at() as port, open_pool(LOCAL) as pool:
        send = HttpSend(pool, timeout_s=2.0)
        url = f"https://127.0.0.1:{port}/"
        assert said(await send(Request(url=url))) == (200, b"ok")
        assert said(await send(Request(url=url))) == (422, b"no")
    assert server.connections == 1


class Tunnel:
    """A proxy that leads to a port of this machine, or says no."""

    def __init__(self, port: int, status: bytes) -> None:
        self._port, self._status = port, status
        self.asked: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: Any) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 " + self._status + b"\r\n\r\n")
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(ConnectionError):
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer))


async def _pipe(reader: asyncio.StreamReader, writer: Any) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
    writer.close()


@pytest.mark.parametrize("status", [b"200 Go ahead", b"200", b"299 Of course"])
async def test_tls_goes_through_a_proxy_in_a_tunnel(
    certified: Path, monkeypatch: pytest.MonkeyPatch, status: bytes
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certified / "ca.pem"))
    server = Server(OK, tls=serving(certified))
    async with server.at() as port:
        tunnel = Tunnel(port, status)
        proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
        async with proxy, open_pool(LOCAL) as pool:
            at = proxy.sockets[0].getsockname()[1]
            origins = Origins(proxy=f"http://me:pw@127.0.0.1:{at}")
            send = HttpSend(pool, timeout_s=2.0, origins=origins)
            answer = await send(Request(url=f"https://127.0.0.1:{port}/a"))
            assert said(answer) == (200, b"ok")
        await asyncio.sleep(0.01)
    (asked,) = tunnel.asked
    assert asked.startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n".encode())
    assert b"\r\nProxy-Authorization: Basic bWU6cHc=\r\n" in asked
    assert b"Authorization" not in server.heard[0]


@pytest.mark.parametrize(
    ("answered", "named"),
    [(b"HTTP/1.1 407 Who are you", "407"), (b"SSH-2.0 200 200 OpenSSH", "0")],
)
async def test_a_proxy_that_gives_no_tunnel_is_named_with_its_status(
    answered: bytes, named: str
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answered + b"\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with proxy, open_pool(LOCAL) as pool:
        origins = Origins(proxy=f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        send = HttpSend(pool, timeout_s=2.0, origins=origins)
        answer = await send(Request(url="https://crm.example/"))
    assert answer == NoResponse(f"ProxyError {named}")
