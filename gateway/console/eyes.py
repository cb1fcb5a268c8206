"""What every page looks with: configuration, log, counters and their past."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.console.samples import STEP_S, Pair, Sample, Samples, Span, read
from gateway.console.standing import LONG_S, Standing, standing
from gateway.errors import LogError
from gateway.wing import Shared

PING_S = 2.0  # a page does not wait longer for a log that is away
RECENT_S = 60.0  # what "now" is in a rate


@dataclass(frozen=True, slots=True)
class Range:
    """How far back a page's plots go."""

    name: str
    length_s: float
    buckets: int


RANGES = (
    Range("5 min", 300, 60),
    Range("15 min", 900, 60),
    Range("1 h", 3_600, 60),
    Range("24 h", 86_400, 96),
)


@dataclass(slots=True)
class Eyes:
    """Looks; changes nothing."""

    shared: Shared
    samples: Samples = field(default_factory=Samples)

    def now(self) -> Sample:
        """The counters at this moment."""
        return read(self.shared.metrics, time.time())

    async def remember(self) -> None:
        """Keep what the counters say, every few seconds; until cancelled."""
        while True:
            self.samples.add(self.now())
            await asyncio.sleep(STEP_S)

    def span(self, last: Sample, over: Range) -> Span:
        """The buckets of a plot."""
        return self.samples.span(last, length_s=over.length_s, buckets=over.buckets)

    def range(self, name: str | None = None) -> Range:
        """The range that an address names; else the first that is not mostly empty."""
        for each in RANGES:
            if each.name == name:
                return each
        first = self.samples.first
        known_s = 0.0 if first is None else time.time() - first.at_s
        return RANGES[0] if known_s < RANGES[0].length_s else RANGES[1]

    def lately(self, last: Sample) -> Pair | None:
        """The last minute."""
        return self.samples.within(last, RECENT_S)

    def standings(self, last: Sample) -> list[Standing]:
        """How each destination stands: its rate now, its errors in the last hour."""
        states: Mapping[str, Any] = self.shared.states()
        hour, minute = self.samples.within(last, LONG_S), self.lately(last)
        found = []
        for name, each in self.shared.config.destinations.items():
            state = states.get(name)
            made = standing(each, state, hour, minute)
            found.append(made)
        return found

    async def log_trouble(self) -> str | None:
        """Why the log takes nothing now; None when it does."""
        try:
            async with asyncio.timeout(PING_S):
                await self.shared.log.ping()
        except LogError as error:
            return str(error)
        except TimeoutError:
            return "It did not answer in time."
        return None

    @property
    def weaknesses(self) -> Sequence[str]:
        """What is less safe than configured."""
        return self.shared.log.weaknesses
