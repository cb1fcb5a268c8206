"""A look-up over many people has its bounds: of time, of conditions, of a statement."""

from itertools import chain
from typing import Any, cast

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request
from sqlalchemy import text

from gateway.workspace import answers, find, store, turns
from gateway.workspace.filters import CONDITIONS_MAX, FilterError, compiled
from gateway.workspace.lookup import Lookup
from gateway.workspace.settings import Workspace
from gateway.workspace.store import StoreError
from tests.workspace.conftest import apply_all
from tests.workspace.test_vectors import as_request

GIVEN = {"identifiers": ["email", "id"]}
EVEN = {"attribute": {"field": "even", "operator": "eq", "value": True}}
ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    " SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
}


@pytest.fixture
async def people(store: store.Store) -> store.Store:
    """Twenty people, every other one even."""
    requests = [
        as_request(f"u{n:02}", {"even": n % 2 == 0}, GIVEN, f"m{n}") for n in range(20)
    ]
    await apply_all(store, requests, Workspace())
    return store


async def pages(people: store.Store, given: Any, limit: int) -> list[list[str | None]]:
    """The ids of each page."""
    matches, found = compiled(given), []
    after: str | None = ""
    while after is not None:
        async with people.reading() as connection:
            page, after = await find.matching(
                connection,
                lambda person: matches(answers.attributes(person)),
                after=after,
                limit=limit,
            )
        found.append([each.id for each in page])
    return found


async def whole(people: store.Store, given: Any) -> list[str | None]:
    (page,) = await pages(people, given, 1_000)
    return page


async def test_a_page_that_has_taken_too_long_ends_and_the_next_goes_on(
    people, monkeypatch
):
    every = await whole(people, EVEN)
    assert sorted(filter(None, every)) == [f"u{n:02}" for n in range(0, 20, 2)]
    monkeypatch.setattr(find, "MATCHING_S", 0.0)
    found = await pages(people, EVEN, 1_000)
    assert list(chain(*found)) == every
    assert len(found) == 20 + 1  # each looked at somebody, so that it comes to an end


@pytest.mark.parametrize("chunk", [1, 7, 20, 21])
async def test_a_page_looks_at_so_many_people_and_the_next_goes_on(
    people, monkeypatch, chunk
):
    every = await whole(people, EVEN)
    monkeypatch.setattr(find, "CHUNK", chunk)
    monkeypatch.setattr(find, "SCANNED_MAX", 7)
    found = await pages(people, EVEN, 1_000)
    assert list(chain(*found)) == every
    if chunk <= 7:
        assert len(found) == 3
    assert list(chain(*await pages(people, EVEN, 3))) == every


async def test_a_filter_gives_way_between_people(people, monkeypatch):
    given = 0
    give = turns.Turns.give

    async def counted(self: turns.Turns) -> None:
        nonlocal given
        given += 1
        await give(self)

    monkeypatch.setattr(turns.Turns, "give", counted)
    assert await whole(people, {"not": {"or": [EVEN, {"not": EVEN}] * 100}}) == []
    assert given == 20


async def test_what_is_shown_of_a_person_is_made_once_for_all_conditions(
    people, monkeypatch
):
    shown, attributes = 0, answers.attributes

    def seen(person: Any) -> dict[str, str]:
        nonlocal shown
        shown += 1
        return attributes(person)

    monkeypatch.setattr(answers, "attributes", seen)
    matches = {"filter": {"or": [{"not": {"or": [EVEN, {"not": EVEN}]}}] * 100}}
    lookup = Lookup(people, log=cast("Any", None), workspace="people", api_token="t")
    request = make_mocked_request("POST", "/v1/customers")
    request._read_bytes = orjson.dumps(matches)
    response = await lookup._by_filter(request)
    assert orjson.loads(cast("bytes", response.body))["ids"] == []
    assert shown == 20


def test_a_filter_has_a_thousand_conditions_at_most():
    many = [EVEN] * (CONDITIONS_MAX - 1)
    assert not compiled({"or": many})({})
    for more in ({"or": [*many, EVEN]}, {"or": [{"and": [{"not": EVEN}]}] * 500}):
        with pytest.raises(FilterError, match="more than 1000 conditions"):
            compiled(more)


async def test_a_question_that_takes_too_long_is_ended_and_the_store_goes_on(
    people, url, monkeypatch
):
    kind = url.partition(":")[0]
    monkeypatch.setattr(store, "READ_S", 0.2)
    again = store.Store(people._url)
    try:
        for _ in range(store.READERS + 1):  # no reader is lost by it
            with pytest.raises(StoreError) as raised:
                async with again.reading() as connection:
                    await connection.execute(text(ENDLESS[kind]))
            assert "took longer than" in str(raised.value)
        assert len(await whole(again, EVEN)) == 10
        async with again.reading() as connection:  # nor is the one before still counted
            for _ in range(3):
                await connection.execute(text("SELECT 1"))
    finally:
        await again.close()
