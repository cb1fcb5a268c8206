"""Follows the topics, group by group and at a pace: the ledger may lag, nobody else.

It holds nothing in the log: when it is far behind and the log must make room, what it
has not read goes, and the log tells of the gap.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from gateway.errors import GatewayError, LogError
from gateway.ledger.contract import ElsewhereError, LedgerError
from gateway.ledger.store import Store, remade
from gateway.ledger.waiting import TOPICS, group_of, lag_of
from gateway.ledger.write import Writer
from gateway.log.contract import EventLog, Record, Subscription
from gateway.notices import Notice, Notices
from gateway.outbound.bells import happens
from gateway.outbound.retry import pause_s

GROUP_RECORDS = 2_000
POLL_S = 10.0
END_S = 1.0  # nothing more came for so long
PACE_S = 1.0  # records gather for so long: a group costs a write to the disk
AFTER_S = 60.0  # an outcome waits for its event; then it is taken all the same
LOOK_S = 1.0
SHARE = 4  # it rests so many times as long as a group took: a fifth of a core at most
GIVE_WAY = 100  # and so many times while the process has much to do: a backlog, a burst
BUSY = 0.7  # of a core: then it has
PATIENCE_S = 600.0  # it gives way until it is so far behind
Clock = Callable[[], float]
Take = Callable[[str, Sequence[Record]], Awaitable[None]]


class Catching:
    """The ledger of a log that nobody else reads now: made anew, up to its end."""

    def __init__(self, store: Store, log: EventLog) -> None:
        self._store, self._log = store, log
        self._writer = Writer()
        self._life = ""

    async def begin(self) -> None:
        """Drop what there is."""
        self._life = await self._store.ask(remade)

    async def step(self) -> int:
        """Read one group of each topic; how many records are left."""
        group = group_of(self._life)
        for topic in TOPICS:
            async with self._log.subscribe(topic, group=group, holds=False) as reading:
                records = await reading.poll(limit=GROUP_RECORDS, timeout_s=END_S)
                if records:
                    await self._store.ask(
                        partial(self._writer.take, topic=topic, records=records)
                    )
                    await reading.settle(records)
        states = await self._log.topics()
        return sum(lag_of(states, topic, group) or 0 for topic in TOPICS)


class Pace:
    """How long to rest after some work, by how busy the process was since the last.

    The ledger is for afterwards: while events come or leave as fast as they can, it
    waits, and catches up later. Seconds; ``cpu`` is what all threads have used.
    """

    def __init__(
        self, cpu: Clock = time.process_time, clock: Clock = time.monotonic
    ) -> None:
        self._cpu, self._clock = cpu, clock
        self._since = clock(), cpu()

    def rest_s(self, took_s: float, behind_s: float) -> float:
        """The rest after work that took so long, on records that were so old."""
        now_s, used_s = self._clock(), self._cpu()
        before_s, used_before_s = self._since
        self._since = now_s, used_s
        used = (used_s - used_before_s) / max(now_s - before_s, 1e-9)
        busy = used > BUSY and behind_s < PATIENCE_S
        return took_s * (GIVE_WAY if busy else SHARE)


class Follower:
    """One topic into the ledger, until cancelled.

    ``after``: what must have passed the time of a record first. No outcome is counted
    before its event, or an account would show more ends than events.
    """

    def __init__(
        self,
        log: EventLog,
        topic: str,
        take: Take,
        notices: Notices,
        *,
        after: "Follower | None" = None,
        pace: Pace | None = None,
    ) -> None:
        self._log, self._topic, self._take = log, topic, take
        self._notices, self._after = notices, after
        self._failures = 0
        self._group = ""
        self._taken_ms = 0
        self._news = asyncio.Event()
        self._pace = pace or Pace()

    async def passed(self, at_ms: int) -> None:
        """Return when all that was appended by then is taken; in bounded time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AFTER_S):
                while self._taken_ms < at_ms and not await self._is_at_the_end():
                    self._news.clear()
                    await happens(self._news, LOOK_S)

    async def _is_at_the_end(self) -> bool:
        states = await self._log.topics()
        return lag_of(states, self._topic, self._group) == 0

    async def run(self, group: str) -> None:
        """Follow; a log or a ledger that is away is waited for, and told of.

        ElsewhereError: there is nothing to follow into now.
        """
        self._group, self._taken_ms = group, 0
        while True:
            try:
                async with self._log.subscribe(
                    self._topic, group=group, holds=False
                ) as subscription:
                    while True:
                        await self._next(subscription)
            except ElsewhereError:
                raise
            except (LogError, LedgerError) as error:
                self._failures += 1
                self._tell(error)
                await asyncio.sleep(pause_s(self._failures, chance=random.random()))  # noqa: S311 -- jitter

    async def _next(self, subscription: Subscription) -> None:
        records = await subscription.poll(limit=GROUP_RECORDS, timeout_s=POLL_S)
        if not records:
            return
        came_s = time.monotonic()
        if self._after is not None:
            await self._after.passed(records[-1].appended_at_ms)
        full = len(records) == GROUP_RECORDS
        began_s = time.monotonic()
        gather_s = PACE_S - (began_s - came_s)  # more of them came while these waited
        await self._take(self._topic, records)
        took_s = time.monotonic() - began_s
        await subscription.settle(records)
        self._taken_ms = records[-1].appended_at_ms
        self._news.set()
        self._failures = 0
        behind_s = time.time() - self._taken_ms / 1_000
        rest_s = self._pace.rest_s(took_s, behind_s)
        await asyncio.sleep(rest_s if full else max(gather_s, rest_s))

    def _tell(self, error: GatewayError) -> None:
        if isinstance(error, LogError):
            self._notices.post("ledger", Notice("log_unavailable", "follow"))
        elif self._failures == 1:
            self._notices.say("ledger_failed", error=str(error))
        else:
            self._notices.post("ledger", Notice("ledger_failed", self._topic))
