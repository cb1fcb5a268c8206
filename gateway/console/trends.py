"""Counters over the buckets of a span: what the plots of several pages draw. Pure."""

from collections.abc import Callable

from gateway.console import words
from gateway.console.eyes import Range
from gateway.console.plot import Value, spark
from gateway.console.samples import OUTCOMES, Pair, Sample, Span, difference, per_second


def times(last: Sample, over: Range) -> list[str]:
    """When each bucket began."""
    width_s = over.length_s / over.buckets
    start_s = last.at_s - over.length_s
    return [
        words.clock((start_s + n * width_s) * 1000)[:5] for n in range(over.buckets)
    ]


def over(span: Span, value: Callable[[Pair], Value]) -> list[Value]:
    """A value a bucket; None where nothing is known."""
    return [None if pair is None else value(pair) for pair in span]


def lagging(name: str) -> Callable[[Pair], Value]:
    """How many events waited for a destination at the end of a bucket."""
    return lambda pair: pair[1].lag.get(name)


def delivered(name: str) -> Callable[[Pair], Value]:
    """How many events a second a destination took."""
    return lambda pair: per_second(
        pair, difference(pair, OUTCOMES, first=name, second="delivered")
    )


def sparkline(name: str, span: Span) -> tuple[str, str]:
    """What a destination took, without axes."""
    return spark(over(span, delivered(name)))
