"""Golden cases and a transform at an action destination of the real package."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.actions import definitions
from gateway.cli import main
from tests.actions import kit

pytestmark = pytest.mark.service
CONFIG = """
[sources.web]
write_keys = ["dev"]
[destinations.braze]
type = "actions:braze"
transform = "shop.py:clean"
settings.api_key = "hush-hush"
settings.app_id = "x"
settings.endpoint = "https://rest.iad-01.braze.com"
[[destinations.braze.actions]]
action = "updateUserProfile"
types = ["identify"]
email_as_user_id = false
"""
SHOP = "def clean(event): return {**event, 'traits': {'firstName': 'Ann'}}"
MESSAGE = {"type": "identify", "userId": "u1", "traits": {"firstName": "Jane"}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    installed = definitions.place(tmp_path / definitions.ROOT)
    installed.parent.mkdir(parents=True)
    installed.symlink_to(kit.package().folder)
    (tmp_path / "gateway.toml").write_text(CONFIG)
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def accepted(here: Path, **changes: Any) -> Any:
    """What is written for a message, and is the same when it is asked again."""
    case = here / "braze" / "case"
    case.mkdir(parents=True)
    (case / "event.json").write_text(json.dumps(MESSAGE | changes))
    assert main(["test", "--accept"]) == 0
    assert main(["test"]) == 0
    return json.loads((case / "request.json").read_text())


def test_an_action_s_request_is_a_golden_case_and_has_what_a_transform_made(
    here: Path,
) -> None:
    written = accepted(here)
    assert written["action"] == "updateUserProfile"
    (person,) = written["body"]["attributes"]
    assert (person["external_id"], person["first_name"]) == ("u1", "Ann")
    assert "hush" not in json.dumps(written)


def test_what_an_action_leaves_out_is_a_golden_case_with_the_condition(
    here: Path,
) -> None:
    written = accepted(here, userId="ann@example.com")
    assert written == {
        "sent": False,
        "reason": "updateUserProfile: email_as_user_id",
    }
