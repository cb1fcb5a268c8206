"""``gateway actions import``: a Segment workspace's answers become TOML."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.actions import exported, translate
from gateway.actions.definitions import Installed
from gateway.actions.known import known
from gateway.cli import main
from gateway.errors import ConfigError
from tests.actions import kit

Put = Callable[[], Installed]
FILE = Path(__file__).parent / "workspace.json"
BULLETS = "\u2022" * 8


@pytest.fixture
def text(installed: Put) -> str:
    """The whole text that our workspace becomes."""
    found = exported.read(FILE.read_text(), "workspace.json")
    return translate.whole(translate.translated(found, installed()))


@pytest.fixture
def tables(text: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(text)["destinations"]
    return found


def comments(text: str) -> list[str]:
    return [line[2:] for line in text.splitlines() if line.startswith("#")]


def one(settings: Any = None, subscriptions: Any = (), **more: Any) -> str:
    """An export of one destination."""
    metadata = {"id": "0123456789abcdef01234567", "name": "Acme (Actions)"}
    each = {"id": "d", "name": "Acme", "metadata": metadata, "settings": settings}
    own = [{"destinationId": "d", "trigger": "t", **sub} for sub in subscriptions]
    return json.dumps({"destinations": [{**each, **more}], "subscriptions": own})


def table(installed: Installed, text: str) -> tuple[dict[str, Any], str]:
    """Its table, and the whole text."""
    found = exported.read(text, "a.json")
    whole = translate.whole(translate.translated(found, installed))
    (only,) = tomllib.loads(whole)["destinations"].values()
    return only, whole


def test_a_destination_is_a_table_with_its_settings(tables: dict[str, Any]) -> None:
    acme = tables["acme-eu-1st"]
    assert acme["type"] == "actions:acme"
    assert acme["settings"] == {
        "apiKey": "${ACME_EU_1ST_API_KEY}",
        "region": "EU \U0001f1ea\U0001f1fa",
        "port": 8443,
    }
    assert "enabled" not in acme
    assert acme["display_name"] == ["Acme (Actions)", "Acme Old"]
    assert acme["when"] == "source == 'web-shop'"


def test_one_without_a_name_is_found_by_slug_and_is_off_as_there(
    tables: dict[str, Any], text: str
) -> None:
    acme = tables["acme"]
    assert acme["enabled"] is False
    assert acme["display_name"] == "Acme (Actions)"
    assert acme["settings"] == {"apiKey": "${ACME_API_KEY}"}
    assert acme["when"] == "source == 'unknownSource1'"
    said = "source unknownSource1: write the name that it has here into `when`"
    assert said in comments(text)


def test_a_classic_one_that_is_called_as_a_directory_is_left_out(text: str) -> None:
    (classic,) = [
        each["metadata"]
        for each in exported.read(FILE.read_text(), "").destinations.values()
        if each["name"] == "GA"
    ]
    assert classic["slug"] == "acme"
    assert '"GA" (Google Universal Analytics): not here: a classic' in text


def test_an_action_has_its_trigger_and_where_its_mapping_differs(
    tables: dict[str, Any],
) -> None:
    identify, track = tables["acme-eu-1st"]["actions"]
    assert identify == {
        "action": "identify",
        "trigger": 'type = "identify" and traits.plan = "pro"',
        "sync_mode": "upsert",
        "mapping": {
            "email": {"@path": "$.traits.mail"},
            "session": 17,
            "tags": [{"name": 'a "b"', "key": "${ACME_EU_1ST_TAGS_KEY}"}],
        },
    }
    assert track == {
        "action": "track",
        "trigger": 'type = "track"',
        "enabled": False,
        "mapping": {"name": {"@path": "$.event"}},
    }


def test_no_secret_is_written_and_each_is_listed(text: str) -> None:
    assert "1f3a" not in text
    assert "wxyz" not in text
    said = [" ".join(each.split()) for each in comments(text)]
    assert "ACME_EU_1ST_API_KEY acme-eu-1st: settings.apiKey" in said
    assert "ACME_EU_1ST_TAGS_KEY acme-eu-1st: mapping.tags.key" in said
    assert "ACME_API_KEY acme: settings.apiKey" in said


@pytest.mark.parametrize(
    "said",
    [
        '"GA" (Google Universal Analytics): not here: a classic destination, or newer',
        '"Queue" (Queue): not here: the gateway leaves out queue-client: it sends by',
        "settings that it does not have: oldSetting",
        'filter "No staff": contains(traits.email, "@us.example"): write it into ',
        'insert function "Clean up": see `transform`',
        '"Plugin": left out: there is no action acmePlugin: it runs in browsers, or is',
        '"Model": left out: it is fed by reverse ETL',
        '"Journey": left out: it is a preset of Engage or reverse ETL',
        "Segment batches here, 5000 at most; see `batch`, which is off unless it is",
        "no subscriptions in the file: its automatic presets run",
        "Identify Calls",
    ],
)
def test_what_has_no_equal_is_said_at_its_place(text: str, said: str) -> None:
    assert any(each.startswith(said) for each in comments(text))


def test_a_field_that_is_mapped_no_longer_is_removed(installed: Put) -> None:
    given = {"actionSlug": "identify", "settings": {"id": None, "session": ""}}
    acme, _ = table(installed(), one(subscriptions=[given]))
    (action,) = acme["actions"]
    removed = {"id": "", "session": "", "email": ""}
    assert list(action["mapping"].items()) == list(removed.items())


def test_fields_that_are_removed_stand_in_the_order_of_the_action(
    installed: Put,
) -> None:
    given = {"actionSlug": "identify", "settings": {}}
    acme, _ = table(installed(), one(subscriptions=[given]))
    (action,) = acme["actions"]
    assert list(action["mapping"]) == ["id", "email", "session"]


def test_what_is_as_the_default_is_not_written(installed: Put) -> None:
    package = installed()
    mapping = {**package.look_up("acme").actions["identify"].defaults}
    given = {"actionSlug": "identify", "settings": {**mapping, "batch_size": "100"}}
    acme, _ = table(package, one(subscriptions=[given]))
    assert acme["actions"] == [{"action": "identify", "trigger": "t"}]


def test_without_a_trigger_an_action_is_off(installed: Put) -> None:
    given = {"actionSlug": "track", "trigger": "", "settings": {"name": "x"}}
    acme, _ = table(installed(), one(subscriptions=[given]))
    (action,) = acme["actions"]
    assert action == {"action": "track", "enabled": False, "mapping": {"name": "x"}}


def test_tokens_and_partner_secrets_are_asked_for(
    installed: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"acme": known()["linkedin-conversions"]}
    monkeypatch.setattr("gateway.actions.translate.known", lambda: facts)
    acme, text = table(installed(), one())
    keys = {"refresh_token", "client_id", "client_secret"}
    assert acme["oauth"] == {key: f"${{ACME_{key.upper()}}}" for key in keys}
    assert len(acme["env"]) == 2
    for name in [*acme["oauth"].values(), *acme["env"].values()]:
        assert f"#   {name[2:-1]}" in text


def test_the_answer_about_one_destination_is_taken_and_bare_objects_too(
    installed: Put,
) -> None:
    whole = json.loads(one())["destinations"][0]
    sub = {"id": "s", "destinationId": "d", "actionSlug": "track", "trigger": "t"}
    package = installed()
    acme, _ = table(package, json.dumps({"data": {"destination": whole}}))
    assert "actions" not in acme
    both = json.dumps([whole, {"data": {"subscription": sub}}, sub])
    acme, _ = table(package, both)
    assert [each["action"] for each in acme["actions"]] == ["track"]


def left(installed: Installed, text: str) -> str:
    """What is said of the only destination, which has no table."""
    written = translate.translated(exported.read(text, "a.json"), installed)
    assert (written.made, len(written.left)) == ([], 1)
    whole = translate.whole(written)
    assert tomllib.loads(whole) == {}
    return whole.splitlines()[-1]


def test_one_whose_subscriptions_are_all_left_out_runs_no_presets(
    installed: Put,
) -> None:
    given = {"actionSlug": "identify", "modelId": "m"}
    said = left(installed(), one(subscriptions=[given, given]))
    assert said == '# "Acme" (Acme (Actions)): not here: it is fed by reverse ETL'


def test_one_that_would_have_nothing_to_do_is_left_out(installed: Put) -> None:
    metadata = {"id": "a" * 24, "name": "Acme Lists"}
    said = left(installed(), one(metadata=metadata))
    assert "not here: no subscriptions of it are in the file; its actions are" in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "a.json: no destinations in it; expected answers of Segment's Public"),
        ('{"data": {"sources": []}}', "no destinations in it"),
        ('{"data": 1}\n[2, null]', "no destinations in it"),
        ('{"data": {}}\n{"data"', "a.json:2: no JSON"),
        ("[" * 100_000, "a.json:1: no JSON"),
    ],
)
def test_what_is_no_export_is_told_with_its_line(content: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        exported.read(content, "a.json")


def test_the_command_prints_toml_and_counts_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, installed: Put
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["actions", "import", str(FILE)]) == 2
    err = capsys.readouterr().err
    assert "action destinations are not installed: gateway actions install" in err
    installed()
    assert main(["actions", "import", str(FILE)]) == 0
    out, err = capsys.readouterr()
    assert {*tomllib.loads(out)["destinations"]} == {"acme-eu-1st", "acme"}
    assert err == "2 destinations, 2 left out: see the comments\n"


@pytest.mark.service
def test_every_destination_with_its_presets_comes_back_as_toml() -> None:
    package = kit.package()
    documents: list[dict[str, Any]] = []
    for each in package:
        metadata = {"id": each.id, "name": each.name, "slug": each.slug}
        settings = {key: BULLETS for key, one in each.settings.items() if one.secret}
        own: dict[str, Any] = {"id": each.id, "name": each.name, "settings": settings}
        documents.append({"destination": {**own, "metadata": metadata}})
        for at, preset in enumerate(each.automatic):
            sub: dict[str, Any] = {"id": f"{each.id}-{at}", "name": preset.name}
            sub |= {"destinationId": each.id, "actionSlug": preset.action}
            sub |= {"trigger": preset.trigger, "settings": {**preset.mapping}}
            documents.append({"data": {"subscriptions": [sub]}})
    found = exported.read("\n".join(map(json.dumps, documents)), "a.json")
    written = translate.translated(found, package)
    tables = tomllib.loads(translate.whole(written))["destinations"]
    running = [each for each in package if known()[each.directory].cannot is None]
    presets = [len(each.automatic) for each in running if each.automatic]
    assert len(tables) == len(presets) > 90
    assert len(written.left) == 214 - len(tables)
    actions = [len(each.get("actions", ())) for each in tables.values()]
    assert sum(actions) == sum(presets)
    names = " ".join(written.secrets)
    assert re.fullmatch(r"([A-Z_][A-Z0-9_]* ?)+", names)
    assert BULLETS not in translate.whole(written)
