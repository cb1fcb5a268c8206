"""A story, told with what the log still has and today's configuration."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config import DestinationConfig, Limits, LogConfig
from gateway.ledger import story
from gateway.ledger.story import Now, Teller
from gateway.log import open_log
from gateway.log.contract import Entry, EventLog, Span
from gateway.notices import Notices
from tests.ledger.conftest import Desk
from tests.ledger.records import AT_MS, Made

CRM = DestinationConfig(name="crm", type="webhook", display_name=("My CRM",))


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    log = await open_log(
        LogConfig(path=tmp_path / "log.db"),
        Limits(),
        topics=["events", "to.crm", "dead.crm"],
        notices=Notices(io.StringIO()),
    )
    yield log
    await log.close()


async def shows(name: str, value: bytes) -> dict[str, Any]:
    return {"sent": True, "request": {"to": name, "body": value.decode()}}


def teller(desk: Desk, log: EventLog, tell: Any = shows, mark: str = "m1") -> Teller:
    now = Now(destinations={"crm": CRM}, shows=tell, marks={"crm": mark})
    return Teller(desk.store, log, now)


async def admitted(desk: Desk, log: EventLog, made: Made, **more: Any) -> None:
    """One event in the log, and in the ledger as the log gave it."""
    record = made.event("m1", **more)
    await log.append([Entry("events", record.key, record.value, record.headers)])
    desk.take(*[each async for each in log.scan("events", Span())])


async def told(teller: Teller) -> dict[str, Any]:
    story = await teller.tell("m1")
    assert story is not None
    (found,) = story["found"]
    return dict(found)


async def test_a_success_is_rendered_again_and_a_change_is_marked(desk, log, made):
    await admitted(desk, log, made)
    desk.take(made.end("m1", config="m1"))
    for mark, changed in (("m1", False), ("m2", True)):
        found = await told(teller(desk, log, mark=mark))
        (attempt,) = found["destinations"][0]["attempts"]
        assert attempt["request"]["to"] == "crm"
        assert '"messageId":"m1"' in attempt["request"]["body"]
        assert (attempt["rendered"], attempt["changed"]) == (True, changed)
        assert (attempt["ms"], attempt["status"], attempt["error"]) == (20, 200, None)


async def test_what_the_log_has_no_more_is_told_without_its_event(desk, log, made):
    desk.take(
        made.event("m1", to=("crm",), no={"off": "integrations"}),
        made.end("m1", kind="filtered", reason="when", detail="x", attempts=0),
    )
    found = await told(teller(desk, log))
    assert found["event"] is found["asSent"] is None
    rules = {each["destination"]: each["rule"] for each in found["destinations"]}
    assert rules == {"crm": "when: x", "off": "integrations"}


async def test_whose_outcome_was_deleted_unread_is_not_told_as_lost(desk, log, made):
    desk.take(made.event("m1"), made.event("m2"))
    found = await told(teller(desk, log))
    assert [each["kind"] for each in found["destinations"]] == ["unconfirmed"]
    made.end("m1")  # the log had to delete it
    desk.take(made.end("m2"))
    found = await told(teller(desk, log))
    assert [each["kind"] for each in found["destinations"]] == ["unknown"]


async def test_what_waits_tells_of_its_attempts_so_far(desk, log, made):
    await admitted(desk, log, made, to=("crm", "calm"))
    one = {"at": "x", "ms": 5, "status": 503, "error": "503"}
    asked = []

    def tries(*which: str) -> list[dict[str, Any]]:
        asked.append(which)
        return [one, one | {"request": {"method": "POST"}}] if "crm" in which else []

    now = Now(destinations={"crm": CRM}, shows=shows, tries=tries)
    found = await told(Teller(desk.store, log, now))
    crm, calm = found["destinations"]
    assert asked == [(each, "m1", found["receivedAt"]) for each in ("crm", "calm")]
    assert (crm["kind"], crm["rule"]) == ("pending", None)
    assert crm["attempts"] == [
        one | {"request": None, "response": None},
        one | {"request": {"method": "POST"}, "response": None},
    ]
    assert calm["attempts"] == []


async def test_a_preview_that_fails_or_hangs_costs_no_story(
    desk, log, made, monkeypatch
):
    monkeypatch.setattr(story, "SHOW_S", 0.05)
    await admitted(desk, log, made)
    desk.take(made.end("m1"))

    async def fails(name: str, value: bytes) -> dict[str, Any]:
        raise RuntimeError(name)

    async def hangs(name: str, value: bytes) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    for tell in (fails, hangs):
        found = await told(teller(desk, log, tell))
        (attempt,) = found["destinations"][0]["attempts"]
        assert attempt["request"] is None
        assert attempt["status"] == 200


async def test_a_destination_that_is_no_more_is_told_all_the_same(desk, log, made):
    await admitted(desk, log, made, to=("gone",))
    desk.take(made.end("m1", destination="gone"))
    found = await told(teller(desk, log))
    (end,) = found["destinations"]
    assert (end["destination"], end["kind"]) == ("gone", "delivered")
    assert end["attempts"][0]["request"] is None


async def test_the_exchange_of_a_dead_letter_is_the_one_of_its_occurrence(
    desk, log, made
):
    await admitted(desk, log, made)
    for number, at in enumerate((AT_MS, AT_MS + 1)):  # a resend died, too
        end = made.end("m1", at=at)
        letter = b'{"request": {"n": %d}, "response": {"status": 422}}' % number
        await log.append([Entry("dead.crm", end.key, letter, end.headers)])
    letters = [each async for each in log.scan("dead.crm", Span())]
    tries = [{"at": "2026-01-15T10:13:20.010Z", "ms": 5, "status": 422, "error": "422"}]
    record = made.end("m1", kind="dead", reason="rejected", status=422, tries=tries)
    appended = letters[0].appended_at_ms
    desk.take(type(record)(*_moved(record, appended)))
    found = await told(teller(desk, log))
    (end,) = found["destinations"]
    assert (end["kind"], end["rule"]) == ("dead", "rejected")
    (attempt,) = end["attempts"]
    assert attempt["request"] == {"n": 0}
    assert attempt["response"] == {"status": 422}
    assert (attempt["ms"], attempt["error"]) == (5, "422")


def _moved(record: Any, appended_ms: int) -> tuple[Any, ...]:
    names = ("topic", "partition", "offset", "key", "value", "headers")
    return (*(getattr(record, name) for name in names), appended_ms)
