"""Loads from the store what a batch of requests concerns, with a few queries.

What is loaded is all that the rules may look at: people by every identifier that the
requests name, their devices, anonymousIds and suppressions.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson
from sqlalchemy import Column, Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.workspace import tables
from gateway.workspace.known import Known
from gateway.workspace.people import Anonymous, Device, Identifier, Person
from gateway.workspace.request import (
    DeleteDevice,
    Erase,
    Identify,
    Merge,
    PutDevice,
    Report,
    Request,
)
from gateway.workspace.turns import Turns

KEYS_MAX = 1_000  # values in one query: both stores take far more

_PERSON = select(
    tables.people.c.cio_id,
    tables.people.c.id,
    tables.people.c.email,
    tables.people.c.attributes,
    tables.people.c.created_at,
    tables.people.c.last_seen,
)


async def load(connection: AsyncConnection, requests: Sequence[Request]) -> Known:
    """Everybody and everything that these requests are about."""
    known = Known()
    anonymous_ids = {each.anonymous_id for each in requests if each.anonymous_id}
    await _load_anonymous(connection, known, anonymous_ids)
    named = {key for each in requests for key in keys_of(each)}
    owners = [each.owner for each in known.anonymous.values() if each.owner]
    named.update(Identifier("cio_id", owner) for owner in owners)
    await _load_people(connection, known, named)
    await _load_devices(connection, known, {t for r in requests for t in _tokens(r)})
    for person in known.had.values():
        named.update(person.identifiers())
    await _load_suppressed(connection, known, named, requests)
    return known


def keys_of(request: Request) -> Iterator[Identifier]:
    """Every identifier that a request names."""
    if request.path is not None:
        yield request.path.key
    match request.asks:
        case Identify(given=given):
            for each in given:
                yield each.key
        case Merge(secondary=secondary) if secondary is not None:
            yield secondary.key
        case Report() as report if report.email is not None:
            yield report.email.key
        case _:
            pass


def _tokens(request: Request) -> Iterator[str]:
    match request.asks:
        case Identify(token=token) | PutDevice(token=token) | DeleteDevice(token=token):
            if token is not None:
                yield token
        case Report(recipient=token):
            if token is not None:
                yield token
        case _:
            pass


async def rows(
    connection: AsyncConnection,
    query: Select[Any],
    column: Column[Any],
    values: Iterable[Any],
) -> list[Row[Any]]:
    """The rows whose column is one of these; the text of the query is reused."""
    found: list[Row[Any]] = []
    wanted = sorted(set(values))
    for start in range(0, len(wanted), KEYS_MAX):
        part = wanted[start : start + KEYS_MAX]
        part += part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
        found += (await connection.execute(query.where(column.in_(part)))).all()
    return found


async def _load_people(
    connection: AsyncConnection, known: Known, named: Iterable[Identifier]
) -> None:
    columns = {
        "cio_id": tables.people.c.cio_id,
        "id": tables.people.c.id,
        "email": tables.people.c.email_key,
    }
    values: dict[str, list[str]] = {kind: [] for kind in columns}
    for kind, value in named:
        values[kind].append(value)
    turns = Turns()
    for kind, column in columns.items():
        for row in await rows(connection, _PERSON, column, values[kind]):
            await turns.give()
            if row.cio_id not in known.had:
                known.remember(person_of(row))


def person_of(row: Row[Any]) -> Person:
    """A row of ``people`` as a value."""
    return Person(
        cio_id=row.cio_id,
        id=row.id,
        email=row.email,
        attributes=orjson.loads(row.attributes),
        created_at=row.created_at,
        last_seen=row.last_seen,
    )


async def _load_devices(
    connection: AsyncConnection, known: Known, tokens: Iterable[str]
) -> None:
    table = tables.devices
    for row in await rows(connection, select(table), table.c.token, tokens):
        known.devices[row.token] = device_of(row)


def device_of(row: Row[Any]) -> Device:
    """A row of ``devices`` as a value."""
    return Device(
        token=row.token,
        owner=row.cio_id,
        platform=row.platform,
        last_used=row.last_used,
        last_status=row.last_status,
        attributes=orjson.loads(row.attributes),
    )


async def _load_anonymous(
    connection: AsyncConnection, known: Known, anonymous_ids: set[str]
) -> None:
    table = tables.anonymous
    for row in await rows(
        connection, select(table), table.c.anonymous_id, anonymous_ids
    ):
        known.anonymous[row.anonymous_id] = Anonymous(
            anonymous_id=row.anonymous_id,
            owner=row.cio_id,
            traits=orjson.loads(row.traits),
        )
    kept = tables.activities.c
    query = select(kept.anonymous_id).distinct().where(kept.cio_id.is_(None))
    for row in await rows(connection, query, kept.anonymous_id, anonymous_ids):
        known.with_activities.add(row.anonymous_id)


async def _load_suppressed(
    connection: AsyncConnection,
    known: Known,
    named: Iterable[Identifier],
    requests: Sequence[Request],
) -> None:
    table = tables.suppressed
    query = select(table.c.kind, table.c.value, table.c.together)
    query = query.where(table.c.blocked)
    wanted = {key for key in named if key.kind != "cio_id"}
    found = await rows(connection, query, table.c.value, {k.value for k in wanted})
    groups = set()
    for row in found:
        if (key := Identifier(row.kind, row.value)) in wanted:
            known.suppressed[key] = row.together
            groups.add(row.together)
    if any(isinstance(each.asks, Erase) for each in requests):
        for row in await rows(connection, query, table.c.together, groups):
            known.suppressed[Identifier(row.kind, row.value)] = row.together


async def applied(
    connection: AsyncConnection, requests: Sequence[Request]
) -> set[tuple[str, str, str]]:
    """Which events were decided before: (message id, source, replay)."""
    keys = tables.decisions.c
    query = select(keys.message_id, keys.source, keys.replay)
    found = await rows(
        connection, query, keys.message_id, (each.message_id for each in requests)
    )
    return {(row.message_id, row.source, row.replay) for row in found}
