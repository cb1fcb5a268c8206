"""``gateway test``: golden cases of an operator, told, judged and accepted."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main

GOLDEN = Path(__file__).parent / "golden" / "cases"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(GOLDEN, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    code = main(["test", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_calls_whose_user_id_is_an_email_are_left_out(here: Path, capsys: Any) -> None:
    """The example of the seeds: the action of a destination, with its golden cases."""
    code, out, _ = run(capsys)
    assert out.splitlines() == [
        "ok       crm/identify",
        "ok       crm/track",
        "ok       crm/user_id_is_an_email",
        "3 cases, all ok",
    ]
    assert code == 0


def test_explain_says_which_condition_left_an_event_out(
    here: Path, capsys: Any
) -> None:
    assert main(["explain", "crm/user_id_is_an_email/event.json"]) == 0
    out = capsys.readouterr().out
    assert "crm (webhook): no, trigger (email_as_user_id)" in out


def rename(here: Path) -> None:
    file = here / "gateway.toml"
    file.write_text(file.read_text().replace("mapping.email", "mapping.mail"))


def test_a_difference_is_shown_and_exits_1_until_it_is_accepted(
    here: Path, capsys: Any
) -> None:
    rename(here)
    code, out, _ = run(capsys)
    assert code == 1
    assert "differs  crm/identify" in out
    assert '-    "email": "cool.person@example.com"' in out
    assert '+    "mail": "cool.person@example.com"' in out
    assert "3 cases, 1 not as they should be" in out
    code, out, _ = run(capsys, "--accept")
    assert (code, out.splitlines()[0]) == (0, "written  crm/identify")
    written = json.loads((here / "crm/identify/request.json").read_text())
    assert list(written["body"]) == ["id", "mail", "name"]
    assert run(capsys)[0] == 0


def test_a_new_case_has_no_request_until_it_is_accepted(
    here: Path, capsys: Any
) -> None:
    wanted = (here / "crm/identify/request.json").read_text()
    (here / "crm/identify/request.json").unlink()
    code, out, _ = run(capsys)
    assert code == 1
    assert "no request.json yet" in out
    assert run(capsys, "--accept")[0] == 0
    assert (here / "crm/identify/request.json").read_text() == wanted


@pytest.mark.parametrize("path", ["crm/identify", "crm", ".", ""])
def test_cases_are_chosen_by_a_path(here: Path, capsys: Any, path: str) -> None:
    (here / "crm/identify/request.json").unlink()
    code, out, _ = run(capsys, *([path] if path else []))
    assert code == 1
    assert f"{1 if '/' in path else 3} cases, 1 not" in out


def test_cases_may_stand_anywhere_and_events_may_be_as_the_log_has_them(
    here: Path, capsys: Any
) -> None:
    event = {
        "type": "identify",
        "messageId": "m1",
        "userId": "u1",
        "traits": {},
        "receivedAt": "2026-01-15T10:12:14.100Z",
        "source": "backend",
        "version": 1,
    }
    case = here / "elsewhere" / "crm" / "logged"
    case.mkdir(parents=True)
    (case / "event.json").write_text(json.dumps({"topic": "events", "value": event}))
    assert run(capsys, "elsewhere", "--accept")[0] == 0
    written = json.loads((case / "request.json").read_text())
    assert written["headers"]["X-Gateway-Message-Id"] == "m1"
    assert written["body"] == {"id": "u1", "name": " "}


def test_a_body_may_stand_in_the_case_as_the_text_that_explain_shows(
    here: Path, capsys: Any
) -> None:
    file = here / "crm/identify/request.json"
    wanted = json.loads(file.read_text())
    file.write_text(json.dumps({**wanted, "body": json.dumps(wanted["body"])}))
    assert run(capsys)[0] == 0


def test_the_path_of_a_file_is_told_from_the_configuration_s_folder(
    here: Path, capsys: Any
) -> None:
    with (here / "gateway.toml").open("a") as file:
        file.write('[destinations.inbox]\ntype = "file"\nsettings.path = "in.ndjson"\n')
    case = here / "inbox" / "track"
    shutil.copytree(here / "crm" / "track", case)
    assert run(capsys, "inbox", "--accept")[0] == 0
    written = json.loads((case / "request.json").read_text())
    assert written["path"] == "in.ndjson"
    assert written["line"]["event"] == "Paid"


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("event.json", '{"traits": {}}', "event.json: the message would be refused"),
        ("event.json", "{", "event.json: the file is not one JSON value"),
        ("request.json", "{", "request.json: "),
    ],
)
def test_a_case_that_cannot_be_read_is_told_and_fails(
    here: Path, capsys: Any, file: str, content: str, words: str
) -> None:
    (here / "crm/identify" / file).write_text(content)
    code, out, _ = run(capsys)
    assert code == 1
    assert f"differs  crm/identify\n  {words}" in out


def test_a_folder_without_cases_or_of_nobody_is_an_error(
    here: Path, capsys: Any
) -> None:
    (here / "empty").mkdir()
    code, _, err = run(capsys, "empty")
    assert code == 2
    assert "no cases: put them into NAME/CASE/event.json" in err
    (here / "crm").rename(here / "crmm")
    code, _, err = run(capsys)
    assert code == 2
    assert "crmm is no destination; known are: crm; did you mean crm?" in err
