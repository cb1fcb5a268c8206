"""What a record says; pure."""

import itertools

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.ledger.facts import End, admitted, end, ms_of, packed, refused, unpacked
from gateway.log.contract import Record
from gateway.topics import EVENTS, OUTCOMES, REFUSED
from tests.ledger.records import AT_MS

UUID = "97980cfe-a006-4c0f-9b1e-0123456789ab"


@given(st.text())
def test_every_id_is_packed_and_comes_back(text):
    kept = text.encode(errors="replace")
    assert unpacked(packed(kept)) == kept.decode()


@pytest.mark.parametrize(
    "text", [UUID, UUID.replace("-", ""), UUID.upper(), f"{UUID}x"]
)
def test_ids_that_look_like_uuids_come_back_as_they_were(text):
    assert unpacked(packed(text.encode())) == text


def test_a_uuid_takes_half_of_its_bytes():
    assert len(packed(UUID.encode())) == 17
    assert len(packed(UUID.replace("-", "").encode())) == 17


def test_an_event_is_read_from_its_headers_and_its_name_from_the_value(made):
    found = admitted(made.event("m1", kind="track", event="Bought", person="a@x.y"))
    assert found is not None
    assert (found.source, found.type, found.name) == ("web", "track", "Bought")
    assert (found.place.at, found.place.appended) == (AT_MS, 5)
    assert unpacked(found.person or b"") == "a@x.y"
    page = admitted(made.event("m2", kind="page", name="Home"))
    assert page is not None
    assert page.name == "Home"


@pytest.mark.parametrize("name", [None, 7, ["x"]])
def test_an_event_without_a_name_has_none(made, name):
    found = admitted(made.event("m1", kind="track", event=name))
    assert found is not None
    assert found.name is None


def test_an_event_of_nobody_has_no_person(made):
    found = admitted(made.event("m1", person="m1"))
    assert found is not None
    assert found.person is None
    assert found.who is None


def test_times_of_an_end_count_from_its_event(made):
    found = end(made.end("m1"))
    assert isinstance(found, End)
    assert (found.first, found.ended, found.attempts, found.status) == (10, 30, 1, 200)
    assert found.more is None


def test_a_reason_that_is_long_is_no_word(made):
    found = end(made.end("m1", kind="skipped", reason="x" * 300))
    assert found is not None
    assert found.reason is None
    assert '"reason":"xxx' in (found.more or "")


def test_a_refused_message_keeps_its_errors_in_bounds(made):
    found = refused(made.refused("m1", code="c" * 2_000))
    assert found is not None
    assert len(found.reason) <= 200
    assert len(found.more) < 1_000


def test_a_time_is_read_to_the_millisecond():
    assert ms_of("2026-01-15T10:13:20.123Z") == AT_MS + 123


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
TIMES = st.sampled_from(
    ["2026-01-15T10:13:20Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "", "x"]
)
RIGHT = {
    "kind": "delivered",
    "destination": "crm",
    "at": "2026-01-15T10:13:20Z",
    "attempts": 1,
    "errors": [{"code": "x", "pointer": "/a"}],
}
NAMES = (*RIGHT, "reason", "replay", "config", "firstAttemptAt", "status", "detail")
WRONG = st.dictionaries(st.sampled_from(NAMES), TIMES | JSON, max_size=2)
VALUES = WRONG.map(lambda wrong: RIGHT | wrong)
HEADERS = st.fixed_dictionaries(
    {"messageId": st.text(max_size=5), "receivedAt": TIMES},
    optional={
        name: st.text(max_size=5) | st.just('{"to":[1],"no":2}')
        for name in ("source", "type", "route")
    },
)
OFFSETS = itertools.count()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([EVENTS, REFUSED, OUTCOMES]), HEADERS, VALUES | JSON)
def test_whatever_wrote_a_record_the_ledger_goes_on(desk, topic, headers, value):
    """Others may write to Kafka's topics: one record must not stop all the rest."""
    encoded = tuple((n, text.encode(errors="replace")) for n, text in headers.items())
    try:
        data = orjson.dumps(value)
    except TypeError:  # an integer that is no JSON here
        data = b"{"
    offset = next(OFFSETS)
    desk.take_as(topic, [Record(topic, 0, offset, b"k", data, encoded, 5)])
    asked = "SELECT max(offset) FROM places WHERE topic = ?"
    assert desk.connection.execute(asked, (topic,)).fetchone() == (offset,)
