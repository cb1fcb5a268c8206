"""Fills a store that is behind its topic, before the worker starts.

The group's marks say what was settled; an emptied store, or one from a backup, has
forgotten some of that, and the worker will not get it again. So before a worker starts,
everything after the store's position is applied from the topic itself. What the worker
brings again later is found applied.
"""

from gateway.log.contract import EventLog, Span
from gateway.outbound.attempt import deliver
from gateway.outbound.contract import Delivery, Place, Retry
from gateway.outbound.deadlines import Deadlines
from gateway.outbound.deliver import replay_of
from gateway.outbound.gate import Gate
from gateway.workspace.apply import positions_of
from gateway.workspace.destination import People
from gateway.workspace.kind import BATCH_S, TAKES
from gateway.workspace.store import Store, StoreError


async def reread(
    topic: str, log: EventLog, store: Store, gate: Gate, people: People
) -> None:
    """Return when the store has all of the topic up to now; StoreError, LogError.

    What was applied before an error stays applied: the next call goes on from there.
    """
    async with store.reading() as connection:
        positions = await positions_of(connection)
    since_ms = min((at_ms for _, at_ms in positions.values()), default=None)
    batch: list[Delivery] = []
    async for record in log.scan(topic, Span(from_ms=since_ms)):
        offset, _ = positions.get(record.partition, (-1, 0))
        if record.offset <= offset:
            continue
        at = Place(record.partition, record.offset, record.appended_at_ms)
        prepared = gate.prepare(record.value, replay_of(record), at)
        if isinstance(prepared, Delivery):
            batch.append(prepared)
        if len(batch) >= TAKES.batch_events:
            await _apply(people, batch)
            batch = []
    if batch:
        await _apply(people, batch)


async def _apply(people: People, batch: list[Delivery]) -> None:
    """One that is given up here was, or will be, given up by the worker, too."""
    done = await deliver(people, batch, timeout_s=BATCH_S, under_way=Deadlines())
    for verdict in done:
        if isinstance(verdict, Retry):
            raise StoreError(verdict.reason)
