"""The event as Segment's destinations expect it; and what mappings read of it."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.actions.view import ALIASES, SAFE_OPTIONS, view
from gateway.outbound.contract import Delivery
from gateway.outbound.http import Request, Response
from tests.actions.events import AT, action, delivery, opened, settings
from tests.actions.fakes import fake

NAMES = ("Acme (Actions)", "actions-acme", "Acme Web")


def seen(made: Delivery) -> dict[str, Any]:
    return view(made, NAMES)


def test_what_the_gateway_writes_for_itself_is_left_out() -> None:
    made = delivery(
        type_="group",
        groupId="g",
        traits={"name": "Acme"},
        context={"ip": "192.0.2.1"},
        asSent={"traits.name": {"name": "Name", "value": "Acme"}},
        timestampSource="sent",
        origin="track",
        identifiers={"id": "u1"},
        action="identify",
        key="u1",
        originalTimestamp=AT,
    )
    assert seen(made) == {
        "type": "group",
        "messageId": "m1",
        "userId": "u1",
        "groupId": "g",
        "traits": {"name": "Acme"},
        "context": {"ip": "192.0.2.1"},
        "timestamp": AT,
        "originalTimestamp": AT,
        "receivedAt": AT,
        "integrations": {},
    }


def test_the_event_itself_stays_as_it_is() -> None:
    made = delivery(identifiers={"email": "a@b.test"}, traits={"name": "Ada"})
    before = made.event.to_bytes()
    shown = seen(made)
    shown["traits"]["name"] = "another"
    assert made.event.to_bytes() == before


def test_options_stand_under_each_name_and_nothing_else_of_integrations_does() -> None:
    sent = {"All": True, "ACME": {"session_id": 7}, "Other": {"key": "x"}}
    made = delivery(options={"session_id": 7}, integrations=sent)
    expected = {name: {"session_id": 7} for name in NAMES}
    assert seen(made)["integrations"] == expected


def test_without_options_no_name_stands_in_integrations() -> None:
    assert seen(delivery(integrations={"All": True}))["integrations"] == {}


@pytest.mark.parametrize(
    ("type_", "more", "place", "expected"),
    [
        ("identify", {}, "traits", {"email": "a@b.test"}),
        (
            "identify",
            {"traits": {"name": "A"}},
            "traits",
            {"email": "a@b.test", "name": "A"},
        ),
        (
            "identify",
            {"traits": {"email": "own@b.test"}},
            "traits",
            {"email": "own@b.test"},
        ),
        ("track", {}, "context", {"traits": {"email": "a@b.test"}}),
        (
            "page",
            {"context": {"ip": "::1"}},
            "context",
            {"ip": "::1", "traits": {"email": "a@b.test"}},
        ),
        (
            "track",
            {"context": {"traits": {"email": "own@b.test", "x": 1}}},
            "context",
            {"traits": {"email": "own@b.test", "x": 1}},
        ),
    ],
    ids=[
        "identify",
        "beside traits",
        "own email",
        "track",
        "beside context",
        "own of track",
    ],
)
def test_an_email_that_names_a_person_at_the_track_api_is_a_trait(
    type_: str, more: dict[str, Any], place: str, expected: dict[str, Any]
) -> None:
    made = delivery(type_=type_, identifiers={"email": "a@b.test"}, **more)
    assert seen(made)[place] == expected


@pytest.mark.parametrize("identifiers", [{"id": "u1"}, {"email": ""}, {"cio_id": "7"}])
def test_other_identifiers_add_no_trait(identifiers: dict[str, str]) -> None:
    shown = seen(delivery(identifiers=identifiers))
    assert "traits" not in shown
    assert "context" not in shown


def test_only_ids_of_clicks_and_sessions_are_believed_of_browsers() -> None:
    assert {"session_id", "gclid", "ttclid"} <= SAFE_OPTIONS
    assert not SAFE_OPTIONS & {"listId", "accountRef", "revUserRef", "id", "email"}


def test_reserved_traits_are_told_under_both_spellings_both_ways() -> None:
    assert ["firstName", "first_name"] in ALIASES["traits"]
    assert ["first_name", "firstName"] in ALIASES["traits"]
    assert ["postalCode", "postal_code"] in ALIASES["inside"]["address"]
    assert ["employeeCount", "employee_count"] in ALIASES["inside"]["company"]


TRAITS = {
    "firstName": "Ada",
    "address": {"postalCode": "1010"},
    "company": {"employeeCount": 9, "name": "Acme"},
    "custom_trait": 1,
}
MAPPING = {
    "snake": {"@path": "$.traits.first_name"},
    "camel": {"@path": "$.traits.firstName"},
    "code": {"@path": "$.traits.address.postal_code"},
    "count": {"@path": "$.traits.company.employee_count"},
    "in_context": {"@path": "$.context.traits.first_name"},
    "custom": {"@path": "$.traits.customTrait"},
    "template": {"@template": "{{traits.first_name}}!"},
    "whole": {"@path": "$.traits"},
    "flat": {"@flatten": {"value": {"@path": "$.traits"}, "separator": "."}},
    "text": {"@json": {"mode": "encode", "value": {"@path": "$.traits"}}},
}


@pytest.mark.service
async def test_a_mapping_reads_either_spelling_and_the_whole_shows_it_once(
    tmp_path: Path,
) -> None:
    body: list[Any] = []

    async def send(request: Request) -> Response:
        body.append(orjson.loads(request.body))
        return Response(status=200)

    chosen = action("act", {"deed": "say", "said": MAPPING})
    destination = opened(settings("fake", fake(), chosen), tmp_path, send)
    try:
        event = delivery(traits=TRAITS, context={"traits": {"firstName": "Ada"}})
        await destination.deliver([event])
    finally:
        await destination.close()
    text = body[0].pop("text")
    assert orjson.loads(text) == TRAITS
    assert body == [
        {
            "snake": "Ada",
            "camel": "Ada",
            "code": "1010",
            "count": 9,
            "in_context": "Ada",
            "template": "Ada!",
            "whole": TRAITS,
            "flat": {
                "firstName": "Ada",
                "address.postalCode": "1010",
                "company.employeeCount": 9,
                "company.name": "Acme",
                "custom_trait": 1,
            },
        }
    ]
