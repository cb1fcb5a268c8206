"""Room for what a process holds at once: taken in turn, given back."""

import asyncio
from collections import deque


class Room:
    """So many bytes; whoever finds too few waits, and those behind it wait, too."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._is_open = False

    async def take(self, size: int, *, at_once: bool = False) -> None:
        """Return when there is room; what is larger than all of it waits for all.

        ``at_once``: take it though there is too little.
        """
        if not size or self._is_open:
            return
        if at_once or (not self._waiting and self._fits(size)):
            self._left -= size
            return
        one = size, asyncio.get_running_loop().create_future()
        self._waiting.append(one)
        try:
            await one[1]
        except asyncio.CancelledError:
            if one in self._waiting:
                self._waiting.remove(one)
            elif not one[1].cancelled():
                self._left += size  # it had it already
            self._wake()
            raise

    def give(self, size: int) -> None:
        """It is free again."""
        self._left += size
        self._wake()

    def open(self) -> None:
        """Let everybody in: there is nothing left to fill."""
        self._is_open = True
        self._wake()

    def _fits(self, size: int) -> bool:
        return size <= self._left or self._left >= self._size

    def _wake(self) -> None:
        while self._waiting and (self._is_open or self._fits(self._waiting[0][0])):
            size, future = self._waiting.popleft()
            if not future.done():
                self._left -= size
                future.set_result(None)
