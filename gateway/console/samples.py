"""What the counters of this process said, again and again: the past of the plots.

What comes in: ``Metrics``, every few seconds. What goes out: for a span of the past,
pairs of samples, one a bucket; the difference of a pair is what happened in between.
Bounded: an hour in steps of 5 seconds, a day in steps of a minute.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice, pairwise
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from gateway.metrics import SECONDS, Metrics

STEP_S = 5.0
EVERY = 12  # of the samples one is kept for a day: one a minute
FINE, COARSE = 721, 1_441
LATE = 0.5  # of a bucket: so far from its edge a sample may be


class Sample(NamedTuple):
    """The counters at one moment (unix seconds)."""

    at_s: float
    messages: Mapping[tuple[str, str], int]
    """(source, accepted | refused)"""
    outcomes: Mapping[tuple[str, str], int]
    """(destination, kind)"""
    attempts: Mapping[tuple[str, str], int]
    """(destination, delivered | skipped | retry | rejected)"""
    append: Sequence[int]
    delivery: Mapping[str, Sequence[int]]
    lag: Mapping[str, float]
    notices: Mapping[str, int]
    keys: Mapping[tuple[str, int], int]
    """(source, which of its keys) -> how often it was used."""


Pair: TypeAlias = tuple[Sample, Sample]
Span: TypeAlias = Sequence[Pair | None]
"""A bucket each, the oldest first; None where nothing is known."""

Counts: TypeAlias = Callable[[Sample], Mapping[tuple[str, str], int]]
MESSAGES: Counts = attrgetter("messages")
OUTCOMES: Counts = attrgetter("outcomes")
ATTEMPTS: Counts = attrgetter("attempts")
FAILED = ("retry", "rejected")
"""Results of attempts that did not succeed."""


def read(metrics: Metrics, now_s: float) -> Sample:
    """The counters now; a copy, some microseconds."""
    messages: dict[tuple[str, str], int] = {}
    for (source, _, result), count in list(metrics.messages.items()):
        messages[source, result] = messages.get((source, result), 0) + count
    lag = {name: read() for name, read in metrics.gauges["gateway_lag"].items()}
    return Sample(
        at_s=now_s,
        messages=messages,
        outcomes=dict(metrics.outcomes),
        attempts=dict(metrics.attempts),
        append=tuple(metrics.append_seconds.buckets),
        delivery={n: tuple(h.buckets) for n, h in metrics.delivery_seconds.items()},
        lag={name: value for name, value in lag.items() if value is not None},
        notices=dict(metrics.notices),
        keys=dict(metrics.keys),
    )


class Samples:
    """The remembered past of one process."""

    def __init__(self) -> None:
        self._fine: deque[Sample] = deque(maxlen=FINE)
        self._coarse: deque[Sample] = deque(maxlen=COARSE)
        self._taken = 0

    @property
    def first(self) -> Sample | None:
        """The oldest that is remembered."""
        kept = self._coarse or self._fine
        return kept[0] if kept else None

    def add(self, sample: Sample) -> None:
        """Remember it; the oldest goes."""
        self._fine.append(sample)
        if self._taken % EVERY == 0:
            self._coarse.append(sample)
        self._taken += 1

    def span(self, last: Sample, *, length_s: float, buckets: int) -> Span:
        """What is known of the time that ends with ``last``."""
        width_s = length_s / buckets
        kept = self._fine if length_s <= STEP_S * FINE else self._coarse
        known = [*kept, last]
        times = [each.at_s for each in known]
        edges: list[Sample | None] = []
        for number in range(buckets + 1):
            at_s = last.at_s - length_s + number * width_s
            edges.append(_nearest(known, times, at_s, LATE * width_s + STEP_S))
        return [
            (a, b) if a is not None and b is not None and a.at_s < b.at_s else None
            for a, b in pairwise(edges)
        ]

    def within(self, last: Sample, length_s: float) -> Pair | None:
        """The oldest sample of the last so many seconds, and the last."""
        for kept in (self._fine, self._coarse):
            start = bisect_left(kept, last.at_s - length_s, key=lambda s: s.at_s)
            for first in islice(kept, start, start + 1):
                if (start > 0 or kept is self._coarse) and first.at_s < last.at_s:
                    return first, last
        first_known = self.first
        if first_known is None or first_known.at_s >= last.at_s:
            return None
        return first_known, last

    def used_s(self, last: Sample, key: tuple[str, int]) -> float | None:
        """When a key was last used, as far as is remembered; None: it was not."""
        uses, at_s = last.keys.get(key, 0), last.at_s
        if not uses:
            return None
        for sample in chain(reversed(self._fine), reversed(self._coarse)):
            if sample.at_s <= at_s:
                if sample.keys.get(key, 0) < uses:
                    return at_s
                at_s = sample.at_s
        return at_s


def _nearest(
    known: Sequence[Sample], times: Sequence[float], at_s: float, late_s: float
) -> Sample | None:
    place = bisect_right(times, at_s)
    near = [known[each] for each in (place - 1, place) if 0 <= each < len(known)]
    best = min(near, key=lambda sample: abs(sample.at_s - at_s), default=None)
    return best if best is not None and abs(best.at_s - at_s) <= late_s else None


def difference(
    pair: Pair, counts: Counts, *, first: str | None = None, second: str | None = None
) -> int:
    """How much counters grew; ``first`` and ``second`` choose their labels."""

    def total(sample: Sample) -> int:
        return sum(
            count
            for labels, count in counts(sample).items()
            if first in (None, labels[0]) and second in (None, labels[1])
        )

    return total(pair[1]) - total(pair[0])


def per_second(pair: Pair, count: float) -> float:
    """What a difference is a second."""
    return count / (pair[1].at_s - pair[0].at_s)


def quantile(before: Sequence[int], after: Sequence[int], part: float) -> float | None:
    """The duration that ``part`` of those in between took at most; None without any.

    Between the bounds of a bucket it is estimated; beyond the last it is that bound.
    """
    counts = [b - a for a, b in zip(before or [0] * len(after), after, strict=True)]
    wanted, below = sum(counts) * part, 0.0
    if not sum(counts):
        return None
    for (low, high), count in zip(_bounds(), counts, strict=True):
        if count and below + count >= wanted:
            return low + (high - low) * (wanted - below) / count
        below += count
    return SECONDS[-1]


def _bounds() -> Iterator[tuple[float, float]]:
    yield from pairwise((0.0, *SECONDS, SECONDS[-1]))
