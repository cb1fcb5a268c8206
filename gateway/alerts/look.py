"""Looks how things stand: the log's topics, the workers, the ledger, the disk.

What cannot be read now is missing from the reading, and changes nothing. The kinds of
events and their usual silences are looked up anew every ten minutes only, each time
they are looked at when they came last.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from gateway.alerts.reading import (
    Filled,
    Moving,
    Reading,
    Refusals,
    Risen,
    Rising,
    Seen,
    Silence,
)
from gateway.alerts.settings import Alerts
from gateway.alerts.silence import LEARNT_MS, known_until, silences
from gateway.config import Config, DestinationConfig
from gateway.errors import LogError
from gateway.ledger.contract import LedgerError
from gateway.ledger.facts import ADMITTED, REFUSED
from gateway.ledger.names import HOUR_MS, Kind, Steady
from gateway.ledger.queries import Queries
from gateway.ledger.store import Store, life_of
from gateway.ledger.waiting import group_of, lag_of
from gateway.log.contract import TopicState
from gateway.topics import EVENTS, TO, dead, to
from gateway.wing import Shared

KINDS_EVERY_S = 600.0
MINUTE_MS, DAY_MS = 60_000, 86_400_000
FAR_MS = MINUTE_MS  # a ledger that is further behind says nothing of silences


class _Told(NamedTuple):
    """What the ledger says."""

    life: str
    refused: dict[str, Refusals]
    dead_why: dict[str, str]
    mended: dict[str, int]
    latest: dict[Kind, int]


class _Wanted(NamedTuple):
    """What the ledger is asked; reasons cost more than counts."""

    within_ms: int
    refused: int
    """Reasons are wanted from so many refused messages on."""
    dead_why: bool
    dead_ms: int
    """Dead letters of so long are looked at."""


class Looker:
    """Makes readings, one at a time; ``store`` is a reader's, None: there is none."""

    def __init__(self, shared: Shared, settings: Alerts, store: Store | None) -> None:
        self._shared, self._settings, self._store = shared, settings, store
        self._risen = Risen(settings.dead_letters.within_s)
        self._moving, self._serving = Moving(), Rising()
        self._steady: Sequence[Steady] = ()
        self._learnt_s = float("-inf")
        self._latest: dict[Kind, int] = {}
        self._known_ms = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="alerts-disk")
        self.trouble: str | None = None
        """What of the last look could not be read."""

    async def look(self, now_ms: int) -> Reading:
        """Once."""
        self.trouble = None
        log, config = self._shared.log, self._shared.config
        try:
            states = await log.topics()
        except LogError as error:
            self.trouble = str(error)
            return Reading(log=Filled(refuses=str(error)))
        dead = self._risen.add(now_ms / 1000, _dead(states, config))
        told = await self._ask_ledger(now_ms, dead_why=any(dead.values()))
        return Reading(
            destinations=dict(self._destinations(states)),
            dead=_left(dead, told.mended if told else {}),
            dead_why=told.dead_why if told else {},
            refused=self._refused(told) if told else None,
            silences=self._silences(told, states, now_ms) if told else None,
            log=await self._filled(states),
        )

    def _refused(self, told: _Told) -> dict[str, Refusals]:
        """Of every source: one that is silent has nothing refused."""
        none = Refusals(0, 0)
        return {n: told.refused.get(n, none) for n in self._shared.config.sources}

    def _destinations(self, states: Sequence[TopicState]) -> Iterator[tuple[str, Seen]]:
        here = self._shared.states()
        topics = {each.name: each for each in states}
        for name in _watched(self._shared.config.destinations):
            groups = topics[to(name)].groups if to(name) in topics else ()
            group = next((each for each in groups if each.name == name), None)
            lag = None if group is None else group.lag
            moves = True
            if group is not None:
                moves = self._moving.moves(name, group.committed, group.lag)
            state = here.get(name)
            if state is not None and (state["pending"] or state["breaker"]):
                is_open = state["breaker"] is not None
                why = _why(state) if is_open else ""
                serves = self._serving.rises(name, self._served(name))
                yield name, Seen(open=is_open, why=why, lag=lag, moves=serves)
            else:  # another process may have all of it
                yield name, Seen(lag=lag, moves=moves)

    def _served(self, name: str) -> int:
        """Events that a destination has taken since this process began."""
        return self._shared.metrics.outcomes[name, "delivered"]

    async def _ask_ledger(self, now_ms: int, *, dead_why: bool) -> _Told | None:
        if self._store is None:
            return None
        try:
            if time.monotonic() - self._learnt_s >= KINDS_EVERY_S:
                await self._learn(now_ms)
            rule = self._settings.refused_rate
            within_ms = int(rule.within_s * 1000)
            dead_ms = int(self._settings.dead_letters.within_s * 1000)
            wanted = _Wanted(within_ms, rule.messages, dead_why, dead_ms)
            return await self._store.ask(
                lambda c: _told(Queries(c), wanted, life_of(c), now_ms)
            )
        except LedgerError as error:
            self.trouble = str(error)
            return None

    async def _learn(self, now_ms: int) -> None:
        assert self._store is not None
        since_ms = now_ms - LEARNT_MS
        self._steady = await self._store.ask(lambda c: Queries(c).steadiness(since_ms))
        self._learnt_s = time.monotonic()

    def _silences(
        self, told: _Told, states: Sequence[TopicState], now_ms: int
    ) -> list[Silence] | None:
        """Of what comes regularly; as of when the ledger has read the log up to.

        What was known once stays known: a ledger that has a record to read is no sign
        that what was silent has come again. None: it is far behind.
        """
        kinds = {each.sent.kind for each in self._steady}
        self._latest |= {k: at for k, at in told.latest.items() if k in kinds}
        lag = lag_of(states, EVENTS, group_of(told.life))
        latest = {**self._latest, **told.latest}
        known_ms = known_until(now_ms, lag, self._steady, latest)
        self._known_ms = max(self._known_ms, known_ms)
        if now_ms - self._known_ms > FAR_MS:
            return None
        return silences(
            self._steady,
            self._latest,
            self._settings.event_stopped,
            self._shared.config.sources,
            self._known_ms,
        )

    async def _filled(self, states: Sequence[TopicState]) -> Filled:
        config, refuses, unread, by = self._shared.config.log, "", 0.0, ""
        try:
            await self._shared.log.ping()
        except LogError as error:
            refuses = str(error)
        if config.kind != "sqlite":  # brokers are watched with what they come with
            return Filled(refuses=refuses)
        for state in states:
            name = state.name.removeprefix(TO)
            for group in state.groups:
                if state.name == to(name) and group.name == name and state.records:
                    part = state.bytes * group.lag / state.records / config.size
                    unread, by = max((unread, by), (part, name))
        loop, folder = asyncio.get_running_loop(), os.fspath(config.path.parent)
        free = await loop.run_in_executor(self._thread, _free, folder)
        return Filled(refuses=refuses, unread=unread, unread_by=by, disk_free=free)

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False)


def _watched(destinations: Mapping[str, DestinationConfig]) -> list[str]:
    """What is switched off or held on purpose is no trouble."""
    return [n for n, each in destinations.items() if each.enabled and not each.paused]


def _why(state: Mapping[str, Any]) -> str:
    """What failed last: a status or an error, and the host."""
    last = state["last_failure"]
    if not last:
        return str(state["breaker"])
    return " at ".join(filter(None, (last["reason"], last["host"])))


def _dead(states: Sequence[TopicState], config: Config) -> dict[str, int]:
    names = {dead(name): name for name in config.destinations}
    return {names[each.name]: each.records for each in states if each.name in names}


def _left(dead: Mapping[str, int], mended: Mapping[str, int]) -> dict[str, int]:
    """Dead letters without those that were sent again since."""
    return {name: max(0, n - mended.get(name, 0)) for name, n in dead.items()}


def _told(asked: Queries, wanted: _Wanted, life: str, now_ms: int) -> _Told:
    """One look into the ledger: counts, and reasons only where they may be told.

    Whole minutes are counted already; rows would have to be read.
    """
    since_ms = (now_ms - wanted.within_ms) // MINUTE_MS * MINUTE_MS
    span = since_ms, -(-now_ms // MINUTE_MS) * MINUTE_MS
    counted = asked.counted(*span)
    refused = {}
    for source in {source for source, name, *_ in counted if not name}:
        bad, good = (counted[source, "", kind, 0] for kind in (REFUSED, ADMITTED))
        refused[source] = Refusals(bad, bad + good)
    if any(each.refused >= wanted.refused for each in refused.values()):
        for group in reversed(asked.refused(*span)):
            source, why = group["source"], _said(group["code"], group["pointer"])
            refused[source] = refused[source]._replace(why=why)
    dead_why, mended = {}, {}
    if wanted.dead_why:
        letters = asked.letters(now_ms - wanted.dead_ms, now_ms + 1)
        mended = {name: each.events - each.open for name, each in letters.items()}
        for group in reversed(asked.dead(now_ms - DAY_MS, now_ms + 1)):
            dead_why[group["destination"]] = _said(group["reason"], group["status"])
    latest = asked.latest(now_ms - HOUR_MS)
    return _Told(life, refused, dead_why, mended, latest)


def _said(*words: Any) -> str:
    return " ".join(str(each) for each in words if each)


def _free(folder: str) -> int | None:
    """Bytes that are left on the disk of a folder."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
