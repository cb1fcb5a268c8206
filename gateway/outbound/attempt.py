"""One attempt at some events: what the destination said of each, in bounded time.

An exception in a destination is a bug in one event's handling and rejects that event
alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import get_args

from gateway.outbound.contract import Delivery, Destination, Retry, Verdict, bug

VERDICTS = frozenset(get_args(Verdict))


async def deliver(
    destination: Destination,
    deliveries: Sequence[Delivery],
    *,
    timeout_s: float,
    under_way: set[asyncio.Timeout],
) -> Sequence[Verdict]:
    """One verdict per event, whatever the destination does; in bounded time.

    ``timeout_s`` is a second line: a destination has its own. While it is ``under_way``
    its deadline can be brought forward. A batch that raises is
    sent again event by event, so that the one at fault is found.
    """
    try:
        async with asyncio.timeout(timeout_s) as deadline:
            under_way.add(deadline)
            try:
                verdicts = await destination.deliver(deliveries)
            finally:
                under_way.discard(deadline)
        return _checked(deliveries, verdicts)
    except TimeoutError:
        return [Retry("TimeoutError")] * len(deliveries)
    except Exception as error:  # noqa: BLE001 -- one event's bug ends no worker
        if len(deliveries) == 1:
            return [bug("deliver", error)]
    return await one_by_one(
        deliveries,
        lambda delivery: deliver(
            destination, [delivery], timeout_s=timeout_s, under_way=under_way
        ),
    )


def _checked(
    deliveries: Sequence[Delivery], verdicts: Sequence[Verdict]
) -> Sequence[Verdict]:
    """One verdict for each; an error for what is none, as a module of yours may say."""
    answers = [verdict for _, verdict in zip(deliveries, verdicts, strict=True)]
    if not VERDICTS.issuperset(map(type, answers)):
        raise TypeError("no verdict")
    return answers


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
