"""What a rebalance waits for, and what is still ours after it."""

import asyncio

from gateway.outbound.flights import Flights
from gateway.outbound.rebalance import Rebalance


class Settling:
    """How many events are on their way to be settled."""

    def __init__(self) -> None:
        self.count = 0
        self.resumed: list[frozenset[int]] = []

    def __call__(self) -> int:
        return self.count


def made() -> tuple[Rebalance, Flights, Settling]:
    flights, settling = Flights(4, lambda: 0.0), Settling()
    rebalance = Rebalance(flights, settling=settling, resume=settling.resumed.append)
    return rebalance, flights, settling


async def test_it_waits_until_nothing_flies_and_all_is_settled() -> None:
    rebalance, flights, settling = made()
    flights.take_off(kept=False)
    settling.count = 1
    beginning = asyncio.create_task(rebalance.begin())
    await asyncio.sleep(0.03)
    assert rebalance.halted
    flights.land(kept=False)
    await asyncio.sleep(0.03)
    assert not beginning.done()  # what has ended is not durable yet
    settling.count = 0
    await asyncio.wait_for(beginning, 5.0)
    assert rebalance.halted  # until it is over
    rebalance.end(frozenset({1}), frozenset({2}))
    assert not rebalance.halted
    assert settling.resumed == [{1}]


def test_what_was_lost_is_lost_until_a_poll_returns() -> None:
    rebalance, _, _ = made()
    rebalance.end(frozenset({1}), frozenset())
    assert rebalance.is_lost(1)
    assert not rebalance.is_lost(2)
    rebalance.polled()
    assert not rebalance.is_lost(1)  # it may have come back since


def test_new_partitions_are_remembered_once_each() -> None:
    rebalance, _, _ = made()
    rebalance.end(frozenset(), frozenset({1, 2}))
    asked = rebalance.unremembered
    rebalance.end(frozenset(), frozenset({3}))  # while they were read
    rebalance.remembered(asked)
    assert asked == frozenset({1, 2})
    assert rebalance.unremembered == frozenset({3})
