"""Who waits in a worker, and what wakes them: idle senders, and the one timer."""

import asyncio
from collections import deque


class Idle:
    """Senders that found nothing to do; the one that has waited longest wakes first."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def wait(self) -> None:
        """Return when this sender should look again."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def wake(self, count: int) -> None:
        """Wake as many, if there are."""
        while count > 0 and self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1


class Alarm:
    """The one timer of a worker: it sleeps until a time, or until an earlier one."""

    def __init__(self) -> None:
        self._bell = asyncio.Event()
        self._until_s = float("inf")

    def ring(self) -> None:
        """Let it look now."""
        self._bell.set()

    def set(self, at_s: float) -> None:
        """Let it look at this time."""
        if at_s < self._until_s:
            self._bell.set()

    def heard(self) -> None:
        """It looks now: what rings from here on is news."""
        self._bell.clear()

    async def sleep(self, now_s: float, until_s: float) -> None:
        """Return at this time (infinity: never), or when it rings."""
        self._until_s = until_s
        await happens(self._bell, until_s - now_s)


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Wait for an event; False when it has not happened in time."""
    try:
        async with asyncio.timeout(None if within_s == float("inf") else within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
