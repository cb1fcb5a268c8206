from gateway.outbound.breaker import FAILURES, REJECTIONS, Breaker


def opened_by_failures() -> Breaker:
    breaker = Breaker(10.0)
    for number in range(FAILURES):
        breaker.failed(0.0, [number])
    return breaker


def test_credentials_open_it_at_once() -> None:
    breaker = Breaker(10.0)
    breaker.failed(5.0, ["ann"], auth=True)
    assert breaker.cause == "auth"
    assert not breaker.may_probe(14.9)
    assert breaker.may_probe(15.0)


def test_ten_failures_in_a_row_over_three_keys_open_it() -> None:
    breaker = Breaker(10.0)
    for number in range(FAILURES - 1):
        breaker.failed(0.0, [number % 3])
    assert breaker.closed
    breaker.failed(0.0, ["ann"])
    assert breaker.cause == "failures"


def test_two_persons_alone_never_open_it() -> None:
    breaker = Breaker(10.0)
    for number in range(100):
        breaker.failed(0.0, [number % 2])
    assert breaker.closed


def test_a_success_or_a_rejection_ends_the_run_of_failures() -> None:
    for say in (Breaker.delivered, Breaker.rejected):
        breaker = Breaker(10.0)
        for number in range(FAILURES - 1):
            breaker.failed(0.0, [number])
        say(breaker, 0.0)
        breaker.failed(0.0, ["ann"])
        assert breaker.closed


def test_twenty_rejections_with_no_success_open_it_failures_between_or_not() -> None:
    breaker = Breaker(10.0)
    for _ in range(REJECTIONS - 1):
        breaker.rejected(0.0)
        breaker.failed(0.0, ["ann"])
    assert breaker.closed
    breaker.rejected(0.0)
    assert breaker.cause == "rejections"


def test_one_success_in_twenty_keeps_it_closed() -> None:
    breaker = Breaker(10.0)
    for number in range(200):
        if number % REJECTIONS == 0:
            breaker.delivered(0.0)
        else:
            breaker.rejected(0.0)
    assert breaker.closed


def test_one_probe_at_a_time_and_its_failure_waits_again() -> None:
    breaker = opened_by_failures()
    assert breaker.may_probe(10.0)
    breaker.probing()
    assert not breaker.may_probe(99.0)
    breaker.failed(12.0, ["ann"], probe=True)
    assert not breaker.may_probe(21.9)
    assert breaker.may_probe(22.0)


def test_what_was_under_way_decides_nothing_while_it_is_open() -> None:
    breaker = opened_by_failures()
    breaker.delivered(1.0)
    breaker.rejected(1.0)
    assert breaker.cause == "failures"


def test_a_delivered_probe_closes_it() -> None:
    breaker = opened_by_failures()
    breaker.probing()
    breaker.delivered(10.0, probe=True)
    assert breaker.closed
    assert breaker.probe_at_s is None


def test_a_rejected_probe_is_an_answer_unless_rejections_opened_it() -> None:
    breaker = opened_by_failures()
    breaker.probing()
    breaker.rejected(10.0, probe=True)
    assert breaker.closed

    breaker = Breaker(10.0)
    for _ in range(REJECTIONS):
        breaker.rejected(0.0)
    breaker.probing()
    breaker.rejected(10.0, probe=True)
    assert breaker.cause == "rejections"
    assert breaker.probe_at_s == 20.0


def test_retry_after_holds_the_probe_back() -> None:
    breaker = Breaker(10.0)
    for number in range(FAILURES):
        breaker.failed(0.0, [number], after_s=60.0)
    assert breaker.probe_at_s == 60.0


def test_a_probe_that_needed_no_request_lets_the_next_go() -> None:
    breaker = opened_by_failures()
    breaker.probing()
    breaker.probe_said_nothing(10.0)
    assert breaker.may_probe(10.0)


def test_open_time_adds_up() -> None:
    breaker = Breaker(10.0)
    breaker.failed(100.0, ["ann"], auth=True)
    assert breaker.open_s(130.0) == 30.0
    breaker.probing()
    breaker.delivered(140.0, probe=True)
    assert breaker.open_s(1_000.0) == 40.0
    breaker.failed(1_000.0, ["ann"], auth=True)
    assert breaker.open_s(1_005.0) == 45.0
