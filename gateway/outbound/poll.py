"""From the log into the lanes, no more than the senders will soon need.

A paused destination or a full worker pauses the subscription, which keeps its place;
for an open breaker it brings what probes need. At a bound that blocked events fill, the
longest-blocked one is given up so that the rest goes on (DESIGN 5.5).
"""

from gateway.errors import LogError
from gateway.outbound.held import Held, happens
from gateway.outbound.retry import pause_s
from gateway.outbound.settle import given_up

POLL_S = 10.0  # one poll waits this long for news
PRESSED_EVENTS = 16  # given up at once, and of as many: at most
HEARTBEAT_S = 60.0  # a paused subscription is polled this often: Kafka wants it


async def poll(held: Held) -> None:
    """Poll until told to stop; a log that is away is asked again, slower and slower."""
    failures = 0
    while not held.stop.is_set():
        try:
            await _poll_once(held)
            failures = 0
        except LogError:
            failures += 1
            held.room_news.clear()
            await _wait_for_log(held, "poll", failures)


async def _poll_once(held: Held) -> None:
    limit = held.room()
    if limit > 0:
        held.subscription.resume()
        records = await held.subscription.poll(limit=limit, timeout_s=POLL_S)
        held.lost.clear()
        await _remember(held)
        held.admit([each for each in records if each.partition not in held.lost])
    elif held.is_pressed():
        _give_up_longest_blocked(held)
    else:
        await _hold(held)


async def _remember(held: Held) -> None:
    """A rebalance came: the past of new partitions first, however long it takes.

    The records that were polled wait for it: the log yields each only once.
    """
    failures = 0
    while held.to_remember and not held.stop.is_set():
        new = frozenset(held.to_remember)
        try:
            await held.remember(new)
        except LogError:
            failures += 1
            await _wait_for_log(held, "remember", failures)
        else:
            held.to_remember -= new


async def _wait_for_log(held: Held, what: str, failures: int) -> None:
    held.post("log_unavailable", what)
    await happens(held.stop, pause_s(failures, chance=held.clock.chance()))


async def _hold(held: Held) -> None:
    """Wait until there may be room, keeping the place in the group."""
    held.subscription.pause()
    held.room_news.clear()
    if not await happens(held.room_news, HEARTBEAT_S):
        held.admit(await held.subscription.poll(limit=1, timeout_s=0.0))


def _give_up_longest_blocked(held: Held) -> None:
    """A few of many: in the room of one event, one event would be polled."""
    for _ in range(min(PRESSED_EVENTS, max(1, held.lanes.blocked // PRESSED_EVENTS))):
        for pending in held.lanes.give_up(suspects=held.breaker.closed):
            held.post("pressure")
            held.end(pending, given_up("pressure", pending.last))
    held.wake_senders()
