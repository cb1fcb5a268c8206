"""What `gateway destinations` says of action destinations, installed or not."""

import dataclasses
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.actions import page
from gateway.actions.definitions import Installed
from gateway.actions.known import known
from gateway.cli import main
from tests.actions import kit

Put = Callable[[], Installed]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["destinations", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_list_has_them_by_kind_with_what_becomes_of_an_identify(
    capsys: Any,
) -> None:
    code, out, _ = told(capsys)
    assert code == 0
    assert "After gateway actions install" in out
    lines = {" ".join(each.split()): at for at, each in enumerate(out.splitlines())}
    line = "actions:amplitude Actions Amplitude: works with an identify as it is"
    kafka = (
        "actions:kafka Kafka: does not run here: it speaks Kafka's protocol, not HTTP"
    )
    with_key = lines["With a key"]
    assert with_key < lines[line] < lines["With OAuth"] < lines[kafka]
    assert sum(each.startswith("actions:") for each in lines) == 214
    assert any(each.startswith("webhook ") for each in lines)


def test_the_list_tells_when_they_are_installed(capsys: Any, installed: Put) -> None:
    assert json.loads(told(capsys, "--json")[1])["actions:braze"]["installed"] is False
    installed()
    out = told(capsys)[1]
    assert "Segment's action destinations" in out
    assert "gateway actions install" not in out
    shown = json.loads(told(capsys, "--json")[1])
    assert shown["actions:braze"]["installed"] is True
    assert shown["actions:kafka"]["installed"] is False
    assert shown["webhook"]["settings"]


@pytest.mark.parametrize(
    "name", ["hubspot", "actions:hubspot", "Actions-HubSpot-Cloud"]
)
def test_without_the_packages_what_is_known_is_told_and_what_to_do(
    capsys: Any, name: str
) -> None:
    code, out, _ = told(capsys, name)
    assert code == 0
    assert out.startswith("HubSpot Cloud Mode (Actions)  (actions:hubspot)\n")
    assert (
        "credentials: a long-lived access token of the vendor, or an OAuth app" in out
    )
    assert out.endswith(
        "the packages are not installed here: gateway actions install\n"
    )


def test_a_type_of_the_gateway_is_meant_before_one_of_theirs(capsys: Any) -> None:
    assert 'type = "webhook"' in told(capsys, "webhook")[1]
    assert "(actions:webhook)" in told(capsys, "actions:webhook")[1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("webhok", " and actions:NAME; did you mean webhook?"),
        ("hubspt", "did you mean actions:hubspot?"),
        ("actions:mixpannel", "did you mean actions:mixpanel?"),
    ],
)
def test_what_nobody_has_is_told_with_the_nearest(
    capsys: Any, name: str, words: str
) -> None:
    code, _, err = told(capsys, name)
    assert code == 2
    assert words in err


def test_a_page_has_all_that_a_configuration_needs(capsys: Any, installed: Put) -> None:
    installed()
    code, out, _ = told(capsys, "acme")
    assert code == 0
    for text in [
        "Acme (Actions)  (actions:acme)\nAcme keeps **profiles**.\n",
        "in integrations: Acme (Actions), actions-acme, Acme Web\n",
        "  apiKey  (password, needed)\n      API Key: Found under Settings.\n",
        '      one of "EU \U0001f1ea\U0001f1fa" (Europe), "US',
        'these presets run\n  Identify Calls: identify, when type = "identify"\n',
        "Action identify: Upsert a profile\n  Makes it, or changes it.\n  trigger: ",
        '  trigger: type = "identify"\n  sync_mode: add, upsert\n  batch: possible\n',
        "  id  (string, needed)  $.userId\n",
        '  email  (string, needed if kind is "person")  $.traits.email\n',
        "  tags  (list of object)\n",
        "Action track: Send an event\n  trigger: none: write one\n",
    ]:
        assert text in out
    for hidden in ("batch_size", "acmePlugin", "Journey"):
        assert hidden not in out


def test_a_page_of_what_does_not_load_says_why(capsys: Any, installed: Put) -> None:
    installed()
    out = told(capsys, "queue")[1]
    assert "It does not run here: the gateway leaves out queue-client: " in out
    assert "type = " not in out


def test_json_is_the_definition_and_what_is_known(capsys: Any, installed: Put) -> None:
    written = installed().definitions["acme"]
    assert json.loads(told(capsys, "acme", "--json")[1]) == {"actions:acme": written}
    (lone,) = json.loads(told(capsys, "queue", "--json")[1]).values()
    assert lone["fails"].startswith("the gateway leaves out")


def test_what_is_pasted_names_what_is_needed(installed: Put) -> None:
    package = installed()
    acme = tomllib.loads("\n".join(page.pasted(package.look_up("acme"), None)))
    assert acme == {
        "destinations": {
            "my-acme": {
                "type": "actions:acme",
                "settings": {"apiKey": "${ACME_API_KEY}"},
            }
        }
    }


def test_what_is_offered_is_a_name_that_the_environment_may_have() -> None:
    assert page.variable("1plusx", "client_id") == "_1PLUSX_CLIENT_ID"
    assert page.variable("mixpanel", "apiSecret") == "MIXPANEL_API_SECRET"
    assert page.variable("a-b", "c.d") == "A_B_C_D"


def test_what_is_offered_is_a_choice_even_where_the_default_is_none(
    installed: Put,
) -> None:
    acme = installed().look_up("acme")
    odd = dataclasses.replace(acme.settings["region"], default="DEFAULT", required=True)
    table = page.pasted(dataclasses.replace(acme, settings={"region": odd}), None)
    assert table[2] == 'settings = { region = "EU \U0001f1ea\U0001f1fa" }'


def test_a_default_that_is_empty_fills_nothing_in(installed: Put) -> None:
    acme = installed().look_up("acme")
    port = dataclasses.replace(acme.settings["port"], default="", required=True)
    table = page.pasted(dataclasses.replace(acme, settings={"port": port}), None)
    assert table[2] == 'settings = { port = "${ACME_PORT}" }'


@pytest.mark.parametrize(
    ("default", "shown"),
    [
        ({"@path": "$.a"}, "$.a"),
        ({"@template": "Viewed {{name}}"}, "Viewed {{name}}"),
        (
            {
                "@if": {
                    "exists": {"@path": "$.a"},
                    "then": {"@path": "$.a"},
                    "else": {"@path": "$.b"},
                }
            },
            "$.a, else $.b",
        ),
        ({"@if": {"exists": {"@path": "$.a"}, "then": {"@path": "$.a"}}}, "$.a"),
        ({"a": {"@path": "$.a"}}, '{"a":{"@path":"$.a"}}'),
        (False, "false"),
        ("x" * 200, '"' + "x" * 99 + "..."),
    ],
)
def test_a_default_is_as_short_as_it_can_be_read(default: Any, shown: str) -> None:
    assert page.short(default) == shown


@pytest.mark.service
def test_every_page_of_the_package_is_made_and_what_it_offers_is_toml() -> None:
    for each in kit.package():
        facts = known()[each.directory]
        assert page.of(each, facts).startswith(f"{each.name}  (actions:")
        if each.fails is None:
            table = tomllib.loads("\n".join(page.pasted(each, facts)))
            (offered,) = table["destinations"].values()
            assert offered["type"] == f"actions:{each.directory}"
            assert bool(offered.get("actions")) != bool(each.automatic)
