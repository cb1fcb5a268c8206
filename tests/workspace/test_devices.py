"""Devices, as the mobile SDKs report them (F001-F024, E001-E016)."""

import json
from pathlib import Path

import pytest

from gateway.workspace.people import new_cio_id
from tests.workspace.contents import rows
from tests.workspace.test_rules import (
    SECONDS,
    TOKEN,
    Workplace,
    event,
    identify,
    person,
    track,
)

CLIENTS = Path(__file__).parents[1] / "clients"


@pytest.fixture
def place(store):
    return Workplace(store)


def put(message_id, user, properties=None, device=None, **fields):
    context = {"device": TOKEN if device is None else device}
    name = "Device Created or Updated"
    return track(message_id, name, user, properties, context=context, **fields)


def removed(message_id, user):
    return track(message_id, "Device Deleted", user, context={"device": TOKEN})


def reported(message_id, metric, **fields):
    properties = {"metric": metric, "deliveryId": "d1", "recipient": "tok"}
    return track(message_id, "Report Delivery Event", None, properties, **fields)


async def test_f014_f015_a_device_with_its_attributes(place):
    given = {"push_enabled": True, "nested": {"a": [1]}, "device": TOKEN}
    await place.apply(identify("m1", "u1"), put("m2", "u1", given))
    assert await place.device() == {
        "token": "tok",
        "cio_id": new_cio_id("web", "m1", None),
        "platform": "ios",
        "last_used": SECONDS,
        "last_status": "",
        "attributes": {"push_enabled": "true", "nested": {"a": [1]}},
    }


async def test_last_used_is_the_sender_s_when_given(place):
    await place.apply(
        identify("m1", "u1"), put("m2", "u1", {"last_used": "1709210096"})
    )
    assert (await place.device())["last_used"] == 1709210096


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ({"type": "ios"}, "device_without_token"),
        ({"token": "tok"}, "device_without_platform"),
        ({"token": "tok", "type": "windows"}, "device_without_platform"),
        ({"token": "t" * 501, "type": "ios"}, "token_too_long"),
    ],
)
async def test_f012_token_and_platform_are_required(place, device, reason):
    await place.apply(identify("m1", "u1"), put("m2", "u1", device=device))
    assert await place.decision("m2") == ("ignored", reason)
    assert await rows(place.store, "devices") == []


async def test_a_token_has_one_owner_and_identify_moves_it(place):
    await place.apply(
        identify("m1", "u1"),
        put("m2", "u1", {"app_version": "1"}),
        identify("m3", "u2", context={"device": TOKEN}),
    )
    device = await place.device()
    assert device["cio_id"] == new_cio_id("web", "m3", None)
    assert device["attributes"] == {"app_version": "1"}  # E013: they are the token's


async def test_a_device_is_deleted_by_its_owner_only(place):
    await place.apply(identify("m1", "u1"), identify("m2", "u2"), put("m3", "u1"))
    await place.apply(removed("m4", "u2"))
    assert await place.decision("m4") == ("ignored", "device_of_other_person")
    await place.apply(removed("m5", "u1"))
    assert await rows(place.store, "devices") == []


async def test_f013_reports_move_the_last_status(place):
    await place.apply(identify("m1", "u1"), put("m2", "u1"))
    statuses = []
    for number, metric in enumerate(["delivered", "bounced", "opened"]):
        await place.apply(reported(f"r{number}", metric, anonymousId="d1"))
        statuses.append((await place.device())["last_status"])
    assert statuses == ["sent", "bounced", "sent"]
    told = await place.activities("bounced_push")
    assert told == [("bounced_push", None, new_cio_id("web", "m1", None), "r1")]


async def test_deleting_a_person_deletes_the_devices(place):
    await place.apply(identify("m1", "u1"), put("m2", "u1"))
    await place.apply(person("m3", "delete", {"id": "u1"}))
    assert await rows(place.store, "devices") == []


async def test_an_anonymous_device_waits_for_its_person(place):
    await place.apply(put("m1", None, {"app_version": "1"}, anonymousId="a1"))
    assert (await place.device())["cio_id"] is None
    later = identify("m2", "u1", anonymousId="a1", context={"device": TOKEN})
    await place.apply(later)
    device = await place.device()
    assert device["cio_id"] == new_cio_id("web", "m2", None)
    assert device["attributes"] == {"app_version": "1"}


@pytest.mark.parametrize(
    "client", ["derived-customerio-ios", "derived-customerio-android"]
)
async def test_a_phone_changes_hands_as_recorded(place, client):
    def recorded(name):
        (file,) = (CLIENTS / client).glob(f"*-{name}.json")
        text = json.loads(file.read_text())["request"]["body_text"]
        return json.loads(text)["batch"]

    for name in ("register-device", "change-user"):
        for number, message in enumerate(recorded(name)):
            given = {k: v for k, v in message.items() if k != "messageId"}
            await place.apply(event(f"{name}{number}", **given))
    device = await place.device()
    (owner,) = [
        row for row in await rows(place.store, "people") if row["id"] == "user-2"
    ]
    assert device["cio_id"] == owner["cio_id"]
    assert device["attributes"]["push_enabled"] == "true"
    assert device["platform"] in client
