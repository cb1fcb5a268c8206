"""Alerts as a wing: it looks, judges, and tells; in one process of those that work.

Which one is whoever has the state's file: beside SQLite's log there is only one.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.admin.port import Mount
from gateway.alerts.judge import judge
from gateway.alerts.keep import Book, StateError
from gateway.alerts.look import Looker
from gateway.alerts.rules import levels
from gateway.alerts.settings import Alerts, alerts_of, check
from gateway.alerts.tell import Teller, channels
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.ledger.settings import Ledger, ledger_of
from gateway.ledger.store import Store
from gateway.mistakes import Mistakes, Text
from gateway.notices import Notice
from gateway.outbound.contract import Destination
from gateway.outbound.kind import Kind
from gateway.ports import Listening
from gateway.topics import Declared
from gateway.wing import Shared

BLIND = 3  # looks in a row without all of it, until that is told: a start is none
AGAIN_S = 10.0  # until the state's file is asked for again


class AlertsWing:
    """``wing.Wing``: what a configuration says of alerts; nothing is opened."""

    kinds: Mapping[str, Kind[Any]] = {}
    topics: Mapping[str, Declared] = {}

    def __init__(self, config: Config, settings: Alerts, ledger: Ledger) -> None:
        self._config, self._ledger = config, ledger
        self.settings = settings

    def check(self) -> None:
        """Raise ConfigError for what cannot work."""
        wrong = list(check(self.settings, self._config, self._ledger))
        if wrong:
            raise ConfigError(*(text for error in wrong for text in error.args))

    def open(self, shared: Shared) -> "OpenedAlerts | None":
        """Its part in this process; None while nobody is to be told."""
        if not self.settings.tells:
            return None
        return OpenedAlerts(shared, self.settings, self._ledger)


class OpenedAlerts:
    """``wing.Opened``: one task that looks, one a channel that tells."""

    destinations: Mapping[str, Destination] = {}
    mounts: Sequence[Mount] = ()
    ports: Sequence[Listening] = ()

    def __init__(self, shared: Shared, settings: Alerts, ledger: Ledger) -> None:
        self._shared, self._settings = shared, settings
        self._store = Store.of(ledger, writes=False) if ledger.enabled else None
        self._looker = Looker(shared, settings, self._store)
        send = shared.send(settings.timeout_s)
        self._channels = channels(settings, send, shared.config.folder)
        self._book = Book(settings.file, list(self._channels))

    async def run(self, ready: Callable[[], None]) -> None:
        """Look and tell, until cancelled; no worker waits for it."""
        ready()
        await self._opened()
        say = self._shared.notices.say
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look(), name="alerts look")
            for name, channel in self._channels.items():
                teller = Teller(name, channel, self._book, say)
                tasks.create_task(teller.run(), name=f"alerts {name}")

    async def _opened(self) -> None:
        """Wait until the state's file is ours; without one it tells all the same."""
        say, book = self._shared.notices.say, self._book
        try:
            while not await book.open(_now_ms()):  # noqa: ASYNC110 -- another process
                await asyncio.sleep(AGAIN_S)
        except StateError as error:
            say("alerts_failed", error=str(error))
        if book.damaged:
            say("alerts_failed", error=book.damaged)

    async def _look(self) -> None:
        blind = 0
        while True:
            now_ms = _now_ms()
            reading = await self._looker.look(now_ms)
            blind = 0 if self._looker.trouble is None else blind + 1
            if blind >= BLIND:
                self._shared.notices.post("alerts", Notice("alerts_failed", "look"))
            found = levels(self._settings, reading)
            judged = judge(self._book.troubles, found, self._settings, now_ms)
            for message in judged.messages:
                self._shared.notices.say(
                    "alert", state=message.state, text=message.text
                )
            try:
                if await self._book.add(judged.troubles, judged.messages):
                    self._shared.notices.post(
                        "alerts", Notice("alert_untold", "too many")
                    )
            except StateError as error:
                self._shared.notices.say("alerts_failed", error=str(error))
            await asyncio.sleep(self._settings.every_s)

    async def close(self) -> None:
        """Let go of the file and the ledger."""
        self._looker.close()
        await self._book.close()
        if self._store is not None:
            await self._store.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def wing(config: Config, mistakes: Mistakes) -> AlertsWing:
    """The alerts of this configuration; what is wrong with [ledger] its wing tells."""
    ledger = ledger_of(config, Mistakes(Text()))
    return AlertsWing(config, alerts_of(config, mistakes), ledger)
