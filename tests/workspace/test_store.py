"""The store: its migrations, exactly once, fencing, what is away and what is a bug."""

import asyncio
import sqlite3
import stat
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from gateway.errors import ConfigError, LogError
from gateway.workspace import tables
from gateway.workspace.apply import Placed, apply
from gateway.workspace.publish import Publisher
from gateway.workspace.settings import Workspace
from gateway.workspace.store import Store, StoreError, url_of
from tests.workspace.conftest import apply_all
from tests.workspace.contents import contents, rows
from tests.workspace.test_vectors import as_request

SETTINGS = Workspace()
GIVEN = {"identifiers": ["email", "id"]}


def identify(path, payload=None, message_id="m1"):
    return as_request(path, payload or {}, GIVEN, message_id)


async def test_the_migrations_make_the_tables_that_the_code_uses(store):
    def differences(connection):
        context = MigrationContext.configure(connection)
        return compare_metadata(context, tables.metadata)

    async with store.writing() as connection:
        found = await connection.run_sync(differences)
    assert [each for each in found if each[0] != "remove_table"] == []


async def test_opening_again_changes_nothing(store, url, tmp_path):
    await apply_all(store, [identify("u1")], SETTINGS)
    before = await contents(store)
    again = Store(url_of(url, tmp_path))
    assert await contents(again) == before
    await again.close()


async def test_a_store_of_a_later_version_is_refused_until_the_code_is(
    store, url, tmp_path
):
    async with store.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num='9999'"))
    again = Store(url_of(url, tmp_path))
    with pytest.raises(StoreError, match="not of this version"):
        await contents(again)
    await again.close()


async def test_an_event_is_applied_once_whoever_brings_it(store):
    requests = [identify("u1", {"n": number}, f"m{number}") for number in range(5)]
    await apply_all(store, requests, SETTINGS, batch=2)
    before = await contents(store)
    await apply_all(store, requests, SETTINGS, batch=5)
    assert await contents(store) == before


async def test_a_worker_that_lost_its_partition_applies_nothing(store):
    """Two hold the same events: each is applied by one of them, in order."""
    requests = [identify("u1", {"n": number}, f"m{number}") for number in range(60)]
    await asyncio.gather(
        apply_all(store, requests, SETTINGS, batch=7),
        apply_all(store, requests, SETTINGS, batch=5),
    )
    (person,) = await rows(store, "people")
    assert person["attributes"] == '{"n":59}'
    changes = [
        row
        for row in await rows(store, "activities")
        if row["type"] != "profile_create"
    ]
    assert [row["message_id"] for row in changes] == [f"m{n}" for n in range(60)]


async def test_a_message_id_of_another_source_is_another_event(store):
    first, other = identify("u1"), identify("u2")
    other = type(other)(
        **{
            name: getattr(other, name)
            for name in other.__dataclass_fields__
            if name != "source"
        },
        source="another",
    )
    await apply_all(store, [first, other], SETTINGS)
    assert len(await rows(store, "people")) == 2


async def test_what_fails_leaves_no_trace(store):
    await apply_all(store, [identify("u1")], SETTINGS)
    before = await contents(store)

    async def fail():
        async with store.writing() as connection:
            placed = [Placed(identify("u2", message_id="m2"), 0, 7, 0)]
            await apply(connection, placed, SETTINGS)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await fail()
    assert await contents(store) == before


async def test_identifiers_change_hands_within_a_batch(store):
    """The rows are written so that no moment has two people with one id."""
    requests = [
        identify("a", {"email": "a@x"}, "m1"),
        identify("b", {"email": "b@x"}, "m2"),
    ]
    await apply_all(store, requests, SETTINGS)
    people = {row["id"]: row["cio_id"] for row in await rows(store, "people")}
    moved = [
        identify(f"cio_{people['a']}", {"id": "c"}, "m3"),
        identify(f"cio_{people['b']}", {"id": "a"}, "m4"),
        identify(f"cio_{people['a']}", {"id": "b"}, "m5"),
    ]
    await apply_all(store, moved, SETTINGS, first=10)
    after = {row["id"]: row["cio_id"] for row in await rows(store, "people")}
    assert after == {"a": people["b"], "b": people["a"]}


async def test_a_locked_store_is_away_and_comes_back(tmp_path):
    store = Store(url_of("sqlite:///s.db", tmp_path))
    await apply_all(store, [identify("u1")], SETTINGS)
    async with store.writing() as connection:
        await connection.exec_driver_sql("PRAGMA busy_timeout=1")
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        await apply_all(store, [identify("u2", message_id="m2")], SETTINGS, first=1)
    other.execute("ROLLBACK")
    other.close()
    await apply_all(store, [identify("u2", message_id="m2")], SETTINGS, first=1)
    assert len(await rows(store, "people")) == 2
    await store.close()


async def test_only_its_owner_reads_the_file(tmp_path):
    store = Store(url_of("sqlite:///data/s.db", tmp_path))
    await apply_all(store, [identify("u1")], SETTINGS)
    mode = stat.S_IMODE((tmp_path / "data" / "s.db").stat().st_mode)
    assert mode == 0o600
    await store.close()


async def test_nobody_listens_is_away(tmp_path):
    store = Store(url_of("postgresql://gateway@127.0.0.1:1/nowhere", tmp_path))
    with pytest.raises(StoreError):
        await contents(store)
    await store.close()


@pytest.mark.parametrize("wrong", ["mysql://h/n", "workspace.db", "sqlite://"])
def test_a_wrong_url_is_the_operators(tmp_path, wrong):
    with pytest.raises(ConfigError, match=r"workspace\.url"):
        url_of(wrong, tmp_path)


async def test_what_a_crash_left_untold_is_published_once(store):
    """A block is a row before it is a record; a crash between the two loses neither."""
    told: list[Any] = []

    async def append(entries):
        told.extend((entry.key.decode(), bool(entry.value)) for entry in entries)

    async def fail(entries):
        raise LogError("away")

    blocked = tables.suppressed.insert().values(
        kind="id",
        value="u1",
        together="s1",
        at=0,
        message_id="s1",
        blocked=True,
        published=False,
    )
    async with store.writing() as connection:
        await connection.execute(blocked)
    with pytest.raises(LogError):
        await Publisher(store, fail).publish()
    for _ in range(2):
        await Publisher(store, append).publish()
    assert told == [("id:u1", True)]
