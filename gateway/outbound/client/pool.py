"""Connections, kept for the next request of the same route.

Addresses of both families are tried beside each other (RFC 8305), each judged by
``Reach`` when its socket is made. A proxy is asked for a tunnel where TLS goes through.
"""

import asyncio
import re
import socket
import ssl
from collections import defaultdict
from functools import cached_property

from aiohappyeyeballs import start_connection

from gateway.outbound.client.connection import Connection
from gateway.outbound.client.names import Names
from gateway.outbound.client.origin import Proxy, Route
from gateway.outbound.deadlines import Deadlines
from gateway.outbound.reach import EVERYWHERE, Reach

KEPT_S = 15.0  # an idle connection: servers close theirs after 5 s to some minutes
SECOND_FAMILY_S = 0.25
TUNNEL_BYTES = 8_192

STATUS = re.compile(rb"HTTP/1\.\d (\d{3})\b")
TUNNEL_OPEN = 2  # any 2xx (RFC 9110, 9.3.6)


class ProxyError(OSError):
    """The proxy gives no tunnel; ``status`` is what it said."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answers {status} to CONNECT")
        self.status = status


class Pool:
    """The connections of all HTTP destinations; the senders of each bound its own."""

    def __init__(self, reach: Reach, names: Names | None = None) -> None:
        self.deadlines = Deadlines()
        self._reach, self._anywhere = reach, Reach(EVERYWHERE)
        self._names = names or Names()
        self._idle: dict[Route, list[Connection]] = defaultdict(list)
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, route: Route) -> Connection | None:
        """One that was kept, the youngest first; None: a new one is needed."""
        kept = self._idle.get(route)
        while kept:
            connection = kept.pop()
            if connection.kept:
                return connection
        return None

    def put_back(self, route: Route, connection: Connection) -> None:
        """Keep it for the next request, or close it where that cannot be."""
        if self._closed or not connection.kept:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since_s = loop.time()
        self._idle[route].append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(KEPT_S, self._close_old)

    def _close_old(self) -> None:
        """Close what has been idle for long; what closed by itself is forgotten."""
        loop = asyncio.get_running_loop()
        before_s = loop.time() - KEPT_S
        self._sweep = None
        for route, kept in list(self._idle.items()):
            young = [
                each for each in kept if each.kept and each.idle_since_s > before_s
            ]
            for each in kept:
                if each not in young:
                    each.close()
            if young:
                self._idle[route] = young
            else:
                del self._idle[route]
        if self._idle:
            self._sweep = loop.call_later(KEPT_S / 3, self._close_old)

    def close(self) -> None:
        """Close all that are idle; those under way are closed as they come back."""
        self._closed = True
        self.deadlines.close()
        if self._sweep is not None:
            self._sweep.cancel()
        for kept in self._idle.values():
            for each in kept:
                each.close()
        self._idle.clear()

    async def open(self, route: Route, until_s: float) -> Connection:
        """A new connection; OSError (TimeoutError after ``until_s``): why not."""
        async with asyncio.timeout_at(until_s):
            if route.proxy is None:
                made = await self._socket(route.host, route.port, route.anywhere)
            else:
                made = await self._tunnel(route.proxy, route)
            return await self._over(made, route)

    async def _socket(self, host: str, port: int, anywhere: bool) -> socket.socket:  # noqa: FBT001
        found = await self._names.find(host, port)
        reach = self._anywhere if anywhere else self._reach
        return await start_connection(
            found, happy_eyeballs_delay=SECOND_FAMILY_S, socket_factory=reach.socket
        )

    async def _over(self, made: socket.socket, route: Route) -> Connection:
        """HTTP over a connected socket: through TLS, where the route says so."""
        loop = asyncio.get_running_loop()
        try:
            if not route.tls:
                _, connection = await loop.create_connection(Connection, sock=made)
                return connection
            _, connection = await loop.create_connection(
                Connection,
                sock=made,
                ssl=self._tls,
                server_hostname=route.host,
            )
        except BaseException:
            made.close()
            raise
        return connection

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def _tunnel(self, proxy: Proxy, route: Route) -> socket.socket:
        """A socket to the proxy that leads to the host; ProxyError: it gives none."""
        made = await self._socket(proxy.host, proxy.port, anywhere=True)
        try:
            shown = f"[{route.host}]" if ":" in route.host else route.host
            lines = f"CONNECT {shown}:{route.port} HTTP/1.1\r\n"
            lines += f"Host: {shown}:{route.port}\r\n"
            if proxy.authorization:
                lines += f"Proxy-Authorization: {proxy.authorization}\r\n"
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(made, f"{lines}\r\n".encode())
            await _granted(made)
        except BaseException:
            made.close()
            raise
        return made


async def _granted(made: socket.socket) -> None:
    """Read the proxy's answer, and not a byte more: what follows is the host's."""
    loop, seen = asyncio.get_running_loop(), b""
    while not seen.endswith(b"\r\n\r\n") and len(seen) < TUNNEL_BYTES:
        piece = await loop.sock_recv(made, 1)
        if not piece:
            raise ConnectionResetError("the proxy closed the connection")
        seen += piece
    found = STATUS.match(seen)
    status = int(found[1]) if found else 0
    if status // 100 != TUNNEL_OPEN:
        raise ProxyError(status)
