"""Publishes who is suppressed to the topic ``suppressed``, which every worker follows.

The row is written with the decision, and marked as published once the topic has it: a
crash between the two publishes it again. Key ``kind:value``; an empty value lifts the
block.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import orjson
from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import topics
from gateway.event import iso
from gateway.log.contract import Entry
from gateway.workspace.store import Store
from gateway.workspace.tables import suppressed

CHUNK = 1_000
Append = Callable[[Sequence[Entry]], Coroutine[Any, Any, None]]


class Publisher:
    """Tells the log what the store decided on suppression; in order, at least once."""

    def __init__(self, store: Store, append: Append) -> None:
        self._store = store
        self._append = append

    async def publish(self) -> None:
        """Return when nothing is left to tell; StoreError or LogError when not."""
        while True:
            async with self._store.reading() as connection:
                found = await _unpublished(connection)
            if not found:
                return
            await self._append([_entry(row) for row in found])
            async with self._store.writing() as connection:
                for row in found:
                    await _mark(connection, row)


async def _unpublished(connection: AsyncConnection) -> Sequence[Row[Any]]:
    query = select(suppressed).where(~suppressed.c.published)
    query = query.order_by(*suppressed.primary_key).limit(CHUNK)
    return (await connection.execute(query)).all()


def _entry(row: Row[Any]) -> Entry:
    value = b""
    if row.blocked:
        told = {"at": iso(row.at * 1_000), "messageId": row.message_id}
        if row.cio_id:  # events of before may name this person by nothing else
            told["cioId"] = row.cio_id
        value = orjson.dumps(told)
    return Entry(topics.SUPPRESSED, f"{row.kind}:{row.value}".encode(), value)


async def _mark(connection: AsyncConnection, row: Row[Any]) -> None:
    """Published as it was read; if it has changed since, it is told again."""
    same = (
        (suppressed.c.kind == row.kind)
        & (suppressed.c.value == row.value)
        & (suppressed.c.blocked == row.blocked)
        & (suppressed.c.together == row.together)
    )
    if row.blocked:
        await connection.execute(update(suppressed).where(same).values(published=True))
    else:
        await connection.execute(delete(suppressed).where(same))
