"""``rate``: what a source may send in a second, and how long it waits beyond."""

from gateway.inbound.rate import Budget


def test_a_second_s_worth_passes_and_the_next_waits():
    budget = Budget(100)
    assert budget.spend(100, 1000.0) == 0
    wait_s = budget.spend(1, 1000.0)
    assert 0 < wait_s <= 0.02
    assert budget.spend(1, 1000.0 + wait_s) == 0


def test_a_batch_above_the_rate_passes_once_and_is_waited_off():
    budget = Budget(100)
    assert budget.spend(2_500, 1000.0) == 0
    wait_s = budget.spend(1, 1000.0)
    assert 24 < wait_s < 24.1
    assert budget.spend(1, 1010.0) > 14
    assert budget.spend(1, 1000.0 + wait_s + 0.001) == 0


def test_idle_time_saves_no_more_than_a_second():
    budget = Budget(10)
    assert budget.spend(10, 1000.0) == 0
    assert budget.spend(10, 9000.0) == 0
    assert budget.spend(1, 9000.0) > 0


def test_a_clock_that_goes_back_is_no_refill():
    budget = Budget(10)
    assert budget.spend(10, 1000.0) == 0
    assert budget.spend(1, 990.0) > 0
