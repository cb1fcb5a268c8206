"""Turns for others on the loop while a batch is applied: by time, not by number.

One event may cost a thousand times what another does.
"""

import asyncio
import time

STALL_S = 0.005  # the intake of the same process waits so long at the most


class Turns:
    """Of one batch; ``give`` is awaited between its events."""

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def give(self) -> None:
        """Let others run if this has run long enough."""
        if time.perf_counter() - self._began > STALL_S:
            await asyncio.sleep(0)
            self._began = time.perf_counter()
