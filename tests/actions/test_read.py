"""The settings of an action destination against its definition: read, or refused."""

import base64
from pathlib import Path
from typing import Any

import pytest

from gateway.actions import definitions, kind, known, node
from gateway.actions.conversation import allows
from gateway.actions.known import Known
from gateway.errors import ConfigError
from tests.actions.acme import KEY, raw, read

SETTINGS = "destinations.acme.settings"
OAUTH = "destinations.acme.oauth"
ENV = "destinations.acme.env"
US, EU = "US \U0001f1fa\U0001f1f8", "EU \U0001f1ea\U0001f1fa"


def test_what_is_left_out_has_its_default() -> None:
    assert read().settings.settings == {**KEY, "region": US}


@pytest.mark.parametrize("said", ["EU", "eu", EU, " EU ", "Europe", "europe"])
def test_a_choice_may_be_written_without_its_decoration(said: str) -> None:
    assert read({**KEY, "region": said}).settings.settings["region"] == EU


def test_a_value_wins_over_another_ones_label() -> None:
    of = raw()
    of["settings"]["region"]["choices"] = [
        {"label": "b", "value": "a"},
        {"label": "c", "value": "b"},
    ]
    assert read({**KEY, "region": "b"}, of=of).settings.settings["region"] == "b"


def with_field(**field: Any) -> dict[str, Any]:
    return raw(settings={"it": {"label": "It", "description": "", **field}})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"type": "string"}, "x"),
        ({"type": "text"}, ""),
        ({"type": "boolean"}, False),
        ({"type": "number"}, 1.5),
        ({"type": "integer"}, 7),
        ({"type": "object"}, {"a": 1}),
        ({"type": "string", "multiple": True}, ["a", "b"]),
        ({"type": "number", "choices": [1, 2]}, 2),
    ],
    ids=str,
)
def test_a_setting_is_of_its_declared_type(field: dict[str, Any], value: Any) -> None:
    of = with_field(**field)
    found = read({"it": value}, of=of).settings.settings["it"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ({"type": "string"}, 7, "it: is not a text"),
        ({"type": "string"}, True, "it: is not a text"),
        ({"type": "string", "required": True}, "", "it: is empty"),
        ({"type": "boolean"}, "true", "it: is not true or false"),
        ({"type": "boolean"}, 1, "it: is not true or false"),
        ({"type": "number"}, "7", "it: is not a number"),
        ({"type": "number"}, True, "it: is not a number"),
        ({"type": "number"}, False, "it: is not a number"),
        ({"type": "number"}, float("nan"), "it: is not a number"),
        ({"type": "integer"}, 1.5, "it: is not a whole number"),
        ({"type": "integer"}, False, "it: is not a whole number"),
        ({"type": "object"}, "{}", "it: is not a table"),
        ({"type": "string", "multiple": True}, "a", "it: is not a list"),
        ({"type": "string", "multiple": True}, ["a", 7], "it[1]: is not a text"),
    ],
    ids=str,
)
def test_another_type_is_refused(field: dict[str, Any], value: Any, says: str) -> None:
    assert read({"it": value}, of=with_field(**field)).error == f"{SETTINGS}.{says}"


def test_a_wrong_choice_is_told_with_all_and_the_nearest() -> None:
    error = read({**KEY, "region": "EUR"}).error
    assert error == f"{SETTINGS}.region: is none of EU, US; did you mean EU?"


def test_an_unknown_setting_is_told_with_the_nearest() -> None:
    error = read({**KEY, "regions": "EU"}).error
    text = "unknown key; known are: apiKey, region, port; did you mean region?"
    assert error == f"{SETTINGS}.regions: {text}"


def test_a_missing_setting_is_told_with_its_label() -> None:
    assert read({}).error == f"{SETTINGS}.apiKey: missing (API Key)"


def test_no_error_shows_a_value() -> None:
    for settings in ({"apiKey": 77_777}, {"apiKey": "x", "region": "s3cret-77777"}):
        assert "77777" not in read(settings).error.replace("_", "")


def test_all_that_is_wrong_is_told_at_once() -> None:
    tables = [{"action": "nope"}]
    made = read({"regions": "EU", "port": "x"}, tables, oauth={"token": "x"})
    assert [each.partition(": ")[0] for each in made.errors] == [
        f"{SETTINGS}.regions",
        f"{SETTINGS}.apiKey",
        f"{SETTINGS}.port",
        f"{OAUTH}.token",
        "destinations.acme.actions[0].action",
    ]


def test_integrations_may_call_it_by_each_of_its_names() -> None:
    made = read().made
    assert made is not None
    expected = ("Acme (Actions)", "actions-acme", "Acme Web", "acme")
    assert made.settings.names == expected
    assert made.takes.names == expected


def test_what_is_secret_is_so_in_each_form_and_is_not_shown() -> None:
    key = "k3y/of acme"
    settings = read({"apiKey": key}).settings
    encoded = base64.b64encode(key.encode()).decode().rstrip("=")
    expected = {key, "k3y%2Fof%20acme", "k3y%2Fof+acme", encoded}
    assert expected <= set(settings.secrets)
    assert sorted(settings.secrets, key=len, reverse=True) == list(settings.secrets)
    assert "k3y" not in repr(settings)


@pytest.mark.parametrize("name", ["accessToken", "api_key", "clientSecret", "Password"])
def test_a_setting_that_is_called_so_is_secret_whatever_its_type(name: str) -> None:
    of = raw(settings={name: {"label": "", "description": "", "type": "string"}})
    assert "a value of ours" in read({name: "a value of ours"}, of=of).settings.secrets


def test_tokens_and_variables_are_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    knowing(monkeypatch, env=("VENDOR_TOKEN",))
    made = read(
        of=raw(scheme="oauth2"),
        oauth={"access_token": "t0ken"},
        env={"VENDOR_TOKEN": "v4riable"},
    )
    assert {"t0ken", "v4riable", "k3y of acme"} <= set(made.settings.secrets)
    assert made.settings.environment == {"VENDOR_TOKEN": "v4riable"}
    for each in ("t0ken", "v4riable"):
        assert each not in repr(made.settings)


def knowing(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    """What known.tsv would say of acme."""
    every = known.known()
    ours = {**dict.fromkeys(Known.__slots__, ""), "env": (), "hosts": (), **facts}
    line = Known(**{**ours, "cannot": facts.get("cannot")})
    monkeypatch.setattr("gateway.actions.read.known", lambda: {**every, "acme": line})


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("https://Rest.iad-01.braze.com", "rest.iad-01.braze.com"),
        ("https://a.example/path?x=1", "a.example"),
        ("http://a.example:8080/", "a.example"),
        ("a.example", "a.example"),
        ("  https://a.example ", "a.example"),
    ],
)
def test_a_host_of_the_settings_may_be_asked(value: str, host: str) -> None:
    hosts = read({"it": value}, of=with_field(type="string")).settings.hosts
    assert allows(hosts, host)
    assert not allows(hosts, f"other.{host.partition('.')[2]}")
    assert allows(hosts, f"below.{host}")


@pytest.mark.parametrize(
    "value", ["word", "https://user@a.example", "ftp://a.example", "a b.c"]
)
def test_what_is_no_host_allows_none(value: str) -> None:
    settings = read({"it": value}, of=with_field(type="string")).settings
    assert settings.hosts == frozenset()


def test_hosts_of_the_package_and_of_literal_mappings_may_be_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    knowing(monkeypatch, hosts=("api.acme.example",))
    table: dict[str, Any] = {"action": "track", "types": ["track"]}
    always = {"name": "https://hook.example/x"}
    found = read(KEY, [{**table, "mapping": always}]).settings.hosts
    assert found == frozenset({"api.acme.example", "=hook.example"})
    by_event = {"name": {"@path": "$.properties.url"}}
    found = read(KEY, [{**table, "mapping": by_event}]).settings.hosts
    assert found == frozenset({"api.acme.example"})


@pytest.mark.parametrize("scheme", ["oauth2", "oauth-managed"])
def test_oauth_needs_a_token(scheme: str) -> None:
    of = raw(scheme=scheme)
    assert read(of=of).error.startswith(f"{OAUTH}: missing; for example")
    token = {"access_token": "t"}
    assert read(of=of, oauth=token).settings.oauth == token
    app = {"refresh_token": "r", "client_id": "i", "client_secret": "s"}
    assert read(of=of, oauth=app).settings.oauth == app


@pytest.mark.parametrize(
    "given", [{"client_id": "i"}, {"client_id": "i", "client_secret": "s"}]
)
def test_an_app_alone_is_no_token(given: dict[str, str]) -> None:
    error = read(of=raw(scheme="oauth2"), oauth=given).error
    assert error.startswith(f"{OAUTH}: missing; for example")


def test_an_app_is_enough_for_one_that_gets_itself_a_token() -> None:
    """Which flow it is only its code knows."""
    app = {"client_id": "i", "client_secret": "s"}
    of = raw(scheme="oauth-managed", refreshes=True)
    assert read(of=of, oauth=app).settings.oauth == app


def test_client_credentials_in_the_settings_need_no_oauth() -> None:
    fields = {"client_secret": {"label": "", "description": "", "type": "password"}}
    of = raw(scheme="oauth2", refreshes=True, settings=fields)
    assert read({"client_secret": "s3cret"}, of=of).settings.oauth == {}


def test_oauth_of_one_that_has_none_and_wrong_keys_are_refused() -> None:
    token = {"access_token": "t"}
    assert read(oauth=token).error == f"{OAUTH}: actions:acme has no OAuth"
    of = raw(scheme="oauth2")
    error = read(of=of, oauth={**token, "acess_token": "t"}).error
    assert error.startswith(f"{OAUTH}.acess_token: unknown key")
    assert error.endswith("did you mean access_token?")
    error = read(of=of, oauth={**token, "client_id": 7}).error
    assert error == f"{OAUTH}.client_id: is not a text"


def test_a_variable_that_its_code_reads_and_nobody_gives_is_doubted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    knowing(monkeypatch, env=("VENDOR_TOKEN",))
    text = f"{ENV}: VENDOR_TOKEN is not given; its code reads it"
    assert read().doubts == (text,)
    assert read(env={"VENDOR_TOKEN": "x"}).doubts == ()
    error = read(env={"VENDOR_TOKN": "x"}).error
    assert error.startswith(f"{ENV}.VENDOR_TOKN: unknown key; known are: VENDOR_TOKEN")
    for value in ("", 7):
        error = read(env={"VENDOR_TOKEN": value}).error
        assert error == f"{ENV}.VENDOR_TOKEN: is not a text"


def test_no_other_variable_reaches_the_process() -> None:
    error = read(env={"NODE_OPTIONS": "--require x"}).error
    assert error.startswith(f"{ENV}.NODE_OPTIONS: unknown key")


def test_a_type_is_refused_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: Any
) -> None:
    kinds = kind.Kinds(tmp_path / definitions.ROOT)
    assert "actions:acme" in kinds
    assert "webhook" not in kinds
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node, "WHEEL", "no_such_wheel")
    with pytest.raises(ConfigError, match=r"need Node\.js"):
        kinds["actions:acme"]
    monkeypatch.setattr(node, "find", lambda: "a node")
    with pytest.raises(
        ConfigError, match="acme is not installed: gateway actions inst"
    ):
        kinds["actions:acme"]
    installed()
    assert (
        kinds["actions:actions-acme"].doc
        == "Acme (Actions), of Segment's action destinations."
    )
    with pytest.raises(ConfigError, match=r"type: actions:acne.*did you mean acme\?"):
        kinds["actions:acne"]
    with pytest.raises(
        ConfigError, match="actions:queue does not run here: the gateway"
    ):
        kinds["actions:queue"]
