"""Writes what a batch has changed to the store: moved rows first, many at once."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import orjson
from sqlalchemy import BindParameter, Table, bindparam, delete, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.event import Json
from gateway.workspace import tables
from gateway.workspace.known import Decided, Known, Told
from gateway.workspace.people import Device, Person, fold
from gateway.workspace.turns import Turns

Rows = Sequence[Mapping[str, Any]]
SOURCE: BindParameter[str] = bindparam("of")
TARGET: BindParameter[str] = bindparam("to")
MOVES: Mapping[str, Sequence[Any]] = {
    "merge": [
        update(table).where(table.c.cio_id == SOURCE).values(cio_id=TARGET)
        for table in (tables.activities, tables.devices, tables.anonymous)
    ],
    "delete": [
        delete(tables.activities).where(tables.activities.c.cio_id == SOURCE),
        delete(tables.devices).where(tables.devices.c.cio_id == SOURCE),
        update(tables.anonymous)
        .where(tables.anonymous.c.cio_id == SOURCE)
        .values(cio_id=None),
    ],
    "attach": [
        update(tables.activities)
        .where(tables.activities.c.anonymous_id == SOURCE)
        .where(tables.activities.c.cio_id.is_(None))
        .values(cio_id=TARGET)
    ],
}
_KEY = tables.people.c.cio_id == bindparam("key")
FREE = update(tables.people).where(_KEY).values(id=None, email=None, email_key=None)
REMOVE = delete(tables.people).where(_KEY)
RENAME = (
    update(tables.people)
    .where(_KEY)
    .values({name: bindparam(f"new_{name}") for name in ("id", "email", "email_key")})
)
CHANGE = (
    update(tables.people)
    .where(_KEY)
    .values(attributes=bindparam("values"), last_seen=bindparam("seen"))
)
UNTOKEN = delete(tables.devices).where(tables.devices.c.token == bindparam("key"))


async def write(connection: AsyncConnection, known: Known) -> None:
    """Everything that the decisions of this batch change."""
    for verb, moves in groupby(known.moves, key=lambda move: move.verb):
        names = [{"of": move.source, "to": move.target} for move in moves]
        if verb == "delete":
            names = [{"of": name["of"]} for name in names]
        await _move(connection, verb, names)
    await _write_people(connection, known)
    await _write_devices(connection, known.changed_devices)
    changed = known.changed_anonymous.values()
    traits = [
        {
            "anonymous_id": each.anonymous_id,
            "cio_id": each.owner,
            "traits": text(each.traits),
        }
        for each in changed
    ]
    await put(connection, tables.anonymous, traits)
    await _write_suppressed(connection, known)
    await _insert(connection, tables.activities, await _activities(known.told))
    decided = [_decision(each) for each in known.decided]
    await _insert(connection, tables.decisions, decided)


def text(value: Json) -> str:
    """JSON as the tables keep it."""
    return orjson.dumps(value).decode()


async def _move(connection: AsyncConnection, verb: str, names: Rows) -> None:
    """Each move on all its tables before the next: a merge may follow a merge."""
    for name in names:
        for statement in MOVES[verb]:
            await connection.execute(statement, dict(name))


async def _many(connection: AsyncConnection, statement: Any, rows: Rows) -> None:
    if rows:
        await connection.execute(statement, list(rows))


async def _insert(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    await _many(connection, insert(table), rows)


async def put(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    """Insert, or replace the row with the same key."""
    if not rows:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    keys = [column.name for column in table.primary_key]
    others = {c.name: statement.excluded[c.name] for c in table.c if c.name not in keys}
    upsert = statement.on_conflict_do_update(index_elements=keys, set_=others)
    await _many(connection, upsert, rows)


async def _write_people(connection: AsyncConnection, known: Known) -> None:
    """First let go of identifiers, so that others may have them; then the rows."""
    gone, freed, added, renamed, changed = [], [], [], [], []
    turns = Turns()
    for cio_id, person in known.changed_people.items():
        await turns.give()
        old = known.had.get(cio_id)
        if person is None:
            if old is not None:
                gone.append({"key": cio_id})
        elif old is None:
            added.append(_person(person))
        else:
            if (old.id, old.email) != (person.id, person.email):
                freed.append({"key": cio_id})
                renamed.append({"key": cio_id, **_names(person)})
            changed.append(_changed(person))
    await _many(connection, REMOVE, gone)
    await _many(connection, FREE, freed)
    await _insert(connection, tables.people, added)
    await _many(connection, RENAME, renamed)
    await _many(connection, CHANGE, changed)


def _person(person: Person) -> dict[str, Any]:
    return {
        "cio_id": person.cio_id,
        "id": person.id,
        "email": person.email,
        "email_key": None if person.email is None else fold(person.email),
        "attributes": text(person.attributes),
        "created_at": person.created_at,
        "last_seen": person.last_seen,
    }


def _names(person: Person) -> dict[str, Any]:
    return {
        "new_id": person.id,
        "new_email": person.email,
        "new_email_key": None if person.email is None else fold(person.email),
    }


def _changed(person: Person) -> dict[str, Any]:
    return {
        "key": person.cio_id,
        "values": text(person.attributes),
        "seen": person.last_seen,
    }


async def _write_devices(
    connection: AsyncConnection, changed: Mapping[str, Device | None]
) -> None:
    gone = [{"key": token} for token, device in changed.items() if device is None]
    await _many(connection, UNTOKEN, gone)
    rows = [
        {
            "token": device.token,
            "cio_id": device.owner,
            "platform": device.platform,
            "last_used": device.last_used,
            "last_status": device.last_status,
            "attributes": text(device.attributes),
        }
        for device in changed.values()
        if device is not None
    ]
    await put(connection, tables.devices, rows)


async def _write_suppressed(connection: AsyncConnection, known: Known) -> None:
    """A lifted one stays as a row until that is published."""
    rows = [
        {
            "kind": key.kind,
            "value": key.value,
            "together": "" if blocked is None else blocked.group,
            "at": 0 if blocked is None else blocked.at,
            "message_id": "" if blocked is None else blocked.message_id,
            "cio_id": "" if blocked is None else blocked.cio_id,
            "blocked": blocked is not None,
            "published": False,
        }
        for key, blocked in known.changed_suppressed.items()
    ]
    await put(connection, tables.suppressed, rows)


async def _activities(told: Sequence[Told]) -> list[dict[str, Any]]:
    made, turns = list[dict[str, Any]](), Turns()
    for each in told:
        await turns.give()
        made.append(
            {
                "seq": each.seq,
                "cio_id": each.owner,
                "anonymous_id": each.anonymous_id,
                "type": each.activity.type,
                "name": each.activity.name,
                "at": each.at,
                "message_id": each.message_id,
                "data": text(each.activity.data),
            }
        )
    return made


def _decision(decided: Decided) -> dict[str, Any]:
    return {
        "message_id": decided.message_id,
        "source": decided.source,
        "replay": decided.replay,
        "decision": decided.decision,
        "reason": decided.reason,
        "cio_id": decided.cio_id,
        "failed": text([failed._asdict() for failed in decided.failed]),
        "at": decided.at,
        "place": decided.place,
    }
