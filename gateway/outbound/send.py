"""``Send`` on aiohttp: one request out, at most 8 KB back, within the timeout.

Redirects are not followed, proxies in the environment are not believed, no cookies are
kept, nothing is decompressed: a few bytes of answer cannot become many in memory.
"""

from collections.abc import Mapping

import aiohttp
from aiohttp import hdrs

from gateway import __version__
from gateway.outbound.http import NoResponse, Request, Response
from gateway.outbound.reach import PrivateAddressError, Reach

HEADERS: Mapping[str, str] = {
    hdrs.ACCEPT_ENCODING: "identity",
    hdrs.USER_AGENT: f"gateway/{__version__}",
}


def open_session(reach: Reach) -> aiohttp.ClientSession:
    """The connections of all HTTP destinations; the senders of each bound its own."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, ttl_dns_cache=60, socket_factory=reach.socket
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=HEADERS,
        auto_decompress=False,
        trust_env=False,
    )


class AiohttpSend:
    """``Send`` for one destination, on a session that others share."""

    def __init__(self, session: aiohttp.ClientSession, *, timeout_s: float) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def __call__(self, request: Request) -> Response | NoResponse:
        """What came back; NoResponse for whatever a network or a server does wrong."""
        try:
            async with self._session.request(
                request.method,
                request.url,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                timeout=self._timeout,
            ) as response:
                return Response(
                    status=response.status,
                    headers={k.lower(): v for k, v in response.headers.items()},
                    body=await _beginning(response.content, request.answer_bytes),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return NoResponse(_reason(error))


def _reason(error: Exception) -> str:
    """The name of the error, or of the one of ours that aiohttp wrapped."""
    cause = getattr(error, "os_error", error)
    return type(cause if isinstance(cause, PrivateAddressError) else error).__name__


async def _beginning(content: aiohttp.StreamReader, most: int) -> bytes:
    """The first bytes; what is beyond closes the connection, unread."""
    body = bytearray()
    while len(body) < most and (piece := await content.read(most)):
        body += piece
    return bytes(body[:most])
