"""What a worker makes of a batch that is refused in part: one dead letter, no more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.outbound import destinations
from gateway.outbound.client.origin import Origins
from gateway.outbound.reach import Reach
from gateway.outbound.send import HttpSend, open_pool
from tests.outbound.conftest import Bench, make_entry
from tests.outbound.fake import Answer, Asked, Fake
from tests.outbound.vendors.talks import SETTINGS

COUNT = 20


def amplitude(asked: Asked) -> Answer:
    bad = [
        number
        for number, each in enumerate(asked.json()["events"])
        if each["event_type"] == "bad"
    ]
    said = {"code": 400, "error": "e", "events_with_invalid_fields": {"time": bad}}
    return Answer(400, orjson.dumps(said)) if bad else Answer(200)


def customerio(asked: Asked) -> Answer:
    found = asked.json()
    if "batch" not in found:
        return Answer(400 if found["name"] == "bad" else 200)
    names = [each["name"] for each in found["batch"]]
    if "bad" not in names:
        return Answer(200)
    error = {"batch_index": names.index("bad"), "reason": "invalid", "field": "name"}
    return Answer(207, orjson.dumps({"errors": [error]}))


def mixpanel(asked: Asked) -> Answer:
    names = [each["event"] for each in asked.json()]
    if "bad" not in names:
        return Answer(200)
    failed = [{"index": names.index("bad"), "field": "event", "message": "m"}]
    return Answer(400, orjson.dumps({"code": 400, "failed_records": failed}))


@pytest.mark.parametrize(
    ("type_", "host", "vendor"),
    [
        ("amplitude", "api2.amplitude.com", amplitude),
        ("customerio", "track.customer.io", customerio),
        ("mixpanel", "api.mixpanel.com", mixpanel),
    ],
)
async def test_a_partial_failure_ends_as_one_dead_letter_and_the_rest_delivered(
    type_: str, host: str, vendor: Callable[[Asked], Answer], bench: Bench
) -> None:
    kind = destinations.load(type_)
    made = kind.configured(SETTINGS[type_], name="crm", folder=Path())
    entries = [
        make_entry(n, f"user-{n}", type="track", event="bad" if n == 7 else "good")
        for n in range(COUNT)
    ]
    async with (
        Fake(answer=vendor) as fake,
        open_pool(Reach(["127.0.0.0/8"])) as pool,
        bench.open(),
    ):
        origins = Origins({host: fake.url})
        destination = made.open(HttpSend(pool, timeout_s=5.0, origins=origins))
        await bench.log.append(entries)
        async with bench.running(destination):
            await bench.settled(COUNT)
        kinds = await bench.kinds()
        (letter,) = await bench.read("dead.crm")
    assert len(fake.asked) < COUNT  # in batches
    assert kinds.pop("m7") == "dead"
    assert kinds == {f"m{n}": "delivered" for n in range(COUNT) if n != 7}
    assert shape(letter) == ("m7", "rejected", True)
    assert "user-7" in letter["request"]["body"]
    assert "user-8" not in letter["request"]["body"]


def shape(letter: dict[str, Any]) -> tuple[Any, ...]:
    return letter["event"]["messageId"], letter["reason"], bool(letter["detail"])
