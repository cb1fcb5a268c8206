"""Records into rows: once each, in whatever order the topics come."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.ledger.contract import ElsewhereError, LedgerError
from gateway.ledger.file import File
from gateway.ledger.queries import Queries
from gateway.ledger.store import Store, life_of
from gateway.topics import EVENTS, OUTCOMES
from tests.ledger.conftest import Desk
from tests.ledger.records import AT_MS


def mixed(made):
    return [
        made.event("m1", to=("crm", "inbox"), no={"off": "disabled"}),
        made.event("m2", at=AT_MS + 1, kind="track", event="Bought"),
        made.refused("m3"),
        made.end("m1"),
        made.end("m1", destination="inbox", kind="filtered", reason="when"),
        made.end("m2", at=AT_MS + 1, kind="dead", reason="rejected"),
        made.end("m2", at=AT_MS + 1, replay="r1"),
    ]


def test_the_same_records_twice_give_the_same_rows_and_counts(desk, made):
    records = mixed(made)
    desk.take(*records)
    once = desk.dump()
    assert [len(once[each]) for each in ("events", "refused", "ends")] == [2, 1, 4]
    desk.take(*records)
    assert desk.dump() == once


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_any_size_and_topics_in_any_order_give_the_same(
    new, desk, made, seed
):
    """So a ledger that is made anew is the one that was followed."""
    records = mixed(made)
    desk.take(*records)
    other, chance = Desk(new()), random.Random(seed)
    left = {t: [r for r in records if r.topic == t] for t in {r.topic for r in records}}
    while any(left.values()):
        topic = chance.choice([each for each, some in left.items() if some])
        count = chance.randint(1, len(left[topic]))
        other.take_as(topic, left[topic][:count])
        left[topic] = left[topic][count if chance.random() < 0.7 else 0 :]
    assert other.dump() == desk.dump()
    other.store.end()


def test_a_group_that_fails_leaves_nothing_behind(desk, made):
    records = [made.event("m1"), made.event("m2")]

    def fail(connection):
        connection.execute("DROP TABLE counts")
        desk.writer.take(connection, EVENTS, records)

    with pytest.raises(LedgerError, match="counts"):
        desk.store.answer(fail)
    for table in ("events", "words"):
        assert not desk.connection.execute(f"SELECT * FROM {table}").fetchall()


def test_what_is_no_record_of_ours_is_passed_over(desk, made):
    odd = [
        made.event("m1")._replace(headers=()),
        made.event("m2")._replace(headers=(("messageId", b"m2"), ("receivedAt", b"?"))),
        made.event("m3"),
    ]
    desk.take(*odd)
    desk.take_as(
        OUTCOMES, [made.end("m3")._replace(value=b"{"), made.end("m3", kind="x")]
    )
    assert len(desk.dump()["events"]) == 1
    assert desk.dump()["ends"] == []
    assert ("events", 0, 2) in desk.dump()["places"]


def test_an_end_that_a_crash_repeats_is_not_counted_twice(desk, made):
    """On Kafka an outcome may be durable and its mark not."""
    desk.take(made.event("m1"), made.end("m1"), made.end("m1"))
    counted = desk.ask.counted()
    assert counted["web", "crm", 1, 0] == 1
    assert counted["web", "crm", 1, 1] == 1


def test_copies_of_one_request_have_an_end_each(desk, made):
    desk.take(
        made.event("m1"),
        made.event("m1"),
        made.end("m1", kind="duplicate"),
        made.end("m1"),
    )
    first, second = desk.ask.story("m1")
    assert [each.kind for each in first.ends] == ["delivered"]
    assert [each.kind for each in second.ends] == ["duplicate"]
    assert desk.ask.counted()["web", "crm", 0, 0] == 2


def test_what_was_refused_and_then_admitted_is_told_in_this_order(desk, made):
    desk.take(*[made.event(f"m{n}") for n in range(3)], made.refused("m9"))
    desk.take(made.refused("m1"), made.end("m1"))
    refusal, admitted = desk.ask.story("m1")
    assert (refusal.row.kind, admitted.row.kind) == ("refused", "admitted")
    assert refusal.ends == ()
    assert [each.kind for each in admitted.ends] == ["delivered"]


def test_a_second_writer_is_kept_out_and_told_until_the_first_ends(desk, made):
    desk.take(made.event("m1"))
    second = Store(desk.store.backend, writes=True)
    with pytest.raises(ElsewhereError, match="another process keeps this ledger"):
        second.answer(life_of)
    desk.store.answer(lambda _: None)
    desk.store._thread.submit(desk.store._let_go).result()
    assert second.answer(life_of)
    second.end()


def test_who_reads_needs_no_lock_and_changes_nothing(desk, made):
    desk.take(made.event("m1"))
    reader = Store(desk.store.backend, writes=False)
    assert reader.answer(lambda c: Queries(c).story("m1"))
    with pytest.raises(LedgerError, match=r"read.?only"):
        reader.answer(lambda c: c.execute("DELETE FROM events"))
    reader.end()


def test_where_there_is_no_ledger_yet_a_reader_says_so(tmp_path):
    reader = Store(File(tmp_path / "ledger.db"), writes=False)
    with pytest.raises(LedgerError, match="no ledger here yet"):
        reader.answer(life_of)
    reader.end()


def test_before_its_tables_are_made_there_is_no_ledger_either(tmp_path):
    """Who keeps it makes the file first, and somebody may look just then."""
    file = File(tmp_path / "ledger.db")
    file.path.touch()
    reader = Store(file, writes=False)
    with pytest.raises(LedgerError, match="no ledger here yet"):
        reader.answer(life_of)
    writer = Store(file, writes=True)
    assert writer.answer(life_of)
    writer.end()
    assert reader.answer(life_of)
    reader.end()


def test_who_reads_while_it_is_made_anew_finds_the_old_one_or_the_new(tmp_path):
    desk = Desk(File(tmp_path / "ledger.db"))
    lives = {life_of(desk.connection)}
    reader = Store(desk.store.backend, writes=False)
    found: list[str] = []
    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(
            lambda: [found.append(reader.answer(life_of)) for _ in range(2_000)]
        )
        while not looking.done():
            desk.connection.remake()
            lives.add(life_of(desk.connection))
        looking.result()
    assert set(found) <= lives
    reader.end()
    desk.store.end()


def test_who_writes_after_another_has_made_it_anew_knows_its_words(desk, made):
    desk.take(made.event("m1", source="web"))
    desk.store._thread.submit(desk.store._let_go).result()
    second = Desk(desk.store.backend)
    second.connection.remake()
    second.take(made.event("m2", source="app", kind="track"))
    second.store.end()
    desk.take(made.event("m3", source="web"))
    told = [story.row.source for m in ("m2", "m3") for story in desk.ask.story(m)]
    assert told == ["app", "web"]


def test_a_damaged_file_is_told_with_the_remedy(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"no database" * 1_000)
    store = Store(File(tmp_path / "ledger.db"), writes=True)
    with pytest.raises(LedgerError, match="gateway ledger rebuild"):
        store.answer(life_of)
    store.end()
