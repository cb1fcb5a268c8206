"""Who, when, from where (P004, P016-P022, P033-P034, P060-P071)."""

import pytest

from gateway.event import Event
from gateway.inbound.resolve import resolve
from tests.inbound.samples import RECEIVED, RECEIVED_MS, identify, message, origin


def resolved(raw, **fields):
    before = repr(raw)
    event, notices = resolve(raw, origin(**fields))
    assert repr(raw) == before
    assert Event.from_bytes(event.to_bytes()) == event
    return event, [notice.code for notice in notices]


def body(raw, **fields):
    return resolved(raw, **fields)[0].body


def test_p016_a_message_id_is_kept_and_a_missing_one_is_made():
    event, _ = resolved(identify(messageId="m-1"))
    assert event.message_id == event.body["messageId"] == "m-1"
    event, _ = resolved(identify())
    assert event.message_id == event.body["messageId"] == "spare-1"


def test_p018_received_at_is_ours():
    event, _ = resolved(identify(receivedAt="2001-01-01T00:00:00Z"))
    assert event.body["receivedAt"] == event.received_at == RECEIVED


def test_p019_sent_at_is_kept_and_never_made_up():
    assert body(identify(sentAt="2026-01-15T10:13:19Z"))["sentAt"]
    assert "sentAt" not in body(identify())


@pytest.mark.parametrize("version", [0, 7, "latest", None])
def test_p021_p022_version_is_ours(version):
    assert body(identify(version=version))["version"] == 1


def test_the_source_is_ours():
    event, _ = resolved(identify(source="smuggled", timestampSource="x"))
    assert event.source == event.body["source"] == "shop"
    assert event.body["timestampSource"] == "server"


def test_p020_without_any_time_it_is_when_we_received_it():
    result = body(identify())
    assert result["timestamp"] == RECEIVED
    assert result["timestampSource"] == "server"
    assert "originalTimestamp" not in result


@pytest.mark.parametrize(
    "at", ["2019-08-24T14:15:22Z", "2024-02-29T12:34:56.123456789+05:30"]
)
def test_p020_the_senders_time_dates_the_event_and_is_kept_as_sent(at):
    result = body(identify(timestamp=at))
    assert (result["timestamp"], result["timestampSource"]) == (at, "client")
    assert "originalTimestamp" not in result
    result = body(identify(originalTimestamp=at))
    assert (result["timestamp"], result["timestampSource"]) == (at, "client")
    assert result["originalTimestamp"] == at


def test_p020_timestamp_goes_before_original_timestamp():
    result = body(
        identify(
            timestamp="2024-01-02T00:00:00Z", originalTimestamp="2024-01-01T00:00:00Z"
        )
    )
    assert result["timestamp"] == "2024-01-02T00:00:00Z"
    assert result["originalTimestamp"] == "2024-01-01T00:00:00Z"


AT = "2026-01-15T11:00:00.000Z"


def skewed(sent_at, clock_skew="ahead", **fields):
    raw = identify(**{"timestamp": AT, "sentAt": sent_at, **fields})
    return resolved(raw, clock_skew=clock_skew)


@pytest.mark.parametrize(
    "sent_at",
    [
        "2026-01-15T10:13:25.001Z",
        "2026-01-15T11:13:25.001+01:00",
        "2026-01-15T10:13:25.001999999Z",
        "2026-01-15T02:13:25.001-08:00",
    ],
)
def test_a_clock_more_than_5_seconds_ahead_is_corrected(sent_at):
    event, notices = skewed(sent_at)
    assert event.body["timestamp"] == "2026-01-15T10:59:54.999Z"
    assert event.body["timestampSource"] == "corrected"
    assert event.body["originalTimestamp"] == AT
    assert event.body["sentAt"] == sent_at
    assert notices == ["clock_corrected"]


@pytest.mark.parametrize(
    "sent_at",
    [
        "2026-01-15T10:13:25.000Z",
        "2026-01-15T10:13:25.000999Z",
        "2026-01-15T11:13:25.000+01:00",
        "2026-01-15T10:13:20.000Z",
        "2020-01-01T00:00:00Z",
        "2026-01-15T18:13:20+08:00",
    ],
)
def test_a_clock_is_not_corrected_for_5_seconds_or_for_an_old_sent_at(sent_at):
    event, notices = skewed(sent_at)
    assert event.body["timestamp"] == AT
    assert event.body["timestampSource"] == "client"
    assert "originalTimestamp" not in event.body
    assert notices == []


def test_an_original_timestamp_is_kept_when_the_clock_is_corrected():
    event, _ = skewed("2026-01-15T10:14:20Z", originalTimestamp="2026-01-15T10:58:00Z")
    assert event.body["timestamp"] == "2026-01-15T10:59:00.000Z"
    assert event.body["originalTimestamp"] == "2026-01-15T10:58:00Z"


def test_a_fast_clock_corrects_no_time_of_ours():
    event, notices = skewed("2026-01-15T12:00:00Z", timestamp=None)
    assert event.body["timestamp"] == RECEIVED
    assert event.body["timestampSource"] == "server"
    assert notices == []


def test_n003_segments_formula_corrects_both_ways_when_it_is_turned_on():
    event, _ = skewed("2026-01-15T10:12:20.000Z", "segment")
    assert event.body["timestamp"] == "2026-01-15T11:01:00.000Z"
    assert event.body["timestampSource"] == "corrected"
    event, _ = skewed("2026-01-15T10:13:21.000Z", "segment")
    assert event.body["timestamp"] == "2026-01-15T10:59:59.000Z"
    event, _ = skewed("2026-01-15T10:13:20Z", "segment")
    assert event.body["timestampSource"] == "client"


def test_a_clock_is_never_corrected_when_that_is_off():
    event, _ = skewed("2027-01-01T00:00:00Z", "off")
    assert (event.body["timestamp"], event.body["timestampSource"]) == (AT, "client")


def test_a_time_outside_the_calendar_is_left_alone():
    event, notices = skewed("9999-12-31T23:59:59Z", timestamp="0001-01-01T00:00:00Z")
    assert event.body["timestamp"] == "0001-01-01T00:00:00Z"
    assert event.body["timestampSource"] == "client"
    assert notices == ["clock_not_corrected"]
    event, _ = skewed("9999-12-31T23:59:59-23:59", timestamp="9999-12-31T23:59:59Z")
    assert event.body["timestamp"] == "2026-01-14T10:14:20.000Z"


@pytest.mark.parametrize("kind", ["browser", "mobile"])
def test_p033_a_clients_address_and_user_agent_are_the_connections(kind):
    fields = {"kind": kind, "ip": "203.0.113.9", "user_agent": "Mozilla/5.0"}
    for context in ({}, None, {"ip": None, "userAgent": None}):
        raw = identify() if context is None else identify(context=context)
        assert body(raw, **fields)["context"] == {
            "channel": kind,
            "ip": "203.0.113.9",
            "userAgent": "Mozilla/5.0",
        }
    raw = identify(context={"ip": "192.0.2.1", "userAgent": "x", "channel": "server"})
    assert body(raw, **fields)["context"] == raw["context"]


@pytest.mark.parametrize("kind", ["server", "track_api"])
def test_p004_p034_a_servers_address_is_never_the_persons(kind):
    result = body(identify(), kind=kind, ip="203.0.113.9", user_agent="python")
    assert result["context"] == {"channel": "server"}


def test_p033_what_the_connection_does_not_say_stays_absent():
    assert body(identify(), kind="browser")["context"] == {"channel": "browser"}


def test_p002_the_senders_context_stays():
    context = {"library": {"name": "x"}, "channel": "mobile", "page": {"url": "u"}}
    assert body(identify(context=context))["context"] == context


def test_p062_without_any_id_the_email_is_the_user_id():
    event, _ = resolved({"type": "identify", "traits": {"email": "Ann@Example.com"}})
    assert event.body["userId"] == "Ann@Example.com"
    assert event.key == "ann@example.com"


def test_p062_with_an_anonymous_id_the_event_keeps_no_user_id():
    raw = {"type": "identify", "anonymousId": "a", "traits": {"email": "a@b.c"}}
    event, _ = resolved(raw)
    assert "userId" not in event.body
    assert event.key == "a"


def test_p006_nothing_is_looked_up():
    event, _ = resolved({"type": "track", "event": "E", "anonymousId": "a"})
    assert "userId" not in event.body


def test_p071_the_user_id_is_passed_on_unchanged():
    for user_id in ("Ann@Example.com", " 1 ", "日本語", "A/B"):
        assert body(identify(userId=user_id))["userId"] == user_id


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        ({"userId": "User-1", "anonymousId": "a"}, "User-1"),
        ({"userId": "Ann@Example.com"}, "ann@example.com"),
        ({"anonymousId": "Anon-1"}, "Anon-1"),
    ],
)
def test_the_person_key(ids, key):
    assert resolved({"type": "page", **ids})[0].key == key


def test_an_event_of_nobody_is_ordered_by_its_message_id():
    raw = {"type": "track", "event": "E", "origin": "track", "messageId": "m"}
    assert resolved(raw)[0].key == "m"


@pytest.mark.parametrize(
    "kind", ["identify", "track", "page", "screen", "group", "alias"]
)
def test_p024_everything_else_stays(kind):
    raw = message(
        kind, _metadata={"a": 1}, channel="server", integrations={"All": True}
    )
    result = body(raw)
    assert {name: result[name] for name in raw} == raw
    assert set(result) - set(raw) == {
        *("messageId", "receivedAt", "version", "source"),
        *("timestamp", "timestampSource", "context"),
    }


def test_received_at_is_written_with_milliseconds():
    assert body(identify(), received_at_ms=RECEIVED_MS + 7)["timestamp"].endswith(
        "20.007Z"
    )
