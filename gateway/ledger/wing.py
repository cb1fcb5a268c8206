"""The ledger as a wing: it follows the log, and answers what became of every event.

In one process of those that work: beside SQLite's log there is only one, on Kafka the
first that has the file, or the lock in the database.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.admin.port import Mount
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.ledger.account import Accountant
from gateway.ledger.api import Api
from gateway.ledger.contract import Connection, ElsewhereError, LedgerError
from gateway.ledger.follow import Follower
from gateway.ledger.keep import tidy
from gateway.ledger.measure import Gauges
from gateway.ledger.settings import Ledger, ledger_of, wrong_of
from gateway.ledger.store import Store, life_of, remade
from gateway.ledger.story import Now, Teller
from gateway.ledger.waiting import group_of
from gateway.ledger.write import Writer
from gateway.log.contract import Record
from gateway.mistakes import Mistakes
from gateway.notices import Notice
from gateway.outbound.bells import happens
from gateway.outbound.contract import Destination
from gateway.outbound.kind import Kind
from gateway.ports import Listening
from gateway.token import console_token
from gateway.topics import EVENTS, OUTCOMES, REFUSED, Declared
from gateway.wing import Shared

TIDY_S = 10.0
BEGUN_S = 10.0  # a rebuild is answered by then, begun or not
PIECE_S = 0.1  # between two pieces


class LedgerWing:
    """``wing.Wing``: what a configuration says of the ledger; nothing is opened."""

    def __init__(self, config: Config, settings: Ledger) -> None:
        self._config = config
        self.settings = settings
        self.kinds: Mapping[str, Kind[Any]] = {}
        self.topics: Mapping[str, Declared] = {}

    def check(self) -> None:
        """Raise ConfigError for a place where it cannot be."""
        if wrong := wrong_of(self._config, self.settings):
            raise ConfigError(*wrong)

    def open(self, shared: Shared) -> "OpenedLedger | None":
        """Its part in this process; None when it is switched off."""
        return OpenedLedger(shared, self.settings) if self.settings.enabled else None


class OpenedLedger:
    """``wing.Opened``: two connections, three followers, an API.

    What it follows under is the ledger's life, as it was when it began.
    """

    def __init__(self, shared: Shared, settings: Ledger) -> None:
        self._shared, self._settings = shared, settings
        self._store = Store.of(settings, writes=True)
        self._reader = Store.of(settings, writes=False)
        self._writer = Writer(repeats=shared.config.log.kind != "sqlite")
        self._gauges = Gauges(self._reader, shared.log, shared.metrics)
        self._gauges.register(shared.config.destinations)
        self._again, self._anew = asyncio.Event(), asyncio.Event()
        self._asked = asyncio.Event()  # whoever stands by looks at once
        self._life = ""
        events = self._follower(EVENTS)
        ends = self._follower(OUTCOMES, after=events)
        self._followers = [events, self._follower(REFUSED), ends]
        self.destinations: Mapping[str, Destination] = {}

    def _follower(self, topic: str, after: Follower | None = None) -> Follower:
        log, notices = self._shared.log, self._shared.notices
        return Follower(log, topic, self._take, notices, after=after)

    @property
    def ports(self) -> Sequence[Listening]:
        """None of its own."""
        return ()

    @property
    def mounts(self) -> Sequence[Mount]:
        """What became of a message."""
        now = Now.of(self._shared.config, self._shared.shows, self._shared.tries)
        log, reader = self._shared.log, self._reader
        api = Api(
            Teller(reader, log, now),
            Accountant(reader, log),
            reader,
            plans=self._shared.plans,
            rebuild=self.rebuild,
            token=console_token(self._shared.config).text,
        )
        return [api.mount()]

    async def run(self, ready: Callable[[], None]) -> None:
        """Follow and tidy, until cancelled; no worker waits for it."""
        ready()
        while True:
            await self._stand_by(life_of)
            if self._again.is_set():
                self._again.clear()
                await self._stand_by(remade)
                self._writer.forget()
                self._anew.set()
            group = group_of(self._life)
            work = [follower.run(group) for follower in self._followers]
            try:
                await _until(self._again, [*work, self._tidy(), self._gauges.run()])
            except* ElsewhereError:
                pass  # it was lost for a while, and another process was quicker

    async def rebuild(self) -> None:
        """Drop it all and begin where the log begins; it goes on answering.

        Returns when it is dropped: what is asked from then on is of the new one.
        ElsewhereError where another process keeps it: nothing would be done here.
        LedgerError where it cannot be used, and is not followed into.
        """
        try:
            await self._store.ask(life_of)
        except ElsewhereError:
            raise
        except LedgerError:
            if not self._life:  # it has never been followed into
                raise
        self._anew.clear()
        self._again.set()
        self._asked.set()
        await happens(self._anew, BEGUN_S)

    async def _stand_by(self, begin: Callable[[Connection], str]) -> None:
        """Learn under which name it follows: a new one begins where the log begins.

        Where another process keeps it, this one stands by, in case that one ends.
        """
        while True:
            try:
                self._life = await self._store.ask(begin)
            except LedgerError as error:
                if not isinstance(error, ElsewhereError):
                    notice = Notice("ledger_failed", str(error))
                    self._shared.notices.post("ledger", notice)
            else:
                return
            await happens(self._asked, TIDY_S)
            self._asked.clear()

    async def _take(self, topic: str, records: Sequence[Record]) -> None:
        def take(connection: Connection) -> None:
            if life_of(connection) != self._life:
                raise ElsewhereError("another process has made this ledger anew")
            self._writer.take(connection, topic, records)

        await self._store.ask(take)

    async def _tidy(self) -> None:
        """Delete what is too old or too much, piece by piece."""
        settings = self._settings
        retention_ms = int(settings.retention_s * 1000)
        while True:
            more = False
            try:
                now_ms = time.time_ns() // 1_000_000
                piece = partial(
                    tidy, now_ms=now_ms, retention_ms=retention_ms, size=settings.size
                )
                more = (await self._store.ask(piece)).more
            except ElsewhereError:
                raise
            except LedgerError as error:
                self._shared.notices.post("ledger", Notice("ledger_failed", str(error)))
            await asyncio.sleep(PIECE_S if more else TIDY_S)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._store.close()
        await self._reader.close()


async def _until(
    again: asyncio.Event, work: Sequence[Coroutine[Any, Any, None]]
) -> None:
    """Do all of the work until ``again`` is set, or one of it fails."""
    async with asyncio.TaskGroup() as tasks:
        going = [tasks.create_task(each) for each in work]
        await again.wait()
        for task in going:
            task.cancel()


def wing(config: Config, mistakes: Mistakes) -> LedgerWing:
    """The ledger of this configuration."""
    return LedgerWing(config, ledger_of(config, mistakes))
