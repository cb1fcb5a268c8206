"""A server for the client's tests: its answers in turn, byte for byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from gateway.outbound.http import NoResponse, Response
from gateway.outbound.reach import Reach

LOCAL = Reach(["127.0.0.0/8", "::1/128"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO = b"HTTP/1.1 422 No\r\nContent-Length: 2\r\n\r\nno"


class Server:
    """Answers each request on each connection with the next bytes it was given.

    None ends the connection instead. What it heard is kept: a head, and its body.
    """

    def __init__(
        self, *answers: bytes | None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.answers = list(answers)
        self.tls = tls
        self.heard: list[bytes] = []
        self.connections = 0
        self.ended = asyncio.Event()

    @asynccontextmanager
    async def at(self, host: str = "127.0.0.1") -> AsyncIterator[int]:
        server = await asyncio.start_server(self._talk, host, 0, ssl=self.tls)
        async with server:
            yield server.sockets[0].getsockname()[1]
        await asyncio.sleep(0.01)  # what is open hears of the end, and closes

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heard.append(head + await _body(head, reader))
                answer = self.answers.pop(0) if self.answers else NO
                if answer is None:
                    break
                writer.write(answer)
                if b"close" in answer:
                    break
        self.ended.set()
        writer.close()


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    _, found, rest = head.lower().partition(b"content-length: ")
    return await reader.readexactly(int(rest.split(b"\r\n")[0])) if found else b""


def said(answer: Response | NoResponse) -> tuple[int, bytes]:
    assert isinstance(answer, Response), answer
    return answer.status, answer.body
