"""What a replay's events come to at their destination: fed is not yet delivered.

Counted from ``outcomes``, each event once: it may end twice where a worker was killed.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field

from gateway import topics
from gateway.errors import GatewayError
from gateway.event import Json
from gateway.log.contract import EventLog, Record, Span
from gateway.replay.feed import digest_of
from gateway.replay.run import Progress

AGAIN_S = 1.0  # a log that is away is asked again
CLOCKS_MS = 30_000  # the broker's clock, or another worker's, may be behind ours
TOLD_MAX = 200_000  # ends of one replay that are told apart; beyond, a repeat counts
QUIET_S = 5.0  # who waits for ends waits on while something ends in this time
STEP_S = 0.1  # between two steps that tell of ends


@dataclass(slots=True)
class Ends:
    """The ends of one replay's events by kind, so far."""

    id: str
    kinds: Counter[str] = field(default_factory=Counter)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Something has ended."""
    _told: set[int] = field(default_factory=set)

    @property
    def count(self) -> int:
        """How many events have ended."""
        return sum(self.kinds.values())

    async def follow(self, log: EventLog) -> None:
        """Count what ends from now on, until cancelled."""
        span = Span(from_ms=time.time_ns() // 1_000_000 - CLOCKS_MS)
        while True:  # a log that was away tells all of it again: each end counts once
            with contextlib.suppress(GatewayError):
                async for record in log.scan(topics.OUTCOMES, span, follow=True):
                    self.take(record)
            await asyncio.sleep(AGAIN_S)

    def take(self, record: Record) -> None:
        """Count it if it is one of this replay, and the event's first."""
        if dict(record.headers).get("replay") != self.id.encode():
            return
        which = digest_of(record)
        if which in self._told:
            return
        if len(self._told) < TOLD_MAX:
            self._told.add(which)
        self.kinds[kind_of(record.value)] += 1
        self.news.set()


async def with_ends(
    log: EventLog, id_: str, steps: AsyncIterator[Progress]
) -> AsyncGenerator[Mapping[str, Json], None]:
    """The steps of a replay as JSON, with its ``outcomes``: their number by kind.

    When all is fed more steps come until all has ended, or nothing ends any more.
    """
    ends = Ends(id_)
    following = asyncio.create_task(ends.follow(log))
    step: Mapping[str, Json] = {"sent": 0}
    try:
        async for progress in steps:
            step = progress.as_json()
            yield {**step, "outcomes": dict(ends.kinds)}
        while ends.count < step["sent"] and await _more(ends):
            yield {**step, "outcomes": dict(ends.kinds)}
    finally:
        following.cancel()
        await asyncio.wait([following])


async def _more(ends: Ends) -> bool:
    try:
        await asyncio.wait_for(ends.news.wait(), QUIET_S)
    except TimeoutError:
        return False
    await asyncio.sleep(STEP_S)
    ends.news.clear()
    return True


def kind_of(value: bytes) -> str:
    """Which end an outcome is, without reading all of it."""
    _, _, rest = value.partition(b'"kind":"')
    return rest.partition(b'"')[0].decode(errors="replace")
