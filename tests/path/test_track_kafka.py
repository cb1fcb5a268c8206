"""The Track API with its log on Kafka: durable, in order, the same people."""

import asyncio
from typing import Any

import pytest

from tests.path.running import PATIENCE_S, Gateway
from tests.path.test_track_api import config, send
from tests.workspace.test_road import Desk, everything

pytestmark = pytest.mark.service
STORE, EMPTY = "sqlite:///people.db", "sqlite:///again.db"


def of(person: str, action: str, **more) -> dict:
    return {
        "type": "person",
        "action": action,
        "identifiers": {"id": person},
        **more,
    }


PHONE = {"id": "tok", "platform": "ios"}
REPORT = {"delivery_id": "d1", "event": "bounced", "device_id": "tok"}
U1, U2 = "/api/v1/customers/u1", "/api/v1/customers/u2"
MIXED = [
    of("u2", "identify", attributes={"email": "bob@x.y"}),
    of("u1", "add_device", device={"token": "tok", "platform": "ios"}),
    of("u1", "event", name="seen"),
]
# A lead, who becomes a customer; a phone, that changes hands; somebody who is blocked.
CALLS: list[tuple[str, Any, str]] = [
    ("PUT /api/v1/customers/Ann@x.y", {"plan": "free", "n": 1}, "added"),
    (f"PUT {U1}", {"email": "ann@x.y", "plan": "pro"}, "updated"),
    (f"POST {U1}/events", {"name": "bought", "data": {"price": 5}}, "updated"),
    ("POST /api/v2/entity", of("u2", "identify", attributes={"n": 2}), "added"),
    (f"PUT {U2}/devices", {"device": PHONE}, "updated"),
    ("POST /api/v2/batch", {"batch": MIXED}, "updated"),
    ("POST /api/v1/push/events", REPORT, "updated"),
    (f"POST {U2}/suppress", None, "updated"),
    (f"PUT {U2}", {"n": 3}, "ignored_and_suppressed"),
    (f"POST {U2}/unsuppress", None, "updated"),
    ("POST /api/v2/entity", of("u2", "identify", attributes={"n": 4}), "added"),
]


async def told(url, folder):
    """Everything in a store, once others were told that nobody is blocked."""
    async with asyncio.timeout(PATIENCE_S):
        while (found := await everything(url, folder))["suppressed"]:
            await asyncio.sleep(0.02)
    return found


async def test_calls_one_after_another_give_the_people_of_that_order(tmp_path, log):
    """v1 and v2, each after the previous 200: on Kafka the same people as on SQLite.

    And the same again, when the topic is read into an empty store.
    """
    async with Gateway(tmp_path, config(log, STORE)) as gateway:
        sent = []
        for line, body, _ in CALLS:
            status, said, message_id = await send(gateway, line, body)
            assert (status, said) == (200, {})
            sent.append(message_id)
        desk = Desk(gateway)
        decided = [await desk.decided(message_id) for message_id in sent]
        assert [each["decision"] for each in decided] == [d for _, _, d in CALLS]
        assert all(each["failed_attribute_changes"] == [] for each in decided)
        lead, blocked, again = (decided[place]["cio_id"] for place in (0, 3, 10))

        ann, bob = await desk.attributes("u1"), await desk.attributes("u2")
        assert ann["identifiers"] == {"id": "u1", "email": "Ann@x.y", "cio_id": lead}
        assert (ann["attributes"]["plan"], ann["attributes"]["n"]) == ("pro", "1")
        (device,) = ann["devices"]
        assert (device["id"], device["platform"]) == ("tok", "ios")
        assert device["attributes"] == {"_last_status": "bounced"}
        assert bob["identifiers"] == {"id": "u2", "email": None, "cio_id": again}
        assert (bob["attributes"]["n"], bob["devices"]) == ("4", [])
        assert again != blocked  # who was suppressed is deleted, and somebody new
        _, page = await desk.get("/v1/customers/u1/activities?type=event")
        events = [(each["name"], each["messageId"]) for each in page["activities"]]
        assert events == [("seen", f"{sent[5]}-2"), ("bought", sent[2])]
        assert (await desk.get("/v1/suppressed"))[1] == {"suppressed": []}
        assert await gateway.read("refused") == []
        first = await told(STORE, tmp_path)
        await gateway.stop()
        gateway.file.write_text(gateway.file.read_text().replace(STORE, EMPTY))
        await gateway.start()
        await desk.decided(sent[-1])
        assert await told(EMPTY, tmp_path) == first  # cio_ids included
