"""No request costs more than a small multiple of itself, and a stated bound."""

import json
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from gateway.config import Limits, parse
from gateway.event import Event
from gateway.inbound import answer, decode, entries, intake
from gateway.inbound.accept import Acceptor
from gateway.inbound.authenticate import Keys
from gateway.inbound.doors.pipelines import Endpoint, Pipelines
from gateway.inbound.doors.readmit import Readmission
from gateway.inbound.receipt import REPORT_BYTES
from gateway.inbound.receive import Receiver, Whole
from gateway.inbound.refusal import POINTER_MAX, UNTOLD, Fault, Refusal
from gateway.log import EventLog
from gateway.log.contract import Entry
from gateway.metrics import Metrics
from gateway.notices import Notices
from tests.inbound.attacks import attacks, under
from tests.inbound.house import CONFIG, GOOD, ask, running
from tests.inbound.samples import LIMITS, RECEIVED_MS, origin, rules

BATCH = Endpoint("batch", None)
KEY = {"Authorization": "Basic ZGV2Og=="}
CONFIGURED = parse(CONFIG, folder=Path())


class Kept:
    """A log that only keeps what is appended."""

    waiting_bytes = 0

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def has_room(self) -> bool:
        return True

    async def append(self, entries: list[Entry]) -> None:
        self.entries += entries

    def of(self, topic: str) -> list[Any]:
        return [orjson.loads(e.value) for e in self.entries if e.topic == topic]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def acceptor(kept: Kept) -> Acceptor:
    return Acceptor(
        rules=rules("crm"),
        log=cast("EventLog", kept),
        receiver=Receiver(body_bytes_max=10**7, reading_bytes_max=10**7),
        metrics=Metrics(),
        notices=Notices(),
    )


async def post(acceptor: Acceptor, body: Any, *, key: bool = True) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    whole = Whole(KEY if key else {}, "127.0.0.1", data)
    pipelines = Pipelines(acceptor=acceptor, keys=Keys(CONFIGURED.sources))
    said = await pipelines.accept(whole, BATCH)
    return said.status, said.body


ATTACKS = attacks(400_000)


@pytest.mark.parametrize("key", [True, False], ids=["key", "no key"])
@pytest.mark.parametrize("body", ATTACKS.values(), ids=ATTACKS)
async def test_a_request_costs_a_small_multiple_of_itself(acceptor, body, key):
    """And what its bounds allow; before, up to 400,000 times its size."""
    assert len(body) <= 1_500_000
    began = time.process_time()
    json.loads(json.dumps([0] * 500_000))
    unit_s = time.process_time() - began
    began = time.process_time()
    status, _ = await post(acceptor, body, key=key)
    took_s = time.process_time() - began
    assert status in (200, 400, 401)
    assert took_s < 20 * unit_s  # a twentieth is usual
    tracemalloc.start()
    await post(acceptor, body, key=key)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if key:  # to write a number orjson asks for 265 bytes, and uses few of them
        assert peak < 160 * len(body) + 4 * LIMITS.request_canonical_bytes
    else:
        assert peak < 50 * len(body) + 1_000_000


async def test_what_is_refused_of_a_request_is_bounded_together(acceptor, kept):
    """0.1 KB on the wire wrote 221 MB: the batch's context with each message."""
    status, body = await post(
        acceptor, under(60_000, b'{"type":"page","messageId":"m"}')
    )
    assert status == 400
    values = [entry.value for entry in kept.entries]
    limit = LIMITS.request_canonical_bytes
    assert limit * 0.9 < sum(map(len, values)) < limit + 2_500 * 500
    records = kept.of("refused")
    assert len(records) == len(json.loads(body)["rejected"]) == 2_500
    assert acceptor.metrics.messages["backend", "batch", "refused"] == 2_500
    first, last = records[0], records[-1]
    assert first["batch"]["context"] == {"a": "x" * 60_000}
    assert (first["cut"], last["cut"]) == (False, True)
    assert last["batch"] == dict.fromkeys(first["batch"])
    assert (last["bytes"], last["size"]) == ("", first["size"])
    assert len(last["errors"]) == 1
    readmit = Readmission(CONFIGURED.sources, rules("crm"))
    assert readmit.judge(readmit.read(last)) == "cut"
    mended = first["bytes"].replace("{", '{"userId":"u",', 1)
    made = readmit.judge(readmit.read({**first, "bytes": mended}))
    assert not isinstance(made, str)
    assert orjson.loads(made[0].value)["context"]["a"] == "x" * 60_000


async def test_bad_messages_take_no_room_from_good_ones(acceptor, kept):
    bad, good = {"type": "page", "x": "y" * 20_000}, {**GOOD, "messageId": "good"}
    shared = {"context": {"a": "x" * 40_000}}
    body = {**shared, "batch": [*[bad] * 180, good]}
    status, said = await post(acceptor, body)
    assert (status, json.loads(said)["accepted"]) == (200, 1)
    assert any(record["cut"] for record in kept.of("refused"))
    (event,) = kept.of("events")
    assert event["messageId"] == "good"


async def test_2500_good_messages_under_a_large_context_are_kept_while_they_fit(
    acceptor, kept
):
    """They were 503 for ever while anything else waited to be written."""
    status, said = await post(acceptor, under(60_000, b'{"type":"page","userId":"u"}'))
    told, limit = json.loads(said), LIMITS.request_canonical_bytes
    assert status == 200
    kept_events = [entry.value for entry in kept.entries if entry.topic == "events"]
    assert told["accepted"] == len(kept_events)
    one = len(kept_events[0])
    assert limit - one < sum(map(len, kept_events)) <= limit
    indexes = [each["index"] for each in told["rejected"]]
    assert indexes == list(range(told["accepted"], 2_500))
    assert {e["code"] for r in told["rejected"] for e in r["errors"]} == {"too_large"}
    asked, last = 0, b""
    for entry in kept.entries:
        asked += len(entry.value) if entry.value is not last else 0
        last = entry.value
    assert asked < LIMITS.waiting_bytes / 2


@pytest.mark.parametrize("message", [b"1", b'{"type":"page","userId":"u"}'])
async def test_no_more_is_judged_than_could_be_kept_twice(
    acceptor, monkeypatch, message
):
    judged = []
    real = decode.prepare
    monkeypatch.setattr(
        decode, "prepare", lambda *each: (judged.append(1), real(*each))[1]
    )
    await post(acceptor, under(60_000, message))
    limit = LIMITS.request_canonical_bytes
    assert limit / 60_000 <= len(judged) <= intake.MADE_TIMES * limit / 60_000 + 1


async def test_an_entity_that_becomes_many_messages_is_bounded_too(house, monkeypatch):
    made = []
    real = Event.to_bytes
    monkeypatch.setattr(
        Event, "to_bytes", lambda each: (made.append(real(each)), made[-1])[1]
    )
    related = [{"identifiers": {"id": str(number)}} for number in range(100)]
    entity = {
        "type": "object",
        "action": "identify",
        "identifiers": {"object_type_id": "1", "object_id": "o"},
        "attributes": {"a": "x" * 24_000},
        "cio_relationships": related,
    }
    status, said, _ = await ask(house, "POST /api/v2/batch", {"batch": [entity] * 30})
    assert status == 207
    assert len(said["errors"]) == 30 - len(await house.events()) / 100
    limit = LIMITS.request_canonical_bytes
    assert sum(map(len, made)) <= (intake.MADE_TIMES + 1) * limit


async def test_an_answer_is_bounded(acceptor):
    """125 messages with faults at places of 26,000 characters: 66 MB were told."""
    name = "k" * 400
    faults = {f"{name}{number}": 5 for number in range(10)}
    bad = {"type": "page", "userId": "u", "context": {"campaign": faults}}
    for size in (100, 250):
        body = {"batch": [{**bad, "messageId": f"m{n}"} for n in range(size)]}
        status, said = await post(acceptor, body)
        assert status == 400
        assert len(said) < 100 * 10 * 700 if size == 100 else REPORT_BYTES + 100_000
    rejected = json.loads(said)["rejected"]
    assert [each["messageId"] for each in rejected] == [f"m{n}" for n in range(250)]
    first, last = rejected[0]["errors"], rejected[-1]["errors"]
    assert len(first) == 10
    assert {len(each["pointer"]) for each in first} == {len("/context/campaign/") + 401}
    assert last == [{"pointer": "", "message": UNTOLD, "code": "type"}]


def test_a_record_of_a_refused_message_fits_in_any_log():
    """With the longest that each of its parts can be: Kafka's limit is 2 MB."""
    refusal = Refusal((Fault("/" + "k" * POINTER_MAX, "x" * 300, "type"),) * 10)
    shared = {"context": {"a": "x" * (LIMITS.event_bytes - 20)}}
    batch = decode.shared(shared, LIMITS)
    for byte in (b"\x01", b"\xff", b"\xf0\x9f\x8e\x89", b'"'):
        entry = entries.of_refused(
            byte * 1_000_000,
            refusal,
            origin=origin(user_agent="é" * 16_000),
            message_id="\x01" * 1_000,
            endpoint="PUT /" + "é" * 16_000,
            batch=entries.of_batch(batch),
        )
        assert len(entry.value) < 700_000


async def test_a_request_that_the_log_could_never_hold_is_400(tmp_path):
    limits = replace(Limits(), waiting_bytes=50_000)
    async with running(tmp_path, limits) as house:
        large = {"batch": [{**GOOD, "traits": {"a": "x" * 1_000}}] * 60}
        status, body, _ = await house.post("/v1/batch", large)
        assert (status, body["code"]) == (400, "too_large")
        assert "more than 50000" in body["message"]
        assert await house.events() == []
        (record,) = await house.records("refused")
        assert house.metrics.messages == {("backend", "batch", "refused"): 1}
        assert record.appended_at_ms > RECEIVED_MS
        large["batch"] = large["batch"][:20]
        assert (await house.post("/v1/batch", large))[0] == 200


def test_what_waits_for_the_log_takes_the_memory_that_is_counted():
    """orjson keeps eight times what an event needs: 64 MiB that waited were 512."""
    event = Event("m", "page", "web", "k", "", {"a": "x" * 10_000})
    refusal = Refusal((Fault("", "x", "type"),))
    shown = entries.of_batch(decode.NO_BATCH)
    tracemalloc.start()
    values = [event.to_bytes() for _ in range(100)]
    records = [
        entries.of_refused(
            b"x" * 10_000,
            refusal,
            origin=origin(),
            message_id="m",
            endpoint="batch",
            batch=shown,
        )
        for _ in range(100)
    ]
    told = [answer.rejected(0, "m" * 1_000, refusal) for _ in range(100)]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    counted = sum(map(len, values)) + sum(len(each.value) for each in records)
    assert held < 1.3 * (counted + sum(each.size for each in told))
