"""One timer for all that must end in time, instead of one for each.

Nearly everything ends long before its deadline. So adding and removing are a word in a
table, and the loop is asked for a timer only where none is set that rings early enough.
"""

import asyncio
from typing import Protocol


class Expires(Protocol):
    """What can be told that its time is over; called once, from the loop."""

    def expire(self) -> None:
        """Its time is over: it has been taken out already."""
        ...


class Deadlines:
    """What must end by when, in seconds of the loop's clock."""

    def __init__(self) -> None:
        self._until_s: dict[Expires, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rings_s = float("inf")

    def __len__(self) -> int:
        return len(self._until_s)

    def add(self, each: Expires, until_s: float) -> None:
        """Tell it then that its time is over, unless it is taken out before."""
        self._until_s[each] = until_s
        if until_s < self._rings_s:
            self._ring_at(until_s)

    def discard(self, each: Expires) -> None:
        """It has ended."""
        self._until_s.pop(each, None)

    def expire_all(self) -> None:
        """The time of everything is over now."""
        self._expire(list(self._until_s))

    def close(self) -> None:
        """Let go of the timer: nothing is told any more."""
        self._until_s.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._rings_s = None, float("inf")

    def _ring_at(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at_s, self._ring)
        self._rings_s = at_s

    def _ring(self) -> None:
        now_s, self._timer, self._rings_s = self._rings_s, None, float("inf")
        self._expire(
            [each for each, until_s in self._until_s.items() if until_s <= now_s]
        )
        if self._until_s and self._timer is None:
            self._ring_at(min(self._until_s.values()))

    def _expire(self, over: list[Expires]) -> None:
        for each in over:
            if self._until_s.pop(each, None) is not None:
                each.expire()
