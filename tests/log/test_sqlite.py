"""What only the log on SQLite promises: one file, one process, one body."""

import asyncio
import gc
import json
import os
import resource
import sqlite3
import stat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Limits, LogConfig
from gateway.errors import LogError
from gateway.log import announce, open_log, read_owner
from gateway.log.contract import Entry
from gateway.log.sqlite import append
from gateway.log.sqlite.rows import decode, encode, picker, shared
from gateway.log.sqlite.tables import Tables
from gateway.notices import Notices
from gateway.topics import keep_all
from tests.log.backends import (
    Clock,
    SqliteBackend,
    big,
    count,
    entry,
    numbered,
    refuse,
    scanned,
    state,
    until,
    values,
)

# One process


async def test_a_second_opener_is_told_who_has_it(sqlite: SqliteBackend) -> None:
    with sqlite.spawn("hold") as child:
        assert child.stdout
        child.stdout.readline()
        assert read_owner(sqlite.path) == {
            "pid": child.pid,
            "admin": "http://127.0.0.1:9090",
            "token": "secret",
        }
        with pytest.raises(LogError, match=f"already open in process {child.pid}"):
            await sqlite.open()
        child.kill()
    assert read_owner(sqlite.path) is None
    async with sqlite.opened() as log:
        assert read_owner(sqlite.path) == {"pid": os.getpid()}
        with pytest.raises(LogError, match="already open"):
            await sqlite.open()
        announce(log, admin="http://[::1]:1", token="t")
        owner = read_owner(sqlite.path)
        assert owner
        assert owner["admin"] == "http://[::1]:1"
    assert read_owner(sqlite.path) is None


async def test_the_lock_file_is_for_its_owner_only(sqlite: SqliteBackend) -> None:
    async with sqlite.opened():
        lock = sqlite.path.with_name("log.db.lock")
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
        assert json.loads(lock.read_bytes())["pid"] == os.getpid()


async def test_nobody_owns_what_is_not_there(sqlite: SqliteBackend) -> None:
    assert read_owner(sqlite.path) is None


async def test_its_folder_is_made(sqlite: SqliteBackend) -> None:
    sqlite.path = sqlite.path.parent / "a" / "b" / "log.db"
    async with sqlite.opened() as log:
        await log.append(numbered(1))


@pytest.mark.parametrize("kind", ["text", "database", "newer", "folder"])
async def test_another_file_is_refused(sqlite: SqliteBackend, kind: str) -> None:
    if kind == "text":
        sqlite.path.write_text("not a database" * 1_000)
    elif kind == "folder":
        sqlite.path.mkdir()
    else:
        connection = sqlite3.connect(sqlite.path)
        if kind == "newer":
            connection.execute("PRAGMA user_version = 99")
        else:
            connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
        connection.close()
    with pytest.raises(LogError, match=r"log\.db: "):
        await sqlite.open()
    assert read_owner(sqlite.path) is None


async def test_the_configured_log_is_opened(sqlite: SqliteBackend) -> None:
    config, limits, notices = LogConfig(path=sqlite.path), Limits(), Notices()
    log = await open_log(config, limits, topics=["events"], notices=notices)
    assert [topic.name for topic in await log.topics()] == ["events"]
    await log.close()


def test_a_commit_is_synced(sqlite: SqliteBackend) -> None:
    """A kill cannot tell; a power cut can."""
    tables = Tables(sqlite.path, busy_timeout_s=1, declared=keep_all)
    for _ in range(2):
        tables.open()
        connection = tables._connection
        assert connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        tables.close()


@pytest.mark.parametrize("text", ["", "{", "[1]"])
async def test_an_owner_that_cannot_be_read_is_unknown(
    sqlite: SqliteBackend, text: str
) -> None:
    async with sqlite.opened():
        sqlite.path.with_name("log.db.lock").write_text(text)
        assert read_owner(sqlite.path) == {}


# One body


async def test_a_shared_value_is_stored_once(sqlite: SqliteBackend) -> None:
    value = b"x" * 50_000
    common = (("messageId", b"m"), ("source", b"web"))
    routed = (*common, ("route", b"{}"))
    async with sqlite.opened() as log:
        await log.append(
            [
                Entry("events", b"ann", value, routed),
                Entry("to.a", b"ann", value, common),
                Entry("to.b", b"ann", value, tuple(common)),
                Entry("to.b", b"bob", value, common),  # another key: another body
                Entry("to.a", b"ann", bytes(50_000), common),
            ]
        )
        assert [r.headers for r in await scanned(log, "events")] == [routed]
        assert [r.headers for r in await scanned(log, "to.a")] == [common, common]
        assert [r.key for r in await scanned(log, "to.b")] == [b"ann", b"bob"]
    assert count(sqlite, "bodies") == 3
    assert count(sqlite, "records") == 5


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("ab", "a", "a"),
        ("a", "ab", "a"),
        ("ab", "ac", "a"),
        ("", "a", ""),
        ("b", "a", ""),
        ("ab", "ab", "ab"),
    ],
)
def test_shared_headers_are_those_both_begin_with(
    one: str, other: str, both: str
) -> None:
    headers = [tuple((name, b"") for name in names) for names in (one, other, both)]
    assert shared(headers[0], headers[1]) == headers[2]


def test_headers_may_hold_anything() -> None:
    headers = (
        ("", b""),
        ("a\nb", b"\n 1 2\n"),
        ("å", bytes(range(256))),
        ("%s%", b"%d"),
    )
    assert decode(encode(headers)) == headers
    assert decode(encode(())) == decode(None) == ()


def test_headers_that_nothing_wrote_are_an_error_not_a_guess() -> None:
    for damaged in (b"3 1", b"3 x\nabc", b"3 1 4\nabc1four", b"1 1\n\xff1"):
        with pytest.raises(ValueError, match=r"."):
            decode(damaged)


headers = st.lists(
    st.tuples(st.sampled_from(["source", "messageId", "replay", "é"]), st.binary()),
    max_size=4,
    unique_by=lambda header: header[0],
)


@given(
    st.lists(st.tuples(headers, st.none() | headers), max_size=10),
    st.lists(st.sampled_from(["source", "messageId", "replay"]), unique=True),
)
def test_what_is_picked_of_headers_is_what_decodes(
    rows: list[tuple[Any, Any]], names: list[str]
) -> None:
    pick = picker(tuple(names))
    for common, own in rows:
        stored = None if own is None else encode(tuple(own))
        every = dict(common) | dict(own or ())
        expected = tuple([every.get(name, b"") for name in names])
        assert pick(encode(tuple(common)), stored) == expected


# Time


async def test_where_many_came_more_are_waited_for_and_who_is_alone_waits_for_nobody(
    sqlite: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction has its price, whatever is in it."""
    slept: list[float] = []
    monkeypatch.setattr("gateway.log.sqlite.append.time.sleep", slept.append)
    async with sqlite.opened() as log:
        for _ in range(3):
            await log.append(numbered(1))
        assert slept == []
        await asyncio.gather(*(log.append(numbered(1)) for _ in range(50)))
        await log.append(numbered(1))
        assert set(slept) == {append.GATHER_S}
        slept.clear()
        await log.append(numbered(1))
        assert slept == []


async def test_time_never_falls(sqlite: SqliteBackend) -> None:
    clock = Clock()
    async with sqlite.opened(clock=clock) as log:
        await log.append(numbered(1))
        clock.now -= 100
        await log.append(numbered(1))
    async with sqlite.opened(clock=clock) as log:
        await log.append(numbered(1))
        times = [record.appended_at_ms for record in await scanned(log)]
    assert len(set(times)) == 1


# Trouble


async def test_a_full_disk_is_an_error_and_passes(sqlite: SqliteBackend) -> None:
    async with sqlite.opened(append_timeout_s=2) as log:
        await log.append(numbered(3))
        allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
        wal = sqlite.path.with_name("log.db-wal").stat().st_size
        # Files may not grow beyond this: what a full disk does, without a disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 50_000, allowed[1]))
        try:
            appends = [log.append([entry(value="x" * 100_000)]) for _ in range(4)]
            results = await asyncio.gather(*appends, return_exceptions=True)
            for result in results:
                assert isinstance(result, LogError)
                assert result.code == "log_unavailable"
                assert "log.db: " in str(result)
            with pytest.raises(LogError):
                await log.append([entry(value="x" * 100_000)])
            assert log.waiting_bytes == 0
            assert values(await scanned(log)) == ["0", "1", "2"]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
        await log.append(numbered(1, start=3))
        await log.ping()
        records = await scanned(log)
        assert values(records) == ["0", "1", "2", "3"]
        assert [record.offset for record in records] == [0, 1, 2, 3]
    codes = [code for code, _ in sqlite.told]
    assert codes == ["log_write_failed", "log_write_recovered"]


async def test_a_locked_file_is_named_and_passes(sqlite: SqliteBackend) -> None:
    async with sqlite.opened(append_timeout_s=1.0) as log:
        with (
            sqlite.locked(),
            pytest.raises(LogError, match=r"log\.db: database is locked"),
        ):
            await log.append(numbered(1))
        await log.append(numbered(1))
        assert values(await scanned(log)) == ["0"]


async def test_a_write_that_fails_keeps_nothing(
    sqlite: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the error, whose traceback has seen it all."""

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async with sqlite.opened() as log:
        monkeypatch.setattr(log._tables, "write", fail)
        gc.collect()
        gc.disable()
        try:
            refused = await refuse(log)
            await until(lambda: not any(entries() for entries in refused))
        finally:
            gc.enable()


async def test_a_commit_that_fails_promises_nothing(
    sqlite: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts follow the file, whatever became of the transaction in it."""
    async with sqlite.opened() as log:
        await log.append(numbered(2))
        publish = log._tables._publish

        def fail(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(log._tables, "_publish", fail)  # after the commit
        with pytest.raises(LogError, match="disk I/O error"):
            await log.append(numbered(1, start=2))
        monkeypatch.setattr(log._tables, "_publish", publish)
        await log.append(numbered(1, start=3))
        assert values(await scanned(log)) == ["0", "1", "2", "3"]
        assert (await state(log, "to.crm")).records == 4


async def test_memory_is_flat_while_the_disk_is_stuck(sqlite: SqliteBackend) -> None:
    async with sqlite.opened(append_timeout_s=0.1, waiting_bytes=1_000_000) as log:
        with sqlite.stuck(log):
            refused = 0
            for _ in range(10):
                appends = [log.append([big("events")]) for _ in range(300)]
                for result in await asyncio.gather(*appends, return_exceptions=True):
                    assert isinstance(result, LogError)
                    refused += result.code == "overloaded"
                assert log.waiting_bytes <= 1_000_000
                held = [*log._writer._queue, *log._writer._taken]
                assert sum(request.size for request in held) == log.waiting_bytes
            assert refused >= 2_000
        await log.append(numbered(1))
        assert log.waiting_bytes == 0
        assert len(log._writer._queue) == len(log._writer._taken) == 0


async def test_a_read_that_fails_is_an_error_and_passes(sqlite: SqliteBackend) -> None:
    async with sqlite.opened() as log:
        await log.append(numbered(1))
        assert log._reader

        def fail(_: sqlite3.Connection) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with pytest.raises(LogError, match=r"log\.db: disk I/O error"):
            await log._reader.ask(fail)
        assert len(await scanned(log)) == 1


async def test_opening_may_be_cancelled(sqlite: SqliteBackend) -> None:
    opening = asyncio.create_task(sqlite.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with sqlite.opened() as log:
        await log.append(numbered(1))
