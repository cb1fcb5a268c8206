"""The head of a request, remembered: a client sends the same one again and again.

A head that is byte for byte one that aiohttp has parsed, but for the digits of its
length, says the same again; comparing costs less than parsing. What differs anywhere
else is parsed.
"""

from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import hdrs

from gateway.inbound.doors.pipelines import Endpoint

END = b"\r\n\r\n"
LENGTH = b"\r\ncontent-length: "
DIGITS_MAX = 9  # of a length; larger bodies are refused anyway


class Head(NamedTuple):
    """A head in two parts, before the digits of its length and after; what it says."""

    before: bytes
    after: bytes
    headers: Mapping[str, str]
    endpoint: Endpoint

    def body(self, data: bytes) -> bytes | None:
        """The body, if these bytes are this head and all of its body, and no more."""
        if not data.startswith(self.before):
            return None
        start = len(self.before)
        end = data.find(b"\r", start, start + DIGITS_MAX + 1)
        if not data.startswith(self.after, end) or not _is_length(data[start:end]):
            return None
        body = data[end + len(self.after) :]
        return body if len(body) == int(data[start:end]) else None


def learned(data: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Head | None:
    """The head of these bytes, as it was parsed; None unless they are one request."""
    end = data.find(END)
    start = data[:end].lower().find(LENGTH) + len(LENGTH)
    stop = data.find(b"\r", start)
    if (
        end < 0
        or start < len(LENGTH)
        or data[start:stop] != headers.get(hdrs.CONTENT_LENGTH, "").encode()
        or hdrs.TRANSFER_ENCODING in headers
    ):
        return None
    head = Head(data[:start], data[stop : end + len(END)], headers, endpoint)
    return None if head.body(data) is None else head


def _is_length(digits: bytes) -> bool:
    return digits.isdigit() and not digits.startswith(b"0")
