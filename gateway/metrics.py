"""The closed list of metrics (INTERFACE, Metrics), as plain integers.

The hot path adds to a Counter; a collector reads them when somebody asks. What is
known elsewhere (lag, open breakers, sizes) is a callback, read at the same moment.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Gauge = Literal[
    "gateway_lag", "gateway_breaker_open", "gateway_pending", "gateway_log_bytes"
]
GAUGES: Mapping[Gauge, tuple[str, str]] = {
    "gateway_lag": ("destination", "Events routed here and not settled yet"),
    "gateway_breaker_open": ("destination", "1 while the breaker is open"),
    "gateway_pending": ("destination", "Events the worker holds"),
    "gateway_log_bytes": ("topic", "Bytes the topic holds, estimated"),
}
Reading: TypeAlias = Callable[[], float]
Known: TypeAlias = Callable[[], float | None]  # None: not known now, so not told
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Histogram:
    """Seconds in fixed buckets."""

    __slots__ = ("buckets", "sum_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count ``times`` observations of the same duration."""
        self.buckets[bisect_left(SECONDS, seconds)] += times
        self.sum_s += seconds * times

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, count up to it), as Prometheus wants it."""
        bounds = [*(str(float(bound)) for bound in SECONDS), "+Inf"]
        return list(zip(bounds, accumulate(self.buckets), strict=True))


class Metrics:
    """All counters of one process; written by the loop, read by ``collect``."""

    def __init__(self) -> None:
        self.messages: Counter[tuple[str, str, str]] = Counter()
        """(source, type, accepted | refused)"""
        self.requests: Counter[tuple[str, int]] = Counter()
        """(endpoint, status)"""
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """(destination, kind)"""
        self.attempts: Counter[tuple[str, str]] = Counter()
        """(destination, delivered | skipped | retry | rejected)"""
        self.append_seconds = Histogram()
        self.delivery_seconds: dict[str, Histogram] = {}
        """destination -> duration of one attempt"""
        self.gauges: dict[Gauge, dict[str, Known]] = {name: {} for name in GAUGES}
        self.waiting_bytes: Reading = lambda: 0
        self.notices: Mapping[str, int] = {}

    def collect(self) -> "Iterator[Metric]":
        """Every metric, for a prometheus_client registry."""
        from prometheus_client import core  # noqa: PLC0415 -- costs start-up time

        def counter(
            name: str, labels: str, counts: Mapping[Any, int]
        ) -> core.CounterMetricFamily:
            family = core.CounterMetricFamily(name, name, labels=labels.split())
            for values, count in list(counts.items()):
                family.add_metric([str(value) for value in values], count)
            return family

        yield counter("gateway_messages", "source type result", self.messages)
        yield counter("gateway_requests", "endpoint status", self.requests)
        yield counter("gateway_outcomes", "destination kind", self.outcomes)
        yield counter("gateway_attempts", "destination result", self.attempts)
        notices = {(code,): count for code, count in list(self.notices.items())}
        yield counter("gateway_notices", "code", notices)
        yield core.GaugeMetricFamily(
            "gateway_waiting_bytes", "Appended, not yet durable", self.waiting_bytes()
        )
        append = core.HistogramMetricFamily("gateway_append_seconds", "Until durable")
        seconds = self.append_seconds
        append.add_metric([], seconds.cumulative(), seconds.sum_s)
        yield append
        delivery = core.HistogramMetricFamily(
            "gateway_delivery_seconds", "One attempt", labels=["destination"]
        )
        for name, histogram in self.delivery_seconds.items():
            delivery.add_metric([name], histogram.cumulative(), histogram.sum_s)
        yield delivery
        yield from self._gauges(core.GaugeMetricFamily)

    def _gauges(self, family_of: "type[Metric]") -> "Iterable[Metric]":
        for name, (label, text) in GAUGES.items():
            family = family_of(name, text, labels=[label])  # type: ignore[call-arg]  # a GaugeMetricFamily
            for value, reading in self.gauges[name].items():
                if (now := reading()) is not None:
                    family.add_metric([value], now)  # type: ignore[attr-defined]  # a GaugeMetricFamily
            yield family
