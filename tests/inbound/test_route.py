"""Which destinations get an event, and why the others do not (P050-P056)."""

import json
from typing import Any

import pytest

from gateway.config import DestinationConfig
from gateway.event import Event
from gateway.inbound.route import Routes, route
from tests.inbound.samples import SIX, recordings, routes


def event(integrations=None, kind="identify"):
    body = {"type": kind, "messageId": "m", "userId": "u", "source": "s"}
    if integrations is not None:
        body["integrations"] = integrations
    return Event(
        message_id="m", type=kind, source="s", key="u", received_at="", body=body
    )


THREE = Routes(
    {
        "crm-eu": DestinationConfig(
            name="crm-eu", type="crm", display_name=("The CRM",)
        ),
        "crm-us": DestinationConfig(name="crm-us", type="crm"),
        "mail": DestinationConfig(
            name="mail", type="webhook", display_name=("Mailer",)
        ),
    },
    {"crm-eu": SIX, "crm-us": SIX, "mail": SIX},
)
EVERYONE = ("crm-eu", "crm-us", "mail")


def to(integrations, table=THREE):
    result, _ = route(event(integrations), table)
    assert set(result.to).isdisjoint(result.no)
    return result.to


def no(integrations, table=THREE):
    return dict(route(event(integrations), table)[0].no)


def notices(integrations):
    _, found = route(event(integrations), THREE)
    return [(notice.code, notice.name) for notice in found]


def test_p050_without_integrations_everyone_gets_it():
    integrations: dict[str, Any] | None
    for integrations in (None, {}):
        assert to(integrations) == EVERYONE
        assert no(integrations) == {}
        assert notices(integrations) == []


@pytest.mark.parametrize("name", ["All", "all", "ALL"])
def test_p051_all_true_is_everyone(name):
    assert to({name: True}) == EVERYONE
    assert notices({name: True}) == []


@pytest.mark.parametrize("everyone", [{}, {"All": True}])
def test_p052_p054_false_leaves_that_one_out(everyone):
    said = {**everyone, "mail": False}
    assert to(said) == ("crm-eu", "crm-us")
    assert no(said) == {"mail": "integrations"}


@pytest.mark.parametrize("name", ["All", "all"])
def test_p053_all_false_leaves_only_the_named_ones(name):
    said = {name: False, "mail": True}
    assert to(said) == ("mail",)
    assert no(said) == {"crm-eu": "integrations_all", "crm-us": "integrations_all"}
    assert to({name: False}) == ()
    assert to({name: False, "mail": {"list": 5}}) == ("mail",)
    assert to({name: False, "mail": None}) == ()
    assert no({name: False, "mail": False})["mail"] == "integrations"


@pytest.mark.parametrize("options", [{}, {"list": 5}])
def test_p015_options_count_as_true(options):
    assert to({"mail": options}) == EVERYONE
    assert to({"All": False, "mail": options}) == ("mail",)


def test_p015_null_says_nothing():
    assert to({"mail": None, "All": None}) == EVERYONE


@pytest.mark.parametrize("name", ["crm", "CRM", "Crm"])
def test_p056_a_type_addresses_all_its_instances(name):
    assert to({name: False}) == ("mail",)
    assert to({"All": False, name: True}) == ("crm-eu", "crm-us")


@pytest.mark.parametrize("name", ["crm-eu", "CRM-EU", "The CRM", "the crm"])
def test_p056_a_name_or_display_name_addresses_one(name):
    assert to({name: False}) == ("crm-us", "mail")


def test_p052_false_wins_over_every_other_name_of_a_destination():
    assert to({"crm": True, "crm-eu": False}) == ("crm-us", "mail")
    assert to({"crm": False, "crm-eu": True}) == ("mail",)
    assert to({"All": False, "crm": False, "The CRM": {"a": 1}}) == ()


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_spellings_of_one_name_false_wins(order):
    pair: list[tuple[str, Any]] = [("Mail", False), ("mail", True)][::order]
    assert to(dict(pair)) == ("crm-eu", "crm-us")
    pair = [("All", False), ("all", True)][::order]
    assert to(dict(pair)) == ()
    pair = [("Mail", {"a": 1}), ("mail", None), ("All", False)][::order]
    assert to(dict(pair)) == ("mail",)
    pair = [("Mail", {"a": 1}), ("mail", True), ("All", False)][::order]
    assert to(dict(pair)) == ("mail",)


def test_an_unknown_name_is_a_notice_and_nothing_else():
    assert to({"Mixpanel": False}) == EVERYONE
    assert notices({"Mixpanel": False, "mail": False}) == [
        ("unknown_integration", "mixpanel")
    ]
    assert notices({"Mixpanel": True}) == [("unknown_integration", "mixpanel")]
    assert len(notices({"x" * 30_000: True})[0][1]) <= 100


@pytest.mark.parametrize("name", ["Customer.io Data Pipelines", "Segment.io"])
def test_the_sdks_own_names_are_known_and_ignored(name):
    for value in (True, False, {"apiHost": "x"}):
        assert to({name: value}) == EVERYONE
        assert notices({name: value}) == []
    assert to({"All": False, name: True}) == ()


TABLE = Routes(
    {
        "off": DestinationConfig(name="off", type="webhook", enabled=False),
        "paused": DestinationConfig(name="paused", type="webhook", paused=True),
        "tracks": DestinationConfig(name="tracks", type="webhook"),
        "people": DestinationConfig(name="people", type="workspace"),
    },
    {
        "off": SIX,
        "paused": SIX,
        "tracks": frozenset({"track"}),
        "people": SIX | {"person"},
    },
)


def test_a_disabled_destination_gets_nothing():
    assert no(None, TABLE)["off"] == "disabled"
    assert no({"off": True}, TABLE)["off"] == "disabled"
    assert no({"off": False}, TABLE)["off"] == "disabled"


def test_a_paused_destination_is_routed_to():
    assert to(None, TABLE) == ("paused", "people")


def test_a_destination_gets_the_types_it_takes():
    assert no(None, TABLE) == {"off": "disabled", "tracks": "type"}
    assert no({"All": False}, TABLE)["tracks"] == "type"
    result, _ = route(event(kind="track"), TABLE)
    assert result.to == ("paused", "tracks", "people")


def test_person_events_go_only_to_who_declares_them():
    result, _ = route(event(kind="person"), TABLE)
    assert result.to == ("people",)
    assert dict(result.no) == {"off": "disabled", "paused": "type", "tracks": "type"}


def test_without_destinations_there_is_nowhere_to_go():
    assert to({"All": True}, routes()) == ()


def test_what_the_sdks_send_names_nobody_unknown():
    """Only the recordings that set integrations themselves name others."""
    named = set()
    for _, request in recordings():
        for notice in route_of(request["body_text"]):
            named.add((notice.code, notice.name))
    assert named == {
        ("unknown_integration", "customer.io"),
        ("unknown_integration", "mixpanel"),
    }


def route_of(text):
    value = json.loads(text)
    for one in value.get("batch", [value]):
        yield from route(event(one.get("integrations")), THREE)[1]


def test_s15_a_message_with_very_many_unknown_names_tells_ten():
    said = {f"name-{number}": True for number in range(2_000)}
    names = [name for _, name in notices(said)]
    assert names == [*(f"name-{number}" for number in range(10)), "(others)"]
