"""A machine with programs of ours, and what an install leaves behind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.actions import definitions, install, node
from tests.actions.machine import WRITTEN, Machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(node, "WHEEL", "no_such_wheel")
    whole = tmp_path / "whole"
    (whole / "a").mkdir(parents=True)
    (whole / "kept.js").write_text("kept.js")
    (whole / "a" / "LICENSE.md").write_text("a/LICENSE.md")
    expected = install.digest(whole)
    monkeypatch.setattr(install, "pinned", lambda: expected)
    return Machine(tmp_path / "bin", tmp_path / "said")


@pytest.fixture
def installed(tmp_path: Path) -> Callable[[], definitions.Installed]:
    """Puts our own definitions where an install would have put the package's."""

    def put() -> definitions.Installed:
        at = definitions.place(tmp_path / definitions.ROOT)
        at.mkdir(parents=True)
        (at / definitions.DEFINITIONS).write_bytes(WRITTEN.read_bytes())
        (at / definitions.READY).write_text("v20.1.0\n")
        return definitions.Installed(at)

    return put
