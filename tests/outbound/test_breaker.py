from typing import Any

import pytest

from gateway.outbound.breaker import (
    FAILURES,
    KEYS_MAX,
    REJECTIONS,
    Breaker,
)

PROBE_S = 10.0


def opened_by_failures(**after: Any) -> Breaker:
    breaker = Breaker(PROBE_S)
    for number in range(FAILURES):
        breaker.failed(0.0, [number], **after)
    assert breaker.cause == "failures"
    return breaker


def probes_until(breaker: Breaker, until_s: float) -> list[float]:
    """When somebody new would be probed, all of whom fail at once."""
    now_s = 0.0
    at_s: list[float] = []
    while (now_s := max(now_s, breaker.new_at_s or 0.0)) < until_s:
        assert breaker.may_probe(now_s, new=True) == "new"
        breaker.probing("new", now_s)
        breaker.failed(now_s, [f"n{len(at_s)}"], probe="new")
        at_s.append(now_s)
    return at_s


def test_credentials_that_are_refused_for_two_persons_open_it() -> None:
    breaker = Breaker(PROBE_S)
    breaker.delivered(1.0, ["zoe"])
    for _ in range(50):
        breaker.failed(5.0, ["ann"], auth=True)
    assert breaker.closed  # a firewall that dislikes one person's payload
    breaker.failed(5.0, ["bob"], auth=True)
    assert breaker.cause == "auth"
    assert breaker.may_probe(5.0, new=True) == "new"
    assert breaker.may_probe(14.9, new=False) is None
    assert breaker.may_probe(15.0, new=False) == "failed"


def test_the_first_answer_of_all_opens_it_when_it_refuses_the_credentials() -> None:
    breaker = Breaker(PROBE_S)
    breaker.failed(0.0, ["ann"], auth=True)
    assert breaker.cause == "auth"


def test_one_that_says_it_is_away_is_probed_with_anybody_but_not_sooner() -> None:
    breaker = Breaker(PROBE_S)
    breaker.failed(0.0, ["ann"], away=True)
    assert breaker.cause == "away"
    assert breaker.may_probe(9.9, new=True) is None
    assert breaker.may_probe(10.0, new=True) == "failed"


def test_ten_failures_in_a_row_over_three_keys_open_it() -> None:
    breaker = Breaker(PROBE_S)
    for number in range(FAILURES - 1):
        breaker.failed(0.0, [number % 3])
    assert breaker.closed
    breaker.failed(0.0, ["ann"])
    assert breaker.cause == "failures"


def test_two_persons_alone_never_open_it() -> None:
    breaker = Breaker(PROBE_S)
    for number in range(100):
        breaker.failed(0.0, [number % 2])
    assert breaker.closed


def test_before_an_event_is_given_up_fewer_failures_open_it() -> None:
    breaker = Breaker(PROBE_S)
    for key in ("ann", "bob"):
        breaker.failed(0.0, [key], too_old=True)
    assert breaker.closed  # two alone
    breaker.failed(0.0, ["cid"])
    assert breaker.closed
    breaker.failed(0.0, ["ann"], too_old=True)
    assert breaker.cause == "failures"


def test_whose_event_would_be_given_up_is_no_matter_when_others_fail_too() -> None:
    breaker = Breaker(PROBE_S)
    breaker.delivered(0.0, ["zoe"], beside=["ann"])
    for key in ("bob", "cid", "dan"):
        breaker.failed(0.0, [key])
    breaker.failed(0.0, ["ann"])
    assert breaker.closed
    breaker.failed(0.0, ["ann"], too_old=True)
    assert breaker.cause == "failures"


def test_where_all_share_a_lane_one_person_s_failures_are_everybody_s() -> None:
    breaker = Breaker(PROBE_S, failing_keys=1)
    for _ in range(FAILURES):
        breaker.failed(0.0, ["ann"])
    assert breaker.cause == "failures"


def test_in_one_lane_nobody_fails_alone() -> None:
    breaker = Breaker(PROBE_S, failing_keys=1)
    breaker.delivered(0.0, ["zoe"], beside=["ann"])
    for _ in range(FAILURES):
        breaker.failed(0.0, ["ann"])
    assert breaker.cause == "failures"


def test_one_that_says_it_is_away_is_believed_whoever_asked() -> None:
    breaker = Breaker(PROBE_S)
    breaker.delivered(0.0, ["zoe"], beside=["ann"])
    breaker.failed(0.0, ["ann"], away=True)
    assert breaker.cause == "away"


def test_a_success_ends_the_run_of_failures_and_a_rejection_does_not() -> None:
    breaker = Breaker(PROBE_S)
    for number in range(FAILURES - 1):
        breaker.failed(0.0, [number])
    breaker.delivered(0.0, ["zoe"])
    breaker.failed(0.0, ["ann"])
    assert breaker.closed

    breaker = Breaker(PROBE_S)
    for number in range(FAILURES):
        breaker.rejected(0.0, ["zoe"])
        breaker.failed(0.0, [number])
    assert not breaker.closed


def test_twenty_rejections_in_a_row_open_it_failures_between_or_not() -> None:
    breaker = Breaker(PROBE_S)
    for number in range(REJECTIONS - 1):
        assert breaker.rejected(0.0, [number])
        breaker.failed(0.0, ["ann"])
    assert breaker.closed
    assert breaker.rejected(0.0, ["last"])
    assert breaker.cause == "rejections"


def test_one_person_s_rejections_never_open_it_nor_do_two_s() -> None:
    breaker = Breaker(PROBE_S)
    for number in range(10_000):
        assert breaker.rejected(0.0, [number % 2])
    assert breaker.closed
    assert breaker.rejected(0.0, ["cid"])
    assert breaker.cause == "rejections"


def test_a_batch_of_rejections_that_opens_it_is_not_believed() -> None:
    breaker = Breaker(PROBE_S)
    assert not breaker.rejected(0.0, list(range(100)))
    assert breaker.cause == "rejections"


def test_one_success_in_twenty_keeps_it_closed() -> None:
    breaker = Breaker(PROBE_S)
    for number in range(200):
        if number % REJECTIONS == 0:
            breaker.delivered(0.0, [number])
        else:
            breaker.rejected(0.0, [number])
    assert breaker.closed


def test_the_first_success_of_anyone_closes_it_a_probe_s_or_not() -> None:
    breaker = opened_by_failures()
    breaker.delivered(1.0, ["zoe"])
    assert breaker.closed
    assert breaker.probe_at_s is breaker.new_at_s is None
    assert breaker.may_probe(99.0, new=True) is None


def test_while_it_is_open_no_rejection_is_believed() -> None:
    breaker = opened_by_failures()
    assert not breaker.rejected(1.0, ["zoe"])
    assert not breaker.rejected(1.0, ["zoe"], probe="new")
    assert breaker.cause == "rejections"  # that is what the probe says now
    breaker.delivered(2.0, ["ann"])
    assert breaker.rejected(3.0, ["zoe"])


def test_who_failed_beside_a_success_never_opens_it_again() -> None:
    breaker = opened_by_failures()
    breaker.delivered(1.0, ["zoe"])
    for _ in range(100):
        for number in range(FAILURES):
            breaker.failed(2.0, [number], auth=True)
            breaker.rejected(2.0, [number])
    assert breaker.closed
    breaker.delivered(3.0, range(FAILURES))  # until they are served again
    for number in range(FAILURES):
        breaker.failed(4.0, [number])
    assert not breaker.closed


def test_who_failed_before_a_success_is_no_company_of_who_fails_after_it() -> None:
    breaker = Breaker(PROBE_S)
    breaker.delivered(0.0, ["zoe"])
    for key in ("ann", "bob"):
        breaker.failed(1.0, [key])
        breaker.rejected(1.0, [key])
    breaker.failed(1.0, ["cid"], auth=True)
    breaker.delivered(2.0, ["zoe"])
    for _ in range(100):
        breaker.failed(3.0, ["dan"], auth=True)
        assert breaker.rejected(3.0, ["dan"])
    assert breaker.closed


def test_who_fails_in_a_batch_where_others_are_served_fails_alone() -> None:
    breaker = Breaker(PROBE_S)
    for _ in range(FAILURES):
        breaker.delivered(0.0, ["zoe"], beside=["ann", "bob", "cid"])
    for number in range(100):
        breaker.failed(0.0, [("ann", "bob", "cid")[number % 3]], auth=True)
    assert breaker.closed


def test_the_keys_it_remembers_are_bounded() -> None:
    breaker = Breaker(PROBE_S)
    for number in range(3 * KEYS_MAX):
        breaker.failed(0.0, [number])
        if number % 1_000 == 0:
            breaker.delivered(0.0, ["zoe"])
    breaker.delivered(0.0, ["zoe"])
    assert len(breaker._suspects) + len(breaker._alone) <= KEYS_MAX


def test_somebody_new_is_probed_at_once_and_then_slower_and_slower() -> None:
    at_s = probes_until(opened_by_failures(), 3_600.0)
    assert at_s[0] == 0.0
    within = [sum(at <= until for at in at_s) for until in (1.0, 10.0, 100.0, 3_600.0)]
    assert 20 <= within[0] <= 22
    assert 60 <= within[1] <= 70
    assert within[2] <= 70 + 12 + 90
    assert within[3] <= within[2] + 3_501  # one a second, as long as it takes


def test_credentials_are_not_tried_more_often_than_every_ten_seconds_in_the_end() -> (
    None
):
    breaker = Breaker(PROBE_S)
    breaker.failed(0.0, ["ann"], auth=True)
    now_s, count = 300.0, 0
    while now_s < 600.0:
        breaker.probing("new", now_s)
        breaker.failed(now_s, [count], auth=True, probe="new")
        now_s, count = breaker.new_at_s or 0.0, count + 1
    assert count == 30


def test_one_failed_key_is_probed_at_a_time_and_its_failure_waits_again() -> None:
    breaker = opened_by_failures()
    assert breaker.may_probe(10.0, new=False) == "failed"
    breaker.probing("failed", 10.0)
    assert breaker.may_probe(99.0, new=False) is None
    breaker.failed(12.0, ["ann"], probe="failed")
    assert breaker.may_probe(21.9, new=False) is None
    assert breaker.may_probe(22.0, new=False) == "failed"


def test_what_was_under_way_when_it_opened_moves_no_probe() -> None:
    breaker = opened_by_failures()
    breaker.probing("failed", 10.0)
    breaker.failed(11.0, ["ann"], after_s=100.0)
    assert breaker.probe_at_s is None


def test_retry_after_holds_probes_back_and_no_longer_than_five_minutes() -> None:
    assert opened_by_failures(after_s=60.0).probe_at_s == 60.0
    breaker = opened_by_failures(after_s=999_999_999.0)
    assert breaker.probe_at_s == 300.0
    breaker.probing("failed", 300.0)
    breaker.failed(300.0, ["ann"], after_s=1e12, probe="failed")
    assert breaker.probe_at_s == 600.0


def test_after_retry_after_somebody_new_is_asked_as_seldom_as_after_a_401() -> None:
    breaker = opened_by_failures(after_s=60.0)
    assert (
        breaker.new_at_s == 0.0
    )  # at first as often: it may be about those who failed
    breaker.probing("new", 500.0)
    assert breaker.new_at_s == 510.0
    breaker.failed(500.0, ["bob"], probe="new")
    breaker.probing("new", 510.0)
    assert breaker.new_at_s == 511.0


@pytest.mark.parametrize("asks", [{"auth": True}, {"after_s": 60.0}])
def test_one_who_asks_for_patience_among_others_slows_no_probe(asks: Any) -> None:
    """One in four was answered 407: after an outage others waited for 40 s."""
    breaker = opened_by_failures()
    for at_s, key, more in [
        (500.0, "ann", asks),
        (501.0, "bob", {}),
        (502.0, "cy", asks),
    ]:
        breaker.failed(at_s, [key], probe="new", **more)
        breaker.probing("new", at_s)
        assert breaker.new_at_s == at_s + 1.0
    breaker.failed(503.0, ["dan"], probe="due", **asks)
    breaker.probing("new", 503.0)
    assert breaker.new_at_s == 513.0


def test_who_is_due_goes_beside_who_is_new() -> None:
    breaker = opened_by_failures()
    assert breaker.may_probe(5.0, new=False, due_s=6.0) is None
    assert breaker.may_probe(6.0, new=True, due_s=6.0) == "new"
    assert breaker.may_probe(6.0, new=False, due_s=6.0) == "due"
    breaker.probing("due", 6.0)
    breaker.failed(6.0, ["ann"], probe="due")
    assert breaker.may_probe(6.1, new=False, due_s=0.0) is None
    assert breaker.may_probe(6.1, new=True, due_s=0.0) == "new"
    breaker.probing("new", 6.1)
    assert breaker.may_probe(6.31, new=True, due_s=0.0) == "due"


def test_a_probe_that_needed_no_request_lets_the_next_go() -> None:
    breaker = opened_by_failures()
    for probe, new in (("failed", False), ("new", True)):
        breaker.probing(probe, 10.0)  # type: ignore[arg-type]
        assert breaker.may_probe(10.0, new=new) != probe
        breaker.probe_said_nothing(probe, 10.0)  # type: ignore[arg-type]
        assert breaker.may_probe(10.0, new=new) == probe


def test_open_time_adds_up_and_moments_do_not_count() -> None:
    breaker = Breaker(PROBE_S)
    breaker.failed(100.0, ["ann"], auth=True)
    assert breaker.open_s(105.0) == 0.0
    assert breaker.open_s(130.0) == 20.0
    breaker.delivered(140.0, ["zoe"])
    assert breaker.open_s(1_000.0) == 30.0
    for _ in range(50):  # it opens and closes: others are served
        breaker.failed(1_000.0, ["bob"], away=True)
        breaker.delivered(1_005.0, ["bob"])
    assert breaker.open_s(2_000.0) == 30.0
