"""The past of the counters: what a bucket is, a quantile, and what is not known."""

import pytest

from gateway.console.samples import (
    FINE,
    MESSAGES,
    OUTCOMES,
    STEP_S,
    Sample,
    Samples,
    difference,
    per_second,
    quantile,
    read,
)
from gateway.metrics import SECONDS, Metrics

START_S = 1_800_000_000.0


def at(seconds: float, accepted: int = 0, refused: int = 0) -> Sample:
    messages = {("web", "accepted"): accepted, ("web", "refused"): refused}
    return Sample(START_S + seconds, messages, {}, {}, (), {}, {}, {}, {})


def filled(seconds: int) -> Samples:
    """A sample every step, ten messages a second."""
    samples = Samples()
    for step in range(int(seconds / STEP_S) + 1):
        samples.add(at(step * STEP_S, accepted=int(step * STEP_S * 10)))
    return samples


def test_the_counters_are_read_by_source_and_result():
    metrics = Metrics()
    metrics.messages["web", "track", "accepted"] = 2
    metrics.messages["web", "identify", "accepted"] = 3
    metrics.messages["web", "track", "refused"] = 1
    metrics.gauges["gateway_lag"] = {"crm": lambda: 7, "away": lambda: None}
    sample = read(metrics, START_S)
    assert sample.messages == {("web", "accepted"): 5, ("web", "refused"): 1}
    assert sample.lag == {"crm": 7}
    metrics.messages["web", "track", "accepted"] += 1
    assert sample.messages["web", "accepted"] == 5  # it is a copy


def test_a_bucket_is_what_happened_in_it():
    samples = filled(300)
    span = samples.span(at(300, accepted=3_000), length_s=300, buckets=60)
    assert len(span) == 60
    rates = [per_second(p, difference(p, MESSAGES)) for p in span if p is not None]
    assert len(rates) == 60
    assert rates == pytest.approx([10.0] * 60)


def test_what_was_before_the_start_is_not_known():
    samples = filled(60)
    span = samples.span(at(60, accepted=600), length_s=300, buckets=60)
    known = [pair is not None for pair in span]
    assert not any(known[:46])
    assert all(known[-12:])


def test_a_gap_in_the_past_stays_one():
    samples = Samples()
    for seconds in (0, 5, 10, 200, 205, 210):
        samples.add(at(seconds, accepted=seconds))
    span = samples.span(at(215, accepted=215), length_s=215, buckets=43)
    assert [pair is None for pair in span[5:35]] == [True] * 30


def test_a_day_is_remembered_in_minutes_and_no_more():
    samples = filled(int(FINE * STEP_S) + 7_200)
    assert samples.first is not None
    assert samples.first.at_s == START_S  # an hour of steps is long over
    last = at(FINE * STEP_S + 7_200, accepted=1)
    known = samples.span(last, length_s=7_200, buckets=60)
    assert all(pair is not None for pair in known)


def test_within_is_the_oldest_of_a_time_or_all_there_is():
    samples = filled(600)
    last = at(600, accepted=6_000)
    minute = samples.within(last, 60)
    assert minute is not None
    assert minute[0].at_s == START_S + 540
    hour = samples.within(last, 3_600)
    assert hour is not None
    assert hour[0].at_s == START_S
    assert Samples().within(last, 60) is None


def test_a_difference_is_of_the_labels_that_are_asked_for():
    before = at(0)._replace(outcomes={("crm", "dead"): 1, ("crm", "delivered"): 5})
    after = at(5)._replace(
        outcomes={("crm", "dead"): 3, ("crm", "delivered"): 9, ("inbox", "dead"): 1}
    )
    pair = before, after
    assert difference(pair, OUTCOMES) == 7
    assert difference(pair, OUTCOMES, first="crm") == 6
    assert difference(pair, OUTCOMES, second="dead") == 3
    assert difference(pair, OUTCOMES, first="crm", second="dead") == 2


def buckets(**counts: int) -> list[int]:
    found = [0] * (len(SECONDS) + 1)
    for name, count in counts.items():
        found[int(name.removeprefix("b"))] = count
    return found


def test_a_quantile_lies_in_its_bucket():
    none = buckets()
    assert quantile(none, none, 0.5) is None
    one = buckets(b3=100)  # between 5 and 10 ms
    half, most = quantile(none, one, 0.5), quantile(none, one, 0.99)
    assert half == pytest.approx(0.0075)
    assert most == pytest.approx(0.00995)
    late = buckets(b0=98, b13=2)  # above all bounds
    assert quantile(none, late, 0.99) == SECONDS[-1]
    assert quantile(late, late, 0.5) is None  # nothing in between
    assert quantile((), one, 0.5) == half  # it was not there before


def test_a_key_was_used_when_its_count_last_grew():
    samples = Samples()
    for step, uses in enumerate([0, 0, 3, 5, 5, 5]):
        samples.add(at(step * STEP_S)._replace(keys={("web", 0): uses}))
    last = at(31)._replace(keys={("web", 0): 5, ("web", 1): 2})
    assert samples.used_s(last, ("web", 0)) == START_S + 3 * STEP_S
    assert samples.used_s(last, ("web", 1)) == START_S + 31  # since the last sample
    assert samples.used_s(last, ("web", 2)) is None
