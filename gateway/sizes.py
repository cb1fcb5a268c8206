"""How many bytes each topic of the log holds, for /metrics: looked up now and then."""

import asyncio
import contextlib
from functools import partial

from gateway.errors import LogError
from gateway.log.contract import EventLog
from gateway.metrics import Metrics

EVERY_S = 30.0


class Sizes:
    """The sizes as they were when the log was asked last."""

    def __init__(self, log: EventLog, metrics: Metrics) -> None:
        self._log, self._gauges = log, metrics.gauges["gateway_log_bytes"]
        self._bytes: dict[str, int] = {}

    async def run(self) -> None:
        """Look, until cancelled; while the log is away the last value stands."""
        while True:
            with contextlib.suppress(LogError):
                await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Once."""
        for state in await self._log.topics():
            self._bytes[state.name] = state.bytes
            self._gauges.setdefault(state.name, partial(self._bytes.get, state.name))
