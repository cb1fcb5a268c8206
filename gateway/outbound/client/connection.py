"""A connection that hears one answer for each request.

The status line is the answer: what is wrong in the bytes behind it (a header that is
none or too long, a body where none may be, a chunk that is none, an end too early)
takes nothing from it. What nobody asked for closes the connection: a second answer that
comes late would judge the next event. After an answer that leaves a doubt of where it
ends, the connection is not used again.
"""

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from typing import cast

import httptools

from gateway.outbound.http import NoResponse, Response

STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
FINAL = 200  # 1xx announce, and are no answer; but 101 ends HTTP
SWITCHING = 101
SEEN_BYTES = 4_096  # kept of a head: a status line is in it, or there is none
HEAD_BYTES = 1_048_576  # a head that is longer, announcements and all, is read no more
HEADERS_BYTES = 8_192  # kept of headers, names and values; what goes beyond is left out

Answer = Response | NoResponse
DROPPED = NoResponse("ServerDisconnectedError")
STALE = NoResponse("stale")
"""A kept connection ended before anything of an answer came: it may have ended before
the request was sent. It is sent again on another one."""


class Headers(Mapping[str, str]):
    """By lower-case name, several lines of one name joined.

    Made when somebody looks: nobody does where the status says it all. Bytes that are
    no UTF-8 are replaced, so that what came back can be written.
    """

    __slots__ = ("_lines", "_read")

    def __init__(self, lines: list[tuple[bytes, bytes]]) -> None:
        self._lines = lines
        self._read: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, str]:
        if self._read is None:
            self._read, self._lines = _joined(self._lines), []
        return self._read


def _joined(lines: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in lines:
        key = name.decode(errors="replace").lower()
        text = value.decode(errors="replace").strip(" \t")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


class Connection(asyncio.Protocol):
    """One connection of the client; made by ``Pool``, used by one request at a time."""

    def __init__(self) -> None:
        self.idle_since_s = 0.0
        self.kept = False
        """Whether it may be used again: open, and its last answer heard to its end."""
        self.used = False
        """Whether a request has been answered on it before."""
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._parser = _parser(self)
        self._head_only = False
        self._most = 0
        self._forget()

    def _forget(self) -> None:
        self._status = 0  # 0: no final head is read yet
        self._seen = b""  # of an answer whose head is not read yet
        self._head_size = 0
        self._lines: list[tuple[bytes, bytes]] = []
        self._room = HEADERS_BYTES
        self._body: list[bytes] = []
        self._size = 0
        self._came_s = 0.0

    async def ask(self, request: bytes, *, most: int, head_only: bool) -> Answer:
        """Write a request and hear its answer; ``most`` bytes of its body are wanted.

        ``head_only``: its answer has no body, whatever its head says (HEAD). Cancelled,
        the connection is closed: the answer may still come.
        """
        transport = self._transport
        if transport is None or not self.kept:
            return STALE if self.used else DROPPED
        self._most, self._head_only = most, head_only
        self.kept = False
        waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        transport.write(request)
        try:
            answer: Answer = await waiter
        except asyncio.CancelledError:
            self._waiter = None
            self.close()
            raise
        return answer

    def close(self) -> None:
        """At once: nothing that matters is under way."""
        self.kept = False
        if self._transport is not None:
            self._transport.abort()

    def expire(self) -> None:
        """The request's time is over: what was said by now is the answer."""
        self._end(NoResponse("TimeoutError"))
        self.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From the loop: it is open."""
        self._transport = cast("asyncio.Transport", transport)
        self.kept = True

    def connection_lost(self, exc: Exception | None) -> None:
        """From the loop: it is closed, by whomever."""
        self.kept, self._transport = False, None
        if self._waiter is None:
            return
        if self.used and not self._seen and not self._status:
            self._end(STALE)
        else:
            self._end(NoResponse(type(exc).__name__) if exc is not None else DROPPED)

    def data_received(self, data: bytes) -> None:
        """From the loop: a part of an answer, or what nobody asked for."""
        if self._waiter is None:
            self.close()
            return
        if not self._status:
            self._head_size += len(data)
            if len(self._seen) < SEEN_BYTES:
                self._seen += data[:SEEN_BYTES]
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(NoResponse("BadAnswerError"))
            self.close()
            return
        if not self._status and self._head_size > HEAD_BYTES:
            self._end(NoResponse("BadAnswerError"))
            self.close()

    def on_message_begin(self) -> None:
        """From the parser: behind the answer another begins, that nobody asked for."""
        if self._waiter is None:
            self.kept = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """From the parser; trailers come the same way, and are left out."""
        size = len(name) + len(value)
        if not self._status and size <= self._room:
            self._room -= size
            self._lines.append((name, value))

    def on_headers_complete(self) -> None:
        """From the parser: a final answer has begun, or an announcement was made."""
        status = self._parser.get_status_code()
        if status >= FINAL or status == SWITCHING:
            self._status, self._came_s = status, time.time()
            if self._head_only:
                self._end(DROPPED)
                self.close()
        else:
            self._lines, self._room, self._seen = [], HEADERS_BYTES, b""

    def on_body(self, piece: bytes) -> None:
        """From the parser; of more than is wanted the rest is left unread."""
        if self._waiter is None:
            return
        self._body.append(piece)
        self._size += len(piece)
        if self._size >= self._most:
            self._end(DROPPED)

    def on_message_complete(self) -> None:
        """From the parser: the answer is heard to its end."""
        if self._waiter is None or not self._status:
            return
        transport = self._transport
        clear = transport is not None and not transport.get_write_buffer_size()
        self.kept = clear and self._parser.should_keep_alive()
        self.used = True
        self._end(DROPPED)

    def _end(self, nothing: NoResponse) -> None:
        """Give what was said, or ``nothing`` if no status was."""
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            return
        answer: Answer = nothing
        status = self._status or _status_said(self._seen)
        if status:
            body = b"".join(self._body)[: self._most]
            at_s = self._came_s or time.time()
            headers = Headers(self._lines)
            answer = Response(status=status, headers=headers, body=body, at_s=at_s)
        self._forget()
        if not waiter.done():
            waiter.set_result(answer)


def _parser(connection: Connection) -> httptools.HttpResponseParser:
    """As lenient as clients in the field: it is the status that matters.

    What leniencies could be abused for (one answer read as two) ends the connection.
    """
    parser = httptools.HttpResponseParser(connection)
    parser.set_dangerous_leniencies(
        lenient_headers=True,
        lenient_optional_cr_before_lf=True,
        lenient_spaces_after_chunk_size=True,
    )
    return parser


def _status_said(seen: bytes) -> int:
    """The status of the final answer that begins in these bytes; 0: none does."""
    line = STATUS_LINE.match(seen)
    status = 0 if line is None else int(line[1])
    return status if status >= FINAL else 0
