"""Time and chance, so that a test can choose them."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What a worker asks for the time, and for chance.

    ``monotonic`` is seconds, ``wall_ms`` unix milliseconds, ``chance`` in [0, 1).
    """

    monotonic: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = _wall_ms
    chance: Callable[[], float] = random.random
