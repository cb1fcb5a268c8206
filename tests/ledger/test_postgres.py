"""What PostgreSQL has of its own: a lock, a session that is lost, room, texts."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.ledger import follow, search, wing
from gateway.ledger.contract import ElsewhereError, LedgerError
from gateway.ledger.keep import tidy
from gateway.ledger.postgres import Database
from gateway.ledger.queries import Queries
from gateway.ledger.search import Search
from gateway.ledger.settings import shown
from gateway.ledger.store import Store, life_of
from gateway.parts import check
from tests.ledger.conftest import Desk
from tests.ledger.kit import gateway_in, read, told
from tests.ledger.records import AT_MS, Made
from tests.ledger.test_wing import balanced, person
from tests.path.running import Gateway, Webhook, config
from tests.workspace.postgres.server import Server

MINUTE = 60_000
numbers = itertools.count(1)
ours = pytest.mark.parametrize("new", [pytest.param("postgres")], indirect=True)
LOST = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND application_name = 'gateway ledger'"
)
SECRET = "p4ssw0rd"


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.make_database(f"alone{next(numbers)}")


@pytest.fixture
def other(url: str) -> Iterator[Store]:
    """Somebody else at the same database."""
    store = Store(Database(url), writes=False)
    yield store
    store.end()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (f"postgresql://gate:{SECRET}@db/ledger", "postgresql://db/ledger"),
        (f"postgres://g:{SECRET}@[::1]:5/l?sslmode=require", "postgresql://[::1]:5/l"),
        ("postgresql://a:1,b:2/ledger", "postgresql://a:1,b:2/ledger"),
        ("postgresql:///ledger?host=/run", "postgresql:///ledger"),
    ],
)
def test_no_error_shows_who_comes_there_and_how(given: str, said: str):
    assert shown(given) == Database(given).where == said


@pytest.mark.parametrize(
    "given",
    [
        "",
        "sqlite:///ledger.db",
        "postgresql://host",
        "postgresql://host:many/ledger",
        f"postgresql://gate:12#{SECRET}@host/ledger",
        f"postgresql://gate:12/{SECRET}@host/ledger",
        f"postgresql://gate:12?{SECRET}@host/ledger",
        f"postgresql://gate:12@{SECRET}@host/ledger",
    ],
)
def test_a_url_that_is_none_is_told_and_not_shown(tmp_path: Path, given: str):
    with pytest.raises(ConfigError, match=r"ledger\.url: not postgresql://") as told:
        check(read(tmp_path, f'[ledger]\nurl = "{given}"\n'))
    assert SECRET not in str(told.value)
    assert shown(given) == "ledger.url"


def test_a_file_and_a_database_are_one_too_many(tmp_path: Path):
    both = '[ledger]\npath = "l.db"\nurl = "postgresql://host/ledger"\n'
    with pytest.raises(ConfigError, match=r"ledger\.path: ledger\.url is given, too"):
        check(read(tmp_path, both))
    check(read(tmp_path, '[ledger]\nurl = "postgresql://host/ledger"\n'))


def test_who_is_away_is_told_without_the_password():
    store = Store(Database(f"postgresql://gate:{SECRET}@127.0.0.1:1/l"), writes=True)
    with pytest.raises(LedgerError, match=r"postgresql://127\.0\.0\.1:1/l: ") as told:
        store.answer(life_of)
    store.end()
    assert SECRET not in str(told.value)


@pytest.mark.service
def test_a_reader_says_that_there_is_no_ledger_yet(url: str):
    reader, writer = (Store(Database(url), writes=each) for each in (False, True))
    with pytest.raises(LedgerError, match="no ledger here yet"):
        reader.answer(life_of)
    assert writer.answer(life_of) == reader.answer(life_of)
    writer.end()
    reader.end()


@pytest.mark.service
def test_tables_of_another_version_are_made_anew_or_left_alone(url: str):
    def become(version: int) -> str:
        writer = Store(Database(url), writes=True)
        life = writer.answer(life_of)
        put = "UPDATE facts SET value = ? WHERE name = 'version'"
        writer.answer(lambda c: c.execute(put, (str(version),)))
        writer.answer(lambda c: c.execute("CREATE TABLE old (n int)"))
        writer.end()
        return life

    life = become(1)
    writer = Store(Database(url), writes=True)
    assert writer.answer(life_of) != life
    with pytest.raises(LedgerError, match="old"):
        writer.answer(lambda c: c.execute("SELECT * FROM old"))
    writer.end()
    become(99)
    writer = Store(Database(url), writes=True)
    with pytest.raises(LedgerError, match="of a newer gateway"):
        writer.answer(life_of)
    writer.end()


@pytest.mark.service
def test_tables_of_others_in_the_database_stay(url: str):
    writer = Store(Database(url), writes=True)
    writer.answer(lambda c: c.execute("CREATE TABLE public.people AS SELECT 1 AS n"))
    writer.answer(lambda c: c.remake())
    found = writer.answer(lambda c: c.execute("SELECT n FROM public.people").fetchall())
    writer.end()
    assert [row[0] for row in found] == [1]


@pytest.mark.service
@ours
def test_hostile_texts_are_kept_or_replaced(desk: Desk, made: Made):
    name, key = "a\0b\ud800", "x" * 5_000
    event = made.event("m\0id", kind="track", person="p\0\xff", to=(key,))
    value = json.dumps({"event": "a\0b"}).encode()
    tries = [
        {"at": "2026-01-15T10:13:20Z", "ms": 1, "status": 5, "error": "e\0\\u0000"}
    ]
    desk.take(
        event._replace(value=value),
        made.end("m\0id", kind="dead", reason="r\0", destination=key, tries=tries),
        made.refused("m2", code="c\0"),
    )
    (story,) = desk.ask.story("m\0id")
    assert (story.row.name, story.row.person) == ("a\ufffdb", "p\0\xff")
    (end,) = story.ends
    assert (end.destination, end.reason) == (key, "r\ufffd")
    assert end.more["tries"] == tries
    (group,) = desk.ask.dead(0, 2**53)
    assert group["error"].startswith("e\ufffd")
    (group,) = desk.ask.refused(0, 2**53)
    assert group["code"] == "c\ufffd"
    for text in (name, "\0", "\ud800"):
        assert desk.ask.search(Search(source=text)).found == []
        assert desk.ask.story(text) == []
    assert desk.ask.search(Search(text="\ud800")).found == []
    assert len(desk.ask.search(Search(text="A\0B")).found) == 1
    assert desk.ask.search(Search(before=".".join(["9" * 18] * 4))).found


@pytest.mark.service
@ours
def test_room_is_used_again_within_the_size(desk: Desk, made: Made):
    """The tables' files stop growing; VACUUM here is the server's autovacuum."""
    size, minute = 3_000_000, 0
    on_disk = []
    for _ in range(8):
        for _ in range(10):
            at = AT_MS + minute * MINUTE
            ids = [f"m{minute}-{number}" for number in range(100)]
            desk.take(*[made.event(each, at=at) for each in ids])
            desk.take(*[made.end(each, at=at, detail="d" * 500) for each in ids])
            minute += 1
            while tidy(desk.connection, at, 2**40, size).more:
                pass
        used = desk.connection.used_bytes()
        assert used <= size
        desk.connection.execute("VACUUM")
        on_disk.append(_on_disk(desk))
    assert used > size / 2
    assert on_disk[-1] <= max(on_disk[:6]) * 1.1 < size * 2
    assert desk.ask.story(f"m{minute - 1}-0")
    assert not desk.ask.story("m0-0")
    weighed = "SELECT bytes FROM sizes WHERE relation = 'ends'"
    there = "SELECT sum(pg_column_size(e)) FROM ends e"
    asked = [desk.connection.execute(each).fetchone()[0] for each in (weighed, there)]
    assert asked[0] == asked[1]


def _on_disk(desk: Desk) -> int:
    asked = (
        "SELECT sum(pg_total_relation_size(tablename::regclass)) FROM pg_tables"
        " WHERE schemaname = 'gateway_ledger'"
    )
    return int(desk.connection.execute(asked).fetchone()[0])


@pytest.mark.service
@ours
def test_indexes_lead_to_a_message_and_to_what_was_not_delivered(
    desk: Desk, made: Made
):
    desk.take(made.event("m1"), made.end("m1", kind="dead"))
    part = search._Events(desk.connection, Search(destination="crm", kind="dead"))
    asked = {
        "ends_undelivered": (search.AMONG_ENDS, (*part._ended(), 2**60, 0, 0, 0)),
        "events_by_message": ("e.digest = ? AND e.message = ?", (1, b"x")),
        "events_by_person": ("e.who = ? AND e.at <= ?", (1, 2)),
    }
    desk.connection.execute("SET enable_seqscan = off")
    for index, (where, values) in asked.items():
        explained = f"EXPLAIN SELECT 1 FROM events e WHERE {where}"
        plan = " ".join(row[0] for row in desk.connection.execute(explained, values))
        assert index in plan


@pytest.mark.service
@ours
def test_a_lost_session_is_told_and_the_next_question_opens_another(
    desk: Desk, made: Made
):
    desk.take(made.event("m1"))
    killer = Store(desk.store.backend, writes=False)
    killer.answer(lambda c: c.execute(LOST))
    with pytest.raises(LedgerError, match=r"postgresql://127\.0\.0\.1"):
        desk.take(made.event("m2"))
    assert desk.ask.story("m1")
    killer.end()


@pytest.mark.service
@ours
def test_what_was_not_committed_dies_with_its_session(desk: Desk, made: Made):
    """And the same group again is all there, once."""
    records = [made.event("m1"), made.event("m2")]
    killer = Store(desk.store.backend, writes=False)

    def cut(connection: Any) -> None:
        with connection.transaction():
            desk.writer._take(connection, "events", records)
            killer.answer(lambda c: c.execute(LOST))

    with pytest.raises(LedgerError):
        desk.store.answer(cut)
    assert desk.dump()["events"] == []
    desk.take(*records)
    desk.take(*records)
    assert len(desk.dump()["events"]) == 2
    assert desk.ask.counted()["web", "", 0, 0] == 2
    killer.end()


@pytest.mark.service
async def test_a_session_that_is_lost_again_and_again_loses_and_doubles_nothing(
    tmp_path: Path, url: str, other: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(follow, "pause_s", lambda *_, **__: 0.02)
    monkeypatch.setattr(follow, "PACE_S", 0.01)
    monkeypatch.setattr(wing, "TIDY_S", 0.05)
    async with gateway_in(tmp_path, f'[ledger]\nurl = "{url}"\n') as gateway:
        assert await gateway.post(person("m0")) == 200
        await told(gateway, "m0")
        for number in range(1, 31):
            assert await gateway.post(person(f"m{number}")) == 200
            if number % 3 == 0:
                await other.ask(lambda c: c.execute(LOST))
        account = await balanced(gateway, 31)
        (line,) = account["account"]
        assert (line["admitted"], line["difference"]) == (31, 0)
        rows = await other.ask(lambda c: c.execute("SELECT count(*) FROM ends"))
        assert rows.fetchone()[0] == 31
    assert gateway.notices("ledger_failed")
    assert not gateway.notices("wing_failed")


@pytest.mark.service
async def test_of_two_processes_one_keeps_it_and_the_other_takes_over(
    tmp_path: Path, url: str
):
    text = f'[ledger]\nurl = "{url}"\n'
    async with Webhook() as hook:
        first = Gateway(tmp_path, config(hook, text))
        await first.start()
        assert (await first.post("/v1/identify", person("m1")))[0] == 200
        second = Store(Database(url), writes=True)
        async with asyncio.timeout(60):
            while True:
                try:
                    reader = Store(Database(url), writes=False)
                    if await reader.ask(lambda c: Queries(c).story("m1")):
                        break
                except LedgerError:
                    await asyncio.sleep(0.1)
                finally:
                    await reader.close()
        with pytest.raises(ElsewhereError):
            await second.ask(life_of)
        await first.kill()
        async with asyncio.timeout(60):
            while True:
                try:
                    await second.ask(life_of)
                    break
                except ElsewhereError:
                    await asyncio.sleep(0.05)
        await second.close()
        await first.__aexit__()


@pytest.mark.service
async def test_who_lost_it_to_another_stands_by_and_goes_on_under_its_new_life(
    tmp_path: Path, url: str, other: Store, monkeypatch: pytest.MonkeyPatch
):
    """The other one made it anew: all of the log is read again."""
    monkeypatch.setattr(follow, "pause_s", lambda *_, **__: 0.02)
    monkeypatch.setattr(wing, "TIDY_S", 0.05)
    async with gateway_in(tmp_path, f'[ledger]\nurl = "{url}"\n') as gateway:
        assert await gateway.post(person("m1")) == 200
        await told(gateway, "m1")
        thief = Store(Database(url), writes=True)
        async with asyncio.timeout(60):
            while True:
                await other.ask(lambda c: c.execute(LOST))
                try:
                    await thief.ask(lambda c: c.remake())
                    break
                except ElsewhereError:
                    await asyncio.sleep(0)
        assert await gateway.post(person("m2")) == 200
        await asyncio.sleep(0.3)  # long enough for it to try
        assert not await other.ask(lambda c: Queries(c).story("m2"))
        await thief.close()
        account = await balanced(gateway, 2)
        assert account["account"][0]["difference"] == 0
        assert await told(gateway, "m1")
    assert not gateway.notices("wing_failed")


@pytest.mark.service
async def test_a_ledger_that_was_made_anew_meanwhile_is_followed_from_the_start(
    tmp_path: Path, url: str, other: Store
):
    """Its session was lost, another process came and went before it asked again."""
    async with gateway_in(tmp_path, f'[ledger]\nurl = "{url}"\n') as gateway:
        assert await gateway.post(person("m1")) == 200
        await told(gateway, "m1")
        thief = Store(Database(url), writes=True)
        async with asyncio.timeout(60):
            while True:
                await other.ask(lambda c: c.execute(LOST))
                try:
                    await thief.ask(lambda c: c.remake())
                    break
                except ElsewhereError:
                    await asyncio.sleep(0)
        await thief.close()
        assert await gateway.post(person("m2")) == 200
        account = await balanced(gateway, 2)
        assert account["account"][0]["difference"] == 0
    assert not gateway.notices("wing_failed")
