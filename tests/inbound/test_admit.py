"""The four stages together: hand-written cases, and everything real SDKs send."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.config import DestinationConfig
from gateway.event import Event, EventType, Raw
from gateway.inbound.admit import Admitted, admit
from gateway.inbound.decode import Batch, decode, prepare
from gateway.inbound.fit import flaws
from gateway.inbound.refusal import Refusal
from gateway.inbound.route import Routes
from tests.inbound.samples import (
    ENDPOINTS,
    LIMITS,
    RECEIVED_MS,
    SIX,
    admitted,
    apart,
    origin,
    recordings,
    routes,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "admit"
CASES = sorted(folder.name for folder in GOLDEN.iterdir())
DESTINATIONS = Routes(
    {
        "crm": DestinationConfig(name="crm", type="webhook", display_name=("My CRM",)),
        "mail": DestinationConfig(
            name="mail", type="mailer", display_name=("Mixpanel",)
        ),
        "events": DestinationConfig(name="events", type="file"),
        "old": DestinationConfig(name="old", type="file", enabled=False),
    },
    {"crm": SIX, "mail": SIX, "events": frozenset({"track"}), "old": SIX},
)


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES)
def test_admit(case):
    """``message.json`` is a POST: its endpoint, the kind of source, and the body.

    At 2026-01-15T10:13:20.000Z, from 203.0.113.9 with the user agent "test"; what the
    gateway makes up is ``spare-1``. Then the event and where it goes, or the errors.
    """
    folder = GOLDEN / case
    post = read(folder, "message.json")
    kind, endpoint = post["source"], ENDPOINTS[post["endpoint"]]
    messages, batch = apart(post["body"], endpoint)
    assert len(messages) == 1
    raw = prepare(messages[0], endpoint, batch)
    if not isinstance(raw, Refusal):
        here = origin(kind=kind, ip="203.0.113.9", user_agent="test")
        result = admit(raw, here, DESTINATIONS)
    else:
        result = raw
    files = {file.name for file in folder.iterdir()}
    if isinstance(result, Refusal):
        assert files == {"message.json", "error.json"}
        told = [{"pointer": f.pointer, "code": f.code} for f in result.faults]
        assert told == read(folder, "error.json")
        return
    assert files == {"message.json", "event.json", "destinations.json"}
    assert orjson.loads(result.event.to_bytes()) == read(folder, "event.json")
    decided = {"to": list(result.route.to), "no": dict(result.route.no)}
    assert decided == read(folder, "destinations.json")


def every_message():
    for name, request in recordings():
        endpoint = ENDPOINTS[request["path"].rpartition("/")[2]]
        value, *_ = decode(request["body_text"].encode(), LIMITS)
        messages, batch = apart(value, endpoint)
        for index, message in enumerate(messages):
            yield f"{name}[{index}]", message, endpoint, batch


def test_p001_every_message_that_an_sdk_sent_is_admitted():
    seen = 0
    for name, message, endpoint, batch in every_message():
        raw = prepare(message, endpoint, batch)
        assert not isinstance(raw, Refusal), (name, raw)
        result = admit(raw, origin(), routes("crm"))
        assert isinstance(result, Admitted), (name, result)
        body = result.event.body
        assert body.get("userId") != ""
        assert body.get("userId", "x") is not None
        assert body.get("anonymousId", "x") is not None
        assert "writeKey" not in body
        assert body["messageId"] == (message.get("messageId") or "spare-1")
        assert flaws(body, LIMITS.nesting) == []
        seen += 1
    assert seen == 200


def admitted_as(
    message: Any, endpoint: EventType | None, batch: Batch, **fields: Any
) -> Event:
    raw = prepare(message, endpoint, batch)
    assert not isinstance(raw, Refusal), raw
    result = admit(raw, origin(**fields), routes())
    assert isinstance(result, Admitted), result
    return result.event


def test_go_batches_give_their_library_to_each_message():
    for name, message, endpoint, batch in every_message():
        if name.startswith("go-"):
            event = admitted_as(message, endpoint, batch)
            assert event.body["context"]["library"]["name"] == "analytics-go"
            assert event.body["sentAt"] == batch.sent_at


def test_a_delivery_report_without_a_user_is_admitted():
    raw = {
        "anonymousId": "RPILAgUBcRhIBqSfeiIwdIYJKxTY",
        "event": "Report Delivery Event",
        "properties": {"metric": "delivered"},
    }
    event = admitted(raw, "track").event
    assert event.key == raw["anonymousId"]
    assert event.body["timestamp"] == event.received_at


def test_a_refused_message_is_told_all_that_is_wrong_with_it():
    raw = Raw({"type": "identify", "userId": [], "traits": {"age": {}}})
    result = admit(raw, origin(), routes())
    assert isinstance(result, Refusal)
    assert [fault.pointer for fault in result.faults] == ["/traits/age", "/userId"]


def test_the_notices_of_all_stages_come_together():
    result = admitted(
        {
            "userId": "u",
            "traits": {"first_name": "a", "firstName": "b", "birthday": "soon"},
            "integrations": {"Nobody": True},
            "timestamp": "2026-01-15T10:13:00Z",
            "sentAt": "2026-01-15T11:00:00Z",
        }
    )
    assert {notice.code for notice in result.notices} == {
        *("both_spellings", "unreadable_trait", "clock_corrected"),
        "unknown_integration",
    }


def test_p007_the_same_call_twice_is_two_events():
    raw = {"userId": "u", "traits": {"plan": "x"}}
    first = admitted(raw, spare_message_id="spare-1").event
    second = admitted(raw, spare_message_id="spare-2").event
    assert first.message_id != second.message_id


def test_p018_nothing_of_ours_can_be_smuggled_in():
    event = admitted(
        {
            "userId": "u",
            "asSent": {"traits.email": {"name": "x", "value": "y"}},
            "source": "admin",
            "receivedAt": "1999-01-01T00:00:00Z",
            "version": 99,
            "timestampSource": "corrected",
            "origin": "ui",
            "identifiers": {"cio_id": "cio_1"},
            "action": "delete",
            "writeKey": "secret",
        }
    ).event
    assert event.body["source"] == "shop"
    assert event.body["receivedAt"] == event.received_at
    assert event.body["version"] == 1
    assert event.body["timestampSource"] == "server"
    gone = {"asSent", "origin", "identifiers", "action", "writeKey"}
    assert gone.isdisjoint(event.body)


def test_admit_does_not_change_its_message():
    raw = {
        "type": "identify",
        "userId": 5,
        "traits": {"first_name": "a", "company": {"employeeCount": "3"}},
        "context": {"page": {}},
        "integrations": {"crm": False},
    }
    before = json.dumps(raw)
    admit(Raw(raw), origin(kind="browser", ip="192.0.2.1"), routes("crm"))
    assert json.dumps(raw) == before


def test_a_batch_without_a_body_of_its_own_changes_nothing():
    raw = {"type": "identify", "userId": "u", "timestamp": "2020-01-01T00:00:00Z"}
    assert prepare(raw, "identify", Batch()) is raw


def test_the_clock_of_the_samples_is_the_one_in_the_golden_cases():
    assert origin().received_at == "2026-01-15T10:13:20.000Z"
    assert origin().received_at_ms == RECEIVED_MS


def test_p003_integrations_and_times_need_not_be_sent():
    result = admitted({"userId": "u"})
    assert result.event.body["timestamp"] == result.event.received_at
    assert "integrations" not in result.event.body
    assert result.route.to == ("crm", "mail")


def test_p101_both_spellings_from_two_sources_are_one_trait():
    camel = admitted({"userId": "u", "traits": {"firstName": "Ann"}}).event
    snake = admitted({"userId": "u", "traits": {"first_name": "Ann"}}).event
    assert camel.body["traits"] == snake.body["traits"]


def test_p090_the_email_is_there_for_the_destinations():
    for raw in (
        {"userId": "u", "traits": {"email": "Ann.Smith+tag@Example.COM"}},
        {"userId": "Ann.Smith+tag@Example.COM"},
    ):
        traits = admitted(raw).event.body["traits"]
        assert traits["email"] == "Ann.Smith+tag@Example.COM"


def of_the_browser(case):
    folder = "browser-customerio-cdp-analytics-browser"
    for name, message, endpoint, batch in every_message():
        if name.startswith(folder) and f"-{case}[" in name:
            return admitted_as(message, endpoint, batch, kind="browser").body
    raise LookupError(case)


def test_p005_later_calls_of_the_browser_carry_the_identity():
    assert of_the_browser("track-after-identify-2")["userId"] == "user-1"


def test_p068_the_browser_makes_an_anonymous_id():
    body = of_the_browser("identify-anonymous-only")
    assert "userId" not in body
    assert len(body["anonymousId"]) == 36


def test_p070_the_browser_repeats_earlier_traits():
    first = of_the_browser("identify-sticky-traits")["traits"]
    last = of_the_browser("identify-sticky-traits-3")["traits"]
    assert first == {"email": "a@example.com", "plan": "pro"}
    assert last == {"email": "a@example.com", "plan": "free"}
