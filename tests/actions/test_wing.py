"""``[actions]``: where the packages are, and where what was refreshed is kept."""

from pathlib import Path

import pytest

from gateway import parts
from gateway.actions import definitions, node
from gateway.actions.settings import Settings
from gateway.config import parse
from gateway.errors import ConfigError
from gateway.notices import Notice
from gateway.outbound.http import NoResponse, Request
from tests.actions.acme import PROGRAM
from tests.actions.machine import WRITTEN

SOURCE = '[sources.web]\nwrite_keys = ["dev"]\n'
ACME = '[destinations.a]\ntype = "actions:acme"\nsettings = { apiKey = "k3y" }\n'


def put(root: Path) -> Path:
    at = definitions.place(root)
    at.mkdir(parents=True)
    (at / definitions.DEFINITIONS).write_bytes(WRITTEN.read_bytes())
    (at / definitions.READY).write_text("v20.1.0\n")
    return at


def settings(folder: Path, text: str) -> Settings:
    config = parse(SOURCE + ACME + text, folder=folder)
    made = parts.check(config).configured["a"].settings
    assert isinstance(made, Settings)
    return made


@pytest.fixture(autouse=True)
def _node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "find", lambda: PROGRAM)


def test_both_are_beside_the_configuration_unless_it_says_otherwise(
    tmp_path: Path,
) -> None:
    at = put(tmp_path / "data" / "actions")
    found = settings(tmp_path, "")
    assert (found.installation, found.tokens) == (at, tmp_path / "data" / "actions")


def test_the_packages_are_found_where_the_configuration_says(tmp_path: Path) -> None:
    elsewhere = tmp_path / "opt"
    at = put(elsewhere)
    with pytest.raises(ConfigError, match="not installed: gateway actions install"):
        settings(tmp_path / "here", "")
    said = f'[actions]\npath = "{elsewhere}"\ntokens = "kept"\n'
    found = settings(tmp_path / "here", said)
    assert found.installation == at
    assert found.tokens == tmp_path / "here" / "kept"


async def test_a_token_is_kept_in_the_folder_of_tokens(tmp_path: Path) -> None:
    put(tmp_path / "opt")
    text = '[actions]\npath = "opt"\ntokens = "kept"\n'
    config = parse(SOURCE + ACME + text, folder=tmp_path)

    async def send(_: Request) -> NoResponse:
        return NoResponse("nobody")

    def tell(_: Notice) -> None: ...

    made = parts.check(config).configured["a"].open(send, tell)
    try:
        assert made._tokens._file == tmp_path / "kept" / "a.json"  # type: ignore[attr-defined]
    finally:
        await made.close()
