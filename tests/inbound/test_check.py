"""What is valid, what is not, and what the sender is told (P010-P037, P060-P084)."""

import json
from pathlib import Path

import pytest

from gateway.inbound.check import (
    SCHEMAS,
    VALIDATORS,
    check,
    reference,
    reference_errors,
)
from tests.inbound.samples import accepts, faults, identify, message, verdict


def test_p001_a_user_id_and_traits_are_enough():
    accepts(identify(traits={"email": "ann@example.com"}))


def test_p001_traits_are_not_required():
    accepts(identify())


@pytest.mark.parametrize("kind", ["identify", "group"])
@pytest.mark.parametrize("wrong", [[{}], "plan", 1, True])
def test_p014_traits_that_are_no_object_are_refused(kind, wrong):
    assert verdict(message(kind, traits=wrong)) == {("/traits", "type")}


@pytest.mark.parametrize("wrong", [["all"], "all", 1, True])
def test_p015_integrations_that_are_no_object_are_refused(wrong):
    assert verdict(identify(integrations=wrong)) == {("/integrations", "type")}


@pytest.mark.parametrize("value", [True, False, {}, {"site": "x"}, None])
def test_p015_an_integration_is_a_boolean_or_options(value):
    accepts(identify(integrations={"Mixpanel": value}))


@pytest.mark.parametrize("wrong", ["true", 1, [True]])
def test_p015_an_integration_of_another_type_is_refused(wrong):
    raw = identify(integrations={"a/b~c": wrong})
    assert verdict(raw) == {("/integrations/a~1b~0c", "type")}


@pytest.mark.parametrize("wrong", [5, True, {}, []])
def test_p016_a_message_id_that_is_no_string_is_refused(wrong):
    assert verdict(identify(messageId=wrong)) == {("/messageId", "type")}


@pytest.mark.parametrize("value", [None, "", "m-1", "m" * 1_000])
def test_p016_a_message_id_is_a_string_or_absent(value):
    accepts(identify(messageId=value))


TIMES = ["timestamp", "originalTimestamp", "sentAt"]


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    "value",
    [
        "2019-08-24T14:15:22Z",
        "2024-02-29T12:34:56.7Z",
        "2024-02-29T12:34:56.123456789+05:30",
        "2000-02-29T00:00:00-23:59",
        "0001-01-01T00:00:00Z",  # what Go and .NET write for "no time"
        "9999-12-31T23:59:59Z",
        None,
    ],
)
def test_p017_iso_date_times_are_valid(name, value):
    accepts(identify(**{name: value}))


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "02/29/2024",
        "1990",
        "2024-02-29T12",
        "2024-02-30",
        "2024-02-29T12:34:56 CET",
        "2024-02-29T12:34:56.Z",
        "2024-02-29T12:34:56.0123456789Z",
        "2024-02-29T12:34:56+24:00",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z\n",
        "\uff12\uff10\uff12\uff14-01-01T00:00:00Z",
    ],
)
def test_p017_any_other_string_is_no_date_time(name, value):
    assert verdict(identify(**{name: value})) == {(f"/{name}", "format")}


@pytest.mark.parametrize("wrong", [1990, 20240229, 1e300, True, {}, [], [1]])
def test_p017_what_is_neither_text_nor_unix_time_is_no_time(wrong):
    assert verdict(identify(timestamp=wrong)) == {("/timestamp", "type")}


def test_p017_p018_p022_what_we_overwrite_is_not_judged():
    accepts(identify(receivedAt=5, version="latest"))


def test_p023_the_full_example_of_the_documents_is_valid():
    accepts(
        identify(
            traits={
                "name": "Cool Person",
                "email": "cool.person@example.com",
                "likes_baseball": True,
                "games_attended": 5,
            },
            userId="97980cfea0067",
            integrations={"All": True},
            messageId="string",
            receivedAt="2019-08-24T14:15:22Z",
            sentAt="2019-08-24T14:15:22Z",
            timestamp="2019-08-24T14:15:22Z",
            version=0,
            context={
                "active": True,
                "ip": "192.0.2.1",
                "locale": "en-US",
                "userAgent": "string",
                "channel": "browser",
                "campaign": dict.fromkeys(
                    ["name", "source", "medium", "term", "content"], "string"
                ),
                "page": {
                    **dict.fromkeys(
                        ["name", "path", "referrer", "search", "title", "url"], "string"
                    ),
                    "keywords": ["string"],
                },
            },
        )
    )


def test_p024_unknown_keys_are_never_fatal():
    raw = identify(_metadata={"nodeVersion": "v20"}, channel="server", x=None, y=[[]])
    accepts(raw)


@pytest.mark.parametrize("value", [True, False, None])
def test_p030_active_is_a_boolean(value):
    accepts(identify(context={"active": value}))


@pytest.mark.parametrize("wrong", ["true", 1, {}])
def test_p030_active_of_another_type_is_refused(wrong):
    raw = identify(context={"active": wrong})
    assert verdict(raw) == {("/context/active", "type")}


@pytest.mark.parametrize("value", ["browser", "server", "mobile", None])
def test_p032_the_three_channels(value):
    accepts(identify(context={"channel": value}))


@pytest.mark.parametrize("wrong", ["web", "Browser", "", 1])
def test_p032_another_channel_is_refused(wrong):
    raw = identify(context={"channel": wrong})
    assert verdict(raw) == {("/context/channel", "enum")}


@pytest.mark.parametrize("name", ["ip", "locale", "userAgent"])
def test_p035_ip_locale_and_user_agent_are_strings(name):
    accepts(identify(context={name: "en-US"}))
    raw = identify(context={name: 5})
    assert verdict(raw) == {(f"/context/{name}", "type")}


@pytest.mark.parametrize("name", ["name", "source", "medium", "term", "content", "id"])
def test_p036_every_parameter_of_a_campaign_is_a_string(name):
    accepts(identify(context={"campaign": {name: "spring"}}))
    raw = identify(context={"campaign": {name: 5}})
    assert verdict(raw) == {(f"/context/campaign/{name}", "type")}


@pytest.mark.parametrize("name", ["name", "path", "referrer", "search", "title", "url"])
def test_p037_the_parts_of_a_page_are_strings(name):
    accepts(identify(context={"page": {name: "x"}}))
    raw = identify(context={"page": {name: 5}})
    assert verdict(raw) == {(f"/context/page/{name}", "type")}


def test_p037_keywords_are_an_array_of_strings():
    accepts(identify(context={"page": {"keywords": ["shoes", "red"]}}))
    raw = identify(context={"page": {"keywords": "shoes"}})
    assert verdict(raw) == {("/context/page/keywords", "type")}
    raw = identify(context={"page": {"keywords": ["shoes", 5]}})
    assert verdict(raw) == {("/context/page/keywords/1", "type")}


@pytest.mark.parametrize("context", ["web", [1], 1])
def test_p002_a_context_that_is_no_object_is_refused(context):
    assert verdict(identify(context=context)) == {("/context", "type")}


@pytest.mark.parametrize("kind", ["identify", "track", "page", "screen", "group"])
@pytest.mark.parametrize(
    "ids", [{}, {"userId": None}, {"userId": ""}, {"userId": "", "anonymousId": None}]
)
def test_p060_neither_user_id_nor_anonymous_id_is_refused(kind, ids):
    raw = {k: v for k, v in message(kind).items() if k != "userId"} | ids
    assert verdict(raw) == {("", "missing_identifier")}


@pytest.mark.parametrize("kind", ["identify", "track", "page", "screen", "group"])
@pytest.mark.parametrize("user_id", [None, ""])
def test_p061_an_anonymous_id_alone_is_accepted(kind, user_id):
    accepts(message(kind, userId=user_id, anonymousId="anon-1"))


@pytest.mark.parametrize("user_id", [{}, {"userId": None}, {"userId": ""}])
def test_p062_an_email_can_stand_for_the_user_id(user_id):
    accepts({"type": "identify", "traits": {"email": "a@example.com"}, **user_id})
    accepts({"type": "identify", "context": {"traits": {"email": "a@b.c"}}, **user_id})


@pytest.mark.parametrize("email", ["", "ann", None])
def test_p062_what_is_no_email_cannot(email):
    raw = {"type": "identify", "userId": "", "traits": {"email": email}}
    assert verdict(raw) == {("", "missing_identifier")}


def test_p062_only_in_an_identify():
    raw = {"type": "group", "groupId": "g", "traits": {"email": "a@example.com"}}
    assert verdict(raw) == {("", "missing_identifier")}


@pytest.mark.parametrize(
    "user_id",
    [
        "97980cfea0067",
        "2f0d1f24-3b8e-4d0a-9d55-7d1f2e9a0c11",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "ann@example.com",
        "user with spaces / slash",
        "日本語",
        "0",
        " ",
    ],
)
def test_p063_p067_an_id_may_be_any_string(user_id):
    accepts(identify(userId=user_id))
    accepts(identify(anonymousId=user_id))


def test_track_needs_the_name_of_an_event():
    accepts(message("track"))
    raw = {"type": "track", "userId": "u"}
    assert verdict(raw) == {("", "required")}
    assert verdict({**raw, "event": ""}) == {("/event", "minLength")}
    assert verdict({**raw, "event": None}) == {("/event", "type")}


def test_group_needs_a_group_id():
    accepts(message("group", groupId=5))
    assert verdict({"type": "group", "userId": "u"}) == {("", "required")}
    assert verdict(message("group", groupId="")) == {("/groupId", "minLength")}
    assert verdict(message("group", groupId=None)) == {("/groupId", "type")}


def test_alias_needs_both_ids():
    accepts(message("alias"))
    raw = {"type": "alias", "userId": "u"}
    assert verdict(raw) == {("", "required")}
    assert verdict({**raw, "previousId": ""}) == {("/previousId", "minLength")}
    raw = {"type": "alias", "previousId": "a", "anonymousId": "b"}
    assert verdict(raw) == {("", "required")}


@pytest.mark.parametrize("kind", ["page", "screen"])
@pytest.mark.parametrize("name", ["name", "category"])
def test_the_name_of_a_page_may_be_absent_null_or_empty(kind, name):
    for value in ("Home", "", None):
        accepts(message(kind, **{name: value}))
    assert verdict(message(kind, **{name: 5})) == {(f"/{name}", "type")}


@pytest.mark.parametrize("kind", ["track", "page", "screen"])
def test_properties_are_an_object(kind):
    accepts(message(kind, properties={"createdAt": True, "email": 5}))
    accepts(message(kind, properties=None))
    assert verdict(message(kind, properties=[1])) == {("/properties", "type")}


def test_at_most_ten_faults_are_told():
    raw = identify(integrations={f"x{n}": 5 for n in range(40)})
    assert len(faults(check(raw))) == 10


def test_a_fault_says_what_was_expected_and_never_the_value():
    secret = "secret-4711"
    wrong = [secret]
    raw = identify(
        messageId=wrong,
        timestamp=secret,
        context={"channel": secret, "active": secret},
        traits={"age": secret, "email": f" {secret}@example.com", "phone": wrong},
        integrations={"x": secret},
    )
    result = faults(check(raw))
    assert len(result) == 8
    assert secret not in repr(result)
    assert "secret" not in repr(reference_errors(raw))
    texts = {fault.pointer: fault.message for fault in result}
    assert texts["/messageId"].endswith("; this is an array")
    assert "ISO 8601" in texts["/timestamp"]
    assert texts["/context/channel"] == "must be browser or server or mobile or null"


def test_both_validators_say_the_same():
    raw = identify(userId=True, traits={"age": "x"}, context={"page": []})
    assert sorted(faults(check(raw))) == sorted(reference_errors(raw))


def test_every_type_and_the_envelope_have_a_schema():
    assert set(SCHEMAS) == {
        *("identify", "track", "page", "screen", "group", "alias"),
        *("batch", "common", "track-api"),
    }
    dialect = "https://json-schema.org/draft/2020-12/schema"
    assert {schema["$schema"] for schema in SCHEMAS.values()} == {dialect}


def golden_schemas():
    found = []
    folder = Path(__file__).parents[1] / "golden" / "schemas"
    for file in sorted(folder.glob("*.json")):
        for case in json.loads(file.read_text(encoding="utf-8")):
            name = f"{file.stem}: {case['description']}"
            values = file.stem, case["message"], case["valid"]
            found.append(pytest.param(*values, id=name))
    return found


@pytest.mark.parametrize(("kind", "raw", "valid"), golden_schemas())
def test_the_schemas_mean_the_same_in_both_validators(kind, raw, valid):
    assert VALIDATORS[kind].is_valid(raw) is valid
    assert reference(kind).is_valid(raw) is valid
