"""The closed list of metrics (INTERFACE, Metrics), as plain integers.

The hot path adds to a Counter; a collector reads them when somebody asks. What is
known elsewhere (lag, open breakers, sizes) is a callback, read at the same moment.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast, get_args

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Gauge = Literal[
    "gateway_lag",
    "gateway_breaker_open",
    "gateway_pending",
    "gateway_log_bytes",
    "gateway_account_open",
    "gateway_ledger_behind",
]


class Known(NamedTuple):
    """What a metric is: its kind, its labels, and what it tells an operator."""

    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    text: str


METRICS: Mapping[str, Known] = {
    "gateway_messages_total": Known(
        "counter",
        ("source", "type", "result"),
        "Messages that were judged; result is accepted or refused",
    ),
    "gateway_requests_total": Known(
        "counter", ("endpoint", "status"), "Requests that were answered"
    ),
    "gateway_append_seconds": Known(
        "histogram", (), "From an append to the log until it was durable"
    ),
    "gateway_waiting_bytes": Known(
        "gauge", (), "Appended and not yet durable; at limits.waiting_bytes comes 503"
    ),
    "gateway_outcomes_total": Known(
        "counter",
        ("destination", "kind"),
        "Ends of events: delivered, filtered, skipped, duplicate, suppressed, dead",
    ),
    "gateway_attempts_total": Known(
        "counter",
        ("destination", "result"),
        "Attempts to deliver an event: delivered, skipped, retry, rejected",
    ),
    "gateway_delivery_seconds": Known(
        "histogram", ("destination",), "One attempt, until its answer"
    ),
    "gateway_lag": Known(
        "gauge", ("destination",), "Events routed here and not settled yet"
    ),
    "gateway_breaker_open": Known(
        "gauge", ("destination",), "1 while the breaker is open"
    ),
    "gateway_pending": Known("gauge", ("destination",), "Events the worker holds"),
    "gateway_notices_total": Known("counter", ("code",), "Notices by code"),
    "gateway_log_bytes": Known("gauge", ("topic",), "Bytes the topic holds, estimated"),
    "gateway_account_open": Known(
        "gauge",
        ("destination",),
        "Events of the last day that have not ended here: in flight, or unconfirmed",
    ),
    "gateway_ledger_behind": Known(
        "gauge", ("topic",), "Records that the ledger has not read yet"
    ),
}
"""The closed list, by the names that Prometheus shows."""
Reading: TypeAlias = Callable[[], float]
MaybeReading: TypeAlias = Callable[[], float | None]  # None: not known now, not told
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
        self.keys: Counter[tuple[str, int]] = Counter()
        """(source, which of its keys): how often it was used; for the console alone"""
        self.append_seconds = Histogram()
        self.delivery_seconds: dict[str, Histogram] = {}
        """destination -> duration of one attempt"""
        self.gauges: dict[Gauge, dict[str, MaybeReading]] = {
            name: {} for name in get_args(Gauge)
        }
        self.waiting_bytes: Reading = lambda: 0
        self.notices: Mapping[str, int] = {}

    def collect(self) -> "Iterator[Metric]":
        """Every metric, for a prometheus_client registry."""
        from prometheus_client import core  # noqa: PLC0415 -- costs start-up time

        def made(family: "type[Metric]", name: str) -> "Any":
            known = METRICS[name]
            return family(name, known.text, labels=known.labels)  # type: ignore[call-arg]  # a family of one kind

        def counter(name: str, counts: Mapping[Any, int]) -> "Metric":
            family = made(core.CounterMetricFamily, name)
            for values, count in list(counts.items()):
                family.add_metric([str(value) for value in values], count)
            return cast("Metric", family)

        def gauge(
            name: str, readings: Mapping[tuple[str, ...], MaybeReading]
        ) -> "Metric":
            family = made(core.GaugeMetricFamily, name)
            for values, reading in readings.items():
                if (now := reading()) is not None:
                    family.add_metric(values, now)
            return cast("Metric", family)

        def seconds(
            name: str, histograms: Mapping[tuple[str, ...], Histogram]
        ) -> "Metric":
            family = made(core.HistogramMetricFamily, name)
            for values, each in histograms.items():
                family.add_metric(values, each.cumulative(), each.sum_s)
            return cast("Metric", family)

        yield counter("gateway_messages_total", self.messages)
        yield counter("gateway_requests_total", self.requests)
        yield counter("gateway_outcomes_total", self.outcomes)
        yield counter("gateway_attempts_total", self.attempts)
        notices = {(code,): count for code, count in list(self.notices.items())}
        yield counter("gateway_notices_total", notices)
        yield gauge("gateway_waiting_bytes", {(): self.waiting_bytes})
        yield seconds("gateway_append_seconds", {(): self.append_seconds})
        delivery: dict[tuple[str, ...], Histogram] = {
            (name,): each for name, each in self.delivery_seconds.items()
        }
        yield seconds("gateway_delivery_seconds", delivery)
        for name, readings in self.gauges.items():
            yield gauge(name, {(value,): each for value, each in readings.items()})
