"""The senders under way: how many they are, whether they are slow, how to end them.

A sender is under way from the batch that it takes until that has settled, or failed.
"""

import asyncio
from collections.abc import Callable

from gateway.outbound.bells import happens
from gateway.outbound.deadlines import Deadlines

KEPT = 4  # the part of the senders that is kept for who came last
NEVER = float("-inf")
SLOW_FOR_S = 60.0  # so long after a request hung some are kept for who came last


class Flights:
    """Of one run; ``now`` is the seconds of a monotonic clock."""

    def __init__(self, senders: int, now: Callable[[], float]) -> None:
        self.deadlines = Deadlines()
        """Those of the attempts that are under way: each adds and removes its own."""
        self._senders = senders
        self._steady = senders - senders // KEPT
        self._now = now
        self._count = 0
        self._kept = 0  # those of them that are kept for who came last
        self._slow_until_s = NEVER
        self._landed = asyncio.Event()

    @property
    def count(self) -> int:
        """Senders under way."""
        return self._count

    @property
    def senders(self) -> int:
        """Senders there are."""
        return self._senders

    def keeps_the_next(self) -> bool:
        """Whether the next sender is kept for those who came last."""
        return self.is_slow() and self._count - self._kept >= self._steady

    @property
    def hung_lately(self) -> bool:
        """A request hung and failed less than a minute ago."""
        return self._slow_until_s > NEVER and self._now() < self._slow_until_s

    def is_slow(self) -> bool:
        """Requests hung and failed of late, and most senders are under way.

        Some may hang for one person's sake: the few that are left are kept for those
        who came last, wherever they stand.
        """
        return self.hung_lately and self._count >= self._steady

    def take_off(self, *, kept: bool) -> None:
        """A sender has taken a batch."""
        self._count += 1
        self._kept += kept

    def hung(self, now_s: float) -> None:
        """An attempt failed and took long."""
        self._slow_until_s = now_s + SLOW_FOR_S

    def land(self, *, kept: bool) -> None:
        """It is done with its batch."""
        self._kept -= kept
        self._count -= 1
        if not self._count:
            self._landed.set()

    async def landing(self, within_s: float) -> None:
        """Return when the last one lands, or after ``within_s``."""
        self._landed.clear()
        await happens(self._landed, within_s)

    def cut(self) -> None:
        """End all attempts now, as at their deadlines."""
        self.deadlines.expire_all()
