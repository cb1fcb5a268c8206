"""From the log into the lanes, no more than the senders will soon need.

A paused destination or a full worker pauses the subscription, which keeps its place;
for an open breaker it brings what probes need. At a bound that blocked events fill, the
longest-blocked one is given up so that the rest goes on (DESIGN 5.5).
"""

from gateway.errors import LogError
from gateway.outbound.bells import happens
from gateway.outbound.retry import pause_s
from gateway.outbound.run import Run
from gateway.outbound.settle import given_up

POLL_S = 10.0  # one poll waits this long for news
HEARTBEAT_S = 60.0  # a paused subscription is polled this often: Kafka wants it


async def poll(run: Run) -> None:
    """Poll until told to stop; a log that is away is asked again, slower and slower."""
    failures = 0
    while not run.stop.is_set():
        try:
            await _poll_once(run)
            failures = 0
        except LogError:
            failures += 1
            await _wait_for_log(run, "poll", failures)


async def _poll_once(run: Run) -> None:
    limit = run.held.room()
    if limit > 0:
        run.subscription.resume()
        records = await run.subscription.poll(limit=limit, timeout_s=POLL_S)
        rebalance = run.rebalance
        rebalance.polled()
        await _remember(run)
        run.admit([each for each in records if not rebalance.is_lost(each.partition)])
    elif run.held.is_pressed():
        _give_up_longest_blocked(run)
    else:
        await _hold(run)


async def _remember(run: Run) -> None:
    """A rebalance came: the past of new partitions first, however long it takes.

    The records that were polled wait for it: the log yields each only once.
    """
    failures = 0
    while (new := run.rebalance.unremembered) and not run.stop.is_set():
        try:
            await run.remember(new)
        except LogError:
            failures += 1
            await _wait_for_log(run, "remember", failures)
        else:
            run.rebalance.remembered(new)


async def _wait_for_log(run: Run, what: str, failures: int) -> None:
    run.post("log_unavailable", what)
    await happens(run.stop, pause_s(failures, chance=run.clock.chance()))


async def _hold(run: Run) -> None:
    """Wait until there may be room, keeping the place in the group."""
    run.subscription.pause()
    if not await run.held.wait_for_room(HEARTBEAT_S):
        run.admit(await run.subscription.poll(limit=1, timeout_s=0.0))


def _give_up_longest_blocked(run: Run) -> None:
    for pending in run.held.give_up():
        run.post("pressure")
        run.end(pending, given_up("pressure", pending.last))
    run.held.wake_senders()
