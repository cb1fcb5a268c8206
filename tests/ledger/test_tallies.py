"""Counts: from minutes and from rows the same, and what is open is found."""

import random

import pytest

from gateway.ledger import tallies
from tests.ledger.records import AT_MS

MINUTE = 60_000


def fill(desk, made, count=300):
    chance, records = random.Random(3), []
    for number in range(count):
        at, message_id = AT_MS + chance.randrange(10 * MINUTE), f"m{number}"
        source = chance.choice(["web", "app"])
        if chance.random() < 0.1:
            records.append(made.refused(message_id, at=at, source=source))
            continue
        no = {"off": "disabled"} if chance.random() < 0.5 else {}
        records.append(made.event(message_id, at=at, source=source, no=no))
        kind = chance.choice(["delivered", "dead", "duplicate", None])
        if kind:
            records.append(made.end(message_id, at=at, source=source, kind=kind))
        if kind == "dead":
            again = made.end(message_id, at=at, source=source, replay="r1")
            records.append(again)
    desk.take(*records)


@pytest.mark.parametrize("seed", range(20))
def test_a_span_of_any_ends_counts_what_its_rows_are(desk, made, seed):
    fill(desk, made)
    chance = random.Random(seed)
    start, stop = sorted(AT_MS + chance.randrange(-MINUTE, 11 * MINUTE) for _ in "ab")
    counted = desk.ask.counted(start, stop)
    assert counted == tallies._from_rows(desk.connection, start, stop)


def test_all_of_it_is_counted(desk, made):
    fill(desk, made)
    every = tallies._from_rows(desk.connection, 0, 2**60)
    assert desk.ask.counted() == every
    assert sum(n for (_, name, kind, _), n in every.items() if not name) == 300


def test_the_open_ones_are_those_without_an_end(desk, made):
    desk.take(
        made.event("ended"),
        made.event("open", at=AT_MS + 1),
        made.event("late", at=AT_MS + 5 * MINUTE),
        made.event("elsewhere", at=AT_MS + 2, to=("inbox",)),
        made.event("left-out", at=AT_MS + 3, to=(), no={"crm": "type"}),
        made.event("sent-again", at=AT_MS + 4),
        made.end("ended"),
        made.end("sent-again", at=AT_MS + 4, replay="r1"),
    )
    found = desk.ask.open("web", "crm", 0, 2**53)
    told = [(each.row.message_id, each.replayed) for each in found]
    assert told == [("open", None), ("sent-again", "delivered"), ("late", None)]
    found = desk.ask.open("web", "crm", AT_MS + 2, AT_MS + MINUTE)
    assert [each.row.message_id for each in found] == ["sent-again"]
    assert desk.ask.open("web", "inbox", 0, AT_MS) == []


def test_minutes_for_plots(desk, made):
    desk.take(
        made.event("m1"),
        made.event("m2", at=AT_MS + MINUTE),
        made.end("m1"),
        made.end("m1", kind="dead", replay="r1"),
        made.refused("m3"),
    )
    told = desk.ask.per_minute(AT_MS - MINUTE, AT_MS + 2 * MINUTE)
    assert [
        (e["at"][11:16], e["destination"], e["kind"], e["events"]) for e in told
    ] == [
        ("10:13", None, "admitted", 1),
        ("10:13", None, "refused", 1),
        ("10:13", "crm", "admitted", 1),
        ("10:13", "crm", "delivered", 1),
        ("10:14", None, "admitted", 1),
        ("10:14", "crm", "admitted", 1),
    ]


def test_trouble_is_grouped_by_its_reason_the_largest_first(desk, made):
    one = {"at": "2026-01-15T10:13:20Z", "ms": 1, "status": 422, "error": "422"}
    for number in range(3):
        desk.take(
            made.event(f"d{number}"),
            made.end(
                f"d{number}", kind="dead", reason="rejected", status=422, tries=[one]
            ),
            made.refused(f"r{number}"),
        )
    desk.take(
        made.end("d9", kind="dead", reason="max_age", status=503),
        made.refused("r9", code="required"),
    )
    first, second = desk.ask.dead(0, 2**53)
    assert (first["destination"], first["reason"], first["error"]) == (
        "crm",
        "rejected",
        "422",
    )
    assert (first["events"], second["reason"], second["events"]) == (3, "max_age", 1)
    first, second = desk.ask.refused(0, 2**53)
    assert (first["code"], first["pointer"], first["events"]) == (
        "type",
        "/traits/email",
        3,
    )
    assert second["code"] == "required"
