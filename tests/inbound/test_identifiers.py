"""An identifier of the wrong type, too long, with control characters (P012, P013, D11).

Refused with its place at both doors, and what is beside it in a batch is not.
"""

import json

import pytest

from gateway.inbound.check import check, reference_errors
from gateway.inbound.doors.track.calls import Call, find, messages
from gateway.inbound.refusal import Refusal
from tests.inbound.house import GOOD
from tests.inbound.samples import accepts, codes, identify, message, verdict

PLACES = [
    *((kind, "userId") for kind in ("identify", "track", "page", "screen", "group")),
    *(("identify", "anonymousId"), ("track", "anonymousId"), ("group", "groupId")),
    *(("alias", "userId"), ("alias", "previousId")),
]
# The first and last of both ranges, and those that are typed by accident.
CONTROLS = ["\u0001", "\t", "\n", "\r", "\u001f", "\u007f", "\u0085", "\u009f"]
BESIDE = [
    "\u0020",
    "\u007e",
    "\u00a0",
    "\u00ad",
    "\u200b",
    "\u2028",
    "\ufeff",
    "👩‍👩‍👧",
]


@pytest.mark.parametrize("wrong", [True, {}, [], 1.5, ["user-1"]])
@pytest.mark.parametrize(("kind", "name"), PLACES)
def test_p012_p013_an_id_of_another_type_is_refused(kind, name, wrong):
    assert verdict(message(kind, **{name: wrong})) == {(f"/{name}", "type")}


@pytest.mark.parametrize(("kind", "name"), PLACES)
def test_p012_p013_integers_up_to_2_to_the_53_are_ids(kind, name):
    for number in (0, 12345, 2**53, -(2**53)):
        accepts(message(kind, **{name: number}))
    over, under = ({name: 2**53 + 1}, "maximum"), ({name: -(2**53) - 1}, "minimum")
    for given, code in (over, under):
        assert verdict(message(kind, **given)) == {(f"/{name}", code)}


@pytest.mark.parametrize(("kind", "name"), PLACES)
def test_p012_an_id_is_at_most_1000_characters(kind, name):
    accepts(message(kind, **{name: "日" * 1_000}))
    long = message(kind, **{name: "日" * 1_001})
    assert verdict(long) == {(f"/{name}", "maxLength")}


@pytest.mark.parametrize(("kind", "name"), PLACES)
def test_an_id_holds_no_control_character_anywhere(kind, name):
    for control in CONTROLS:
        for value in (control, f"{control}ab", f"a{control}b", f"ab{control}"):
            raw = message(kind, **{name: value})
            assert verdict(raw) == {(f"/{name}", "not")}
    for other in BESIDE:
        accepts(message(kind, **{name: f"a{other}b"}))


@pytest.mark.parametrize("control", CONTROLS)
def test_an_email_that_identifies_holds_none_either(control):
    email = {"email": f"a{control}b@example.com"}
    refused = {("/traits/email", "not")}
    assert verdict({"type": "identify", "traits": email}) == refused
    assert verdict(identify(traits=email)) == refused
    accepts(message("group", traits=email))  # a company's, which identifies nobody
    accepts(identify(traits={"name": email["email"]}))


@pytest.mark.parametrize("sent", ["ann@example.com\n", "\tann@example.com"])
@pytest.mark.parametrize("name", ["userId", "email"])
def test_d11_white_space_around_an_email_is_still_told_as_such(name, sent):
    raw = identify(userId=sent) if name == "userId" else identify(traits={name: sent})
    refusal = check(raw)
    assert isinstance(refusal, Refusal)
    (fault,) = refusal.faults
    assert fault.message == "must not be an email address with white space around it"
    assert reference_errors(raw) == [fault]


def test_the_sender_is_told_the_remedy_and_never_the_value():
    refusal = check(identify(userId="secret\u0007"))
    assert isinstance(refusal, Refusal)
    (fault,) = refusal.faults
    assert "control characters" in fault.message
    assert fault.message.endswith("leave them out")
    assert "secret" not in fault.message


async def test_a_batch_refuses_that_message_alone(house):
    bad = {"userId": ["u"]}, {"userId": "u" * 1_001}, {"anonymousId": "a\nb"}
    lead = {"type": "identify", "context": {"traits": {"email": "a\tb@example.com"}}}
    batch = [GOOD, *({**GOOD, **each} for each in bad), lead, GOOD]
    status, body, _ = await house.post("/v1/batch", {"batch": batch})
    assert (status, body["accepted"]) == (200, 2)
    told = {
        each["index"]: (each["errors"][0]["pointer"], each["errors"][0]["code"])
        for each in body["rejected"]
    }
    assert told == {
        1: ("/userId", "type"),
        2: ("/userId", "maxLength"),
        3: ("/anonymousId", "not"),
        4: ("/traits/email", "not"),
    }
    assert len(await house.events()) == 2
    kept = [json.loads(record.value) for record in await house.records("refused")]
    assert [json.loads(each["bytes"]) for each in kept] == batch[1:5]


V1, V2 = "PUT /api/v1/customers/u1", "POST /api/v2/entity"
PERSON = {"type": "person", "action": "identify"}


@pytest.mark.parametrize(
    ("line", "body", "expected"),
    [
        (f"PUT /api/v1/customers/{'x' * 501}", {}, ("", "maxLength")),
        ("PUT /api/v1/customers/a%C2%85b", {}, ("", "pattern")),
        (V1, {"id": "a\nb"}, ("/id", "not")),
        (V1, {"email": "a\u009fb@x.y"}, ("/email", "not")),
        (V1, {"cio_id": "a\u007fb"}, ("/cio_id", "not")),
        (V1, {"anonymous_id": []}, ("/anonymous_id", "type")),
        (V1, {"anonymous_id": "x" * 1_001}, ("/anonymous_id", "maxLength")),
        (V1, {"anonymous_id": "a\tb"}, ("/anonymous_id", "pattern")),
        (V2, {"identifiers": {"id": True}}, ("/identifiers/id", "type")),
        (V2, {"identifiers": {"id": "x" * 501}}, ("/identifiers/id", "maxLength")),
        (V2, {"identifiers": {"email": "a\nb"}}, ("/identifiers/email", "pattern")),
        (V2, {"identifiers": {"cio_id": "\r"}}, ("/identifiers/cio_id", "pattern")),
    ],
)
def test_the_track_api_s_identifiers_too(line, body, expected):
    call = find(*line.split(" ", 1))
    assert isinstance(call, Call)
    entity = PERSON if line == V2 else {}
    assert codes(messages(call, {**entity, **body}, {})) == {expected}
