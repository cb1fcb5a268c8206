"""What the vectors leave out: one event after another, on both stores."""

import json

import orjson
import pytest

from gateway.event import Event, SourceKind
from gateway.workspace.people import new_cio_id
from gateway.workspace.request import read
from gateway.workspace.settings import Workspace
from tests.workspace.conftest import apply_all
from tests.workspace.contents import rows

AT, SECONDS = "2026-01-02T03:04:05.000Z", 1_767_323_045
TOKEN = {"token": "tok", "type": "ios"}


def event(message_id, **fields):
    body = {"messageId": message_id, "source": "web", "receivedAt": AT, "timestamp": AT}
    return Event.from_bytes(orjson.dumps({**body, **fields}))


def identify(message_id, user=None, traits=None, **fields):
    named = {} if user is None else {"userId": user}
    return event(message_id, type="identify", traits=traits or {}, **named, **fields)


def track(message_id, name, user=None, properties=None, **fields):
    named = {} if user is None else {"userId": user}
    given = {"event": name, "properties": properties or {}}
    return event(message_id, type="track", **given, **named, **fields)


def person(message_id, action, identifiers, **fields):
    given = {"action": action, "identifiers": identifiers, "origin": "track"}
    return event(message_id, type="person", **given, **fields)


class Workplace:
    """A store, and events one after another."""

    def __init__(self, store):
        self.store = store
        self.settings = Workspace()
        self.kind: SourceKind = "server"
        self._offset = 0

    async def apply(self, *events, replay=None):
        kinds = frozenset(self.settings.identifiers)
        requests = [
            read(each, kinds=kinds, source_kind=self.kind, replay=replay)
            for each in events
        ]
        await apply_all(self.store, requests, self.settings, first=self._offset)
        self._offset += len(events)

    async def people(self):
        found = await rows(self.store, "people")
        return {
            row["id"] or row["email"]: json.loads(row["attributes"]) for row in found
        }

    async def decision(self, message_id):
        found = await rows(self.store, "decisions")
        (row,) = [each for each in found if each["message_id"] == message_id]
        return row["decision"], row["reason"]

    async def activities(self, kind=None):
        found = await rows(self.store, "activities")
        return [
            (row["type"], row["name"], row["cio_id"], row["message_id"])
            for row in found
            if kind is None or row["type"] == kind
        ]

    async def device(self):
        (row,) = await rows(self.store, "devices")
        return {**row, "attributes": json.loads(row["attributes"])}


@pytest.fixture
def place(store):
    return Workplace(store)


async def test_f010_a_partial_update_replaces_nothing_else(place):
    await place.apply(
        identify("m1", "u1", {"firstName": "Dana", "plan": {"a": 1}, "x": 1}),
        identify("m2", "u1", {"favorite_food": "pizza", "plan": {"b": 2}, "x": None}),
    )
    people = await place.people()
    assert people["u1"] == {
        "first_name": "Dana",
        "favorite_food": "pizza",
        "plan": {"b": 2},
    }


async def test_p065_a_lead_becomes_a_customer(place):
    await place.apply(
        identify("m1", "lead@example.com", {"email": "lead@example.com", "a": 1}),
        identify("m2", "u1", {"email": "LEAD@example.com", "b": 2}),
    )
    (row,) = await rows(place.store, "people")
    assert (row["id"], row["email"]) == ("u1", "lead@example.com")


async def test_d25_a_trait_named_id_is_an_attribute(place):
    await place.apply(identify("m1", "u1", {"id": "other"}))
    assert await place.people() == {"u1": {"id": "other"}}


async def test_r08_a_merge_is_never_by_cio_id(place):
    place.settings = Workspace(multi_identifier_profile_merge=True)
    await place.apply(identify("m1", "u1"), identify("m2", "lead@x"))
    cio_id = new_cio_id("web", "m1", None)
    await place.apply(identify("m3", f"cio_{cio_id}", {"email": "lead@x"}))
    assert len(await rows(place.store, "people")) == 2
    await place.apply(identify("m4", "u1", {"email": "lead@x"}))
    assert await place.decision("m4") == ("merged", None)
    assert len(await rows(place.store, "people")) == 1


async def test_a_merge_moves_devices_and_activities(place):
    await place.apply(
        identify("m1", "u1", {"plan": ""}),
        identify("m2", "lead@x", {"plan": "pro", "age": 3}),
        track("m3", "Bought", "lead@x"),
        track("m4", "Device Created or Updated", "lead@x", context={"device": TOKEN}),
    )
    merge = person("m5", "merge", {"id": "u1"}, secondary={"email": "lead@x"})
    await place.apply(merge, track("m6", "After", "lead@x"))
    assert await place.people() == {"u1": {"plan": "pro", "age": 3}}
    cio_id = new_cio_id("web", "m1", None)
    assert ("event", "Bought", cio_id, "m3") in await place.activities()
    assert ("event", "After", cio_id, "m6") in await place.activities()
    assert (await place.device())["cio_id"] == cio_id


@pytest.mark.parametrize("first", ["anonymous", "identified"])
async def test_anonymous_traits_are_kept_whichever_comes_first(place, first):
    place.settings = Workspace(anonymous_traits="keep")
    calls = [
        identify("m1", None, {"plan": "x", "seen": 1}, anonymousId="a1"),
        identify("m2", "u1", {"plan": "pro", "off": None}, anonymousId="a1"),
    ]
    await place.apply(*(calls if first == "anonymous" else reversed(calls)))
    assert await place.people() == {"u1": {"plan": "pro", "seen": 1}}


async def test_p069_anonymous_traits_are_ignored_by_default(place):
    await place.apply(
        identify("m1", None, {"plan": "x"}, anonymousId="a1"),
        identify("m2", "u1", {}, anonymousId="a1"),
    )
    assert await place.decision("m1") == ("ignored", "anonymous")
    assert await place.people() == {"u1": {}}


@pytest.mark.parametrize("together", [True, False])
async def test_anonymous_events_are_attached_at_the_identify(place, together):
    events = [
        track("m1", "Looked", anonymousId="a1"),
        track("m2", "Other", anonymousId="a2"),
        identify("m3", "u1", {}, anonymousId="a1"),
    ]
    if together:
        await place.apply(*events)
    else:
        for each in events:
            await place.apply(each)
    cio_id = new_cio_id("web", "m3", None)
    assert await place.activities("event") == [
        ("event", "Looked", cio_id, "m1"),
        ("event", "Other", None, "m2"),
    ]


async def test_p030_last_seen_stays_when_nobody_was_there(place):
    later = "2026-01-03T03:04:05.000Z"
    away = identify("m2", "u1", {"a": 1}, context={"active": False}, timestamp=later)
    earlier = identify("m3", "u1", {"b": 1}, timestamp="2025-01-01T00:00:00.000Z")
    await place.apply(identify("m1", "u1"), away, earlier)
    (row,) = await rows(place.store, "people")
    assert row["last_seen"] == SECONDS
    await place.apply(track("m4", "Came", "u1", timestamp=later))
    (row,) = await rows(place.store, "people")
    assert row["last_seen"] == SECONDS + 86_400


@pytest.mark.parametrize("kind", ["browser", "mobile", None])
@pytest.mark.parametrize("allowed", ["server", "track_api"])
async def test_only_servers_may_erase(place, kind, allowed):
    """Nor may a source that nobody knows any more: ``kind`` is None."""
    await place.apply(identify("m1", "u1"), person("s1", "suppress", {"id": "u9"}))
    place.kind = kind
    names = ["User Deleted", "User Suppressed", "User Unsuppressed"]
    users = ["u1", "u1", "u9"]
    for number, (name, user) in enumerate(zip(names, users, strict=True)):
        await place.apply(track(f"t{number}", name, user))
        assert await place.decision(f"t{number}") == ("ignored", "source_may_not")
    for number, action in enumerate(["delete", "suppress", "unsuppress", "merge"]):
        second = {"secondary": {"id": "u1"}}
        await place.apply(person(f"p{number}", action, {"id": "u1"}, **second))
        assert await place.decision(f"p{number}") == ("ignored", "source_may_not")
    assert list(await place.people()) == ["u1"]
    place.kind = allowed
    await place.apply(track("m4", "User Deleted", "u1"))
    assert await place.people() == {}


async def test_d00_suppression_blocks_all_identifiers_until_it_is_lifted(place):
    await place.apply(
        identify("m1", "u1", {"email": "A@x"}),
        person("m2", "suppress", {"id": "u1"}),
        identify("m3", "a@X"),
        track("m4", "Bought", "u1"),
    )
    assert await place.people() == {}
    assert (await place.decision("m3"))[0] == "ignored_and_suppressed"
    assert await place.decision("m4") == ("ignored", "suppressed")
    await place.apply(person("m5", "unsuppress", {"id": "u1"}))
    await place.apply(identify("m6", "a@x"))
    assert list(await place.people()) == ["a@x"]


async def test_an_object_s_activities_say_whether_it_was_left(place):
    given = {"type": "group", "groupId": "acme", "userId": "u1"}
    await place.apply(
        identify("m1", "u1"),
        event("m2", **given),
        event(
            "m3",
            **given,
            origin="track",
            action="add_relationships",
            identifiers={"id": "u1"},
        ),
        event(
            "m4",
            **given,
            origin="track",
            action="delete_relationships",
            identifiers={"id": "u1"},
        ),
    )
    kinds = {m: kind for kind, _, _, m in await place.activities()}
    assert kinds["m2"] == kinds["m3"] == "add_relationship"
    assert kinds["m4"] == "delete_relationship"


async def test_d19_a_deleted_id_is_a_new_person_next_time(place):
    await place.apply(
        identify("m1", "u1", {"a": 1}),
        person("m2", "delete", {"id": "u1"}),
        identify("m3", "u1", {"b": 1}),
    )
    (row,) = await rows(place.store, "people")
    assert row["cio_id"] == new_cio_id("web", "m3", None)
    assert await place.people() == {"u1": {"b": 1}}


async def test_a_replayed_event_adds_somebody_else_than_it_did(place):
    await place.apply(identify("m1", "u1"), person("m2", "delete", {"id": "u1"}))
    await place.apply(identify("m1", "u1"), replay="r1")
    (row,) = await rows(place.store, "people")
    assert row["cio_id"] == new_cio_id("web", "m1", "r1")


async def test_an_identifier_that_no_index_can_hold_is_ignored(place):
    await place.apply(
        identify("m1", "u" * 501), identify("m2", "u1", {"email": "e" * 501})
    )
    assert await place.decision("m1") == ("ignored", "identifier_too_long")
    assert list(await place.people()) == ["u1"]
