"""``Send``: one request out, 8 KB of headers and of body back, in time.

Redirects are not followed, proxies in the environment are not believed, no cookies are
kept, nothing is decompressed: a few bytes of answer cannot become many in memory.
"""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from gateway.config import EgressConfig, Server
from gateway.outbound.client.connection import STALE, Answer, Connection
from gateway.outbound.client.head import Shapes, head_of
from gateway.outbound.client.names import Names
from gateway.outbound.client.origin import Origins
from gateway.outbound.client.pool import Pool, ProxyError
from gateway.outbound.http import NoResponse, Request, Response
from gateway.outbound.reach import Reach


@asynccontextmanager
async def open_pool(reach: Reach, names: Names | None = None) -> AsyncIterator[Pool]:
    """The connections of all HTTP destinations, closed at the end."""
    pool = Pool(reach, names)
    try:
        yield pool
    finally:
        pool.close()
        await asyncio.sleep(0)  # the loop closes the sockets in its next turn


@asynccontextmanager
async def open_ways(server: Server, egress: EgressConfig) -> AsyncIterator["Ways"]:
    """What a configuration says of connections, closed at the end."""
    async with open_pool(Reach(server.private_destinations)) as pool:
        yield Ways(pool, Origins(egress.hosts, egress.proxy))


class Ways(NamedTuple):
    """The connections of all HTTP destinations, and where their URLs lead."""

    pool: Pool
    origins: Origins

    def send(self, timeout_s: float) -> "HttpSend":
        """``Send`` for one destination."""
        return HttpSend(self.pool, timeout_s=timeout_s, origins=self.origins)


class HttpSend:
    """``Send`` for one destination, on connections that others share."""

    def __init__(
        self, pool: Pool, *, timeout_s: float, origins: Origins | None = None
    ) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._origins = origins or Origins()
        self._shapes = Shapes()

    async def __call__(self, request: Request) -> Response | NoResponse:
        """What came back; NoResponse for whatever a network or a server does wrong.

        The status line is the answer: when what follows it breaks (cut short, no
        chunks, too slow), it was said all the same, with as much of the body as came.
        A request that a kept connection did not live to answer is sent again, on
        another one. ValueError for a line break in a header.
        """
        until_s = asyncio.get_running_loop().time() + self._timeout_s
        try:
            origin, path = self._origins.of(request.url)
        except ValueError:
            return NoResponse("InvalidURLError")
        route, pool = origin.route, self._pool
        head = head_of(request, origin.before + path, origin.lines, self._shapes)
        data = head + request.body
        connection = pool.take(route)
        if connection is not None:
            answer = await self._ask(connection, data, request, until_s)
            pool.put_back(route, connection)
            if answer is not STALE:
                return answer
        try:
            connection = await pool.open(route, until_s)
        except OSError as error:
            return NoResponse(_reason(error))
        answer = await self._ask(connection, data, request, until_s)
        pool.put_back(route, connection)
        return answer

    async def _ask(
        self, connection: Connection, data: bytes, request: Request, until_s: float
    ) -> Answer:
        deadlines = self._pool.deadlines
        deadlines.add(connection, until_s)
        try:
            return await connection.ask(
                data, most=request.answer_bytes, head_only=request.method == "HEAD"
            )
        finally:
            deadlines.discard(connection)


def _reason(error: OSError) -> str:
    """The name of the error; the system's own name where Python has none for it."""
    if isinstance(error, ProxyError):
        return f"ProxyError {error.status}"
    if type(error) is OSError and error.errno is not None:
        return errno.errorcode.get(error.errno, "OSError")
    return type(error).__name__
