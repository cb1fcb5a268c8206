"""Which reserved traits are valid, in both spellings (P080-P086, D11)."""

from typing import Any

import pytest

from gateway.inbound.check import check, reference_errors
from tests.inbound.samples import accepts, codes, identify, verdict


@pytest.mark.parametrize("email", [" a@b.c", "a@b.c ", "a@b.c\n", "\ta@b.c", "a@b\r\n"])
def test_d11_an_email_with_white_space_around_it_is_refused(email):
    raw = identify(traits={"email": email})
    assert verdict(raw) == {("/traits/email", "not")}
    assert verdict(identify(userId=email)) == {("/userId", "not")}


@pytest.mark.parametrize(
    "value", [None, True, 5, 1.5, "x", [], [1, [2]], {}, {"a": {"b": [None]}}]
)
def test_p080_a_custom_trait_may_be_anything(value):
    accepts(identify(traits={"games_attended": value}))


STRINGS = [
    "avatar",
    "description",
    "email",
    "firstName",
    "first_name",
    "gender",
    "lastName",
    "last_name",
    "name",
    "title",
    "username",
    "website",
]


@pytest.mark.parametrize("name", STRINGS)
def test_p081_reserved_traits_that_are_strings(name):
    accepts(identify(traits={name: "x"}))
    accepts(identify(traits={name: None}))
    wrong: Any
    for wrong in (5, True, {}, []):
        raw = identify(traits={name: wrong})
        assert verdict(raw) == {(f"/traits/{name}", "type")}


@pytest.mark.parametrize("name", ["id", "phone"])
def test_p081_id_and_phone_may_be_numbers(name):
    for value in ("x", 5, 1.5, None):
        accepts(identify(traits={name: value}))
    wrong: Any
    for wrong in (True, {}, []):
        raw = identify(traits={name: wrong})
        assert verdict(raw) == {(f"/traits/{name}", "type")}


@pytest.mark.parametrize(
    "value", [34, 34.5, -1, 0, "34", "-34.5", "0.25", None], ids=repr
)
def test_p081_age_is_a_number_or_one_written_out(value):
    accepts(identify(traits={"age": value}))


@pytest.mark.parametrize(
    "wrong",
    ["", "old", "34 ", "034", "1e3", "34\n", "٣٤", "9" * 16, ".5", "0x1F", True, {}],
)
def test_p081_age_as_another_text_or_type_is_refused(wrong):
    raw = identify(traits={"age": wrong})
    assert ("/traits/age", "type") in codes(check(raw))
    assert {fault.pointer for fault in reference_errors(raw)} == {"/traits/age"}


@pytest.mark.parametrize("name", ["birthday", "createdAt", "created_at"])
@pytest.mark.parametrize(
    "value", ["2024-02-29T12:34:56Z", "1990-01-02", 1709210096, "soon", 1.5, None]
)
def test_p086_dates_are_taken_in_any_form(name, value):
    accepts(identify(traits={name: value}))


@pytest.mark.parametrize("wrong", [True, {}, []])
def test_p081_dates_of_another_type_are_refused(wrong):
    raw = identify(traits={"createdAt": wrong})
    assert verdict(raw) == {("/traits/createdAt", "type")}


@pytest.mark.parametrize(
    "name", ["city", "country", "postalCode", "postal_code", "state", "street"]
)
def test_p082_every_part_of_an_address_is_optional_and_a_string(name):
    accepts(identify(traits={"address": {}}))
    accepts(identify(traits={"address": {name: "x", "planet": 3}}))
    raw = identify(traits={"address": {name: []}})
    assert verdict(raw) == {(f"/traits/address/{name}", "type")}


@pytest.mark.parametrize("wrong", ["6th St", [5], 5])
@pytest.mark.parametrize("name", ["address", "company"])
def test_p081_address_and_company_are_objects(name, wrong):
    assert verdict(identify(traits={name: wrong})) == {(f"/traits/{name}", "type")}


def test_p083_the_parts_of_a_company():
    accepts(identify(traits={"company": {}}))
    accepts(identify(traits={"company": {"id": 5, "employee_count": 420}}))
    accepts(identify(traits={"company": {"id": "5", "employeeCount": "420"}}))
    for name in ("name", "industry", "plan", "id", "employee_count", "employeeCount"):
        raw = identify(traits={"company": {name: True}})
        assert verdict(raw) == {(f"/traits/company/{name}", "type")}


@pytest.mark.parametrize("wrong", [5, True, {}, ["a@example.com"]])
def test_p084_an_email_that_is_no_string_is_a_type_violation(wrong):
    assert verdict(identify(traits={"email": wrong})) == {("/traits/email", "type")}
