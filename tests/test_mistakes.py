"""All that is wrong with a configuration, at once: with lines, and without secrets."""

import re
from pathlib import Path

import pytest

from gateway import cli
from gateway.config import parse
from gateway.errors import ConfigError
from gateway.mistakes import Mistakes, Text, Unfit, is_secret
from gateway.parts import examine

TEN = """\
[server]
listn = "127.0.0.1:8080"
admin_listen = "9090"

[limits]
nesting = 300
message_bytes = "32 KiB"

[log]
kind = "sqlit"

[sources.web]
kind = "browser"

[destinations.crm]
type = "webhok"
when = "!is_emial(userId)"
types = ["identify", "trak"]

[destinations.inbox]
type = "file"
settings = { path = "inbox.ndjson", rotate_sise = "1MB" }
delivery = { concurrency = 0 }
"""
WRONG = {
    2: "server.listn: unknown key; known are: listen, .*; did you mean listen\\?",
    3: "server.admin_listen: '9090' is not HOST:PORT",
    6: "limits.nesting: more than 200",
    7: "limits.message_bytes: '32 KiB' is not a size",
    10: "log.kind: 'sqlit' is not one of sqlite, kafka; did you mean sqlite\\?",
    12: "sources.web.write_keys: missing",
    16: "destinations.crm.type: 'webhok' is not known; .*; did you mean webhook\\?",
    17: "destinations.crm.when: unknown function is_emial\\(\\); known are: ",
    18: "destinations.crm.types: 'trak' is not one of .*; did you mean track\\?",
    22: "destinations.inbox.settings.rotate_sise: unknown key; .*rotate_size\\?",
    23: "destinations.inbox.delivery.concurrency: 0 is not a whole number above 0",
}


def write(folder: Path, text: str) -> Path:
    file = folder / "g.toml"
    file.write_text(text, encoding="utf-8")
    return file


def wrong(folder: Path, text: str) -> list[str]:
    """Every mistake of a text, without the file's name."""
    file = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        examine(file)
    return [each.removeprefix(str(file)) for each in caught.value.args]


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    found = wrong(tmp_path, TEN)
    assert len(found) == len(WRONG)
    for text, (line, says) in zip(found, WRONG.items(), strict=True):
        assert re.fullmatch(f":{line}: {says}.*", text), text


@pytest.mark.parametrize("command", [["check"], ["serve"]])
def test_check_and_serve_say_the_same_and_exit_2(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, TEN)
    assert cli.main(["--config", str(file), *command]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    head, *lines = err.splitlines()
    assert head == "gateway: 11 mistakes"
    assert [line.split(": ")[0] for line in lines] == [f"{file}:{n}" for n in WRONG]


def test_one_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, "[sources.web]\nwrite_keys = ['a']\nrat = 5\n")
    assert cli.main(["check", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"gateway: {file}:3: sources.web.rat: unknown key; known")
    assert line.endswith("; did you mean rate?")


def test_a_file_without_mistakes_is_ok(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, "[sources.web]\nwrite_keys = ['a']\n")
    assert cli.main(["check", str(file)]) == 0
    assert capsys.readouterr().out == "ok: 1 sources, 0 destinations\n"


def test_what_follows_from_a_mistake_is_not_a_second_one(tmp_path: Path) -> None:
    text = "[sources.web]\nwrite_keys = 'a'\n[server]\nlisten = '${NOT_SET}'\n"
    first, second = wrong(tmp_path, text)
    assert "sources.web.write_keys: a text is not a list" in first
    assert "server.listen: the environment variable NOT_SET is not set" in second


def test_what_a_plan_a_certificate_and_a_workspace_lack_is_told_beside_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """\
[server]
tls_certificate = "cert.pem"
tls_key = "key.pem"
[sources.web]
write_keys = ["a"]
schema = "plan.json"
rate = 0
[destinations.a]
type = "workspace"
[destinations.b]
type = "workspace"
[workspace]
identifiers = ["email"]
"""
    assert cli.main(["check", str(write(tmp_path, text))]) == 2
    lines = [
        each.partition("g.toml:")[2] for each in capsys.readouterr().err.split("\n")
    ]
    places = [each.split(": ")[:2] for each in lines if each]
    assert places == [
        ["2", "server.tls_certificate"],
        ["6", "sources.web.schema"],
        ["7", "sources.web.rate"],
        ["10", "destinations.b"],
        ["13", "workspace.identifiers"],
    ]


def test_events_outside_a_plan_need_a_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[sources.web]\nwrite_keys = ["a"]\non_unplanned = "flag"\n'
    assert cli.main(["check", str(write(tmp_path, text))]) == 2
    told = capsys.readouterr().err
    assert "g.toml:3: sources.web.on_unplanned" in told
    assert '"flag" needs a tracking plan: set schema, or remove this key' in told
    (tmp_path / "plan.json").write_text('{"traits": {}}')
    assert cli.main(["check", str(write(tmp_path, text + "schema = 'plan.json'"))]) == 2
    assert "sources.web.schema: " in (told := capsys.readouterr().err)
    assert 'has no "events"' in told


METHOD = """\
[destinations.b]
type = "webhook"
settings = { url = "http://a", method = "${FROM_OUTSIDE}" }
"""
HUSH = "https://hooks.example/T000/HUSH-HUSH"


@pytest.mark.parametrize(
    "text",
    [
        f"[sources.web]\nwrite_keys = '{HUSH}'",
        f"[sources.web]\nwrite_keys = [['{HUSH}']]",
        f"[sources.b]\nkind = 'track_api'\nsite_id = ['{HUSH}']\napi_keys = '{HUSH}'",
        f"[sources.b]\nkind = 'track_api'\nsite_id = ':{HUSH}'\napi_keys = ['{HUSH}']",
        f"[sources]\nb = '{HUSH}'",
        f"[[sources.b]]\nwrite_keys = ['{HUSH}']",
        f"[log]\nsasl_password = ['{HUSH}']",
        f"[workspace]\napi_token = ['{HUSH}']\nurl = ['{HUSH}']",
        f"[workspace]\nurl = 'mysql://user:{HUSH}'",
        f"[[destinations.b]]\nsettings = {{ url = '{HUSH}' }}",
        f"[destinations.b]\ntype = 'webhook'\nsettings = '{HUSH}'",
        f"[destinations.b]\ntype = 'webhook'\nsettings = {{ secret = ['{HUSH}'] }}",
        f"[destinations.b]\ntype = 'webhook'\nsettings = {{ token = '{HUSH}' }}",
        f"[destinations.b]\ntype = 'webhook'\nsettings = {{ headers = '{HUSH}' }}",
        f"[server]\ntrusted_proxies = '{HUSH}'",
        f"[destinations.b]\ntype = 'webhook'\nsettings = {{ url = 'ftp://{HUSH}' }}",
    ],
)
def test_no_secret_is_shown(text: str, tmp_path: Path) -> None:
    found = wrong(tmp_path, f"{text}\n")
    assert found
    assert "HUSH" not in str(found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server]\nlisten = '${FROM_OUTSIDE}'", "listen: a text is not HOST:PORT"),
        ("[log]\nkind = 'x${FROM_OUTSIDE}'", "log.kind: a text is not one of"),
        ("[server]\ntrusted_proxies = ['${FROM_OUTSIDE}']", "a text is not an address"),
        (METHOD, "settings.method: a text is not one of"),
    ],
)
def test_what_the_environment_gave_is_not_shown(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "HUSH-HUSH")
    found = wrong(tmp_path, f"[sources.web]\nwrite_keys = ['a']\n{text}\n")
    assert "HUSH" not in str(found)
    (each,) = found
    assert says in each


def test_a_key_is_secret_by_its_name() -> None:
    for name in ("write_keys[3]", "a.api_keys", "site_id", "x.client_secret", "token"):
        assert is_secret(name), name
    for name in ("secrets.url", "log.path", "keyed", "tokens_a_second"):
        assert not is_secret(name), name


def test_mistakes_come_in_the_order_of_the_text_and_once() -> None:
    mistakes = Mistakes(Text("g.toml", {"a": 1, "a.x": 3, "b": 2}))
    mistakes.add(Unfit("a.x", 5, "is not a text"))
    mistakes.add(ConfigError("b.y: missing"))
    mistakes.add(ConfigError("a: needs x"))  # follows from a.x
    mistakes.add(ConfigError("nowhere: unknown"))
    with pytest.raises(ConfigError) as caught:
        mistakes.raise_any()
    assert caught.value.args == (
        "g.toml: nowhere: unknown",
        "g.toml:2: b.y: missing",
        "g.toml:3: a.x: 5 is not a text",
    )
    assert str(caught.value) == "\n".join(caught.value.args)


def test_a_range_with_bits_beyond_its_mask_is_told_the_range() -> None:
    text = (
        "[sources.web]\nwrite_keys = ['a']\n[server]\ntrusted_proxies = ['10.0.0.1/8']"
    )
    with pytest.raises(ConfigError, match=r"beyond its mask: write 10\.0\.0\.0/8"):
        parse(text, folder=Path("/srv"), environment={})
