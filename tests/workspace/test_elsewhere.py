"""What the log knows of a message on which the store has decided nothing."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Limits, LogConfig
from gateway.log import EventLog, open_log
from gateway.log.contract import Entry
from gateway.notices import Notices
from gateway.workspace import elsewhere
from gateway.workspace.elsewhere import Found, Unseen, look

AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    opened = await open_log(
        LogConfig(path=tmp_path / "log.db"),
        Limits(),
        topics=("events", "refused", "outcomes"),
        notices=Notices(),
    )
    yield opened
    await opened.close()


def event(message_id: str, route: Any, kind: str = "track", source: str = "web"):
    headers = {"messageId": message_id, "source": source, "type": kind}
    headers |= {"receivedAt": AT, "route": json.dumps(route)}
    made = tuple((name, value.encode()) for name, value in headers.items())
    return Entry("events", b"u", b"{}", made)


def outcome(message_id: str, destination: str, kind: str, reason: str | None):
    value = {"destination": destination, "kind": kind, "reason": reason}
    headers = (("messageId", message_id.encode()), ("source", b"web"))
    return Entry("outcomes", b"u", json.dumps(value).encode(), headers)


def refused(message_id: str, *errors: Any):
    value = {"source": "web", "receivedAt": AT, "errors": errors}
    headers = (("messageId", message_id.encode()), ("source", b"web"))
    return Entry("refused", b"u", json.dumps(value).encode(), headers)


async def asked(log: EventLog, message_id: str, source: str | None = None) -> Any:
    return await look(log, "people", message_id, source, time.time_ns() // 1_000_000)


ROUTED = {"to": ["hook", "people"], "no": {}}
LEFT_OUT = {"to": ["hook"], "no": {"people": "integrations"}}


@pytest.mark.parametrize(
    ("entries", "decision", "reason"),
    [
        ([event("m", ROUTED)], "pending", None),
        ([event("m", LEFT_OUT)], "not_routed", "integrations"),
        ([event("m", {"to": [], "no": {}})], "not_routed", "no_such_destination"),
        (
            [event("m", {"to": [], "no": {"people": "type"}}, "alias")],
            "ignored",
            "alias",
        ),
        (
            [event("m", {"to": [], "no": {"people": "type"}}, "track")],
            "not_routed",
            "type",
        ),
        (
            [event("m", ROUTED), outcome("m", "people", "filtered", "when")],
            "not_routed",
            "when",
        ),
        ([event("m", ROUTED), outcome("m", "people", "dead", "bug")], "dead", "bug"),
        ([event("m", ROUTED), outcome("m", "hook", "dead", "bug")], "pending", None),
        ([event("m", ROUTED), outcome("n", "people", "dead", "bug")], "pending", None),
        (
            [event("m", ROUTED), outcome("m", "people", "delivered", None)],
            "pending",
            None,
        ),
    ],
)
async def test_an_event_waits_or_was_left_out_on_its_way(
    log, entries, decision, reason
):
    await log.append([event("other", LEFT_OUT), *entries])
    found = await asked(log, "m")
    assert found == Found(decision=decision, reason=reason, source="web", at=AT)


async def test_a_refused_message_says_where_and_why(log):
    fault = {"pointer": "/userId", "message": "is no text", "code": "type"}
    await log.append([refused("m", fault)])
    found = await asked(log, "m")
    assert (found.decision, found.reason) == ("refused", "/userId: is no text")
    assert found.errors == [fault]


async def test_a_message_is_asked_for_by_its_source_where_several_have_its_id(log):
    await log.append([event("m", ROUTED), event("m", LEFT_OUT, source="phone")])
    assert (await asked(log, "m", "phone")).decision == "not_routed"
    assert (await asked(log, "m", "web")).decision == "pending"
    assert isinstance(await asked(log, "m", "shop"), Unseen)


async def test_an_id_that_nobody_sent_is_unseen_since_the_log_was_read(log):
    await log.append([event("other", ROUTED)])
    before = time.time_ns() // 1_000_000
    unseen = await asked(log, "m")
    reach_ms = elsewhere.BACK_S[-1] * 1_000
    assert abs(unseen.since_ms - (before - reach_ms)) < 60_000


async def test_no_more_is_read_than_may_be_and_that_is_said(log, monkeypatch):
    """What was read in whole is all that is promised: here, nothing."""
    monkeypatch.setattr(elsewhere, "RECORDS_MAX", 10)
    await log.append([event(f"m{number}", ROUTED) for number in range(30)])
    assert (await asked(log, "m9")).decision == "pending"  # the tenth
    assert await asked(log, "m10") == Unseen(None)


async def test_what_was_just_sent_is_found_before_what_is_older(log, monkeypatch):
    """A log that is too large to be read is read from its end."""
    monkeypatch.setattr(elsewhere, "RECORDS_MAX", 10)
    await log.append([event(f"m{number}", ROUTED) for number in range(30)])
    now_ms = time.time_ns() // 1_000_000
    older = await look(log, "people", "m0", None, now_ms + 5_000)
    assert isinstance(older, Found)  # within ten seconds
    later = await look(log, "people", "m29", None, now_ms + 5_000)
    assert isinstance(later, Unseen)
    assert later.since_ms == now_ms + 4_000  # the last second was read
