"""Refused requests of the Track API, judged again later."""

import json
from pathlib import Path

from gateway.config import parse
from gateway.inbound.doors.readmit import Readmission
from tests.inbound.house import ask
from tests.inbound.test_accept_track import PERSON, refused


async def test_a_refused_request_is_admitted_again_by_today_s_rules(house):
    """By its method and path, with its time and id; what is still wrong stays out."""
    line = "PUT /api/v1/customers/u%2F1/devices"
    await ask(house, line, {"device": {"id": "tok", "platform": "web"}})
    batch = [{**PERSON, "action": "event"}, PERSON]
    await ask(house, "POST /api/v2/batch", {"batch": batch})
    await ask(house, "POST /api/v2/batch", b'{"batch":')
    await ask(house, "DELETE /api/v1/customers/", b"")
    device, entity, broken, nobody = await refused(house)
    config = parse(
        '[sources.track]\nkind = "track_api"\nsite_id = "s"\napi_keys = ["k"]',
        folder=Path(),
    )
    readmission = Readmission(config.sources, house.acceptor.rules)

    def readmit(value):
        return readmission.judge(readmission.read(value))

    assert readmit(device) == readmit(entity) == readmit(broken) == "refused"
    assert readmit(nobody) == "refused"
    mended = device["bytes"].replace("web", "ios")
    (archive, *_) = readmit({**device, "bytes": mended})
    event = json.loads(archive.value)
    assert event["messageId"] == device["messageId"]
    assert event["receivedAt"] == device["receivedAt"]
    assert event["identifiers"] == {"id": "u/1"}
    assert event["context"]["device"] == {"token": "tok", "type": "ios"}
    mended = entity["bytes"].replace('"action"', '"name":"e","action"')
    (archive, *_) = readmit({**entity, "bytes": mended})
    assert json.loads(archive.value)["event"] == "e"
    whole = json.dumps({"batch": [PERSON, PERSON]})
    made = readmit({**broken, "bytes": whole})
    archived = [json.loads(e.value) for e in made if e.topic == "events"]
    first = broken["messageId"]
    assert [each["messageId"] for each in archived] == [first, f"{first}-1"]
    (archive, *_) = readmit({**nobody, "endpoint": "DELETE /api/v1/customers/u1"})
    assert json.loads(archive.value)["action"] == "delete"
