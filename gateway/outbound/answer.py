"""One answer for each request: how aiohttp's client hears its connections.

aiohttp queues whatever arrives on a connection, and the next request takes its answer
from there: a second answer that comes late, while the connection waits for its next
use, would judge another event. Here what nobody asked for closes the connection.

And the status line is the answer: what is wrong in the bytes behind it (a header that
is none or too long, a body where none may be, a chunk that is none) takes nothing from
it.

Borrowed from aiohttp beyond its documentation: ``client_proto.ResponseHandler``, its
parser, and the connector's ``_factory``, which makes a handler for each connection.
"""

import functools
import re
from asyncio import AbstractEventLoop
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpResponseParser

STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n")
HEAD_END = b"\r\n\r\n"
FINAL = 200  # 1xx announce, and are no answer
SEEN_MAX = 65_536  # bytes kept of a head: more announcements than this are no answer


class OneAnswer(ResponseHandler):
    """A connection's protocol that hears one final answer for each request."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        super().__init__(loop)
        self._owed = False
        self._body: Any = None
        self._seen = b""  # of an answer whose head is not read yet

    def set_response_params(self, **params: Any) -> None:
        """A request is about to be written here: its answer is owed."""
        self._owed, self._seen = True, b""
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """What an answer is made of; more than that ends the connection."""
        if self._owed:
            self._seen += data[: SEEN_MAX - len(self._seen)]
        elif data and (self._body is None or self._body.is_eof()):
            self.force_close()
            if self.transport is not None:
                self.transport.close()
            return
        super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """A head was read: a message, and the stream that its body comes in."""
        message, body = data
        if message.code >= FINAL:
            self._owed, self._body = False, body
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *cause: Any) -> None:
        """The connection failed; an answer whose status line had come was given."""
        if self._owed and (answer := self._answer_of(self._seen)) is not None:
            self.feed_data(answer)
        super().set_exception(exc, *cause)

    def _answer_of(self, seen: bytes) -> Any:
        """The final answer that begins in these bytes, without its body; or None."""
        while (line := STATUS_LINE.match(seen)) is not None:
            end = seen.find(HEAD_END) + len(HEAD_END)
            if int(line[1]) >= FINAL:
                whole = seen[:end] if end >= len(HEAD_END) else b""
                return self._read(whole) or self._read(line[0] + b"\r\n")
            if end < len(HEAD_END):
                return None
            seen = seen[end:]
        return None

    def _read(self, head: bytes) -> Any:
        """A message of a head that is whole; None when it is no head."""
        limit = max(1, len(head))
        parser = HttpResponseParser(self, self._loop, limit, response_with_body=False)
        try:
            messages = parser.feed_data(head)[0]
        except aiohttp.http.HttpProcessingError:
            return None
        return messages[0] if messages else None


class Connector(aiohttp.TCPConnector):
    """Connections for a session that hear one answer for each request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        make: Any = functools.partial(OneAnswer, loop=self._loop)
        self._factory = make
