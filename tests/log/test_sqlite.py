"""What only the log on SQLite promises: one file, one process, a size."""

import asyncio
import json
import os
import resource
import sqlite3
import stat
from typing import Any

import pytest

from gateway.config import Limits, LogConfig
from gateway.errors import LogError
from gateway.log import announce, open_log, read_owner
from gateway.log.contract import Entry, Record
from gateway.log.sqlite_log import SqliteLog
from gateway.log.sqlite_rows import decode, encode, shared
from gateway.log.sqlite_tables import Tables
from gateway.notices import Notices
from tests.log.conftest import (
    MEGABYTE,
    SqliteBackend,
    entry,
    numbered,
    scanned,
    until,
    values,
)


def count(sqlite: SqliteBackend, table: str) -> int:
    with sqlite3.connect(sqlite.path) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    connection.close()
    assert isinstance(found, int)
    return found


async def state(log: SqliteLog, name: str) -> Any:
    return next(topic for topic in await log.topics() if topic.name == name)


async def settle_all(log: SqliteLog, topic: str, group: str) -> None:
    async with log.subscribe(topic, group=group) as subscription:
        while records := await subscription.poll(limit=500, timeout_s=0):
            await subscription.settle(records)


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
    tables = Tables(sqlite.path, busy_timeout_s=1)
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


async def test_a_body_goes_with_its_last_record(sqlite: SqliteBackend) -> None:
    value = b"x" * 1_000
    clock = Clock()
    async with sqlite.opened(clock=clock, retention_s=10) as log:
        await log.append(
            [Entry(topic, b"k", value) for topic in ("events", "to.a", "to.a", "to.b")]
        )
        await settle_all(log, "to.a", "a")
        clock.now += 60
        await upkeep(log)
        assert (await state(log, "events")).records == 0
        assert (await state(log, "to.a")).records == 0
        assert values(await scanned(log, "to.b")) == [value.decode()]
        assert (count(sqlite, "bodies"), count(sqlite, "records")) == (1, 1)
        await settle_all(log, "to.b", "b")
        clock.now += 60
        await upkeep(log)
        assert (count(sqlite, "bodies"), count(sqlite, "records")) == (0, 0)


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
    headers = (("", b""), ("a\nb", b"\n 1 2\n"), ("å", bytes(range(256))))
    assert decode(encode(headers)) == headers
    assert decode(encode(())) == decode(None) == ()


# Offsets


async def test_offsets_go_on_after_everything_is_deleted(sqlite: SqliteBackend) -> None:
    clock = Clock()
    async with sqlite.opened(clock=clock, retention_s=10) as log:
        await log.append(numbered(5, "events"))
        clock.now += 60
        await upkeep(log)
        assert await scanned(log, "events") == []
    async with sqlite.opened(clock=clock, retention_s=10) as log:
        await log.append(numbered(1, "events"))
        (record,) = await scanned(log, "events")
        assert record.offset == 5
        async with log.subscribe("events", group="new") as subscription:
            assert subscription.lag == 1


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


# Retention


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


async def upkeep(log: SqliteLog) -> None:
    """Let the writer look what may be deleted, and finish with it."""
    log._upkeep.look_now()
    for _ in range(2):  # when the second is durable, the first one's upkeep is done
        await log._submit()
    await until(lambda: not log._upkeep.behind)


async def test_age_deletes_what_nobody_needs(sqlite: SqliteBackend) -> None:
    clock = Clock()
    async with sqlite.opened(clock=clock, retention_s=100) as log:
        for topic in ("events", "to.read", "to.unread", "outcomes", "dead.read"):
            await log.append(numbered(2_500, topic))
        await log.append(numbered(3, "suppressed"))
        await settle_all(log, "to.read", "read")
        async with log.subscribe("to.unread", group="unread") as subscription:
            records = await subscription.poll(limit=10, timeout_s=5)
            await subscription.settle([*records[:4], records[6]])
        clock.now += 60
        await log.append(numbered(1, "events"))
        clock.now += 60
        await upkeep(log)
        left = {topic.name: topic.records for topic in await log.topics()}
        assert left == {
            "events": 1,
            "to.read": 0,
            "to.unread": 2_496,
            "outcomes": 0,
            "dead.read": 0,
            "suppressed": 3,
        }
        assert count(sqlite, "records") == sum(left.values())


async def test_a_subscribed_group_holds_the_archive(sqlite: SqliteBackend) -> None:
    clock = Clock()
    async with sqlite.opened(clock=clock, retention_s=10) as log:
        await log.append(numbered(10, "events"))
        async with log.subscribe("events", group="replay.1") as subscription:
            records = await subscription.poll(limit=10, timeout_s=5)
            await subscription.settle(records[:4])
            clock.now += 60
            await upkeep(log)
            assert len(await scanned(log, "events")) == 6
        clock.now += 60
        await upkeep(log)
        events = await state(log, "events")
        assert (events.records, events.groups) == (0, ())


async def test_budgets_drop_the_oldest_read_or_not(sqlite: SqliteBackend) -> None:
    value = b"x" * 1_000
    budgets = {
        "refused_size": 50_000,
        "outcomes_size": 20_000,
        "dead_size": 100_000,
    }
    async with (
        sqlite.opened(**budgets) as log,
        log.subscribe("outcomes", group="account") as subscription,
    ):
        for topic in ("refused", "outcomes", "dead.a", "dead.b"):
            await log.append([Entry(topic, b"k", value) for _ in range(150)])
        await upkeep(log)
        sizes = {topic.name: topic.bytes for topic in await log.topics()}
        assert 48_000 < sizes["refused"] <= 50_000
        assert 18_000 < sizes["outcomes"] <= 20_000
        assert 98_000 < sizes["dead.a"] + sizes["dead.b"] <= 100_000
        assert sizes["dead.b"] == 100_000 // 1_041 * 1_041  # the older one went
        # What was dropped is no longer waited for.
        records = await subscription.poll(limit=500, timeout_s=5)
        assert subscription.lag == len(records) < 20
        await subscription.settle(records)
        assert (subscription.lag, subscription.runs) == (0, 0)
    gaps = [fields for code, fields in sqlite.told if code == "log_gap"]
    assert sum(gap["records"] for gap in gaps) == 150 - len(records)


# Size


def big(topic: str, number: int = 0) -> Entry:
    return Entry(topic, b"k", b"%d" % number + b"x" * 10_000)


async def fill(log: SqliteLog, *topics: str) -> int:
    """Append until the log is full; how many were taken."""
    for taken in range(2_000):
        event = big(topics[0], taken)
        if log._upkeep.full:
            with pytest.raises(LogError, match="the log is full") as caught:
                await log.append([event._replace(topic=topic) for topic in topics])
            assert caught.value.code == "log_unavailable"
            return taken
        await log.append([event._replace(topic=topic) for topic in topics])
        await until(lambda: not log._upkeep.behind)
    raise AssertionError("never full")


async def test_over_size_the_settled_goes_first(sqlite: SqliteBackend) -> None:
    async with sqlite.opened(size=2 * MEGABYTE) as log:
        for number in range(600):
            await log.append([big(topic, number) for topic in ("events", "to.a")])
            if number % 20 == 0:
                await settle_all(log, "to.a", "a")
        await upkeep(log)
        events = await scanned(log, "events")
        assert 50 < len(events) < 200
        assert values(events)[-1].startswith("599x")
        # What was delivered is kept about as long: it tells duplicates (DESIGN 5.4).
        assert abs(len(await scanned(log, "to.a")) - len(events)) < 30
        await log.ping()
    assert sqlite.path.stat().st_size < 3 * MEGABYTE


async def test_unread_events_fill_the_log(sqlite: SqliteBackend) -> None:
    async with sqlite.opened(size=2 * MEGABYTE) as log:
        taken = await fill(log, "events", "to.crm")
        assert 150 < taken < 250
        with pytest.raises(
            LogError, match=r"unread events in to\.crm; raise log\.size"
        ):
            await log.ping()
        assert len(await scanned(log, "to.crm")) == taken  # none was deleted
        # The archive of what is unread is not deleted in vain.
        assert len(await scanned(log, "events")) == taken
        # What drains the log is taken.
        for topic in ("outcomes", "dead.crm", "refused"):
            await log.append([entry(topic)])
        async with log.subscribe("to.crm", group="crm") as subscription:
            records = await subscription.poll(limit=100, timeout_s=5)
            outcomes = [entry("outcomes") for _ in records]
            await subscription.settle(records, outcomes)
        await upkeep(log)
        await log.ping()
        await log.append([big("events"), big("to.crm")])
    codes = [code for code, _ in sqlite.told]
    assert codes == ["log_full", "log_has_room"]


async def test_a_full_log_is_full_after_a_restart(sqlite: SqliteBackend) -> None:
    async with sqlite.opened(size=MEGABYTE) as log:
        await fill(log, "to.crm")
    async with sqlite.opened(size=MEGABYTE) as log:
        with pytest.raises(LogError, match="full"):
            await log.append([big("to.crm")])
    async with sqlite.opened(size=2 * MEGABYTE) as log:
        await log.append([big("to.crm")])


async def test_one_blocked_event_does_not_fill_the_log(sqlite: SqliteBackend) -> None:
    async with (
        sqlite.opened(size=MEGABYTE) as log,
        log.subscribe("to.crm", group="crm") as subscription,
    ):
        blocked: list[Record] = []
        for number in range(400):
            await log.append([big("to.crm", number)])
            records = await subscription.poll(limit=10, timeout_s=5)
            if number == 0:
                blocked.extend(records)
            else:
                await subscription.settle(records)
        await upkeep(log)
        await log.ping()
        assert subscription.lag == 1
        kept = await scanned(log, "to.crm")
        assert values(kept)[0].startswith("0x")
        assert 20 < len(kept) < 120
        async with log.subscribe("to.crm", group="other") as other:
            records = await other.poll(limit=500, timeout_s=5)
            assert [r.offset for r in records] == [r.offset for r in kept]
            await other.settle(records)
            assert (other.lag, other.runs) == (0, 0)  # the deleted are passed


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
