import asyncio
from collections.abc import Sequence
from typing import Any, cast

import orjson
import pytest

from gateway import topics
from gateway.errors import LogError
from gateway.log.contract import Entry, Record
from gateway.notices import Notices
from gateway.outbound import settle
from gateway.outbound.contract import Delivered, Exchange, Outcome, Rejected, Skipped
from gateway.outbound.settle import (
    Attempts,
    Settler,
    entries_of,
    outcome_of,
    plainly,
)

AT_MS = 1_768_472_000_123
AT = "2026-01-15T10:13:20.123Z"


def test_every_final_verdict_has_its_outcome() -> None:
    said = Exchange({"method": "POST"})
    assert outcome_of(Delivered(204)) == Outcome(kind="delivered", status=204)
    assert outcome_of(Skipped("no email")) == Outcome(kind="skipped", reason="no email")
    assert outcome_of(Rejected("too_large", "2 MB", 413, said)) == Outcome(
        kind="dead", reason="too_large", status=413, detail="2 MB", exchange=said
    )


def test_the_outcome_of_a_delivery_names_what_was_left_out(record: Any) -> None:
    whole = entries_of("crm", record(7), outcome_of(Delivered(200)), Attempts(1), AT_MS)
    named = outcome_of(Delivered(200, "not sent: traits.bio"))
    (told,) = entries_of("crm", record(7), named, Attempts(1), AT_MS)
    assert orjson.loads(told.value) == {
        **orjson.loads(whole[0].value),
        "detail": "not sent: traits.bio",
    }


def test_a_dead_letter_has_the_shape_of_the_interface(record: Any) -> None:
    given = record(7, "u1", replay="r1")
    said = Exchange(
        {"method": "POST", "url": "https://crm", "headers": {}, "body": "{}"},
        {"status": 422, "headers": {}, "body": "no"},
    )
    outcome = outcome_of(Rejected("rejected", "422", 422, said))
    attempts = Attempts(3, AT_MS - 1_000, AT_MS)
    told, letter = entries_of("crm", given, outcome, attempts, AT_MS + 1, "a1b2c3d4")
    assert (told.topic, letter.topic) == ("outcomes", "dead.crm")
    assert told.key == letter.key == b"u1"
    assert told.headers == letter.headers == given.headers
    assert orjson.loads(told.value) == {
        "messageId": "m7",
        "source": "web",
        "destination": "crm",
        "personKey": "u1",
        "kind": "dead",
        "reason": "rejected",
        "attempts": 3,
        "firstAttemptAt": "2026-01-15T10:13:19.123Z",
        "at": "2026-01-15T10:13:20.124Z",
        "replay": "r1",
        "status": 422,
        "config": "a1b2c3d4",
        "tries": [{"at": AT, "ms": 1, "status": 422, "error": "422"}],
    }
    assert orjson.loads(letter.value) == {
        "event": orjson.loads(given.value),
        "reason": "rejected",
        "detail": "422",
        "attempts": 3,
        "firstAttemptAt": "2026-01-15T10:13:19.123Z",
        "lastAttemptAt": AT,
        "request": said.request,
        "response": said.response,
    }


def test_a_dead_letter_of_what_is_no_json_keeps_it_as_text(record: Any) -> None:
    given = record(7, size=5)
    outcome = outcome_of(Rejected("bug", "event: JSONDecodeError"))
    _, letter = entries_of("crm", given, outcome, Attempts(), AT_MS)
    found = orjson.loads(letter.value)
    assert found["event"] == "xxxxx"
    assert found["request"] is found["response"] is found["firstAttemptAt"] is None


@pytest.mark.parametrize(
    "said",
    [
        Exchange({"method": "POST"}, {"headers": {"x-err": "caf\udce9"}}),
        Exchange({"headers": {"caf\udce9": "x"}}),
        Exchange({"body": b"bytes"}),
        Exchange({"number": 2**70}),
    ],
)
def test_what_no_json_can_hold_is_left_out_and_the_detail_says_so(
    record: Any, said: Exchange
) -> None:
    outcome = Outcome(kind="dead", reason="rejected", detail="422", exchange=said)
    with pytest.raises(TypeError) as raised:
        entries_of("crm", record(7), outcome, Attempts(), AT_MS)
    plain = plainly(outcome, raised.value)
    _, letter = entries_of("crm", record(7), plain, Attempts(), AT_MS)
    found = orjson.loads(letter.value)
    assert found["event"]["messageId"] == "m7"
    assert (found["reason"], found["request"]) == ("rejected", None)
    assert found["detail"].startswith("422 (not written: ")
    assert "Error in " in found["detail"]


def test_a_text_of_half_characters_is_written_too(record: Any) -> None:
    outcome = Outcome(kind="dead", reason="max_age", detail="Err: caf\udce9")
    plain = plainly(outcome, ValueError())
    _, letter = entries_of("crm", record(7), plain, Attempts(), AT_MS)
    assert orjson.loads(letter.value)["detail"].startswith("Err: caf? (not written: ")


def test_a_delivered_event_stays_delivered_whatever_its_status_is(record: Any) -> None:
    for status in ("\ud800", 2**70, object()):
        outcome = Outcome(kind="delivered", status=cast("int", status))
        with pytest.raises(TypeError):
            entries_of("crm", record(7), outcome, Attempts(), AT_MS)
        plain = plainly(outcome, ValueError())
        (told,) = entries_of("crm", record(7), plain, Attempts(), AT_MS)
        assert orjson.loads(told.value)["kind"] == "delivered"


def test_a_record_whose_key_and_headers_are_no_utf_8_has_its_outcome(
    record: Any,
) -> None:
    given = record(7)._replace(key=b"caf\xe9", headers=(("messageId", b"\xff"),))
    told, letter = entries_of("crm", given, Outcome(kind="dead"), Attempts(), AT_MS)
    found = orjson.loads(told.value)
    assert (found["personKey"], found["messageId"]) == ("caf\ufffd", "\ufffd")
    assert told.key == letter.key == b"caf\xe9"


def test_no_dead_letter_is_larger_than_a_log_takes(record: Any) -> None:
    headers = {f"x-{number}": '"' * 8_000 for number in range(200)}
    said = Exchange({"method": "POST"}, {"status": 422, "headers": headers})
    outcome = Outcome(kind="dead", reason="rejected", detail="422", exchange=said)
    _, letter = entries_of("crm", record(7), outcome, Attempts(), AT_MS)
    assert len(letter.value) <= topics.LETTER_BYTES
    found = orjson.loads(letter.value)
    assert found["event"]["messageId"] == "m7"
    assert found["detail"].startswith("422 (request and response left out: ")


def test_whatever_a_destination_says_the_log_takes_it(record: Any) -> None:
    """A reason as long as an answer would keep its settle from ever succeeding."""
    for kind in ("dead", "skipped"):
        said = '"' * 3_000_000
        outcome = Outcome(kind=cast("Any", kind), reason=said, detail=said)
        for entry in entries_of("crm", record(7), outcome, Attempts(), AT_MS):
            assert len(entry.value) < 100_000
            assert orjson.loads(entry.value)["reason"].startswith('""')


class Log:
    """A subscription that settles when it is let, and fails when told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.failures = 0

    async def settle(
        self, records: Sequence[Record], entries: Sequence[Entry] = ()
    ) -> None:
        self.asked.set()
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise LogError("away")
        self.groups.append([record.offset for record in records])


@pytest.fixture
async def log() -> Log:
    return Log()


async def settling(
    log: Any, let_go: list[Any], *, unsettled: int = 256
) -> tuple[Settler, "asyncio.Task[None]"]:
    settler = Settler(
        log,
        name="crm",
        notices=Notices(),
        settled=let_go.extend,
        unsettled=unsettled,
    )
    return settler, asyncio.create_task(settler.run())


async def test_what_ends_together_is_settled_together_in_order(
    log: Log, record: Any
) -> None:
    let_go: list[Any] = []
    settler, task = await settling(log, let_go)
    settler.add(record(1), [])
    waiting = [asyncio.create_task(settler.durable())]
    await log.asked.wait()  # the first is being settled
    for offset in range(2, 6):
        settler.add(record(offset), [])
        waiting.append(asyncio.create_task(settler.durable()))
    for _ in range(20):  # the others set out
        await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)
    log.open.set()
    await asyncio.gather(*waiting)
    assert log.groups == [[1], [2, 3, 4, 5]]
    assert [each.record.offset for each in let_go] == [1, 2, 3, 4, 5]
    assert settler.waiting == 0
    await settler.durable()  # nothing waits: at once
    task.cancel()


class Slow(Log):
    """Counts the settles that are open; each ends when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = self.ended = 0
        self.let = asyncio.Semaphore(0)

    async def settle(
        self, records: Sequence[Record], entries: Sequence[Entry] = ()
    ) -> None:
        self.opened += 1
        await self.let.acquire()
        self.ended += 1
        self.groups.append([record.offset for record in records])


async def test_while_one_group_goes_to_the_disk_the_next_sets_out_and_no_third(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "GROUP_RECORDS", 1)
    log, let_go = Slow(), list[Any]()
    settler, task = await settling(log, let_go)
    for offset in range(4):
        settler.add(record(offset), [])
    durable = asyncio.create_task(settler.durable())
    while log.opened < 2:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert (log.opened, settler.waiting) == (2, 4)
    for _ in range(4):
        log.let.release()
    await asyncio.wait_for(durable, 5.0)
    assert log.groups == [[0], [1], [2], [3]]
    assert [each.record.offset for each in let_go] == [0, 1, 2, 3]
    task.cancel()


async def test_few_ends_are_gathered_and_many_are_settled_at_once(
    log: Log, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each settle is a transaction, or two requests to a broker."""
    monkeypatch.setattr(settle, "GATHER_S", 60.0)
    settler, task = await settling(log, [], unsettled=8)
    log.open.set()
    settler.add(record(1), [])
    await asyncio.sleep(0.02)
    assert log.groups == []
    settler.add(record(2), [])  # a quarter of what may be unsettled
    while settler.waiting:  # nobody asks for it
        await asyncio.sleep(0.001)
    for offset in (3, 4):
        settler.add(record(offset), [])
    while settler.waiting:  # nobody asks for it
        await asyncio.sleep(0.001)
    assert log.groups == [[1, 2], [3, 4]]
    task.cancel()


async def test_a_sender_that_finds_no_room_does_not_wait_for_more(
    log: Log, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "GATHER_S", 60.0)
    monkeypatch.setattr(settle, "MANY", 0)
    settler, task = await settling(log, [], unsettled=2)
    log.open.set()
    for offset in (1, 2):
        settler.add(record(offset), [])
    await asyncio.wait_for(settler.room(), 5.0)
    assert log.groups == [[1, 2]]
    task.cancel()


@pytest.mark.parametrize(
    ("count", "size", "groups"),
    [
        (2_500, 10, [1_000, 1_000, 500]),  # a transaction of SQLite, a commit of Kafka
        (20, 1_000_000, [8, 8, 4]),  # 8 MiB
    ],
)
async def test_a_settle_marks_a_thousand_records_and_writes_8_mib_at_most(
    log: Log, record: Any, count: int, size: int, groups: list[int]
) -> None:
    settler, task = await settling(log, [])
    entry = Entry("outcomes", b"k", b"x" * size)
    for offset in range(count):
        settler.add(record(offset), [entry])
    log.open.set()
    await settler.durable()
    assert [len(group) for group in log.groups] == groups
    task.cancel()


class Stepping(Log):
    """Settles one group each time it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.step = asyncio.Semaphore(0)

    async def settle(
        self, records: Sequence[Record], entries: Sequence[Entry] = ()
    ) -> None:
        await self.step.acquire()


async def test_who_waits_goes_on_when_its_own_record_is_durable_no_sooner(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "GROUP_RECORDS", 1)
    log = Stepping()
    settler, task = await settling(log, [])
    waiting = []
    for offset in range(3):
        settler.add(record(offset), [])
        waiting.append(asyncio.create_task(settler.durable()))
        await asyncio.sleep(0)
    for durable in range(1, 4):
        log.step.release()
        await asyncio.wait_for(waiting[durable - 1], 5.0)
        await asyncio.sleep(0)
        assert [each.done() for each in waiting].count(True) == durable
    task.cancel()


async def test_a_group_is_bounded_in_records_and_bytes(
    log: Log, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "GROUP_RECORDS", 3)
    monkeypatch.setattr(settle, "GROUP_BYTES", 100)
    settler, task = await settling(log, [])
    for offset, size in enumerate([10, 10, 10, 10, 95, 10, 500, 1]):
        settler.add(record(offset), [Entry("outcomes", b"k", b"x" * size)])
    log.open.set()
    await settler.durable()
    assert log.groups == [[0, 1, 2], [3], [4], [5], [6], [7]]
    task.cancel()


async def test_a_log_that_is_away_is_asked_again_with_the_same(
    log: Log, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "pause_s", lambda *_, **__: 0.0)
    settler, task = await settling(log, [])
    log.failures = 3
    log.open.set()
    settler.add(record(1), [])
    await settler.durable()
    assert log.groups == [[1]]
    assert log.failures == 0
    task.cancel()
