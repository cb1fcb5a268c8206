"""The page of shaping: its configuration, function and case work as they stand."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main

PAGE = Path(__file__).parents[2].joinpath("docs/how-to/shape.md").read_text()
BLOCK = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILES = dict(BLOCK.findall(PAGE))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_s_case_is_what_the_page_s_configuration_sends(
    here: Path, capsys: Any
) -> None:
    assert set(FILES) == {
        "gateway.toml",
        "transforms/shop.py",
        "crm/identify/event.json",
        "crm/identify/request.json",
    }
    assert main(["check"]) == 0
    assert main(["test"]) == 0
    assert "ok       crm/identify" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"context": {"test": True}}, "transform"),
        ({"userId": "cool.person@example.com"}, "trigger"),
        ({"type": "page", "name": "Home"}, "trigger"),
        ({"type": "track", "event": "Order Completed"}, "trigger"),
    ],
)
def test_events_are_left_out_as_the_page_says(
    here: Path, capsys: Any, changes: dict[str, Any], reason: str
) -> None:
    message = json.loads(FILES["crm/identify/event.json"]) | changes
    (here / "m.json").write_text(json.dumps(message))
    assert main(["explain", "m.json", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["messages"]
    (crm,) = told["destinations"]
    assert (crm["sent"], crm["reason"]) == (False, reason)
