"""What the gateway and a sidecar say to each other: one-key JSON objects, one a line.

``sidecar.js`` lists them. They go through a socket pair, so there is no path, no port
and no permission to think of, and what a package prints cannot get among them.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson

from gateway.event import Json

FRAME_BYTES_MAX = 33_554_432  # a line that is longer is no frame: the peer is broken

Frame = Mapping[str, Json]


class Frames(asyncio.Protocol):
    """One end of a socket pair: hears frames, says frames.

    ``hear`` gets the name of each frame and what it holds; ``lost`` is called once,
    when nothing more will come.
    """

    def __init__(
        self, hear: Callable[[str, dict[str, Any]], None], lost: Callable[[], None]
    ) -> None:
        self._hear = hear
        self._lost = lost
        self._begun: list[bytes] = []
        self._begun_bytes = 0
        self._unsaid: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Some lines, the last of them perhaps begun only."""
        *lines, begun = data.split(b"\n")
        for line in lines:
            if self._begun:
                line = b"".join([*self._begun, line])  # noqa: PLW2901 -- it is whole now
                self._begun.clear()
                self._begun_bytes = 0
            self._take(line)
        if begun:
            self._begun.append(begun)
            self._begun_bytes += len(begun)
            if self._begun_bytes > FRAME_BYTES_MAX:
                self.close()

    def _take(self, line: bytes) -> None:
        try:
            ((name, frame),) = orjson.loads(line).items()
            self._hear(name, frame)
        except (ValueError, AttributeError, KeyError, TypeError):
            self.close()  # what speaks there is no sidecar any more

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end is gone."""
        del exc
        self._transport = None
        self._lost()

    def say(self, name: str, frame: Frame) -> None:
        """Say it with whatever else is said in this turn of the loop."""
        if self._transport is None:
            return
        if not self._unsaid:
            asyncio.get_running_loop().call_soon(self._write)
        self._unsaid.append(orjson.dumps({name: frame}))

    def _write(self) -> None:
        lines, self._unsaid = self._unsaid, []
        if self._transport is not None:
            self._transport.write(b"\n".join([*lines, b""]))

    def close(self) -> None:
        """Say what is left, and hang up."""
        if self._transport is not None:
            self._write()
            self._transport.close()
