"""Whether the clock can be believed: one that was just set deletes nothing by age.

What comes in: the time of day, a clock that only runs, the newest record's time. What
goes out: a notice when the time of day has jumped, and for how long it is not believed.
"""

from collections.abc import Callable

from gateway.notices import Say

JUMP_S = 60.0  # more than any correction that is made in small steps
HOLD_S = 3_600.0  # for an operator, or the machine itself, to set it right again
AWAY_S = 86_400.0  # a log that nobody has written to for longer: is it so late?
OLDEST_S = 1_672_531_200.0  # 2023: a clock that says less was never set


class Clock:
    """The time of day, watched."""

    def __init__(self, tell: Say, steady: Callable[[], float]) -> None:
        self._tell = tell
        self._steady = steady
        self._seen: tuple[float, float] | None = None
        self._held_until = float("-inf")

    def believed(self, now: float, newest: float) -> bool:
        """True when ``now`` can tell how old a record is; unix seconds, both.

        At the first call nobody has watched: the newest record tells then (0: none).
        """
        steady = self._steady()
        if self._seen is not None:
            then, before = self._seen
            jump = now - then - (steady - before)
        elif newest and not -JUMP_S <= now - newest <= AWAY_S:
            jump = now - newest
        else:
            jump = 0.0
        self._seen = now, steady
        if abs(jump) > JUMP_S:
            self._held_until = steady + HOLD_S
            self._tell("log_clock_jumped", seconds=round(jump))
        return steady >= self._held_until and now >= OLDEST_S
