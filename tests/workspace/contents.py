"""What is in a store, as values that can be compared."""

from typing import Any

from sqlalchemy import insert, select

from gateway.workspace import tables
from gateway.workspace.store import Store
from gateway.workspace.write import text

TABLES = tuple(tables.metadata.tables.values())


async def contents(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, in the order of its key."""
    async with store.reading() as connection:
        return {
            table.name: [
                tuple(row)
                for row in await connection.execute(
                    select(table).order_by(*table.primary_key)
                )
            ]
            for table in TABLES
        }


async def rows(store: Store, table: str) -> list[dict[str, Any]]:
    """The rows of a table, as dictionaries."""
    wanted = tables.metadata.tables[table]
    async with store.reading() as connection:
        found = await connection.execute(select(wanted).order_by(*wanted.primary_key))
        return [dict(row._mapping) for row in found]


async def put_person(
    store: Store,
    cio_id: str,
    *,
    id: str | None = None,  # noqa: A002 -- the vectors call it so
    email: str | None = None,
    attributes: dict[str, Any] | None = None,
) -> None:
    """A person that no event added."""
    row = {
        "cio_id": cio_id,
        "id": id,
        "email": email,
        "email_key": email and email.lower(),
        "attributes": text(attributes or {}),
        "created_at": 0,
    }
    async with store.writing() as connection:
        await connection.execute(insert(tables.people), row)


async def put_suppressed(store: Store, kind: str, value: str) -> None:
    """A block that no event put."""
    row = {
        "kind": kind,
        "value": value,
        "together": "by hand",
        "at": 0,
        "message_id": "",
        "blocked": True,
        "published": True,
    }
    async with store.writing() as connection:
        await connection.execute(insert(tables.suppressed), row)
