"""``gateway send`` and ``gateway destinations``, in process and on the command line."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from tests.outbound.fake import Answer, Fake

MESSAGE = {"userId": "u1", "traits": {"first_name": "Ann"}, "messageId": "m1"}


def configure(folder: Path, url: str, more: str = "") -> None:
    (folder / "gateway.toml").write_text(f"""
[server]
private_destinations = ["127.0.0.0/8"]
[sources.web]
write_keys = ["dev"]
[sources.other]
kind = "browser"
write_keys = ["browser"]
[destinations.crm]
type = "webhook"
when = "type == 'identify'"
settings = {{ url = "{url}", secret = "hush-hush" }}
[destinations.people]
type = "workspace"
{more}""")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: Any, *arguments: str) -> tuple[int, Any, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, json.loads(out) if out.startswith(("{", "[")) else out, err


def write(folder: Path, value: Any) -> str:
    file = folder / "event.json"
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(file)


def test_an_event_is_only_shown_without_yes(here: Path, capsys: Any) -> None:
    configure(here, "http://127.0.0.1:9/hook")  # nobody is there
    file = write(here, MESSAGE)
    code, shown, _ = run(capsys, "send", "--to", "crm", file)
    assert code == 0
    assert shown["sent"]
    body = json.loads(shown["request"]["body"])
    assert body["traits"] == {"firstName": "Ann"}
    assert body["source"] == "web"
    _, shown, _ = run(capsys, "send", "--to", "crm", "--source", "other", file)
    assert json.loads(shown["request"]["body"])["source"] == "other"


async def _sent(here: Path, capsys: Any, value: Any, *answers: Answer) -> Any:
    """The command in a thread of its own: it runs a loop itself."""
    async with Fake(*answers) as crm:
        configure(here, crm.url)
        arguments = ("send", "--to", "crm", "--yes", write(here, value))
        code = await asyncio.to_thread(main, arguments)
        return code, json.loads(capsys.readouterr().out), crm.asked


async def test_yes_sends_it_once_and_says_what_came_back(
    here: Path, capsys: Any
) -> None:
    code, told, asked = await _sent(here, capsys, MESSAGE, Answer(201))
    assert (code, told) == (0, {"sent": True, "verdict": "delivered", "status": 201})
    (request,) = asked
    assert request.json()["messageId"] == "m1"
    assert request.headers["X-Gateway-Signature"].startswith("sha256=")


async def test_a_refusal_shows_the_exchange_and_no_secret(
    here: Path, capsys: Any
) -> None:
    answer = Answer(422, b"no email, hush-hush")
    code, told, asked = await _sent(here, capsys, MESSAGE, answer)
    assert code == 1
    assert (told["verdict"], told["status"]) == ("rejected", 422)
    assert told["response"]["body"] == "no email, ***"
    assert len(asked) == 1


async def test_s15_nothing_of_the_configuration_s_secrets_is_shown(
    here: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what a header says, nor what the environment gave, but for a URL's host."""
    async with Fake(Answer(422, b"not v4lue at T0/B0/x1y2, z9z9z9")) as crm:
        given = {"PART": "T0/B0/x1y2", "HOST": crm.url.split("/")[2], "PASS": "z9z9z9"}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        configure(here, crm.url)
        settings = """{ url = "http://${HOST}/services/${PART}", secret = "${PASS}",
            headers = { X-Hook = "v4lue", X-Shared-Pass = "${PASS}" } }"""
        text = (here / "gateway.toml").read_text()
        old = f'{{ url = "{crm.url}", secret = "hush-hush" }}'
        assert old in text
        (here / "gateway.toml").write_text(
            text.replace(old, " ".join(settings.split()))
        )
        file = write(here, MESSAGE)
        said = []
        for more in (["send", "--to", "crm", "--yes"], ["explain", "--json"]):
            await asyncio.to_thread(main, [*more, file])
            said.append(capsys.readouterr().out)
    shown = json.loads(said[0])
    assert shown["request"]["url"] == f"http://{given['HOST']}/services/***"
    assert shown["request"]["headers"]["X-Hook"] == "***"
    assert shown["response"]["body"] == "not *** at ***, ***"
    assert crm.asked[0].headers["X-Shared-Pass"] == "z9z9z9"
    for text in said:
        assert f"http://{given['HOST']}/services/***" in text
        for secret in ("v4lue", "T0/B0", "x1y2", "z9z9z9"):
            assert secret not in text


async def test_an_event_and_a_line_of_gateway_read_are_sent_as_they_are(
    here: Path, capsys: Any
) -> None:
    event = {
        "type": "identify",
        "messageId": "e1",
        "userId": "u",
        "receivedAt": "2026-01-15T10:12:14.100Z",
        "source": "old",
        "version": 1,
    }
    for value in (event, {"topic": "events", "value": event}):
        _, _, asked = await _sent(here, capsys, value)
        assert [request.json() for request in asked] == [event]


async def test_what_the_gate_holds_back_is_not_sent(here: Path, capsys: Any) -> None:
    track = {"type": "track", "event": "E", "userId": "u"}
    code, told, asked = await _sent(here, capsys, track)
    assert (code, told, asked) == (
        1,
        {
            "sent": False,
            "step": "when",
            "reason": "when",
            "because": "type == 'identify'",
        },
        [],
    )


@pytest.mark.parametrize(
    ("value", "arguments", "words"),
    [
        ("{", (), "not one JSON value"),
        ("[]", (), "one JSON object"),
        ({"traits": {}}, (), "would be refused: /: needs a userId"),
        ({**MESSAGE, "type": "nope"}, (), "would be refused: /type: must be"),
        (MESSAGE, ("--source", "nope"), "--source nope: unknown; known are: web"),
        (MESSAGE, ("--to", "nope"), "--to nope: unknown; known are: crm, people"),
        (MESSAGE, ("--to", "people", "--yes"), "POST the message"),
    ],
)
def test_what_cannot_be_sent_is_named(
    here: Path, capsys: Any, value: Any, arguments: tuple[str, ...], words: str
) -> None:
    configure(here, "http://127.0.0.1:9/hook")
    file = write(here, value)
    code, _, err = run(capsys, "send", "--to", "crm", file, *arguments)
    assert code == 2
    assert words in err


def test_the_types_of_destinations_are_listed_and_explained(capsys: Any) -> None:
    code, out, _ = run(capsys, "destinations")
    assert code == 0
    own, _, others = out.partition("\n\n")
    assert "actions:hubspot" in others
    names = [line.split()[0] for line in own.splitlines()]
    assert {"file", "webhook", "workspace"} <= set(names)
    assert names == sorted(names)
    _, out, _ = run(capsys, "destinations", "webhook")
    assert 'type = "webhook"' in out
    assert "url  (text, needed)" in out
    _, described, _ = run(capsys, "destinations", "file", "--json")
    assert described["file"]["settings"][0]["name"] == "path"
    code, _, err = run(capsys, "destinations", "webhok")
    assert code == 2
    assert "did you mean webhook?" in err
