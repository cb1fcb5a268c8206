"""Mappings at native destinations: which events go, what is sent, who said no."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given

from gateway import types_cli
from gateway.config import DestinationConfig, parse
from gateway.errors import ConfigError
from gateway.outbound import destinations
from gateway.outbound.contract import Delivery, Outcome, Rejected, Takes
from gateway.outbound.gate import Ended, Gate
from gateway.outbound.kind import Configured, Kind, Schema, Tables
from gateway.outbound.mapping import Unmappable, build
from gateway.outbound.shape import Mapped, words
from gateway.outbound.suppressed import Suppressed
from gateway.outbound.talk import one_request
from gateway.parts import check
from tests.outbound.conftest import ALL, make_body
from tests.outbound.mapping.happenings import events
from tests.outbound.mapping.mappings import mappings

PLACE = "destinations.crm.actions"
SETTINGS = {
    "webhook": {"url": "https://crm.example/hook"},
    "file": {"path": "out.ndjson"},
    "slack": {"url": "https://hooks.slack.com/services/T/B/C"},
}
EMAIL = {"@path": "$.traits.email"}


def made(*tables: Mapping[str, Any], type_: str = "webhook") -> Configured[Any]:
    kind = destinations.load(type_)
    return kind.configured(
        SETTINGS[type_], name="crm", folder=Path("/srv"), tables=Tables(tables)
    )


def gate_of(configured: Configured[Any], **more: Any) -> Gate:
    return Gate(
        DestinationConfig(name="crm", type="webhook", **more),
        configured.takes,
        source_kinds={},
        suppressed=Suppressed(),
        more=configured.steps,
    )


def prepared(
    *tables: Mapping[str, Any], type_: str = "webhook", **event: Any
) -> Delivery | Ended:
    configured = made(*tables, type_=type_)
    user = event.pop("userId", "u1")
    return gate_of(configured).prepare(orjson.dumps(make_body(1, user, **event)))


def shown(*tables: Mapping[str, Any], type_: str = "webhook", **event: Any) -> Any:
    going = prepared(*tables, type_=type_, **event)
    assert isinstance(going, Delivery), going
    return made(*tables, type_=type_).preview(going)


def why(*tables: Mapping[str, Any], **event: Any) -> str:
    ended = prepared(*tables, **event)
    assert isinstance(ended, Ended)
    assert ended.step == "trigger"
    assert isinstance(ended.end, Outcome)
    assert (ended.end.kind, ended.end.reason) == ("filtered", "trigger")
    return ended.end.detail


def test_without_tables_nothing_is_asked_and_the_event_leaves_as_it_is() -> None:
    assert made().steps == ()
    going = prepared()
    assert isinstance(going, Delivery)
    assert going.fields is None


def test_the_body_of_a_mapped_webhook_is_the_mapped_object_alone() -> None:
    table = {"mapping": {"who": EMAIL, "plan": {"name": "pro"}, "gone": ""}}
    body = orjson.loads(shown(table)["body"])
    assert body == {"who": "u1@example.com", "plan": {"name": "pro"}}


def test_a_batch_of_mapped_webhooks_is_an_array_of_mapped_objects() -> None:
    tables = [{"mapping": {"who": EMAIL}}]
    configured = destinations.load("webhook").configured(
        {**SETTINGS["webhook"], "batch": 10},
        name="crm",
        folder=Path("/srv"),
        tables=Tables(tables),
    )
    going = gate_of(configured).prepare(orjson.dumps(make_body(1, "u1")))
    assert isinstance(going, Delivery)
    assert orjson.loads(configured.preview(going)["body"]) == [
        {"who": "u1@example.com"}
    ]


def test_the_line_of_a_mapped_file_is_the_mapped_object() -> None:
    table = {"mapping": {"who": EMAIL}}
    assert shown(table, type_="file")["line"] == '{"who":"u1@example.com"}'


def test_a_mapped_slack_says_the_mapped_text_and_mentions_nobody() -> None:
    table = {"mapping": {"text": {"@template": "*{{traits.name}}* came"}}}
    said = shown(table, type_="slack", traits={"name": "<!channel> & Co"})["body"]
    assert orjson.loads(said)["text"] == "*&lt;!channel&gt; &amp; Co* came"
    missing = {"mapping": {"text": {"@path": "$.traits.nope"}}}
    assert "*u1@example.com* identified" in shown(missing, type_="slack")["body"]
    assert not shown({"mapping": {"text": ""}}, type_="slack")


def test_a_mapping_reads_the_canonical_event_whatever_the_spelling() -> None:
    configured = made({"mapping": {"name": {"@path": "$.traits.firstName"}}})
    gate = gate_of(configured, spelling="snake_case")
    going = gate.prepare(orjson.dumps(make_body(1, "u1")))
    assert isinstance(going, Delivery)
    assert going.fields == {"name": "Jane"}


def test_the_first_table_that_lets_an_event_in_shapes_it() -> None:
    tables: list[Mapping[str, Any]] = [
        {"types": ["track"], "mapping": {"by": "first"}},
        {"trigger": 'type = "identify"', "mapping": {"by": "second"}},
        {"mapping": {"by": "third"}},
        {"mapping": {"by": "never"}},
    ]
    for type_, by in [("track", "first"), ("identify", "second"), ("page", "third")]:
        assert orjson.loads(shown(*tables, type=type_)["body"]) == {"by": by}


def test_a_table_without_a_mapping_sends_the_event_as_it_is() -> None:
    going = prepared({"types": ["identify"]})
    assert isinstance(going, Delivery)
    assert going.fields is None


def test_an_event_that_no_table_lets_in_ends_and_the_condition_is_told() -> None:
    trigger = {"trigger": 'type = "identify" and traits.plan = "pro"'}
    assert why(trigger) == 'trigger: traits.plan = "pro" is false'
    assert why({"types": ["track"]}) == "types"
    assert why({"when": "traits.plan"}) == "when"
    assert why({"email_as_user_id": False}, userId="a@b.example") == "email_as_user_id"
    both = why({"types": ["track"]}, {"when": "traits.plan"})
    assert both == "actions[0]: types; actions[1]: when"


def test_a_table_that_is_off_lets_nothing_in_and_all_off_let_nothing_in() -> None:
    off = {"enabled": False, "mapping": {"by": "off"}}
    assert orjson.loads(shown(off, {"mapping": {"by": "on"}})["body"]) == {"by": "on"}
    assert why(off) == ""
    told = why(off, {"types": ["track"]}, off, {"when": "traits.plan"})
    assert told == "actions[1]: types; actions[3]: when"


@pytest.mark.parametrize(
    ("mapping", "event", "detail"),
    [
        (
            {"a": "x", "b": {"@path": {"@path": "$.traits.n"}}},
            {"traits": {"n": 5}},
            "mapping.b: @path: a number where a text is needed",
        ),
        ({"@path": "$.traits.n"}, {"traits": {"n": 5}}, "a number where a table"),
    ],
)
def test_what_a_mapping_cannot_make_is_a_dead_letter_that_names_the_field(
    mapping: Any, event: Any, detail: str
) -> None:
    ended = prepared({"mapping": mapping}, **event)
    assert isinstance(ended, Ended)
    end = ended.end
    assert isinstance(end, Rejected)
    assert (end.reason, end.unsent) == ("rejected", True)
    assert detail in end.detail


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"trigge": "x"}, r"\[0\].trigge: unknown key; .* did you mean trigger\?"),
        ({"action": "x"}, r"\[0\].action: unknown key"),
        ({"trigger": "type ="}, r"\[0\].trigger: "),
        ({"trigger": 5}, r"\[0\].trigger: is not a text"),
        ({"types": "identify"}, r"\[0\].types: is not a list"),
        ({"types": ["idntify"]}, r"\[0\].types: .* did you mean identify\?"),
        ({"types": []}, r"\[0\]: no event can pass"),
        ({"when": "nope("}, r"\[0\].when: "),
        ({"email_as_user_id": "no"}, r"\[0\].email_as_user_id: is not"),
        ({"enabled": 1}, r"\[0\].enabled: is not true or false"),
        ({"mapping": {"a": {"@pth": "x"}}}, r"\[0\].mapping.a: unknown directive"),
        ({"mapping": {"a": {"@liquid": "x"}}}, r"\[0\].mapping.a.@liquid: only"),
        ({"mapping": []}, r"\[0\].mapping: "),
    ],
)
def test_what_is_wrong_with_a_table_is_told_with_its_place(
    table: Any, words: str
) -> None:
    with pytest.raises(ConfigError, match=rf"destinations\.crm\.actions{words}"):
        made(table)


def test_a_field_that_a_type_does_not_know_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"mapping.txt: unknown.*mean text\?"):
        made({"mapping": {"txt": "x"}}, type_="slack")


def acting(*tables: Mapping[str, Any]) -> Configured[Any]:
    kind: Kind[Any] = Kind(
        doc="Of two actions.",
        settings=Schema(lambda *_: (), ()),
        takes=Takes(types=ALL - {"page"}),
        actions=("people", "events"),
        talk=one_request(lambda _, __: None),
    )
    return kind.configured({}, name="crm", folder=Path(), tables=Tables(tables))


def test_an_action_is_one_that_the_type_declares_and_reaches_the_delivery() -> None:
    configured = acting({"action": "people"})
    going = gate_of(configured).prepare(orjson.dumps(make_body(1, "u1")))
    assert isinstance(going, Delivery)
    assert going.action == "people"
    wrong: list[tuple[Mapping[str, Any], str]] = [
        ({"action": "event"}, r"'event' is not one of .* did you mean events\?"),
        ({"mapping": {}}, "mapping: unknown key"),
        ({"types": ["page"]}, r"\[0\]: this type takes alias, group"),
    ]
    for table, says in wrong:
        with pytest.raises(ConfigError, match=says):
            acting(table)


def test_the_page_of_a_type_says_what_its_tables_can_say() -> None:
    assert words(Mapped(whole=True), ()) == "A `mapping` makes all that is sent."
    assert words(Mapped(fields=("text",)), ()) == "A `mapping` may give text."
    said = words(Mapped(), ("people", "events"))
    assert said.startswith("An `action` is one of people, events. A `mapping` is laid")
    assert words(None, ()) == ""
    page = types_cli.told("webhook", Path(), json=False)
    assert "A `mapping` makes all that is sent." in page


TEXT = """
[sources.web]
write_keys = ["dev"]
[destinations.crm]
type = "webhook"
settings = { url = "https://crm.example/hook" }
"""


@pytest.mark.parametrize(
    ("more", "routed"),
    [
        ("", ALL),
        ('actions = [{ types = ["track"] }, { trigger = "event = \'x\'" }]', ALL),
        ('actions = [{ types = ["track"] }, { types = ["page"] }]', {"track", "page"}),
        ('actions = [{ types = ["track"], enabled = false }]', set()),
    ],
)
def test_only_types_that_a_table_can_want_are_routed(more: str, routed: Any) -> None:
    routes = check(parse(TEXT + more.replace("'x'", '\\"x\\"'), folder=Path())).rules
    found = {each for each in ALL if "crm" in routes.routes.usual(each).to}
    assert found == routed


@pytest.mark.parametrize("type_", ["webhook", "file"])
def test_what_a_mapping_has_from_the_environment_is_shown_to_nobody(
    type_: str,
) -> None:
    settings = {"webhook": 'url = "https://crm.example/"', "file": 'path = "x"'}
    text = f"""
[sources.web]
write_keys = ["dev"]
[destinations.crm]
type = "{type_}"
settings = {{ {settings[type_]} }}
actions = [{{ mapping = {{ auth = [{{ key = "Bearer ${{TOKEN}}" }}] }} }}]
"""
    config = parse(text, folder=Path(), environment={"TOKEN": "hush-hush"})
    configured = check(config).configured["crm"]
    going = gate_of(configured).prepare(orjson.dumps(make_body(1, "u1")))
    assert isinstance(going, Delivery)
    assert going.fields == {"auth": [{"key": "Bearer hush-hush"}]}
    seen = str(configured.preview(going))
    assert "Bearer ***" in seen
    assert "hush" not in seen


def test_what_in_a_mapping_is_hardly_meant_is_told() -> None:
    parts = check(
        parse(TEXT + 'actions = [{ mapping = { a = "$.userId" } }]', folder=Path())
    )
    (doubt,) = parts.doubts
    assert f"{PLACE}[0].mapping.a: a text as it is" in doubt


@given(mapping=mappings(), event=events)
def test_a_mapped_webhook_sends_what_the_mapping_makes(
    mapping: dict[str, Any], event: dict[str, Any]
) -> None:
    whole = {**make_body(1, "u1"), **event}
    kept = {name: node for name, node in mapping.items() if node != ""}
    wanted = outcome(lambda: build(kept)(whole))
    configured = made({"mapping": mapping})
    going = gate_of(configured).prepare(orjson.dumps(whole))
    if isinstance(wanted, dict):
        assert isinstance(going, Delivery), going
        assert orjson.loads(configured.preview(going)["body"]) == wanted
    else:
        assert isinstance(going, Ended)
        assert isinstance(going.end, Rejected)


def outcome(make: Callable[[], Any]) -> Any:
    """What is made, as JSON has it; nothing of what cannot be made."""
    try:
        return orjson.loads(orjson.dumps(make()))
    except Unmappable:
        return None
