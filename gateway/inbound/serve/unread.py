"""Answers that a sender does not read: how many are kept, and for how long.

A connection takes no request while more than ``UNREAD_BYTES_MAX`` wait to be read. So
it holds that and one answer at most, beside what the kernel keeps for the socket.
"""

import asyncio
from collections.abc import Callable

UNREAD_BYTES_MAX = 65_536  # of answers: above it the next request waits
UNREAD_SECONDS = 30.0  # that nothing is read for, and the connection is ended


class Unread:
    """Looks whether a sender goes on reading, and aborts its connection if not."""

    __slots__ = ("_bytes", "_loop", "_moved", "_timer", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        moved: Callable[[], None],
    ) -> None:
        transport.set_write_buffer_limits(high=UNREAD_BYTES_MAX)
        self._transport = transport
        self._loop = loop
        self._moved = moved
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Look from now on; a connection that is closed waits for its reader, too."""
        if self._timer is None:
            self._again()

    def rest(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        self._bytes = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(UNREAD_SECONDS, self._look)

    def _look(self) -> None:
        """Nothing is written meanwhile: what does not become less is not read."""
        self._timer = None
        if self._transport.get_write_buffer_size() >= self._bytes:
            self._transport.abort()
        else:
            self._moved()
            self._again()
