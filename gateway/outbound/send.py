"""``Send`` on aiohttp: one request out, 8 KB of headers and of body back, in time.

Redirects are not followed, proxies in the environment are not believed, no cookies are
kept, nothing is decompressed: a few bytes of answer cannot become many in memory.
What comes back can be written: bytes of a header that are no UTF-8 are replaced.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs
from yarl import URL

from gateway import __version__
from gateway.config import EgressConfig, Server
from gateway.outbound.answer import Connector
from gateway.outbound.http import NoResponse, Request, Response
from gateway.outbound.reach import EVERYWHERE, PrivateAddressError, Reach

HEADERS_BYTES = 8_192  # of a response, names and values

NO_HOSTS: Mapping[str, str] = MappingProxyType({})
HEADERS: Mapping[str, str] = {
    hdrs.ACCEPT_ENCODING: "identity",
    hdrs.USER_AGENT: f"gateway/{__version__}",
}
MADE_UP = (hdrs.CONTENT_TYPE,)
"""What aiohttp would say of a body, were there none or no word about it."""


class Detour(NamedTuple):
    """Requests that go elsewhere than their URL says, at the operator's word.

    ``session`` connects to any address: whoever is named here is meant. ``hosts`` is
    host -> the beginning of a URL; the path and query of a request are kept.
    """

    session: aiohttp.ClientSession
    hosts: Mapping[str, str] = NO_HOSTS
    proxy: str | None = None

    def of(self, url: str) -> tuple[str, str | None] | None:
        """Where this URL's request goes, through which proxy; None: where it says."""
        parts = urlsplit(url)
        there = self.hosts.get(parts.netloc) or self.hosts.get(parts.hostname or "")
        if there is not None:
            rest = parts._replace(scheme="", netloc="", fragment="").geturl()
            return f"{there.rstrip('/')}{rest}", None
        return None if self.proxy is None else (url, self.proxy)


def open_session(reach: Reach) -> aiohttp.ClientSession:
    """The connections of all HTTP destinations; the senders of each bound its own."""
    return aiohttp.ClientSession(
        connector=Connector(limit=0, ttl_dns_cache=60, socket_factory=reach.socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=HEADERS,
        auto_decompress=False,
        trust_env=False,
    )


@asynccontextmanager
async def open_ways(server: Server, egress: EgressConfig) -> AsyncIterator["Ways"]:
    """The connections that a configuration asks for, closed at the end."""
    async with open_session(Reach(server.private_destinations)) as session:
        if not egress.proxy and not egress.hosts:
            yield Ways(session)
            return
        async with open_session(Reach(EVERYWHERE)) as anywhere:
            detour = Detour(anywhere, egress.hosts, egress.proxy or None)
            yield Ways(session, detour)


class Ways(NamedTuple):
    """The connections of all HTTP destinations."""

    session: aiohttp.ClientSession
    detour: Detour | None = None

    def send(self, timeout_s: float) -> "AiohttpSend":
        """``Send`` for one destination."""
        return AiohttpSend(self.session, timeout_s=timeout_s, detour=self.detour)


class AiohttpSend:
    """``Send`` for one destination, on a session that others share."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        timeout_s: float,
        detour: Detour | None = None,
    ) -> None:
        self._session = session
        self._detour = detour
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def __call__(self, request: Request) -> Response | NoResponse:
        """What came back; NoResponse for whatever a network or a server does wrong.

        The status line is the answer: when what follows it breaks (cut short, no
        chunks, too slow), it was said all the same, with as much of the body as came.
        """
        body, most = bytearray(), request.answer_bytes
        headers: dict[str, str] | None = None
        status, at_s = 0, 0.0
        session, url, proxy = self._session, request.url, None
        if self._detour is not None and (other := self._detour.of(url)) is not None:
            session, (url, proxy) = self._detour.session, other
        try:
            async with session.request(
                request.method,
                _as_written(url),
                proxy=proxy,
                data=request.body,
                skip_auto_headers=MADE_UP,
                headers=request.headers,
                allow_redirects=False,
                timeout=self._timeout,
            ) as response:
                status, at_s = response.status, time.time()
                headers = _headers(response.headers)
                await _read_beginning(response.content, body, most)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if headers is None:
                return NoResponse(_reason(error))
        assert headers is not None  # an answer came, and what broke came after it
        return Response(
            status=status, headers=headers, body=bytes(body[:most]), at_s=at_s
        )


def _as_written(url: str) -> URL:
    """The URL byte for byte, where it is one: %2F is not /, and some are signed."""
    return URL(url, encoded=url.isascii() and url.isprintable() and " " not in url)


def _reason(error: Exception) -> str:
    """The name of the error, or of the one of ours that aiohttp wrapped."""
    cause = getattr(error, "os_error", error)
    return type(cause if isinstance(cause, PrivateAddressError) else error).__name__


def _headers(received: Mapping[str, str]) -> dict[str, str]:
    """By lower-case name, several lines of one name joined; 8 KB, the rest left out."""
    headers: dict[str, str] = {}
    room = HEADERS_BYTES
    for name, value in received.items():
        if not (name.isascii() and value.isascii()):
            name, value = _text(name), _text(value)  # noqa: PLW2901 -- nearly never
        size = len(name) + len(value)
        if size <= room:
            room -= size
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _text(received: str) -> str:
    """What aiohttp read with surrogates in place of bytes, as text that has none."""
    return received.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


async def _read_beginning(
    content: aiohttp.StreamReader, body: bytearray, most: int
) -> None:
    """Read the first bytes; what is beyond closes the connection, unread.

    What had come when the rest broke is read, too: aiohttp keeps it behind the error.
    """
    try:
        while len(body) < most and (piece := await content.read(most)):
            body += piece
    except (aiohttp.ClientError, TimeoutError, OSError):
        no_error: Any = None
        content.set_exception(no_error)
        body += content.read_nowait(most)
        raise
