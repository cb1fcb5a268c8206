"""A request's body, read in bounded time and memory."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import hdrs, web

from gateway.errors import LogError, MessageError

READ_S = 60.0  # for a whole body: a phone on a bad line sends 475 KB in that
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Whole(NamedTuple):
    """A POST of which everything is here; ``remote`` is the connection's address."""

    headers: Mapping[str, str]
    remote: str | None
    body: bytes


@dataclass(slots=True, kw_only=True)
class Receiver:
    """Reads bodies; ``reading_bytes`` is what all half-read bodies hold together."""

    body_bytes_max: int
    reading_bytes_max: int
    read_s: float = READ_S
    reading_bytes: int = 0

    async def receive(self, request: web.BaseRequest | Whole) -> bytes:
        """The body as it came, still compressed; a sender that waits is asked for it.

        MessageError ``too_large`` beyond the limit; LogError ``overloaded`` when all
        bodies together hold too much; ConnectionError when the sender went quiet or
        away: nobody is left to answer.
        """
        if isinstance(request, Whole):
            if len(request.body) > self.body_bytes_max:
                raise too_large(self.body_bytes_max)
            return request.body
        if (request.content_length or 0) > self.body_bytes_max:
            raise too_large(self.body_bytes_max)
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            if request.transport is None:
                raise ConnectionResetError
            request.transport.write(CONTINUE)
        content = request.content
        if content.is_eof() and content.total_bytes <= self.body_bytes_max:
            return content.read_nowait(-1)  # all of it is here: no clock, no waiting
        try:
            async with asyncio.timeout(self.read_s):
                return await self._read(request)
        except TimeoutError:
            raise ConnectionAbortedError from None
        except web.RequestPayloadError:
            raise self._broken(request) from None

    async def _read(self, request: web.BaseRequest) -> bytes:
        body = bytearray()
        try:
            while chunk := await request.content.readany():
                body += chunk
                self.reading_bytes += len(chunk)
                if len(body) > self.body_bytes_max:
                    raise too_large(self.body_bytes_max)
                if self.reading_bytes > self.reading_bytes_max:
                    raise LogError("too many bodies at once; send again", "overloaded")
        finally:
            self.reading_bytes -= len(body)
        return bytes(body)

    def _broken(self, request: web.BaseRequest) -> ConnectionError | MessageError:
        """What it means that the body did not arrive as its headers say."""
        if request.transport is None or request.transport.is_closing():
            return ConnectionResetError()
        message = "the body is not what Content-Length or Transfer-Encoding says"
        return MessageError("invalid_json", message)


def too_large(limit: int) -> MessageError:
    """A body that is not even read."""
    return MessageError("too_large", f"the body is larger than {limit} bytes")
