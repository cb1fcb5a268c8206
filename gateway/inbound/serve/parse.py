"""aiohttp's parser, with a bound for what comes before a body: the head as a whole.

aiohttp bounds each line and the number of headers; together they could be 1.6 MB, held
for each connection that sends no more than half a head.
"""

from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import hdrs
from aiohttp.http_exceptions import (
    BadHttpMessage,
    BadStatusLine,
    HttpProcessingError,
    InvalidURLError,
    LineTooLong,
)
from aiohttp.http_parser import HttpParser
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from gateway.errors import MessageError

HEADER_BYTES_MAX = 16_384  # a request line, a header
HEAD_BYTES_MAX = 32_768  # the request line and all headers together
HEADERS_MAX = 100

END = b"\r\n\r\n"
UPGRADE = b"pgrade"  # the header is found, in any case it is written in

Fed = tuple[Sequence[tuple[Any, StreamReader]], bool, bytes]
NOTHING: Fed = ((), False, b"")


class HeadTooLarge(BadHttpMessage):
    """A request line and headers that are larger together than ``HEAD_BYTES_MAX``."""

    def __init__(self) -> None:
        super().__init__("the head is too large")


class Parser:
    """Feeds aiohttp's parser; counts what comes with no head or body to show for it.

    ``end`` is called when that is too much behind a head (the trailers of a chunked
    body): its request is under way, and must not wait for a body that never ends.
    """

    __slots__ = (
        *("_careful", "_end", "_message", "_over", "_parser", "_payload"),
        "_unknown_bytes",
    )

    def __init__(self, parser: HttpParser[Any], end: Callable[[], None]) -> None:
        self._parser = parser
        self._end = end
        self._over = False
        self._careful = False  # a request may end within what is fed, with `Upgrade`
        self._message: Any = None
        self._payload: StreamReader = EMPTY_PAYLOAD  # the last message's
        self._unknown_bytes = 0  # fed since a head was whole or a body grew

    def feed_data(self, data: bytes) -> Fed:
        """Requests whose heads are whole; HeadTooLarge once, then silence."""
        if len(data) > HEADER_BYTES_MAX or self._careful or UPGRADE in data:
            return self._feed_pieces(data)
        return self._feed(data)

    def _feed(self, data: bytes) -> Fed:
        if self._over:
            return NOTHING
        payload, grown = self._payload, self._payload.total_bytes
        fed: Fed = self._parser.feed_data(data)
        unknown_bytes = self._unknown_bytes + len(data)
        if messages := fed[0]:
            self._message, self._payload = messages[-1]
            self._unknown_bytes = 0
            if unknown_bytes > HEAD_BYTES_MAX:
                self._weigh(messages[0][0])
        elif payload.total_bytes > grown:
            self._unknown_bytes = 0
        else:
            self._unknown_bytes = unknown_bytes
            if unknown_bytes > HEAD_BYTES_MAX:
                return self._refuse()
        return fed

    def _feed_pieces(self, data: bytes) -> Fed:
        """What is large, or may ask for an upgrade, in pieces.

        Where in a piece a head begins is not known: it is counted from the next piece
        on, so that it holds a header's bytes more than it may. And aiohttp drops what
        it is fed behind a request that asks for an upgrade it does not know (h2c):
        such a one must end where a piece does.
        """
        begun = self._careful
        found: list[tuple[Any, StreamReader]] = []
        start = 0
        while start < len(data):
            # A head that began in an earlier piece may end with any of these.
            end = start + (1 if begun and start < len(END) else self._fits(data, start))
            messages, upgraded, tail = self._feed(data[start:end])
            found += messages
            if upgraded:
                return found, True, tail + data[end:]
            start = end
        self._careful &= self._unknown_bytes > 0 or not self._payload.is_eof()
        return found, False, b""

    def _fits(self, data: bytes, start: int) -> int:
        """How long the next piece may be: to the end of a body or, at most, a head."""
        if not self._payload.is_eof():
            length = self._message.headers.get(hdrs.CONTENT_LENGTH, "0")
            if (size := int(length) - self._payload.total_bytes) > 0:
                return size  # of a body nothing is looked into
        if not self._careful:  # what is fed next, and the end of a word that it cuts
            self._careful = data.find(UPGRADE, start, start + HEAD_BYTES_MAX) >= 0
        if self._careful and (end := data.find(END, start)) >= 0:
            return min(end + len(END) - start, HEADER_BYTES_MAX)
        return HEADER_BYTES_MAX

    def _weigh(self, message: Any) -> None:
        """A head that came in many pieces may be whole, and too large."""
        headers = message.raw_headers
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if len(message.path) + size > HEAD_BYTES_MAX:
            self._over = True
            raise HeadTooLarge

    def _refuse(self) -> Fed:
        self._over = True
        if self._payload.is_eof():
            raise HeadTooLarge
        self._end()
        return NOTHING

    # What else aiohttp asks of its parser

    def message_consumed(self) -> None:
        """A request left the queue of what was parsed."""
        self._parser.message_consumed()

    def pause_reading(self) -> None:
        """A body's buffer is full."""
        self._parser.pause_reading()

    def set_upgraded(self, val: bool) -> None:  # noqa: FBT001 -- as aiohttp calls it
        """Whether what follows is HTTP."""
        self._parser.set_upgraded(val)


def reason(error: BaseException | None) -> MessageError:
    """What to tell a sender whose request aiohttp's parser, or ours, does not take."""
    told = error.message if isinstance(error, HttpProcessingError) else ""
    if isinstance(error, HeadTooLarge):
        message = f"the request line and headers are larger than {HEAD_BYTES_MAX} bytes"
        return MessageError("too_large", message)
    if isinstance(error, LineTooLong):
        message = (
            f"the request line or a header is larger than {HEADER_BYTES_MAX} bytes"
        )
        return MessageError("too_large", message)
    if "Too many headers" in told:
        return MessageError("too_large", f"there are more than {HEADERS_MAX} headers")
    if isinstance(error, InvalidURLError) or (
        isinstance(error, BadStatusLine) and "Expected HTTP/" in told
    ):
        message = (
            "a path begins with / and holds only what HTTP allows there; "
            "percent-encode the rest, as UTF-8 (é is %C3%A9, a space %20)"
        )
        return MessageError("invalid_message", message)
    return MessageError("invalid_json", "this is not an HTTP request")
