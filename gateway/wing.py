"""What a wing is: a part of the gateway beside the road, with a store of its own.

The people of the workspace are one; a ledger, a console, a loader are others. A wing
follows topics and brings what it brings: kinds of destinations, a section of the
configuration, paths of the admin port, a port of its own. ``parts.WINGS`` lists them;
nothing else names one.

    Wing     what the configuration makes of it: declared and checked, nothing opened
    Opened   what one process has of it, from its start to its end
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.admin.port import Mount, Replaying, States
from gateway.config import Config
from gateway.errors import LogError
from gateway.event import Json
from gateway.inbound.plan import Plan
from gateway.log.contract import EventLog, Record
from gateway.metrics import Metrics
from gateway.notices import Notice, Notices
from gateway.outbound.contract import Destination
from gateway.outbound.http import Send
from gateway.outbound.kind import Configured, Kind
from gateway.outbound.retry import pause_s
from gateway.outbound.suppressed import Suppressed
from gateway.ports import Listening
from gateway.topics import Declared

Tries = Callable[[str, str, str], Sequence[Json]]
"""Of (destination, messageId, receivedAt): what a worker of this process has tried."""
Shows = Callable[[str, bytes], Awaitable[Mapping[str, Json]]]
POLL_RECORDS = 500  # what one take gets at most
POLL_S = 10.0  # one poll waits so long for news


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a process lends its wings."""

    config: Config
    log: EventLog
    metrics: Metrics
    notices: Notices
    suppressed: Suppressed
    plans: Mapping[str, Plan]
    """What sources promise, by name: those that have a tracking plan."""
    works_for: Callable[[str], bool]
    """Whether this process delivers to a destination."""
    accepts: bool
    """Whether this process takes messages; a worker does not."""
    configured: Mapping[str, Configured[Any]]
    """Every destination of the configuration, its settings read."""
    states: States
    """How the workers of this process stand, by destination (``Worker.state``)."""
    tries: Tries
    """The failed attempts so far of an event that has not ended."""
    replaying: Replaying
    """Runs a replay, or tells what it would send, a step at a time."""
    send: Callable[[float], Send]
    """What sends requests as the configuration has it, each in so many seconds."""
    shows: Shows
    """What an event's bytes become at a destination, secrets masked; sends nothing."""


class Opened(Protocol):
    """A wing in one process."""

    @property
    def destinations(self) -> Mapping[str, Destination]:
        """What the workers of its destinations deliver to, by the destination's name.

        Whoever is here closes them.
        """
        ...

    @property
    def mounts(self) -> Sequence[Mount]:
        """Its paths at the admin port, each behind a token."""
        ...

    @property
    def ports(self) -> Sequence[Listening]:
        """Ports of its own; they are taken before anything else starts."""
        ...

    async def run(self, ready: Callable[[], None]) -> None:
        """Work until cancelled; workers start when all wings have called ``ready``."""
        ...

    async def close(self) -> None:
        """Let go of the store; ``run`` has ended."""
        ...


class Wing(Protocol):
    """What the configuration makes of a wing; made again for each configuration."""

    @property
    def settings(self) -> Any:
        """Its table of the configuration: a dataclass, a default for every key."""
        ...

    @property
    def kinds(self) -> Mapping[str, Kind[Any]]:
        """The types of destinations that it brings, whatever the configuration."""
        ...

    @property
    def topics(self) -> Mapping[str, Declared]:
        """Topics of its own, and what it needs of them."""
        ...

    def check(self) -> None:
        """Raise ConfigError with everything that cannot work. Opens nothing."""
        ...

    def open(self, shared: Shared) -> Opened | None:
        """Its part in this process; None when there is none. Opens nothing yet."""
        ...


async def follow(
    log: EventLog,
    topic: str,
    group: str,
    take: Callable[[Sequence[Record]], Awaitable[None]],
    *,
    notices: Notices,
    chance: Callable[[], float] = random.random,
) -> None:
    """Hand a topic's records to ``take``, in order and at least once, until cancelled.

    They are settled when ``take`` has returned, so what it wrote must be durable by
    then. A log that is away is waited for, slower and slower, and told of. What
    ``take`` raises ends it; the same records come again at the next call.
    """
    failures = 0
    while True:
        try:
            async with log.subscribe(topic, group=group) as subscription:
                while True:
                    records = await subscription.poll(
                        limit=POLL_RECORDS, timeout_s=POLL_S
                    )
                    failures = 0
                    if records:
                        await take(records)
                        await subscription.settle(records)
        except LogError:
            failures += 1
            notices.post(group, Notice("log_unavailable", "follow"))
            await asyncio.sleep(pause_s(failures, chance=chance()))


@dataclass(slots=True)
class Readiness:
    """Counts wings down; ``wait`` returns when each has said that it is ready."""

    waiting: int
    _all: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self) -> Callable[[], None]:
        """What one wing calls, once or more often."""
        said = False

        def ready() -> None:
            nonlocal said
            if not said:
                said = True
                self.waiting -= 1
                if self.waiting <= 0:
                    self._all.set()

        return ready

    async def wait(self) -> None:
        """Return when all are ready; at once when there are none."""
        if self.waiting > 0:
            await self._all.wait()
