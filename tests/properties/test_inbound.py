"""What holds for every message and every body, not only for the ones we thought of."""

import contextlib
import copy
import gzip
import json

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import DestinationConfig
from gateway.errors import MessageError
from gateway.event import Checked, Event
from gateway.inbound.admit import Admitted, admit
from gateway.inbound.check import VALIDATORS, check, reference, reference_errors
from gateway.inbound.decode import Batch, decode, prepare
from gateway.inbound.fit import flaws, message_bytes, weigh
from gateway.inbound.inflate import inflate
from gateway.inbound.normalize import normalize
from gateway.inbound.refusal import FAULTS_MAX, Refusal
from gateway.inbound.route import Routes
from gateway.traits import spell
from tests.chance import examples
from tests.inbound.samples import (
    ENDPOINTS,
    LIMITS,
    SIX,
    TYPES,
    apart,
    origin,
    recordings,
)

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
# In a fault's place jsonschema-rs leaves an empty key out and reads 01 as 1.
KEY = TEXT.filter(lambda key: key.strip("+0123456789"))
INTEGER = st.integers(-(2**63), 2**64 - 1)
SCALAR = (
    st.none() | st.booleans() | INTEGER | st.floats(allow_nan=False) | TEXT
).filter(lambda value: value not in (float("inf"), float("-inf")))
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3),
    max_leaves=6,
)
TIME = st.sampled_from(
    [
        "2019-08-24T14:15:22Z",
        "2024-02-29T12:34:56.123456789+05:30",
        "2026-01-15T12:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "2023-02-29T00:00:00Z",
        "2024-02-29T12:34:56",
        "2024-02-29T12:34:56Z\n",
        "2024-02-29",
    ]
)
WORD = st.sampled_from(
    ["", "u-1", "a@x.io", " a@x.io", "a@b\n", "a\tb", "\x85", "34", "34\n", "-1.5"]
)
VALUE = WORD | TIME | JSON
INTEGRATION = st.sampled_from(["All", "all", "crm", "CRM", "mail", "Mail", "Nobody"])
ADDRESS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("postalCode", "postal_code", "city"), VALUE)
)
COMPANY = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "employee_count", "employeeCount"), VALUE)
)
RESERVED = (
    *("age", "birthday", "createdAt", "created_at", "email", "firstName"),
    *("first_name", "lastName", "last_name", "id", "name", "phone", "plan"),
)
TRAITS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(RESERVED, VALUE)
    | {"address": ADDRESS | VALUE, "company": COMPANY | VALUE},
)
CONTEXT = st.fixed_dictionaries(
    {},
    optional={
        "channel": st.sampled_from(["browser", "web", None]),
        "active": VALUE,
        "ip": VALUE,
        "campaign": st.dictionaries(KEY, VALUE, max_size=2) | VALUE,
        "page": st.fixed_dictionaries({}, optional={"url": VALUE, "keywords": VALUE}),
        "traits": TRAITS | VALUE,
    },
)


def messages(value):
    """Messages of every type whose fields are right, nearly right, or anything."""
    ids = st.sampled_from(["user-1", "a@example.com", "", None, 5]) | value
    integrations = st.dictionaries(INTEGRATION, st.booleans() | value, max_size=4)
    return st.fixed_dictionaries(
        {"type": st.sampled_from(TYPES)},
        optional={
            "userId": ids,
            "anonymousId": ids,
            "groupId": ids,
            "previousId": ids,
            "event": value,
            "messageId": WORD | value,
            "timestamp": TIME | value,
            "originalTimestamp": TIME,
            "sentAt": TIME | value,
            "traits": TRAITS | value,
            "properties": value,
            "context": CONTEXT | value,
            "integrations": integrations | value,
            "name": value,
            "extra": value,
        },
    )


def tidy(value):
    """A valid message made of a generated one: what is refused is taken out."""
    value = {"event": "E", "groupId": "g", "previousId": "p", **value}
    value["userId"] = value.get("userId") if value.get("userId") == 5 else "user-1"
    for _ in range(30):
        result = check(value)
        if not isinstance(result, Refusal):
            return value
        for fault in result.faults:
            _remove(value, fault.pointer.split("/")[1:])
    return {"type": "page", "userId": "u"}


def _remove(value, path):
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in path]
    for part in parents:
        value = value[int(part)] if isinstance(value, list) else value.get(part, {})
    if isinstance(value, list):
        del value[int(last) :]
    elif last in ("event", "groupId", "previousId", "userId"):
        value[last] = "x"
    else:
        value.pop(last, None)


ANY = messages(VALUE)
VALID = ANY.map(tidy)
ROUTES = Routes(
    {
        "crm": DestinationConfig(name="crm", type="webhook"),
        "mail": DestinationConfig(name="mail", type="mail", enabled=False),
        "file": DestinationConfig(name="file", type="file", display_name=("Mail",)),
    },
    {"crm": SIX, "mail": SIX, "file": frozenset({"identify", "track"})},
)
CONFIGURED = {"crm", "mail", "file"}
SKEW = st.sampled_from(["ahead", "segment", "off"])
KIND = st.sampled_from(["browser", "mobile", "server", "track_api"])


@given(ANY)
@settings(max_examples=examples(400))
def test_both_validators_decide_alike(message):
    validator = VALIDATORS[message["type"]]
    assert validator.is_valid(message) == reference(message["type"]).is_valid(message)


def recorded():
    """Every message that an SDK sent, in full."""
    for _, request in recordings():
        value = json.loads(request["body_text"])
        for message in value.get("batch", [value]):
            kind = ENDPOINTS[request["path"].rpartition("/")[2]]
            yield {"type": kind, **message}


RECORDED = st.sampled_from(list(recorded()))


@st.composite
def damaged(draw):
    """A real message with anything in a place where something else was."""
    message = place = copy.deepcopy(draw(RECORDED))
    for _ in range(draw(st.integers(1, 4))):
        key = draw(st.sampled_from(sorted(place.keys() - {"type"}) or ["new"]))
        if not isinstance(place.get(key), dict) or not place[key]:
            break
        place = place[key]
    key = draw(st.sampled_from(sorted(place.keys() - {"type"}) or ["new"]))
    place[key] = draw(VALUE)
    return message


@given(damaged())
@settings(max_examples=examples(400))
def test_both_validators_decide_alike_on_damaged_messages(message):
    validator = VALIDATORS[message["type"]]
    assert validator.is_valid(message) == reference(message["type"]).is_valid(message)


@given(ANY)
def test_a_refusal_names_places_that_the_reference_names(message):
    result = check(message)
    if isinstance(result, Refusal):
        assert 1 <= len(result.faults) <= FAULTS_MAX
        pointers = {fault.pointer for fault in reference_errors(message)}
        assert {fault.pointer for fault in result.faults} <= pointers


@given(VALID)
def test_normalize_is_idempotent_and_changes_no_argument(message):
    before = copy.deepcopy(message)
    once, _ = normalize(message)
    assert message == before
    twice, _ = normalize(Checked(once))
    assert twice == once
    assert orjson.dumps(twice) == orjson.dumps(once)


@given(VALID)
def test_as_sent_restores_the_traits(message):
    normalized, notices = normalize(message)
    sent, spelled = message.get("traits"), spell(normalized, "as_sent").get("traits")
    if not isinstance(sent, dict) or any(n.code == "both_spellings" for n in notices):
        return
    if message["type"] in ("identify", "group"):
        assert isinstance(spelled, dict)
        assert set(sent) <= set(spelled)
        for name, value in spelled.items():
            if name not in sent or value != sent[name]:
                assert name in ("name", "email")
                assert sent.get(name) in (None, "")


@given(VALID, SKEW, KIND)
def test_a_valid_message_is_admitted_whole(message, skew, kind):
    here = origin(clock_skew=skew, kind=kind, ip="203.0.113.9")
    result = admit(message, here, ROUTES)
    assert isinstance(result, Admitted)
    event, route = result.event, result.route
    assert Event.from_bytes(event.to_bytes()) == event
    assert set(route.to) | set(route.no) == CONFIGURED
    assert set(route.to).isdisjoint(route.no)
    assert set(route.no.values()) <= {
        *("disabled", "type", "integrations", "integrations_all")
    }
    assert event.key
    assert event.body["timestampSource"] in ("client", "corrected", "server")
    assert set(message) - set(event.body) <= {
        name for name, value in message.items() if value is None or value == ""
    }


@given(ANY, st.sampled_from([None, *TYPES]), st.dictionaries(KEY, VALUE, max_size=2))
def test_whatever_is_sent_is_admitted_or_refused(message, endpoint, context):
    raw = prepare(message, endpoint, Batch(context=context))
    if isinstance(raw, Refusal):
        return
    result = admit(raw, origin(), ROUTES)
    assert isinstance(result, Admitted | Refusal)


def read(body):
    """Everything that happens to a body before its messages are judged."""
    value, suspect, crowded = decode(inflate(body, None, LIMITS.request_bytes), LIMITS)
    found = []
    for endpoint in ("identify", None):
        try:
            parts, batch = apart(value, endpoint)
        except MessageError:
            continue
        for part in parts:
            size, deep = weigh(part, LIMITS.nesting)
            assert size > 0 or deep
            faults = flaws(part, LIMITS.nesting)
            assert suspect or (crowded and deep) or not faults
            assert message_bytes(part) > 0
            raw = prepare(part, endpoint, batch)
            if not faults and not isinstance(raw, Refusal):
                found.append(admit(raw, origin(), ROUTES))
    return found


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: b"\x1f\x8b" + b))
@settings(max_examples=examples(300))
def test_any_bytes_are_read_or_raise_message_error(body):
    with contextlib.suppress(MessageError):
        read(body)


PIECES = ["{", "}", "[", "]", ",", ":", '"', "\\", "\\u0000", "\\ud800", "NaN", "1e999"]
PIECES += ["18446744073709551616", "9" * 20, '"a"', '"batch":', '"type":', '"page"']
PIECES += ['"userId":', "null", "true", "0", " "]
PIECE = st.sampled_from(PIECES)


@given(st.lists(PIECE, max_size=60).map("".join))
@settings(max_examples=examples(300))
def test_nearly_json_is_read_or_raises_message_error(text):
    for body in (text.encode(), gzip.compress(text.encode())):
        with contextlib.suppress(MessageError):
            read(body)


WILD = st.recursive(
    SCALAR
    | st.text(max_size=5)
    | st.sampled_from(
        [2**64, -(2**63) - 1, float("nan"), float("inf"), "\0", "\ud800"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
    ),
    max_leaves=8,
)


@given(WILD)
@settings(max_examples=examples(300))
def test_what_is_not_suspect_has_no_flaws_and_survives_our_writing(value):
    body = json.dumps(value).encode()
    decoded, suspect, crowded = decode(body, LIMITS)
    if not flaws(decoded, LIMITS.nesting):
        assert orjson.loads(orjson.dumps(decoded)) == json.loads(body)
        assert decoded == json.loads(body)
    else:
        assert suspect or crowded


@given(st.integers(1, 80), st.sampled_from([b"[", b'{"a":']), st.booleans())
def test_the_nesting_of_a_message_is_judged_exactly(depth, opener, batched):
    closer = b"]" if opener == b"[" else b"}"
    deep = b'{"x":' + opener * depth + b"1" + closer * depth + b"}"
    body = b'{"batch":[%s,{}]}' % deep if batched else deep
    decoded, suspect, crowded = decode(body, LIMITS)
    message = decoded["batch"][0] if batched else decoded
    too_deep = depth + 1 > LIMITS.nesting
    assert bool(flaws(message, LIMITS.nesting)) is too_deep
    assert suspect or not too_deep or (crowded and weigh(message, LIMITS.nesting)[1])
