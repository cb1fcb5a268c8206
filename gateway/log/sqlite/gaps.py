"""What was deleted before a group had read it: told at once, then once a minute.

A busy log deletes a thousand records at a time, and would tell of them as often.
"""

from collections import Counter
from collections.abc import Callable

from gateway.notices import Say

TOLD_S = 60.0


class Gaps:
    """Adds up what is not told yet."""

    def __init__(self, tell: Say, steady: Callable[[], float]) -> None:
        self._tell = tell
        self._steady = steady
        self._untold: Counter[tuple[str, str]] = Counter()
        self._told_s: dict[tuple[str, str], float] = {}

    def add(self, topic: str, group: str, records: int) -> None:
        """So many of a topic are gone that a group had not read."""
        self._untold[topic, group] += records

    def tell(self, *, every: bool = False) -> None:
        """Say what there is to say; ``every``: also what was told a moment ago."""
        now_s = self._steady()
        for (topic, group), records in list(self._untold.items()):
            last_s = self._told_s.get((topic, group), float("-inf"))
            if every or now_s - last_s >= TOLD_S:
                self._tell("log_gap", topic=topic, group=group, records=records)
                self._told_s[topic, group] = now_s
                del self._untold[topic, group]
