"""The configuration: the example is the contract, everything else is an error."""

from pathlib import Path

import pytest

from gateway.config import DEFAULT, load, parse
from gateway.errors import ConfigError
from gateway.mistakes import Mistakes, Text
from gateway.workspace.settings import Workspace

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {
    "CRM_SECRET": "hush",
    "WORKSPACE_TOKEN": "token",
    "CONSOLE_TOKEN": "token",
}
TRACK = "[sources.b]\nkind = 'track_api'\n"
SOURCE = '[sources.web]\nwrite_keys = ["dev"]\n'


def read(text: str):
    return parse(text, folder=Path("/srv"), file=Path("g.toml"), environment={})


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def test_the_example_is_accepted_and_says_the_defaults():
    example = parse(
        (ROOT / "gateway.example.toml").read_text(),
        folder=Path("/srv"),
        environment=ENVIRONMENT,
    )
    bare = read(SOURCE)
    assert example.limits == bare.limits
    assert example.log == bare.log
    crm = example.destinations["crm"]
    assert crm.settings["secret"] == "hush"
    assert crm.delivery.retry_cap_s == 300
    assert crm.delivery.dedupe_s == 86_400
    assert example.destinations["inbox"].delivery.concurrency == 32
    mistakes = Mistakes(Text())
    people = example.section(Workspace, "workspace", mistakes)
    assert people.api_token == "token"
    assert not mistakes.texts


def test_the_built_in_default_has_the_key_dev_and_a_file():
    config = load(None, {})
    assert config.sources["dev"].write_keys == ("dev",)
    assert config.destinations["inbox"].settings == {"path": "data/inbox.ndjson"}
    assert config.server.listen == "127.0.0.1:8080"
    assert config.server.admin_listen == "127.0.0.1:9090"
    assert "inbox" in DEFAULT


def test_paths_are_relative_to_the_file():
    assert read(SOURCE).log.path == Path("/srv/data/log.db")
    assert read(SOURCE + '[log]\npath = "/abs/log.db"').log.path == Path("/abs/log.db")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[server]\nlistn = "x"', "server.listn: unknown key; known are: listen"),
        ("[srver]", "srver: unknown key; known are: server"),
        ("[limits]\nappend_timeout = 5", "limits.append_timeout: 5 is not a duration"),
        (
            '[limits]\nmessage_bytes = "5 XB"',
            "limits.message_bytes: '5 XB' is not a",
        ),
        ("[limits]\nbatch_messages = 0", "0 is not a whole number above 0"),
        ("[limits]\nbatch_messages = true", "true is not a whole number"),
        ("[limits]\nnesting = 300", "limits.nesting: more than 200"),
        ("[log]\nkind = 'redis'", "log.kind: 'redis' is not one of sqlite, kafka"),
        ("[log]\npath = 5", "log.path: 5 is not a text"),
        ("[server]\nlisten = '8080'", "server.listen: '8080' is not HOST:PORT"),
        ("[server]\ntls_key = 'k'", "go together"),
        (
            "[server]\ntrusted_proxies = ['x']",
            "server.trusted_proxies[0]: 'x' is not an address",
        ),
        ("[sources.Web]\nwrite_keys = ['a']", "sources.Web: a name is [a-z0-9-]"),
        ("[sources.b]", "sources.b.write_keys: missing"),
        ("[sources.b]\nwrite_keys = 'a'", "sources.b.write_keys: a text is not a list"),
        (
            "[sources.b]\nwrite_keys = [5]",
            "sources.b.write_keys[0]: a number is not a text",
        ),
        ("[sources.b]\nwrite_keys = ['dev']", "web has the same key"),
        ("[sources.b]\nkind = 'track_api'", "needs site_id and api_keys"),
        (TRACK + "site_id = 's:'\napi_keys = ['k']", "sources.b.site_id: has a colon"),
        (TRACK + "site_id = 's'\napi_keys = [' ']", "sources.b.api_keys: a key is"),
        (
            TRACK + "site_id = 's'\napi_keys = ['k']\n"
            "[sources.c]\nkind = 'track_api'\nsite_id = 's'\napi_keys = ['k']",
            "sources.c.api_keys: b has the same key",
        ),
        (
            TRACK + "site_id = 's'\napi_keys = ['k']\nforms = { f = 1 }",
            "sources.b.forms.f: not {",
        ),
        ("[sources.b]\nkind = 'x'\nwrite_keys = ['b']", "sources.b.kind: 'x' is not"),
        ("[destinations.b]", "destinations.b.type: missing"),
        (
            "[destinations.b]\ntype = 'x'\nname = 'x'",
            "destinations.b.name: unknown key",
        ),
        ("[destinations.b]\ntype = 'x'\ntypes = ['y']", "destinations.b.types: 'y' is"),
        (
            "[destinations.b]\ntype = 'x'\ndelivery = { concurrency = 0 }",
            "destinations.b.delivery.concurrency: 0 is not",
        ),
        (
            "[destinations.b]\ntype = 'x'\nsettings = { secret = '${NOPE}' }",
            "destinations.b.settings.secret: the environment variable NOPE is not set",
        ),
    ],
)
def test_a_mistake_is_named_with_file_key_and_remedy(text, says):
    message = refusal(SOURCE + text)
    assert message.startswith("g.toml:")
    assert says in message


def test_what_is_no_toml_is_an_error_with_its_place():
    assert "g.toml:2: is not TOML" in refusal("x = 1\ny = =\n")
    assert "g.toml: is not TOML" in refusal("x =")


def test_a_configuration_without_a_source_is_an_error():
    assert "sources: none" in refusal("")


def test_a_missing_file_is_an_error_with_its_name(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        load(tmp_path / "nowhere.toml", {})


def test_sizes_are_powers_of_ten_and_durations_have_units():
    config = read(SOURCE + '[log]\nsize = "1.5 MB"\nretention = "90m"')
    assert config.log.size == 1_500_000
    assert config.log.retention_s == 5_400


def test_keys_and_secrets_are_in_no_repr():
    text = SOURCE + (
        "[sources.b]\nkind = 'track_api'\nsite_id = 's'\napi_keys = ['hidden-api']\n"
        "[log]\nsasl_password = 'hidden-sasl'\n"
        "[destinations.b]\ntype = 'x'\nsettings = { secret = 'hidden-setting' }\n"
        "[workspace]\napi_token = 'hidden-token'"
    )
    shown = repr(read(text))
    assert "hidden" not in shown
    assert "dev" not in shown


def test_a_key_that_does_nothing_yet_is_no_key():
    """Who sets a filter must be told that it filters nothing."""
    text = f"{SOURCE}[destinations.b]\ntype = 'file'\nemail_as_user_id = false\n"
    assert "destinations.b.email_as_user_id: unknown key" in refusal(text)


@pytest.mark.parametrize(
    ("written", "names"), [("'A'", ("A",)), ("['A', 'B b']", ("A", "B b"))]
)
def test_a_destination_may_have_several_display_names(written, names):
    text = f"{SOURCE}[destinations.b]\ntype = 'file'\ndisplay_name = {written}\n"
    assert read(text).destinations["b"].display_name == names


def test_a_display_name_is_a_text_or_texts():
    text = f"{SOURCE}[destinations.b]\ntype = 'file'\ndisplay_name = [1]\n"
    assert "destinations.b.display_name[0]: 1 is not a text" in refusal(text)
