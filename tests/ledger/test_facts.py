"""What a record says; pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.facts import End, admitted, end, ms_of, packed, refused, unpacked
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
