"""One attempt at some events: what the destination said of each, in bounded time.

An exception in a destination is a bug in one event's handling and rejects that event
alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import get_args

from gateway.outbound.contract import (
    Delivery,
    Destination,
    Retry,
    Takes,
    Verdict,
    bug,
)
from gateway.outbound.deadlines import Deadlines

VERDICTS = frozenset(get_args(Verdict))


def bound_s(takes: Takes, timeout_s: float, events: int) -> float:
    """Seconds that an attempt at so many events may take; ``timeout_s``: a request.

    What the type declares, else: its requests for what is sent, and two more each time
    a batch is halved on the way to one bad event. A batch of many bad ones may want
    more requests (two for each), but hardly the full time for each; where it does, the
    attempt ends here, and each event is tried alone next. One lane cannot do that: a
    type that is sent ``in_order`` and halves its batches should declare its own.
    """
    if takes.attempt_timeout_s is not None:
        return max(takes.attempt_timeout_s, timeout_s)
    halvings = (events - 1).bit_length()
    return timeout_s * (takes.attempt_requests + 2 * halvings)


async def deliver(
    destination: Destination,
    deliveries: Sequence[Delivery],
    *,
    timeout_s: float,
    under_way: Deadlines,
) -> Sequence[Verdict]:
    """One verdict per event, whatever the destination does; in bounded time.

    ``timeout_s`` is a second line: a destination has its own. While it is ``under_way``
    its deadline can be brought forward. A batch that raises is sent again event by
    event, in as much time again for all of them, so that the one at fault is found.
    """
    loop = asyncio.get_running_loop()
    try:
        until_s = loop.time() + timeout_s
        return await _attempt(destination, deliveries, until_s, under_way)
    except Exception as error:  # noqa: BLE001 -- one event's bug ends no worker
        if len(deliveries) == 1:
            return [bug("deliver", error)]
    until_s = loop.time() + timeout_s

    async def alone(delivery: Delivery) -> Sequence[Verdict]:
        try:
            return await _attempt(destination, [delivery], until_s, under_way)
        except Exception as error:  # noqa: BLE001 -- one event's bug ends no worker
            return [bug("deliver", error)]

    return await one_by_one(deliveries, alone)


async def _attempt(
    destination: Destination,
    deliveries: Sequence[Delivery],
    until_s: float,
    under_way: Deadlines,
) -> Sequence[Verdict]:
    """One verdict per event, by then; raises what the destination raises."""
    bounded = _Bounded()
    under_way.add(bounded, until_s)
    try:
        verdicts = await destination.deliver(deliveries)
    except asyncio.CancelledError:
        if not bounded.was_expired():
            raise
        return [Retry("TimeoutError")] * len(deliveries)
    finally:
        under_way.discard(bounded)
        bounded.was_expired()
    return _checked(deliveries, verdicts)


class _Bounded:
    """The task that makes an attempt: cancelled when the attempt's time is over."""

    __slots__ = ("_cancelling", "_expired", "_task")

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling, self._expired = task, task.cancelling(), False

    def expire(self) -> None:
        """From the loop: its time is over."""
        self._expired = True
        self._task.cancel()

    def was_expired(self) -> bool:
        """Whether that, and nobody else, cancelled it; it is so no longer then."""
        if not self._expired:
            return False
        self._expired = False
        return self._task.uncancel() <= self._cancelling


def _checked(
    deliveries: Sequence[Delivery], verdicts: Sequence[Verdict]
) -> Sequence[Verdict]:
    """One verdict for each; an error for what is none, as a module of yours may say."""
    if len(verdicts) != len(deliveries) or not VERDICTS.issuperset(map(type, verdicts)):
        raise TypeError("not a verdict for each event")
    return verdicts


async def one_by_one(
    deliveries: Sequence[Delivery],
    attempt: Callable[[Delivery], Awaitable[Sequence[Verdict]]],
) -> Sequence[Verdict]:
    """Each event alone, in order; after a Retry the rest get the same, untried.

    That bounds the time a destination that is away can take, and keeps the order.
    """
    verdicts: list[Verdict] = []
    for delivery in deliveries:
        verdicts.extend(await attempt(delivery))
        if isinstance(verdicts[-1], Retry):
            rest = len(deliveries) - len(verdicts)
            verdicts.extend([verdicts[-1]] * rest)
            break
    return verdicts
