"""The queries of the look-up API: people, devices, activities, decisions."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.workspace import tables
from gateway.workspace.load import device_of, person_of, rows
from gateway.workspace.people import Device, Person, fold
from gateway.workspace.request import short
from gateway.workspace.turns import Turns

CHUNK = 200  # people read at once, of 100 KB each at the most
SCANNED_MAX = 100_000  # people that one page of a filter looks at
MATCHING_S = 2.0  # how long it looks for them


async def person(
    connection: AsyncConnection, id_type: str, value: str
) -> Person | None:
    """Whoever has this identifier."""
    found = await persons(connection, id_type, [value])
    return found[0] if found else None


async def persons(
    connection: AsyncConnection, id_type: str, values: Iterable[str]
) -> list[Person]:
    """Those of them who are known."""
    table = tables.people
    if id_type == "email":
        values = [fold(value) for value in values]
    columns = {"email": table.c.email_key, "cio_id": table.c.cio_id}
    column = columns.get(id_type, table.c.id)
    return [person_of(r) for r in await rows(connection, select(table), column, values)]


async def devices(connection: AsyncConnection, cio_id: str) -> list[Device]:
    """A person's devices, the last used one first."""
    table = tables.devices
    query = select(table).where(table.c.cio_id == cio_id)
    query = query.order_by(table.c.last_used.desc(), table.c.token)
    return [device_of(row) for row in await connection.execute(query)]


async def activities(
    connection: AsyncConnection,
    cio_id: str,
    *,
    before: int | None,
    limit: int,
    type_: str | None,
    name: str | None,
) -> Sequence[Row[Any]]:
    """A person's activities, the newest first, older than ``before``."""
    table = tables.activities
    query = select(table).where(table.c.cio_id == cio_id)
    if before is not None:
        query = query.where(table.c.seq < before)
    if type_ is not None:
        query = query.where(table.c.type == type_)
    if name is not None:
        query = query.where(table.c.name == name)
    query = query.order_by(table.c.seq.desc()).limit(limit)
    return (await connection.execute(query)).all()


async def decision(
    connection: AsyncConnection, message_id: str, source: str | None
) -> Row[Any] | None:
    """The last decision on a message id: of a replay, if it was replayed."""
    table = tables.decisions
    query = select(table).where(table.c.message_id == short(message_id))
    if source is not None:
        query = query.where(table.c.source == source)
    query = query.order_by(table.c.place.desc()).limit(1)
    return (await connection.execute(query)).first()


async def suppressed(
    connection: AsyncConnection, after: tuple[str, str], limit: int
) -> Sequence[Row[Any]]:
    """Who is blocked, by kind and value."""
    table = tables.suppressed
    kind, value = after
    query = select(table).where(table.c.blocked)
    query = query.where(
        (table.c.kind > kind) | ((table.c.kind == kind) & (table.c.value > value))
    )
    query = query.order_by(table.c.kind, table.c.value).limit(limit)
    return (await connection.execute(query)).all()


async def matching(
    connection: AsyncConnection,
    matches: Callable[[Person], bool],
    *,
    after: str,
    limit: int,
) -> tuple[list[Person], str | None]:
    """People who match, by cio_id; and where the next page starts, if there is one.

    A page ends after so many people or so much time, too, whoever it has found by then.
    """
    table, found, scanned = tables.people, [], 0
    turns, until_s = Turns(), time.monotonic() + MATCHING_S
    while True:
        query = select(table).where(table.c.cio_id > after)
        query = query.order_by(table.c.cio_id).limit(CHUNK)
        chunk = (await connection.execute(query)).all()
        for row in chunk:
            await turns.give()
            after = row.cio_id
            each = person_of(row)
            if matches(each):
                found.append(each)
            if len(found) == limit or time.monotonic() >= until_s:
                return found, after
        scanned += len(chunk)
        if len(chunk) < CHUNK:
            return found, None
        if scanned >= SCANNED_MAX:
            return found, after
