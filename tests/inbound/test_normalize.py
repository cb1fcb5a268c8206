"""One form of everything reserved (P062-P064, P080-P106)."""

import copy
from typing import Any

import pytest

from gateway.event import Checked
from gateway.inbound.normalize import normalize
from tests.inbound.samples import identify, message


def normalized(raw: Any) -> tuple[Any, list[tuple[str, str]]]:
    """The message; normalized again it stays, and the argument is not changed."""
    before = copy.deepcopy(raw)
    result, notices = normalize(raw)
    assert raw == before
    assert normalize(Checked(result))[0] == result
    return result, [(notice.code, notice.name) for notice in notices]


def test_what_is_canonical_stays():
    raw = identify(
        anonymousId="anon-1",
        traits={"email": "a@b.c", "firstName": "Ann", "age": 3},
        context={"ip": "192.0.2.1"},
    )
    result, notices = normalized(raw)
    assert result == raw
    assert notices == []
    assert result["traits"] is raw["traits"]


@pytest.mark.parametrize("absent", [None, ""])
@pytest.mark.parametrize("name", ["userId", "anonymousId", "messageId"])
def test_p060_an_empty_or_null_id_is_absent(name, absent):
    raw = message("page", **{"userId": "u", "anonymousId": "a", name: absent})
    assert name not in normalized(raw)[0]


@pytest.mark.parametrize(
    "name",
    [
        "traits",
        "properties",
        "context",
        "integrations",
        "name",
        "category",
        "timestamp",
        "sentAt",
    ],
)
def test_null_in_an_optional_field_is_absent(name):
    result, _ = normalized(message("page", **{name: None}))
    assert result == message("page")


def test_p024_unknown_keys_stay_null_or_not():
    raw = message("page", sequence=None, empty="", name="", _metadata={})
    assert normalized(raw)[0] == raw


@pytest.mark.parametrize("name", ["userId", "anonymousId", "groupId", "previousId"])
def test_p012_numeric_ids_become_strings(name):
    kind = {"groupId": "group", "previousId": "alias"}.get(name, "page")
    result, _ = normalized(message(kind, **{name: 12345}))
    assert result[name] == "12345"
    assert result["asSent"] == {name: {"name": name, "value": 12345}}
    assert normalized(message(kind, **{name: 5.0}))[0][name] == "5"
    assert normalized(message(kind, **{name: 0}))[0][name] == "0"
    assert normalized(message(kind, **{name: -(2**53)}))[0][name] == str(-(2**53))


def test_p064_a_user_id_that_is_an_email_fills_the_trait():
    result, _ = normalized(identify(userId="Ann@Example.com"))
    assert result["traits"] == {"email": "Ann@Example.com"}
    assert result["userId"] == "Ann@Example.com"
    assert "asSent" not in result
    result, _ = normalized(identify(userId="a@b.c", traits={"email": None, "x": 1}))
    assert result["traits"] == {"email": "a@b.c", "x": 1}


def test_p064_a_given_email_is_not_overwritten():
    result, _ = normalized(identify(userId="a@b.c", traits={"email": "other@b.c"}))
    assert result["traits"] == {"email": "other@b.c"}


@pytest.mark.parametrize(
    "user_id", ["97980cfea0067", "@", "a@", "@b", "a b@c", "a@b@c", "mail a@b.c"]
)
def test_p063_another_user_id_fills_nothing(user_id):
    assert "traits" not in normalized(identify(userId=user_id))[0]


def test_p064_only_in_an_identify():
    assert "traits" not in normalized(message("track", userId="a@b.c"))[0]
    result, _ = normalized(message("group", userId="a@b.c", traits={"x": 1}))
    assert result["traits"] == {"x": 1}


def test_p080_custom_traits_of_any_shape_stay():
    traits: dict[str, Any] = {
        "a": None,
        "b": [1, {"c": [None]}],
        "d": {"e": {}},
        "f": 1.5,
        "g": "",
    }
    assert normalized(identify(traits=traits))[0]["traits"] == traits


def test_p087_first_and_last_name_make_the_name():
    traits = {"firstName": "Cool", "lastName": "Person"}
    result, _ = normalized(identify(traits=traits))
    assert result["traits"] == {**traits, "name": "Cool Person"}
    assert "asSent" not in result


def test_p087_p100_in_snake_case_too():
    traits = {"first_name": "Cool", "last_name": "Person", "name": None}
    result, _ = normalized(identify(traits=traits))
    assert result["traits"] == {
        "firstName": "Cool",
        "lastName": "Person",
        "name": "Cool Person",
    }


@pytest.mark.parametrize("name", ["C. Person", ""])
def test_p088_a_given_name_is_not_overwritten(name):
    traits = {"firstName": "Cool", "lastName": "Person", "name": name}
    assert normalized(identify(traits=traits))[0]["traits"] == traits


@pytest.mark.parametrize(
    "traits",
    [
        {"firstName": "Cool"},
        {"lastName": "Person"},
        {"firstName": "Cool", "lastName": None},
        {"firstName": "Cool", "lastName": ""},
        {"firstName": " ", "lastName": "Person"},
    ],
)
def test_p089_half_a_name_is_no_name(traits):
    assert normalized(identify(traits=traits))[0]["traits"] == traits


def test_p087_a_group_has_no_first_name():
    traits = {"firstName": "Cool", "lastName": "Person"}
    assert normalized(message("group", traits=traits))[0]["traits"] == traits


@pytest.mark.parametrize("kind", ["identify", "group"])
def test_p100_p105_traits_are_brought_to_one_spelling(kind):
    traits = {
        "created_at": 1709210096,
        "address": {"postal_code": 94103},
        "company": {"employeeCount": "420"},
        "phone": 15550102030,
        "age": "34",
    }
    result, notices = normalized(message(kind, traits=traits))
    assert result["traits"] == {
        "createdAt": "2024-02-29T12:34:56.000Z",
        "address": {"postalCode": "94103"},
        "company": {"employee_count": 420},
        "phone": "15550102030",
        "age": 34,
    }
    assert result["asSent"] == {
        "traits.createdAt": {"name": "created_at", "value": 1709210096},
        "traits.address.postalCode": {"name": "postal_code", "value": 94103},
        "traits.company.employee_count": {"name": "employeeCount", "value": "420"},
        "traits.phone": {"name": "phone", "value": 15550102030},
        "traits.age": {"name": "age", "value": "34"},
    }
    assert notices == []


def test_p103_both_spellings_give_a_notice():
    traits = {"firstName": "camel", "first_name": "snake"}
    result, notices = normalized(identify(traits=traits))
    assert result["traits"] == {"firstName": "camel"}
    assert "asSent" not in result
    assert notices == [("both_spellings", "traits.firstName")]


def test_p086_an_unreadable_date_gives_a_notice_and_stays():
    result, notices = normalized(identify(traits={"createdAt": "soon"}))
    assert result["traits"] == {"createdAt": "soon"}
    assert notices == [("unreadable_trait", "traits.createdAt")]


@pytest.mark.parametrize("kind", ["track", "page", "screen"])
def test_p104_properties_are_nobodys_traits(kind):
    properties = {"first_name": "x", "created_at": 1709210096, "age": "34"}
    raw = message(kind, properties=properties, traits={"first_name": "x"})
    assert normalized(raw)[0] == raw


def test_the_ids_and_the_traits_are_remembered_together():
    result, _ = normalized(identify(userId=5, traits={"last_name": "x"}))
    assert set(result["asSent"]) == {"userId", "traits.lastName"}


def test_an_id_of_another_type_s_messages_is_left_as_it_is():
    """previousId means nothing to an identify (P024): kept, and nothing is recorded."""
    message = Checked({"type": "identify", "userId": 5, "previousId": []})
    once, _ = normalize(message)
    assert once["previousId"] == []
    assert once["asSent"] == {"userId": {"name": "userId", "value": 5}}
    assert normalize(Checked(once))[0] == once
