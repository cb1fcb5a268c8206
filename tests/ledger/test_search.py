"""Searches, compared with a plain filter over everything; page after page."""

import random
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.ledger import search
from gateway.ledger.queries import Queries
from gateway.ledger.search import Search
from tests.ledger.conftest import SQLITE_ONLY, Desk
from tests.ledger.records import AT_MS, Made

NAMES = ("Bought", "Looked", "50% off_er")
ENDS = ("delivered", "filtered", "dead", "suppressed", None)


def fill(desk: Desk, made: Made, count: int) -> list[dict[str, Any]]:
    """Events as their fields, newest first."""
    chance, told, records = random.Random(7), [], []
    for number in range(count):
        at = AT_MS + number // 3 * 40_000  # some share a millisecond
        one: dict[str, Any] = {
            "id": f"m{number}",
            "at": at,
            "source": chance.choice(["web", "app"]),
            "type": chance.choice(["track", "identify"]),
            "person": chance.choice(["u1", "u2", "u3"]),
            "left_out": chance.random() < 0.2,
            "end": chance.choice(ENDS),
        }
        one["name"] = chance.choice(NAMES) if one["type"] == "track" else None
        if number % 10 == 9:
            one |= {"refused": True}
            records.append(made.refused(one["id"], at=at, source=one["source"]))
        else:
            left_out = one["left_out"]
            records.append(
                made.event(
                    one["id"],
                    at=at,
                    source=one["source"],
                    kind=one["type"],
                    person=one["person"],
                    event=one["name"],
                    to=() if left_out else ("crm",),
                    no={"crm": "type"} if left_out else None,
                )
            )
            if one["end"] and not one["left_out"]:
                end = {"at": at, "source": one["source"], "kind": one["end"]}
                records.append(made.end(one["id"], **end))
        told.append(one)
    desk.take(*records)
    return told


def wanted(one: dict[str, Any], asked: Search) -> bool:
    refused = one.get("refused", False)
    if asked.source not in (None, one["source"]):
        return False
    if not (asked.from_ms or 0) <= one["at"] < (asked.until_ms or 2**60):
        return False
    if refused:
        of_events = asked.person, asked.destination, asked.type, asked.text
        return asked.kind in (None, "refused") and not any(of_events)
    kind = "filtered" if one["left_out"] else one["end"] or "pending"
    return (
        asked.kind in (None, "admitted", kind)
        and asked.destination in (None, "crm")
        and asked.person in (None, one["person"])
        and asked.type in (None, one["type"])
        and (asked.text or "").lower() in (one["name"] or "").lower()
    )


ASKED = [
    Search(),
    Search(person="u1"),
    Search(person="nobody"),
    Search(source="app"),
    Search(source="none"),
    Search(type="track"),
    Search(text="off_er"),
    Search(text="50%"),
    Search(text="bought", source="web"),
    Search(kind="refused"),
    Search(kind="refused", source="web"),
    Search(kind="admitted"),
    Search(kind="dead"),
    Search(kind="filtered"),
    Search(destination="crm"),
    Search(destination="other"),
    Search(destination="crm", kind="dead"),
    Search(destination="crm", kind="suppressed", source="web"),
    Search(destination="crm", kind="delivered"),
    Search(destination="crm", kind="filtered"),
    Search(destination="crm", kind="pending"),
    Search(destination="crm", kind="dead", person="u2"),
    Search(from_ms=AT_MS + 400_000, until_ms=AT_MS + 900_000),
    Search(destination="crm", kind="dead", from_ms=AT_MS + 400_000),
]


@pytest.mark.parametrize("asked", ASKED, ids=repr)
@pytest.mark.parametrize("chunk", [4, 5_000])
def test_pages_give_what_a_plain_filter_gives_newest_first(
    desk, made, monkeypatch, asked, chunk
):
    """With chunks of few rows a search stops early, and goes on where it stopped."""
    monkeypatch.setattr(search, "CHUNK", chunk)
    monkeypatch.setattr(search, "LOOKED_AT_MAX", 3 * chunk)
    everything = fill(desk, made, 120)
    expected = {one["id"] for one in everything if wanted(one, asked)}
    found, before = [], None
    for _ in range(1_000):
        page = desk.ask.search(replace(asked, limit=7, before=before))
        assert len(page.found) <= 7
        found += page.found
        before = page.next
        if before is None:
            break
    ids = [story.row.message_id for story in found]
    assert sorted(ids) == sorted(expected)
    times = [story.row.at for story in found]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Search(kind="lost"), "kind: 'lost' is not one of admitted"),
        (Search(kind="pending"), "pending needs a destination"),
        (Search(before="'; DROP TABLE events"), "before: is not"),
        (Search(limit=0), "limit: is not"),
        (Search(limit=501), "limit: is not"),
    ],
)
def test_what_cannot_be_asked_is_named(desk, made, asked, said):
    desk.take(made.event("m1"))
    with pytest.raises(ConfigError, match=said):
        desk.ask.search(asked)


def test_an_email_of_any_case_is_one_person_and_another_text_is_not(desk, made):
    people = {"m1": "ann@x.example", "m2": "Ann@X.example", "m3": "ann", "m4": "Ann"}
    events = [
        made.event(each, at=AT_MS + number, person=person)
        for number, (each, person) in enumerate(people.items())
    ]
    desk.take(*events)

    def found(person: str) -> list[str]:
        page = desk.ask.search(Search(person=person))
        return [story.row.message_id for story in page.found]

    assert found("Ann@X.example") == ["m2", "m1"]
    assert found("ANN@x.example") == found("ann@x.example") == ["m1"]
    assert found("Ann") == ["m4"]


def test_what_cannot_be_asked_costs_no_connection(desk):
    before = desk.store.answer(lambda connection: connection)
    with pytest.raises(ConfigError):
        desk.store.answer(lambda c: Queries(c).search(Search(limit=0)))
    assert desk.store.answer(lambda connection: connection) is before


@SQLITE_ONLY
def test_an_index_leads_to_what_was_not_delivered(desk, made):
    """One dead letter among many events is found without passing over them."""
    fill(desk, made, 60)
    asked = Search(destination="crm", kind="dead")
    part = search._Events(desk.connection, asked)
    where = f"{part._lead} AND {search.AMONG_ENDS}"
    plan = desk.connection.execute(
        f"EXPLAIN QUERY PLAN SELECT 1 FROM events e WHERE {where}",
        (*part._ended(), *search.END[:2], 0, 0),
    ).fetchall()
    told = " ".join(row[-1] for row in plan)
    assert "SCAN e" not in told
    assert "ends_undelivered" in told
