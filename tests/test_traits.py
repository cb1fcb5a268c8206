"""The table of reserved traits: canonical form and the three spellings."""

from typing import Any

import pytest

from gateway.traits import (
    ADDRESS,
    COMPANY,
    PERSON,
    canonical,
    read_date,
    read_number,
    read_text,
    spell,
)

UNREADABLE = None


@pytest.mark.parametrize(
    "value",
    [
        "2024-02-29T12:34:56Z",
        "2024-02-29T12:34:56.7Z",
        "2024-02-29T12:34:56.123456789Z",
        "2024-02-29T12:34:56.789000+00:00",
        "2024-02-29T12:34:56-08:00",
    ],
)
def test_p085_what_is_iso_stays_exactly_as_sent(value):
    assert read_date(value) is value


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("2024-02-29T12:34:56", "2024-02-29T12:34:56.000Z"),
        ("2024-02-29 12:34:56", "2024-02-29T12:34:56.000Z"),
        ("2024-02-29T12:34", "2024-02-29T12:34:00.000Z"),
        ("2024-02-29T12:34:56.5", "2024-02-29T12:34:56.500Z"),
        ("2024-02-29T12:34:56.123456", "2024-02-29T12:34:56.123456Z"),
        ("2024-02-29 12:34:56+00:00", "2024-02-29T12:34:56.000+00:00"),
        ("2024-02-29T12:34:56+0200", "2024-02-29T12:34:56.000+02:00"),
        ("2024-02-29t12:34:56z", "2024-02-29T12:34:56.000Z"),
        ("1990-01-02", "1990-01-02T00:00:00.000Z"),
        (1709210096, "2024-02-29T12:34:56.000Z"),
        (1709210096.5, "2024-02-29T12:34:56.500Z"),
        ("1709210096", "2024-02-29T12:34:56.000Z"),
        (1709210096789, "2024-02-29T12:34:56.789Z"),
        ("1709210096789", "2024-02-29T12:34:56.789Z"),
        (1709210096789.0, "2024-02-29T12:34:56.789Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-631152000, "1950-01-01T00:00:00.000Z"),
        ("-631152000", "1950-01-01T00:00:00.000Z"),
        (99_999_999_999, "5138-11-16T09:46:39.000Z"),
        (100_000_000_000, "1973-03-03T09:46:40.000Z"),
        (-100_000_000_000, "1966-10-31T14:13:20.000Z"),
    ],
    ids=repr,
)
def test_p086_other_dates_become_iso_with_a_zone(value, read):
    assert read_date(value) == read
    assert read_date(read) == read


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "02/29/2024",
        "29.02.2024",
        "1990",
        "19900102",
        "2024-02-30",
        "2023-02-29T00:00:00Z",
        "2024-02-29T25:00:00",
        "2024-02-29T12",
        "2024-02-29T12:34:56 CET",
        "2024-02-29\n",
        "\uff12\uff10\uff12\uff14-02-29",
        "1709210096789123",  # microseconds
        1990,  # a year, whether as text or as number
        2024.0,
        202402,
        19900102,
        -1990,
        99_999_999,
        10**30,
        -(10**30),
        1e300,
        float("1e16"),
        True,
        [],
    ],
    ids=repr,
)
def test_p086_what_cannot_be_read_is_not_guessed(value):
    assert read_date(value) is UNREADABLE


@pytest.mark.parametrize(
    ("value", "read"),
    [("42", 42), ("-1", -1), ("34.5", 34.5), ("0", 0), (42, 42), (1.5, 1.5)],
    ids=repr,
)
def test_p081_a_text_of_digits_becomes_its_number(value, read):
    assert read_number(value) == read
    assert type(read_number(value)) is type(read)
    assert read_number("many") is UNREADABLE


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (42, "42"),
        (42.0, "42"),
        (1.5, "1.5"),
        (-3, "-3"),
        (2**63, str(2**63)),
        (1e22, "1e+22"),
        ("x", "x"),
    ],
    ids=repr,
)
def test_p081_a_number_becomes_the_text_people_would_write(value, read):
    assert read_text(value) == read


def test_p100_snake_case_becomes_camel_case():
    traits = {
        "first_name": "Ann",
        "last_name": "Smith",
        "created_at": "2024-02-29T12:34:56Z",
        "address": {"postal_code": "94103", "city": "SF"},
    }
    read = canonical(traits)
    assert read.traits == {
        "firstName": "Ann",
        "lastName": "Smith",
        "createdAt": "2024-02-29T12:34:56Z",
        "address": {"postalCode": "94103", "city": "SF"},
    }
    assert list(read.traits) == ["firstName", "lastName", "createdAt", "address"]
    assert read.as_sent == {
        "traits.firstName": {"name": "first_name", "value": "Ann"},
        "traits.lastName": {"name": "last_name", "value": "Smith"},
        "traits.createdAt": {"name": "created_at", "value": "2024-02-29T12:34:56Z"},
        "traits.address.postalCode": {"name": "postal_code", "value": "94103"},
    }
    assert read.remarks == []
    assert "first_name" in traits
    assert "postal_code" in traits["address"]


def test_p105_the_companys_employee_count_is_spelled_as_in_the_documents():
    read = canonical({"company": {"employeeCount": "420", "id": 5}})
    assert read.traits == {"company": {"employee_count": 420, "id": 5}}
    assert read.as_sent == {
        "traits.company.employee_count": {"name": "employeeCount", "value": "420"}
    }


@pytest.mark.parametrize("order", [1, -1])
def test_p103_of_both_spellings_camel_case_wins_with_a_remark(order):
    def both(one, other):
        return dict([one, other][::order])

    read = canonical(
        {
            **both(("firstName", "camel"), ("first_name", "snake")),
            **both(("lastName", "camel"), ("last_name", "snake")),
            **both(("createdAt", "2024-02-29T12:34:56Z"), ("created_at", 1)),
            "address": both(("postalCode", "camel"), ("postal_code", "snake")),
            "company": both(("employeeCount", 1), ("employee_count", 2)),
        }
    )
    assert read.traits == {
        "firstName": "camel",
        "lastName": "camel",
        "createdAt": "2024-02-29T12:34:56Z",
        "address": {"postalCode": "camel"},
        "company": {"employee_count": 1},
    }
    assert sorted(read.remarks) == [
        ("both_spellings", "traits.address.postalCode"),
        ("both_spellings", "traits.company.employee_count"),
        ("both_spellings", "traits.createdAt"),
        ("both_spellings", "traits.firstName"),
        ("both_spellings", "traits.lastName"),
    ]


@pytest.mark.parametrize(
    "traits",
    [
        {},
        {"likes_baseball": True, "firstname": "x", "First_Name": "x", "user_name": "x"},
        {"team": {"first_name": "x"}, "postal_code": "1", "employee_count": "4"},
        {"first": 1, "age": 3, "phone": "+1", "createdAt": "2024-02-29T12:34:56Z"},
        {"address": None, "company": None, "age": None, "createdAt": None},
        {"address": {"first_name": "x"}, "company": {"created_at": "2020-01-01"}},
    ],
    ids=repr,
)
def test_p104_custom_traits_and_canonical_ones_are_the_same_object(traits):
    read = canonical(traits)
    assert read.traits is traits
    assert read.as_sent == {}
    assert read.remarks == []


def test_p106_single_word_traits_have_one_spelling():
    words = [
        "address",
        "age",
        "avatar",
        "birthday",
        "company",
        "description",
        "email",
        "gender",
        "id",
        "name",
        "phone",
        "title",
        "username",
        "website",
    ]
    table = {**PERSON, **ADDRESS, **COMPANY}
    for word in words:
        assert table.get(word, (word,))[0] == word
    renamed = {sent: rule.name for sent, rule in table.items() if sent != rule.name}
    assert renamed == {
        "first_name": "firstName",
        "last_name": "lastName",
        "created_at": "createdAt",
        "postal_code": "postalCode",
        "employeeCount": "employee_count",
    }


def test_p086_an_unreadable_date_passes_with_a_remark():
    read = canonical({"created_at": "soon", "birthday": "never"})
    assert read.traits == {"createdAt": "soon", "birthday": "never"}
    assert read.as_sent == {"traits.createdAt": {"name": "created_at", "value": "soon"}}
    assert sorted(read.remarks) == [
        ("unreadable_trait", "traits.birthday"),
        ("unreadable_trait", "traits.createdAt"),
    ]


def test_canonical_of_canonical_changes_nothing():
    once = canonical({"first_name": "x", "age": "3", "address": {"postal_code": 5}})
    again = canonical(once.traits)
    assert again.traits is once.traits
    assert again.as_sent == {}


EVENT: dict[str, Any] = {
    "type": "identify",
    "userId": "user-1",
    "traits": {
        "firstName": "Ann",
        "createdAt": "2024-02-29T12:34:56.000Z",
        "age": 34,
        "likes_baseball": True,
        "address": {"postalCode": "94103", "city": "SF"},
        "company": {"employee_count": 420, "name": "Initech"},
    },
    "asSent": {
        "userId": {"name": "userId", "value": 5},
        "traits.firstName": {"name": "first_name", "value": "Ann"},
        "traits.createdAt": {"name": "createdAt", "value": 1709210096},
        "traits.address.postalCode": {"name": "postal_code", "value": 94103},
        "traits.company.employee_count": {"name": "employeeCount", "value": "420"},
    },
}


def test_p102_camel_case_is_camel_case_throughout():
    spelled = spell(EVENT, "camelCase")
    assert spelled == {
        **EVENT,
        "traits": {
            **EVENT["traits"],
            "company": {"employeeCount": 420, "name": "Initech"},
        },
    }


def test_p102_snake_case_is_snake_case_throughout():
    assert spell(EVENT, "snake_case")["traits"] == {
        "first_name": "Ann",
        "created_at": "2024-02-29T12:34:56.000Z",
        "age": 34,
        "likes_baseball": True,
        "address": {"postal_code": "94103", "city": "SF"},
        "company": {"employee_count": 420, "name": "Initech"},
    }
    spelled = spell({"type": "group", "traits": {"lastName": "x"}}, "snake_case")
    assert spelled["traits"] == {"last_name": "x"}


def test_as_sent_restores_names_and_values():
    spelled = spell(EVENT, "as_sent")
    assert spelled["traits"] == {
        "first_name": "Ann",
        "createdAt": 1709210096,
        "age": 34,
        "likes_baseball": True,
        "address": {"postal_code": 94103, "city": "SF"},
        "company": {"employeeCount": "420", "name": "Initech"},
    }
    assert list(spelled["traits"]) == [
        *("first_name", "createdAt", "age", "likes_baseball", "address", "company")
    ]


@pytest.mark.parametrize("spelling", ["camelCase", "snake_case", "as_sent"])
@pytest.mark.parametrize(
    "body",
    [
        {"type": "identify"},
        {"type": "identify", "traits": {}},
        {"type": "identify", "traits": {"email": "a@b.c", "myTrait": 1, "my_trait": 2}},
        {"type": "group", "traits": {"address": None, "company": {"name": "x"}}},
        {"type": "track", "traits": {"firstName": "x", "created_at": 1}},
        {"type": "track", "properties": {"firstName": "x", "first_name": "y"}},
    ],
    ids=repr,
)
def test_when_nothing_changes_it_is_the_same_object(body, spelling):
    assert spell(body, spelling) is body


@pytest.mark.parametrize("spelling", ["camelCase", "snake_case", "as_sent"])
def test_spelling_does_not_change_the_event(spelling):
    before = repr(EVENT)
    spell(EVENT, spelling)
    assert repr(EVENT) == before


ATTRIBUTES = {
    "firstName": "camel",
    "first_name": "snake",
    "createdAt": 1,
    "created_at": 2,
    "company": {"employee_count": 420, "employeeCount": 7},
    "address": {"postalCode": "c", "postal_code": "s"},
}


@pytest.mark.parametrize("kind", ["identify", "group"])
@pytest.mark.parametrize("origin", ["track", "csv", "sync", "ui"])
@pytest.mark.parametrize("spelling", ["camelCase", "snake_case", "as_sent"])
def test_c2_outside_pipelines_a_spelling_touches_nothing(spelling, origin, kind):
    for traits in (ATTRIBUTES, *({name: value} for name, value in ATTRIBUTES.items())):
        body = {"type": kind, "origin": origin, "identifiers": {}, "traits": traits}
        assert spell(body, spelling) is body
