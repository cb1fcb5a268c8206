"""Applies a batch of events exactly once: position and rows in one transaction.

The position is read and moved in the transaction that changes the rows, under a lock
that excludes every other worker: one that lost its partition finds its events applied
and changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.workspace import tables
from gateway.workspace.load import applied, load
from gateway.workspace.request import Request
from gateway.workspace.rules import decide
from gateway.workspace.settings import Workspace
from gateway.workspace.turns import Turns
from gateway.workspace.write import put, write

NUMBER_BITS, PARTITION_BITS = 6, 6
LOCK = 7_355_609


@dataclass(frozen=True, slots=True)
class Placed:
    """A request and where in the topic it stands."""

    request: Request
    partition: int
    offset: int
    appended_at_ms: int

    @property
    def place(self) -> int:
        """A number that grows with the log and leaves room for its activities."""
        partition = self.partition % (1 << PARTITION_BITS)
        return (self.offset << PARTITION_BITS | partition) << NUMBER_BITS


async def apply(
    connection: AsyncConnection, batch: Sequence[Placed], settings: Workspace
) -> bool:
    """Apply what was not applied before, in order; True when a block came or went."""
    positions = await _lock(connection)
    new = [
        each
        for each in batch
        if each.offset > positions.get(each.partition, (-1, 0))[0]
    ]
    if not new:
        return False
    requests = [each.request for each in new]
    before = await applied(connection, requests)
    known = await load(connection, requests)
    concerned = known.concerned()
    turns = Turns()
    for each in new:
        await turns.give()
        request = each.request
        key = request.message_id, request.source, request.replay or ""
        if key not in before:
            before.add(key)
            decision = decide(request, concerned, settings)
            known.settle(request, decision, each.place)
    await write(connection, known)
    ends = {
        each.partition: {
            "partition": each.partition,
            "offset": each.offset,
            "appended_at_ms": each.appended_at_ms,
        }
        for each in new
    }
    await put(connection, tables.position, list(ends.values()))
    return bool(known.changed_suppressed)


async def _lock(connection: AsyncConnection) -> dict[int, tuple[int, int]]:
    """Exclude other workers (SQLite: BEGIN IMMEDIATE has done so); the positions."""
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    return await positions_of(connection)


async def positions_of(connection: AsyncConnection) -> dict[int, tuple[int, int]]:
    """Per partition: the last offset applied and when it was appended (ms)."""
    found = await connection.execute(select(tables.position))
    return {row.partition: (row.offset, row.appended_at_ms) for row in found}
