"""What happens to the files behind the gateway's back is noticed, and told."""

import asyncio
import io
import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.port import AdminPort
from gateway.errors import LogError
from gateway.log.sqlite.log import SqliteLog
from gateway.metrics import Metrics
from gateway.notices import Notices
from tests.log.backends import (
    PATIENCE_S,
    SqliteBackend,
    big,
    entry,
    numbered,
    scanned,
    taken,
    until,
    values,
)

PAGE, FRAME = 4096, 4096 + 24


def beside(sqlite: SqliteBackend, name: str) -> Path:
    return sqlite.path.with_name(f"{sqlite.path.name}-{name}")


# Taken away


async def refused(log: SqliteLog, words: str) -> None:
    """Within seconds: it looks once a second."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await log.append(numbered(1))
            except LogError as error:
                said = str(error)
                break
            await asyncio.sleep(0.05)
    assert words in said


@pytest.mark.parametrize("how", ["removed", "replaced", "folder"])
async def test_a_log_that_is_taken_away_takes_nothing_more(
    tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    sqlite = SqliteBackend(folder)
    async with sqlite.opened() as log:
        await log.append(numbered(3))
        aside = tmp_path / "aside"
        if how == "folder":
            folder.rename(aside)
        else:
            sqlite.path.rename(aside)
        if how == "replaced":
            shutil.copy(aside, sqlite.path)
        words = "is another file now" if how == "replaced" else "was removed"
        await refused(log, words)
        with pytest.raises(LogError, match=words):
            await log.ping()
        assert words in dict(sqlite.told)["log_write_failed"]["error"]
        if how == "removed":  # nothing was made in its place
            assert not sqlite.path.exists()
        if how == "folder":
            aside.rename(folder)
        else:
            aside.rename(sqlite.path)
        await taken(lambda: log.append([entry(value="last")]))
        await log.ping()
        found = values(await scanned(log))
        assert (found[:3], found[-1]) == (["0", "1", "2"], "last")
    async with sqlite.opened() as log:
        assert values(await scanned(log)) == found


async def test_a_wal_that_is_removed_is_saved_by_a_stop(sqlite: SqliteBackend) -> None:
    async with sqlite.opened() as log:
        await log.append(numbered(3))
        beside(sqlite, "wal").unlink()
        await refused(log, "stop the gateway, it saves what it can")
        (crm,) = await log.topics()
        assert crm.records >= 3
    async with sqlite.opened() as log:
        assert len(await scanned(log)) == crm.records


# A WAL that is damaged at the start


async def crashed(sqlite: SqliteBackend, folder: Path, transactions: int = 40) -> Path:
    """The files as a kill leaves them, after as many transactions."""
    async with sqlite.opened() as log:
        for number in range(transactions):
            await log.append(numbered(1, start=number))
        copy(sqlite, folder)
    return folder


def copy(sqlite: SqliteBackend, folder: Path) -> None:
    folder.mkdir()
    for name in ("log.db", "log.db-wal", "log.db-shm"):
        shutil.copy(sqlite.path.with_name(name), folder / name)


def cut(wal: Path, shm: Path) -> None:
    os.truncate(wal, wal.stat().st_size * 2 // 3)


def cut_in_a_frame(wal: Path, shm: Path) -> None:
    os.truncate(wal, wal.stat().st_size // 2 + 77)


def garble(wal: Path, shm: Path) -> None:
    overwrite(wal, wal.stat().st_size // 2)


def garble_without_index(wal: Path, shm: Path) -> None:
    garble(wal, shm)
    shm.unlink()


def garble_its_head(wal: Path, shm: Path) -> None:
    overwrite(wal, 12)


def garble_its_head_without_index(wal: Path, shm: Path) -> None:
    overwrite(wal, 12)
    shm.unlink()


def empty(wal: Path, shm: Path) -> None:
    os.truncate(wal, 0)


def remove(wal: Path, shm: Path) -> None:
    wal.unlink()


def overwrite(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * 8)


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        cut_in_a_frame,
        garble,
        garble_without_index,
        garble_its_head,
        garble_its_head_without_index,
        empty,
        remove,
    ],
)
async def test_a_wal_that_is_not_read_whole_is_told(
    sqlite: SqliteBackend, tmp_path: Path, damage: Any
) -> None:
    folder = await crashed(sqlite, tmp_path / "crashed")
    size = (folder / "log.db-wal").stat().st_size
    damage(folder / "log.db-wal", folder / "log.db-shm")
    later = SqliteBackend(folder)
    async with later.opened() as log:
        lost = dict(later.told)["log_wal_damaged"]
        assert 0 < lost["bytes"] <= size
        assert lost["bytes"] % FRAME == 0
        (weakness,) = log.weaknesses
        assert f"{lost['bytes']} bytes" in weakness
        left = len(await scanned(log))
        assert left < 40
        await log.ping()  # what comes from now on is kept


@pytest.mark.parametrize("index", [True, False])
async def test_a_wal_as_a_kill_leaves_it_is_whole(
    sqlite: SqliteBackend, tmp_path: Path, *, index: bool
) -> None:
    folder = await crashed(sqlite, tmp_path / "crashed")
    with (folder / "log.db-wal").open("ab") as wal:  # and the next was being written
        wal.write(b"\0" * 1_000)
    if not index:
        (folder / "log.db-shm").unlink()
    later = SqliteBackend(folder)
    async with later.opened() as log:
        assert values(await scanned(log)) == [str(n) for n in range(40)]
        assert "log_wal_damaged" not in dict(later.told)
        assert not log.weaknesses


async def test_a_wal_that_was_begun_anew_is_whole(
    sqlite: SqliteBackend, tmp_path: Path
) -> None:
    """What is left of an older generation behind its end is no loss."""
    async with sqlite.opened() as log:
        await log.append([big("to.crm", n) for n in range(300)])
        other = sqlite3.connect(sqlite.path)
        other.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        other.close()
        await log.append(numbered(2))
        folder = tmp_path / "crashed"
        copy(sqlite, folder)
    later = SqliteBackend(folder)
    async with later.opened() as log:
        assert len(await scanned(log)) == 302
        assert not log.weaknesses


# A page that is damaged


@pytest.fixture
def damaged(sqlite: SqliteBackend) -> SqliteBackend:
    """The first record's page is damaged: a start does not look there."""

    async def fill() -> None:
        async with sqlite.opened() as log:
            await log.append([big("to.crm", n) for n in range(200)])
            await log.append([entry("events", value="whole")])

    asyncio.run(fill())
    connection = sqlite3.connect(sqlite.path)
    text = connection.execute("SELECT min(id) FROM bodies").fetchone()
    assert text == (1,)
    connection.close()
    content = sqlite.path.read_bytes()
    at = content.index(b"0" + b"x" * 1_000) // PAGE * PAGE
    with sqlite.path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * 64)
    return sqlite


async def test_a_worker_that_meets_a_damaged_page_is_not_ready(
    damaged: SqliteBackend,
) -> None:
    async with damaged.opened() as log:
        await log.ping()
        async with log.subscribe("to.crm", group="crm") as subscription:
            with pytest.raises(LogError, match="the file is damaged"):
                await subscription.poll(limit=10, timeout_s=1)
            with pytest.raises(LogError, match=r"crm cannot read to\.crm: .*damaged"):
                await log.ping()
        told = dict(damaged.told)["log_read_failed"]
        assert (told["topic"], told["group"]) == ("to.crm", "crm")
        await log.ping()  # nobody reads it any more
        assert values(await scanned(log, "events")) == ["whole"]


async def test_reading_a_damaged_topic_answers_without_a_trace(
    damaged: SqliteBackend, caplog: pytest.LogCaptureFixture
) -> None:
    said = io.StringIO()
    async with damaged.opened() as log:
        port = AdminPort(
            log=log,
            metrics=Metrics(),
            notices=Notices(said),
            workers=dict,
            replaying=lambda _: None,  # type: ignore[arg-type, return-value]  # never
        )
        headers = {"Authorization": f"Bearer {port.token}"}
        async with TestClient(TestServer(port.application())) as client:
            async with client.get("/control/read/to.crm", headers=headers) as response:
                assert response.status == 503
                assert "the file is damaged" in (await response.json())["message"]
            async with client.get("/control/read/events", headers=headers) as response:
                assert json.loads(await response.read())["value"] == "whole"
    assert "bug" not in said.getvalue()
    assert not caplog.records


async def test_upkeep_that_fails_is_told(
    sqlite: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sqlite.opened() as log:
        await log.append(numbered(1))

        def fail(*_: object) -> int:
            raise sqlite3.DatabaseError("database disk image is malformed")

        with monkeypatch.context() as patch:
            patch.setattr(log._tables, "live_bytes", fail)
            await until(lambda: "log_upkeep_failed" in dict(sqlite.told))
        await log.append(numbered(1))
        await until(lambda: "log_upkeep_recovered" in dict(sqlite.told))


# Copies, as docs/how-to/backup.md says


def back_up(source: Path, target: Path) -> None:
    """What sqlite3's ``.backup`` does."""
    one, other = sqlite3.connect(source), sqlite3.connect(target)
    one.backup(other)
    one.close()
    other.close()


def vacuum_into(source: Path, target: Path) -> None:
    connection = sqlite3.connect(source)
    connection.execute("VACUUM INTO ?", (str(target),))
    connection.close()


@pytest.mark.parametrize("how", [back_up, vacuum_into])
async def test_a_copy_of_a_running_log_is_a_log(
    sqlite: SqliteBackend, tmp_path: Path, how: Any
) -> None:
    copied = SqliteBackend(tmp_path / "copy")
    copied.path.parent.mkdir()
    async with sqlite.opened() as log:
        await log.append(numbered(100))
        async with log.subscribe("to.crm", group="crm") as subscription:
            await subscription.settle(await subscription.poll(limit=40, timeout_s=1))
        await asyncio.to_thread(how, sqlite.path, copied.path)
        await log.append(numbered(1, start=100))
        await log.ping()
    async with copied.opened() as log:
        assert values(await scanned(log)) == [str(n) for n in range(100)]
        assert not log.weaknesses
        async with log.subscribe("to.crm", group="crm") as subscription:
            assert subscription.lag == 60
        await log.append(numbered(1))
        assert beside(copied, "wal").exists()  # reading does not wait for writing
