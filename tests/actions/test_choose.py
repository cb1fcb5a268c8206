"""Which actions run, for which events, by which mapping; and all that can be wrong."""

import copy
from typing import Any

import pytest

from gateway.actions import overlay
from gateway.actions.overlay import Correction
from gateway.event import PIPELINE_TYPES
from tests.actions.acme import RAW, acting, raw

PLACE = "destinations.acme.actions"
IDENTIFY = {"action": "identify"}
TRACK = {"action": "track", "types": ["track"], "mapping": {"name": "x"}}
SYNC = "__segment_internal_sync_mode"


def event(type_: str = "identify", **more: Any) -> dict[str, Any]:
    return {"type": type_, "userId": "u1", "messageId": "m1", **more}


def test_without_actions_the_automatic_presets_run_and_those_of_browsers_do_not() -> (
    None
):
    (chosen,) = acting().chosen
    assert (chosen.name, chosen.slug) == ("Identify Calls", "identify")
    assert chosen.types == frozenset({"identify"})
    assert chosen.mapping["id"] == {"@path": "$.userId"}
    assert chosen.mapping["batch_size"] == 100  # of the action, which the preset leaves
    assert chosen.on_invalid == "dead"


def web() -> dict[str, Any]:
    of = raw()
    of["actions"]["identify"]["platform"] = "web"
    return of


def test_without_a_preset_that_runs_an_action_must_be_given() -> None:
    for of in (raw(presets=[]), web()):
        error = acting(of=of).error
        assert error.startswith(f"{PLACE}: none, and it has no automatic presets")
        assert "identify, track" in error


def test_a_configured_action_begins_with_its_own_trigger_and_mapping() -> None:
    (chosen,) = acting([IDENTIFY]).chosen
    assert (chosen.name, chosen.slug) == ("identify", "identify")
    assert chosen.types == frozenset({"identify"})
    assert chosen.mapping == {
        "id": {"@path": "$.userId"},
        "email": {"@path": "$.traits.email"},
        "session": {"@path": "$.integrations.Acme Web.session"},
        "batch_size": 100,
        SYNC: "upsert",
    }


def test_a_preset_brings_its_trigger_its_mapping_and_its_name() -> None:
    (chosen,) = acting([{"preset": "Journey", "types": ["track"]}]).chosen
    assert (chosen.name, chosen.slug) == ("Journey", "track")
    assert chosen.mapping == {"name": "Step"}


def test_a_mapping_is_laid_over_field_by_field_and_an_empty_text_removes_one() -> None:
    mapping = {"email": "fixed@a.test", "session": "", "tags": [{"name": "vip"}]}
    (chosen,) = acting([{**IDENTIFY, "mapping": mapping}]).chosen
    assert chosen.mapping == {
        "id": {"@path": "$.userId"},
        "email": "fixed@a.test",
        "tags": [{"name": "vip"}],
        "batch_size": 100,
        SYNC: "upsert",
    }


def test_our_corrections_are_laid_over_the_package_and_under_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mapping = {"email": "corrected", "session": "corrected"}
    ours = {"acme": {"identify": Correction("why", mapping)}}
    monkeypatch.setattr(overlay, "overlay", lambda: ours)
    (preset,) = acting().chosen
    assert preset.mapping["email"] == "corrected"
    table = {**IDENTIFY, "mapping": {"session": "configured"}}
    (chosen,) = acting([table]).chosen
    assert chosen.mapping["email"] == "corrected"
    assert chosen.mapping["session"] == "configured"


def test_each_correction_says_why_and_which_fields() -> None:
    for directory, actions in overlay.overlay().items():
        for action, each in actions.items():
            assert each.why.endswith("."), (directory, action)
            assert each.mapping, (directory, action)


def test_the_same_action_twice_has_two_names() -> None:
    names = [each.name for each in acting([IDENTIFY, TRACK, IDENTIFY]).chosen]
    assert names == ["identify", "track", "identify 2"]


def test_what_is_not_enabled_does_not_run() -> None:
    chosen = acting([{**IDENTIFY, "enabled": False}, TRACK]).chosen
    assert [each.name for each in chosen] == ["track"]


def test_the_sync_mode_is_its_default_or_what_is_asked() -> None:
    (chosen,) = acting([{**IDENTIFY, "sync_mode": "add"}]).chosen
    assert chosen.mapping[SYNC] == "add"
    (chosen,) = acting([{**IDENTIFY, "mapping": {SYNC: "add"}}]).chosen
    assert chosen.mapping[SYNC] == "add"


def test_what_a_hook_saved_may_stand_in_the_mapping() -> None:
    saved = {"inputs": {}, "outputs": {"id": "7"}}
    (chosen,) = acting([{**IDENTIFY, "mapping": {"onMappingSave": saved}}]).chosen
    assert chosen.mapping["onMappingSave"] == saved


@pytest.mark.parametrize(
    ("table", "types", "passes", "reason"),
    [
        ({}, {"identify"}, event(), 'trigger: type = "identify" is false'),
        ({"types": ["identify", "group"]}, {"identify"}, event(), "types"),
        (
            {"types": ["track"], "trigger": 'event = "Paid"'},
            {"track"},
            event("track", event="Paid"),
            "types",
        ),
        (
            {"trigger": 'type = "track" and properties.total > 10'},
            {"track"},
            event("track", properties={"total": 11}),
            'trigger: type = "track" is false',
        ),
        (
            {"trigger": 'event = "Paid"'},
            set(PIPELINE_TYPES),
            event("page", event="Paid"),
            'trigger: event = "Paid" is false',
        ),
        (
            {"when": "traits.plan == 'pro'"},
            {"identify"},
            event(traits={"plan": "pro"}),
            'trigger: type = "identify" is false',
        ),
    ],
    ids=["own", "types", "both", "trigger", "any type", "when"],
)
def test_types_trigger_and_when_each_may_say_no(
    table: dict[str, Any], types: set[str], passes: dict[str, Any], reason: str
) -> None:
    (chosen,) = acting([{**IDENTIFY, **table}]).chosen
    assert chosen.types == types
    assert chosen.wants.because(passes) is None
    assert chosen.wants.because(event("alias")) == reason
    assert chosen.wants(passes)
    assert not chosen.wants(event("alias"))


def test_a_filter_says_no_last() -> None:
    (chosen,) = acting([{**IDENTIFY, "when": "traits.plan == 'pro'"}]).chosen
    assert chosen.wants.because(event(traits={"plan": "free"})) == "when"
    assert not chosen.wants(event(traits={"plan": "free"}))


def test_calls_whose_user_id_is_an_email_can_be_left_out() -> None:
    (chosen,) = acting([{**IDENTIFY, "email_as_user_id": False}]).chosen
    assert chosen.wants.because(event(userId="a@b.test")) == "email_as_user_id"
    assert not chosen.wants(event(userId="a@b.test"))
    assert chosen.wants.because(event(userId="a1")) is None
    anonymous = {"type": "identify", "anonymousId": "a@b.test"}
    assert chosen.wants.because(anonymous) is None
    (chosen,) = acting([IDENTIFY]).chosen
    assert chosen.wants.because(event(userId="a@b.test")) is None


def test_the_destination_takes_what_any_of_its_actions_takes() -> None:
    made = acting([IDENTIFY, TRACK]).made
    assert made is not None
    assert made.takes.types == frozenset({"identify", "track"})
    assert made.takes.attempt_requests == 6


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "neither": ({"types": ["track"]}, ": give action = SLUG, or preset = NAME"),
    "both": (
        {**IDENTIFY, "preset": "Journey"},
        ": give action = SLUG, or preset = NAME",
    ),
    "action": (
        {"action": "identifying"},
        ".action: 'identifying' is not one of identify, track; did you mean identify?",
    ),
    "no text": ({"action": ["identify"]}, ".action: ['identify'] is not one of"),
    "preset": (
        {"preset": "Identify Call"},
        ".preset: 'Identify Call' is not one of Identify Calls, Journey; did you",
    ),
    "preset of browsers": (
        {"preset": "Acme Browser Plugin"},
        ".preset: 'Acme Browser Plugin' is not one of Identify Calls, Journey",
    ),
    "key": (
        {**IDENTIFY, "triggers": "x"},
        ".triggers: unknown key; known are: action,",
    ),
    "batch": ({**IDENTIFY, "batch": 0}, ".batch: is not a whole number above 0"),
    "large batch": ({**IDENTIFY, "batch": 1_001}, ".batch: more than 1000"),
    "no batches": (
        {"action": "track", "types": ["track"], "mapping": {"name": "x"}, "batch": 5},
        ".batch: track takes one event at a time",
    ),
    "field": (
        {**IDENTIFY, "mapping": {"emal": "x"}},
        ".mapping.emal: unknown key; known are: id, email, session, tags, batch_size",
    ),
    "no mapping": ({**IDENTIFY, "mapping": "x"}, ".mapping: is not a table"),
    "required": (
        {**IDENTIFY, "mapping": {"id": ""}},
        ".mapping.id: missing; identify needs it",
    ),
    "directive": (
        {**IDENTIFY, "mapping": {"email": {"@pth": "$.x"}}},
        ".mapping.email: unknown directive @pth; known are: @path,",
    ),
    "path": (
        {**IDENTIFY, "mapping": {"email": {"@path": 7}}},
        ".mapping.email.@path: ",
    ),
    "no trigger": (
        {"action": "track", "mapping": {"name": "x"}},
        ".trigger: track has no trigger of its own: add trigger or types",
    ),
    "trigger": ({**IDENTIFY, "trigger": "type = 'identify'"}, ".trigger: "),
    "mixed trigger": (
        {**IDENTIFY, "trigger": 'type = "track" and event = "a" or event = "b"'},
        ".trigger: ",
    ),
    "trigger is no text": ({**IDENTIFY, "trigger": 7}, ".trigger: is not a text"),
    "when": ({**IDENTIFY, "when": "a =="}, ".when: 'a ==' is not JMESPath"),
    "when is no text": ({**IDENTIFY, "when": 7}, ".when: is not a text"),
    "types": ({**IDENTIFY, "types": "track"}, ".types: is not a list"),
    "type": (
        {**IDENTIFY, "types": ["trck"]},
        ".types: 'trck' is not one of identify, track, page, screen, group, alias; ",
    ),
    "person": ({**IDENTIFY, "types": ["person"]}, ".types: 'person' is not one of"),
    "no event": (
        {**IDENTIFY, "types": ["track"]},
        ": no event can pass both its types and its trigger",
    ),
    "sync mode": (
        {**IDENTIFY, "sync_mode": "upsrt"},
        ".sync_mode: 'upsrt' is not one of add, upsert; did you mean upsert?",
    ),
    "no sync mode": ({**TRACK, "sync_mode": "add"}, ".sync_mode: track has none"),
    "on_invalid": ({**IDENTIFY, "on_invalid": "drop"}, ".on_invalid: dead or skip"),
    "enabled": ({**IDENTIFY, "enabled": "no"}, ".enabled: is not true or false"),
    "email_as_user_id": (
        {**IDENTIFY, "email_as_user_id": "no"},
        ".email_as_user_id: is not true or false",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place_and_what_was_meant(name: str) -> None:
    table, expected = WRONG[name]
    error = acting([TRACK, table]).error
    assert error.startswith(f"{PLACE}[1]{expected}"), error


NEAR = {
    "action": "identify",
    "preset": "Identify Calls",
    "field": "email",
    "type": "track",
    "sync mode": "upsert",
}


@pytest.mark.parametrize("name", NEAR)
def test_the_nearest_name_is_told(name: str) -> None:
    error = acting([TRACK, WRONG[name][0]]).error
    assert error.endswith(f"; did you mean {NEAR[name]}?")


def test_all_that_is_wrong_is_told_at_once() -> None:
    tables: list[dict[str, Any]] = [
        {**IDENTIFY, "mapping": {"emal": "x", "id": ""}, "on_invalid": "drop"},
        {"action": "nope"},
        {**TRACK, "trigger": "nonsense"},
    ]
    places = [each.partition(": ")[0] for each in acting(tables).errors]
    assert places == [
        f"{PLACE}[0].mapping.emal",
        f"{PLACE}[0].mapping.id",
        f"{PLACE}[0].on_invalid",
        f"{PLACE}[1].action",
        f"{PLACE}[2].trigger",
    ]


def test_an_action_of_browsers_is_refused() -> None:
    error = acting([IDENTIFY], of=web()).error
    assert error == f"{PLACE}[0].action: identify runs in browsers only"
    of = web()
    error = acting([{"preset": "Identify Calls"}], of=of).error
    assert error == f"{PLACE}[0].preset: Identify Calls runs in browsers only"


def test_a_sync_mode_without_a_default_must_be_given() -> None:
    of = raw()
    del of["actions"]["identify"]["sync_mode"]["default"]
    error = acting([IDENTIFY], of=of).error
    assert error == f"{PLACE}[0].sync_mode: missing; one of add, upsert"


def test_a_trigger_of_the_package_that_is_no_fql_must_be_replaced() -> None:
    of = copy.deepcopy(dict(RAW))
    of["actions"]["identify"]["trigger"] = 'event in ["a"]'
    assert "has no trigger of its own" in acting([IDENTIFY], of=of).error
    (chosen,) = acting([{**IDENTIFY, "types": ["track"]}], of=of).chosen
    assert chosen.types == frozenset({"track"})
