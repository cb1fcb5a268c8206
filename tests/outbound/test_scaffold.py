"""``make destination``: what it makes is a destination that works, and is clean."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.event import Event
from gateway.outbound.contract import Delivery
from reference.scaffold import EVENT, scaffold

ROOT = Path(__file__).parents[2]


def test_a_new_type_is_a_file_and_a_golden_folder(tmp_path: Path) -> None:
    module, settings, event = scaffold("my_crm", tmp_path)
    folder = "tests/golden/destinations/my_crm"
    assert module == tmp_path / "gateway/outbound/destinations/my_crm.py"
    assert settings == tmp_path / folder / "settings.json"
    assert event == tmp_path / folder / "identify/event.json"
    spec = importlib.util.spec_from_file_location("my_crm", module)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    given = json.loads(settings.read_text())["settings"]
    made = found.KIND.configured(given, name="crm", folder=tmp_path)
    value = event.read_bytes()
    shown = made.preview(Delivery(event=Event.from_bytes(value), value=value))
    assert shown["url"] == "https://my_crm.example/people"
    assert shown["headers"]["Authorization"] == "***"
    body = json.loads(shown["body"])
    assert body == {"user": EVENT["userId"], "traits": EVENT["traits"]}


def test_what_it_makes_is_clean(tmp_path: Path) -> None:
    module, *_ = scaffold("crm", tmp_path)
    module.with_name("__init__.py").touch()  # it goes into a package
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [*ruff, *command, "--config", "pyproject.toml", module],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    module, *_ = scaffold("crm", tmp_path)
    module.write_text("mine")
    assert scaffold("crm", tmp_path) == []
    assert module.read_text() == "mine"


@pytest.mark.parametrize("name", ["", "Crm", "../x", "a-b", "1st"])
def test_a_name_is_one_of_a_module(name: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="a name is"):
        scaffold(name, tmp_path)
