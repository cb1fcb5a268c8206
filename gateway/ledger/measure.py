"""What /metrics tells of the ledger, looked up now and then: nobody waits for it."""

import asyncio
import contextlib
import time
from collections.abc import Iterable

from gateway.errors import LogError
from gateway.ledger.contract import LedgerError
from gateway.ledger.facts import ADMITTED
from gateway.ledger.queries import Queries
from gateway.ledger.store import Store, life_of
from gateway.ledger.waiting import TOPICS, group_of, lag_of
from gateway.log.contract import EventLog
from gateway.metrics import Metrics

EVERY_S = 30.0
DAY_MS = 86_400_000


class Gauges:
    """The open part of the account and how far behind the ledger is."""

    def __init__(self, store: Store, log: EventLog, metrics: Metrics) -> None:
        self._store, self._log, self._metrics = store, log, metrics
        self._open: dict[str, int] = {}
        self._behind: dict[str, int | None] = {}

    def register(self, destinations: Iterable[str]) -> None:
        """Tell of these from now on; nothing until it was looked up once."""
        gauges = self._metrics.gauges
        for name in destinations:
            gauges["gateway_account_open"][name] = lambda n=name: self._open.get(n)  # type: ignore[misc]  # bound now
        for topic in TOPICS:
            gauges["gateway_ledger_behind"][topic] = lambda t=topic: self._behind.get(t)  # type: ignore[misc]  # bound now

    async def run(self) -> None:
        """Look, until cancelled; what cannot be read now keeps its last value."""
        while True:
            with contextlib.suppress(LedgerError, LogError):
                await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Once."""
        states = await self._log.topics()
        group = group_of(await self._store.ask(life_of))
        self._behind = {topic: lag_of(states, topic, group) for topic in TOPICS}
        until_ms = time.time_ns() // 1_000_000
        span = until_ms - DAY_MS, until_ms + DAY_MS  # clocks of several machines
        counted = await self._store.ask(lambda c: Queries(c).counted(*span))
        still = dict.fromkeys(self._metrics.gauges["gateway_account_open"], 0)
        for (_, name, kind, replayed), events in counted.items():
            if name in still and not replayed:
                still[name] += events if kind == ADMITTED else -events
        self._open = still
