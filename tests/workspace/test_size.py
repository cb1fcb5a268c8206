"""A person has a size (D31), and applying a batch gives way by time."""

import asyncio
from typing import Any

import orjson
import pytest

from gateway.workspace import blend, turns
from gateway.workspace.people import Failed, Person
from gateway.workspace.settings import Workspace
from tests.workspace.contents import rows
from tests.workspace.test_rules import TOKEN, Workplace, identify, person, track

MANY = {f"a{number}": number for number in range(300)}
LARGE = {f"b{number}": "x" * 9_990 for number in range(10)}


def names(blended: blend.Blend) -> list[tuple[str, str]]:
    return [(each.identifier, each.reason) for each in blended.failed]


def test_a_person_has_300_attributes_at_the_most():
    assert blend.updated({}, MANY) == blend.Blend(MANY)
    blended = blend.updated(MANY, {"one": 1, "a7": "changed"})
    assert blended.attributes == {**MANY, "a7": "changed"}
    assert blended.failed == (Failed("one", 1, "too_many_attributes"),)


def test_a_person_has_100_000_bytes_at_the_most():
    blended = blend.updated({}, {**LARGE, "last": "y" * 1_000})
    assert blended.attributes == LARGE
    assert names(blended) == [("last", "attributes_too_large")]
    assert len(orjson.dumps(dict(blended.attributes))) <= 100_000
    larger = blend.updated(LARGE, {"b0": "x" * 20_000, "small": True})
    assert larger.attributes == {**LARGE, "small": True}
    assert names(larger) == [("b0", "attributes_too_large")]


def test_what_is_unset_or_shrinks_makes_room_whatever_stands_first():
    assert blend.updated(MANY, {"one": 1, "a7": None}).failed == ()
    shrunk = blend.updated(LARGE, {"b0": "x", "last": "y" * 1_000})
    assert shrunk == blend.Blend({**LARGE, "b0": "x", "last": "y" * 1_000})


def test_who_was_too_large_before_may_shrink_and_change_but_not_grow():
    before = {f"a{number}": "x" * 500 for number in range(1_000)}
    changed = blend.updated(before, {"a0": "y" * 500, "a1": "", "new": 1, "a2": None})
    kept = {**before, "a0": "y" * 500, "a1": ""}
    del kept["a2"]
    assert changed.attributes == kept
    assert names(changed) == [("new", "too_many_attributes")]
    grown = blend.updated(before, {"a0": "y" * 501})
    assert names(grown) == [("a0", "attributes_too_large")]


def test_of_many_that_find_no_room_ten_are_named_and_the_others_counted():
    more = {f"m{number}": number for number in range(1_700)}
    blended = blend.updated(MANY, more)
    assert [each.identifier for each in blended.failed] == [
        *(f"m{number}" for number in range(10)),
        "(others)",
    ]
    assert blended.failed[-1] == Failed("(others)", 1_690, "too_many_attributes")


class Compared:
    """A value that counts how often it is compared."""

    def __init__(self) -> None:
        self.times = 0

    def __eq__(self, other: object) -> bool:
        self.times += 1
        return self is other

    __hash__ = None  # type: ignore[assignment]  # nobody needs it


def test_a_change_looks_at_what_was_named_and_at_nothing_else():
    """What an update costs is what it says, not who it is about."""
    others: dict[str, Any] = {f"a{number}": Compared() for number in range(300)}
    old = Person(cio_id="c", attributes={**others, "plan": "free"})
    new = Person(cio_id="c", attributes={**others, "plan": "pro"})
    changed = blend.change(old, new, {"plan": "pro"})
    assert changed is not None
    assert changed.data == {"plan": {"from": "free", "to": "pro"}}
    assert sum(each.times for each in others.values()) == 0


@pytest.fixture
def place(store):
    return Workplace(store)


async def attributes(place):
    (row,) = await rows(place.store, "people")
    return orjson.loads(row["attributes"])


async def test_one_key_makes_no_person_of_200_000_attributes(place):
    """120 identifies of 1,700 fresh traits: the person stays as it is, and says so."""
    for number in range(120):
        traits = {f"t{number}_{each}": each for each in range(1_700)}
        await place.apply(identify(f"m{number}", "u", traits))
    assert len(await attributes(place)) == 300
    decisions = await rows(place.store, "decisions")
    failed = [orjson.loads(row["failed"]) for row in decisions]
    assert [len(each) for each in failed] == [11] * 120
    told = await rows(place.store, "activities")
    assert len(told) == 2 + 120 * 11  # the person, its first attributes; failures
    assert {each["type"] for each in told} == {
        "profile_create",
        "attribute_change",
        "failed_attribute_change",
    }


async def test_a_merge_keeps_what_there_is_room_for(place):
    await place.apply(identify("m1", "u1", MANY), identify("m2", "u2", {"plan": "p"}))
    joined = person("m3", "merge", {"id": "u1"}, secondary={"id": "u2"})
    await place.apply(joined)
    assert "plan" not in await attributes(place)
    failed = {
        row["message_id"]: row["failed"] for row in await rows(place.store, "decisions")
    }
    assert orjson.loads(failed["m3"]) == [
        {"identifier": "plan", "value": "p", "reason": "too_many_attributes"}
    ]


async def test_traits_of_nobody_yet_have_a_size_too(place):
    place.settings = Workspace(anonymous_traits="keep")
    for number in range(2):
        traits = {f"t{number}_{each}": each for each in range(300)}
        await place.apply(identify(f"m{number}", traits=traits, anonymousId="a"))
    (row,) = await rows(place.store, "anonymous")
    assert len(orjson.loads(row["traits"])) == 300
    await place.apply(identify("m3", "u", {"plan": "p"}, anonymousId="a"))
    assert len(await attributes(place)) == 300
    failed = {
        each["message_id"]: each["failed"]
        for each in await rows(place.store, "decisions")
    }
    assert len(orjson.loads(failed["m1"])) == 11
    assert len(orjson.loads(failed["m3"])) == 1


async def test_a_phone_has_a_size_too(place):
    put = "Device Created or Updated"
    await place.apply(identify("m0", "u"))
    for number in range(2):
        given = {f"t{number}_{each}": each for each in range(300)}
        await place.apply(
            track(f"m{number + 1}", put, "u", given, context={"device": TOKEN})
        )
    (row,) = await rows(place.store, "devices")
    assert len(orjson.loads(row["attributes"])) == 300
    failed = {
        each["message_id"]: each["failed"]
        for each in await rows(place.store, "decisions")
    }
    assert len(orjson.loads(failed["m2"])) == 11


class Slow:
    """A clock on which every look takes 3 ms."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def perf_counter(self) -> float:
        self.now_s += 0.003
        return self.now_s


async def test_others_have_their_turn_after_some_milliseconds(monkeypatch):
    """However many events that were: here two of 3 ms each."""
    monkeypatch.setattr(turns, "time", Slow())
    ran = 0

    async def other() -> None:
        nonlocal ran
        while True:
            ran += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    await asyncio.sleep(0)
    before, given = ran, turns.Turns()
    for _ in range(100):
        await given.give()
    running.cancel()
    assert ran - before == 100 // 2


async def test_a_batch_gives_way_between_all_that_it_makes(place, monkeypatch):
    given = 0
    give = turns.Turns.give

    async def counted(self: turns.Turns) -> None:
        nonlocal given
        given += 1
        await give(self)

    monkeypatch.setattr(turns.Turns, "give", counted)
    await place.apply(*(identify(f"m{n}", f"u{n}", {"plan": n}) for n in range(100)))
    assert given == 100 + 100 + 200  # events decided, people and activities written
    await place.apply(*(identify(f"n{n}", f"u{n}") for n in range(100)))
    assert given == 400 + 100 + 100 + 100  # and people read


async def test_a_quick_batch_gives_no_turn_away(monkeypatch):
    monkeypatch.setattr(turns, "STALL_S", 60)
    slept: list[float] = []
    monkeypatch.setattr(asyncio, "sleep", slept.append)
    given = turns.Turns()
    for _ in range(1_000):
        await given.give()
    assert slept == []
