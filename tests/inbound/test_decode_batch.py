"""Bodies to messages: the envelope, its defaults, and each message's type."""

import pytest

from gateway.errors import MessageError
from gateway.inbound import decode
from gateway.inbound.decode import Batch, prepare
from tests.inbound.samples import LIMITS, apart, codes


def test_a_single_message_is_its_own_batch():
    assert apart({"a": 1}, "track") == ([{"a": 1}], Batch())
    assert apart(5, "identify") == ([5], Batch())


@pytest.mark.parametrize(
    "value", [{}, {"batch": None}, {"batch": {}}, {"batch": []}, [], None, 5, "x"]
)
def test_a_batch_without_messages_is_refused(value):
    with pytest.raises(MessageError) as error:
        apart(value, None)
    assert error.value.code == "invalid_message"
    assert "batch" in str(error.value)


def test_f13_a_list_of_messages_is_a_batch_that_says_nothing_for_them():
    assert apart([{"a": 1}, 5], None) == ([{"a": 1}, 5], Batch())


def test_a_batch_of_too_many_messages_is_refused_with_the_limit():
    assert len(apart({"batch": [{}] * 2_500}, None)[0]) == 2_500
    with pytest.raises(MessageError) as error:
        apart({"batch": [{}] * 2_501}, None)
    assert error.value.code == "too_many_messages"
    assert "2501" in str(error.value)
    assert "2500" in str(error.value)


BATCH = {
    "context": {"library": {"name": "analytics-go"}, "ip": "203.0.113.9"},
    "integrations": {"All": True, "CRM": False},
    "timestamp": "2024-02-29T12:00:00Z",
    "sentAt": "2024-02-29T13:00:00Z",
}


def prepared(message, *, endpoint=None, **batch):
    messages, common = apart({"batch": [message], **batch}, None)
    return prepare(messages[0], endpoint, common)


def test_a_batch_speaks_for_messages_that_are_silent():
    raw = prepared({"type": "track"}, **BATCH)
    assert raw == {"type": "track", **BATCH}


def test_a_message_speaks_for_itself():
    own = {
        "type": "track",
        "context": {"library": {"version": "3"}, "locale": "nl-NL"},
        "integrations": {"CRM": True, "Mail": False},
        "timestamp": "2020-01-01T00:00:00Z",
        "sentAt": "2020-01-01T00:00:01Z",
    }
    raw = prepared(own, **BATCH)
    assert raw == {
        **own,
        "context": {
            "library": {"version": "3"},
            "ip": "203.0.113.9",
            "locale": "nl-NL",
        },
        "integrations": {"All": True, "CRM": True, "Mail": False},
    }


def test_null_is_silence_on_both_sides():
    nothing = dict.fromkeys(BATCH)
    assert prepared({"type": "track", **nothing}, **BATCH) == {"type": "track", **BATCH}
    assert prepared({"type": "track"}, **nothing) == {"type": "track"}


def test_p020_the_senders_original_timestamp_goes_before_the_batchs():
    own = {"type": "track", "originalTimestamp": "2020-01-01T00:00:00Z"}
    assert "timestamp" not in prepared(own, **BATCH)


def test_the_arguments_are_not_changed():
    own = {"type": "track", "context": {"a": 1}, "writeKey": "k"}
    batch = Batch(context={"b": 2})
    prepare(own, None, batch)
    assert own == {"type": "track", "context": {"a": 1}, "writeKey": "k"}
    assert batch == Batch(context={"b": 2})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("context", "web"),
        ("context", [1]),
        ("integrations", True),
        ("timestamp", True),
        ("timestamp", {}),
    ],
)
def test_a_wrong_type_in_the_batch_refuses_its_messages_by_pointer(name, wrong):
    refusal = prepared({"type": "track", "userId": "u"}, **{name: wrong})
    assert codes(refusal) == {(f"/{name}", "type")}
    assert "batch" in refusal.faults[0].message


def test_a_flaw_in_the_batch_refuses_its_messages_by_pointer():
    body = b'{"batch":[{"type":"page"}],"context":{"a":NaN,"b":"\\u0000"}}'
    value, *_ = decode.decode(body, LIMITS)
    messages, batch = apart(value, None)
    refusal = prepare(messages[0], None, batch)
    assert codes(refusal) == {("/context/a", "not_a_number"), ("/context/b", "nul")}


def test_a_wrong_time_in_the_batch_does_not_harm_messages_with_their_own():
    own = {"type": "page", "sentAt": "2020-01-01T00:00:00Z"}
    assert prepared(own, sentAt="yesterday")["sentAt"] == own["sentAt"]


def test_a_refused_messages_record_has_what_the_batch_said():
    _, batch = apart({"batch": [{}], **BATCH}, None)
    assert batch.as_sent() == BATCH
    assert Batch().as_sent() == dict.fromkeys(BATCH)


@pytest.mark.parametrize("message", [None, 5, "x", [], True, 1.5])
def test_a_message_that_is_no_object_is_refused(message):
    assert codes(prepare(message, "identify", Batch())) == {("", "type")}
    assert codes(prepare(message, None, Batch())) == {("", "type")}


@pytest.mark.parametrize("given", [{}, {"type": None}])
def test_p011_a_missing_type_is_the_endpoints(given):
    assert prepare({"userId": "u", **given}, "identify", Batch()) == {
        "userId": "u",
        "type": "identify",
    }


@pytest.mark.parametrize("wrong", ["track", "Identify", "", 5, [], {}])
def test_p010_another_type_than_the_endpoints_is_refused(wrong):
    raw = {"userId": "u", "type": wrong}
    assert codes(prepare(raw, "identify", Batch())) == {("/type", "const")}


@pytest.mark.parametrize("wrong", [None, "person", "recording", "", 5, [], {}])
def test_p010_in_a_batch_the_type_is_one_of_six(wrong):
    raw = {"userId": "u", "type": wrong}
    assert codes(prepare(raw, None, Batch())) == {("/type", "enum")}


@pytest.mark.parametrize("absent", [{}, {"traits": None}])
def test_the_traits_in_the_context_serve_an_identify_without_traits(absent):
    context = {"traits": {"email": "a@example.com"}}
    raw = prepare({"type": "identify", "context": context, **absent}, None, Batch())
    assert raw == {
        "type": "identify",
        "context": context,
        "traits": {"email": "a@example.com"},
    }


def test_the_traits_in_the_context_serve_nobody_else():
    context = {"traits": {"email": "a@example.com"}}
    for message in (
        {"type": "identify", "context": context, "traits": {}},
        {"type": "track", "context": context},
    ):
        assert prepare(message, None, Batch()) == message


@pytest.mark.parametrize("name", sorted(decode.OURS))
def test_p018_what_only_the_gateway_writes_is_taken_out(name):
    raw = prepare({"type": "page", "userId": "u", name: {"x": 1}}, None, Batch())
    assert raw == {"type": "page", "userId": "u"}


def test_p024_unknown_keys_stay():
    message = {"type": "page", "sequence": 1, "_metadata": {}, "metrics": None}
    assert prepare(message, "page", Batch()) == message
