"""How long a request must wait so that a destination gets ``rate`` events a second.

A token bucket kept as one number, the time at which it is full again: taking is O(1)
and wakes nobody. Pure: the clock is an argument.
"""

BURST_S = 0.1  # what may go at once after a quiet time: a tenth of a second's events


class Rate:
    """The bucket of one destination; ``rate`` None lets everything pass."""

    def __init__(self, rate: int | None) -> None:
        self._each_s = 1 / rate if rate else 0.0
        self._spent_until_s = float("-inf")

    def take(self, events: int, now_s: float) -> float:
        """Seconds to wait before these events may be sent; they are counted at once."""
        if not self._each_s:
            return 0.0
        starts_s = max(self._spent_until_s, now_s - BURST_S + self._each_s)
        self._spent_until_s = starts_s + events * self._each_s
        return max(0.0, starts_s - now_s)
