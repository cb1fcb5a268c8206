"""Large bodies are judged in turn, for each takes many times its bytes when parsed.

While one is judged others get their turn at what they do, so that without a turnstile
all that come together would be parsed together.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from gateway.errors import LogError


@dataclass(slots=True)
class Held:
    """What all requests hold for the log while they are judged, in bytes."""

    bytes: int = 0


class Turnstile:
    """Lets in ``inside_max`` bytes at once, or one body; ``waiting_max`` bytes wait."""

    def __init__(self, inside_max: int, waiting_max: int) -> None:
        self.inside = self.waiting = 0
        self._inside_max, self._waiting_max = inside_max, waiting_max
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, size: int) -> None:
        """Return when it is this body's turn; it must ``leave`` afterwards.

        LogError ``overloaded`` when too much waits already.
        """
        if not self._line and self._has_room(size):
            self.inside += size
            return
        if self.waiting and self.waiting + size > self._waiting_max:
            raise LogError("too many large bodies at once; send again", "overloaded")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((size, turn))
        self.waiting += size
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._line.remove((size, turn))
                self.waiting -= size
                self._let_in()
            else:
                self.leave(size)
            raise

    def leave(self, size: int) -> None:
        """Make room for those who wait, in the order in which they came."""
        self.inside -= size
        self._let_in()

    def _let_in(self) -> None:
        while self._line and self._has_room(self._line[0][0]):
            size, turn = self._line.popleft()
            self.waiting -= size
            self.inside += size
            turn.set_result(None)

    def _has_room(self, size: int) -> bool:
        return not self.inside or self.inside + size <= self._inside_max
