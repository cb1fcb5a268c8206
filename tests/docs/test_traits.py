"""The matrix of traits says what is sent, and that is what each type declares."""

import pytest

from gateway.outbound import destinations
from reference.destinations import exemplary
from reference.traits import cell, page, reserved

DECLARED = [
    pytest.param(name, trait, field.name, id=f"{name}-{trait}")
    for name in destinations.names()
    for trait, field in destinations.load(name).reserved.items()
]


@pytest.mark.parametrize(("name", "trait", "field"), DECLARED)
def test_a_declared_trait_is_sent_in_its_field(
    name: str, trait: str, field: str
) -> None:
    paths = cell(exemplary(destinations.load(name)), trait).split("`")[1::2]
    assert field in {path.rpartition(".")[2] for path in paths}


def test_every_type_that_declares_traits_has_a_column_and_every_trait_a_row() -> None:
    lines = page().splitlines()
    head = next(line for line in lines if line.startswith("| trait |"))
    for name in ("amplitude", "customerio", "intercom", "mixpanel"):
        assert f"| {name} |" in head.replace(" | ", " |  | ")
    rows = {line.split("`")[1] for line in lines if line.startswith("| `")}
    assert {"userId", "address.postalCode", "createdAt", *reserved()} <= rows
    assert "created_at" not in rows


@pytest.mark.parametrize(
    ("name", "trait", "said"),
    [
        ("customerio", "createdAt", "`attributes.created_at` (unix seconds)"),
        ("intercom", "company.name", "`company.name`"),
        ("intercom", "anonymousId", "not sent"),
        ("mixpanel", "createdAt", "`$set.$created` (ISO 8601)"),
    ],
)
def test_a_cell_has_the_field_and_a_date_s_form(
    name: str, trait: str, said: str
) -> None:
    assert cell(exemplary(destinations.load(name)), trait) == said
