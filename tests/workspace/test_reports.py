"""What is reported of messages, and what happens to objects: activities of people."""

import pytest

from gateway.workspace.happen import BY_EMAIL, METRICS
from gateway.workspace.people import new_cio_id
from tests.workspace.contents import rows
from tests.workspace.test_rules import Workplace, event, identify, track

ANN = new_cio_id("web", "m1", None)


@pytest.fixture
async def place(store):
    here = Workplace(store)
    await here.apply(identify("m1", "u1", {"email": "Ann@x.y"}))
    return here


def reported(message_id, metric, recipient="ann@X.y"):
    told = {"metric": metric, "deliveryId": "d1", "recipient": recipient}
    given = {k: v for k, v in told.items() if v is not None}
    return track(message_id, "Report Delivery Event", None, given, origin="track")


async def told(place):
    found = await rows(place.store, "activities")
    return {(row["message_id"], row["type"], row["cio_id"]) for row in found}


async def test_every_report_of_an_email_is_an_activity_of_who_got_it(place):
    for metric in METRICS:
        await place.apply(reported(f"r-{metric}", metric))
    expected = {(f"r-{each}", f"{each}_email", ANN) for each in METRICS}
    assert expected <= await told(place)


async def test_a_report_of_an_email_to_nobody_here_is_ignored(place):
    before = await told(place)
    await place.apply(
        reported("r1", "spammed", "no@x.y"), reported("r2", "spammed", None)
    )
    assert await told(place) == before
    decisions = {row["message_id"]: row for row in await rows(place.store, "decisions")}
    assert {decisions[each]["reason"] for each in ("r1", "r2")} == {"unknown_person"}


async def test_of_a_named_person_the_word_says_whether_it_was_an_email(place):
    for metric in ("spammed", "opened"):
        body = {"metric": metric, "deliveryId": "d1"}
        await place.apply(track(metric, "Report Delivery Event", "u1", body))
    assert {("spammed", "spammed_email", ANN), ("opened", "opened_in_app", ANN)} <= (
        await told(place)
    )
    assert "spammed" in BY_EMAIL


async def test_what_happens_to_an_object_is_told_of_the_person_it_names(place):
    happened = {"groupId": "acme", "action": "event", "event": "Renewed"}
    named = {"origin": "track", "userId": "u1", "identifiers": {"id": "u1"}}
    seats = {"properties": {"seats": 7}}
    await place.apply(event("m2", type="group", **happened, **named, **seats))
    (row,) = [
        row
        for row in await rows(place.store, "activities")
        if row["message_id"] == "m2"
    ]
    assert (row["type"], row["name"], row["cio_id"]) == ("object_event", "Renewed", ANN)
    assert '"seats":7' in row["data"]
