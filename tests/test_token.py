"""The console's token: the operator's, or one that is made once and kept."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.config import Config, parse
from gateway.errors import ConfigError
from gateway.token import Token, console_token, same

SOURCE = '[sources.dev]\nwrite_keys = ["dev"]\n'


def config(folder: Path, more: str = "") -> Config:
    return parse(SOURCE + more, folder=folder, environment={})


def test_the_operators_own_token_is_used_and_nothing_is_written(tmp_path):
    made = console_token(config(tmp_path, '[console]\ntoken = "secret"\n'))
    assert made == Token("secret")
    assert not list(tmp_path.iterdir())


def test_without_one_it_is_made_once_and_kept_for_the_owner_alone(tmp_path):
    first = console_token(config(tmp_path))
    file = tmp_path / "data" / "console.token"
    assert first.made == file
    assert file.read_text() == f"{first.text}\n"
    assert len(first.text) >= 43
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert console_token(config(tmp_path)) == Token(first.text)
    assert [each.name for each in file.parent.iterdir()] == ["console.token"]


def test_it_stands_beside_the_log(tmp_path):
    made = console_token(config(tmp_path, '[log]\npath = "elsewhere/log.db"\n'))
    assert made.made == tmp_path / "elsewhere" / "console.token"


def test_processes_that_start_at_once_have_the_same_one(tmp_path):
    with ThreadPoolExecutor(8) as several:
        made = list(several.map(console_token, [config(tmp_path)] * 32))
    assert len({each.text for each in made}) == 1
    assert sum(each.made is not None for each in made) == 1


def test_an_empty_file_is_named_with_the_remedy(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "console.token").write_text("\n")
    with pytest.raises(ConfigError, match=r"console\.token: is empty; delete it"):
        console_token(config(tmp_path))


def test_where_nothing_can_be_written_nobody_comes_in_and_it_is_said(tmp_path):
    """A container with a read-only file system starts all the same."""
    (tmp_path / "data").write_text("a file")
    made = console_token(config(tmp_path))
    assert made.made is None
    assert "console.token: not set, and" in (made.trouble or "")
    assert len(made.text) >= 43
    assert console_token(config(tmp_path)) == made


def test_an_empty_token_in_the_configuration_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"console\.token: is empty"):
        config(tmp_path, '[console]\ntoken = " "\n')


def test_the_token_is_never_shown(tmp_path):
    shown = config(tmp_path, '[console]\ntoken = "hidden-one"\n')
    assert "hidden-one" not in repr(shown)
    with pytest.raises(ConfigError) as wrong:
        config(tmp_path, "[console]\ntoken = 12345\n")
    assert "12345" not in str(wrong.value)


def test_where_the_console_listens_is_an_address(tmp_path):
    assert config(tmp_path).console.listen == "127.0.0.1:9091"
    with pytest.raises(ConfigError, match=r"console\.listen"):
        config(tmp_path, '[console]\nlisten = "nowhere"\n')


@pytest.mark.parametrize("given", ["", "secre", "secret ", "sécret", "\udcff"])
def test_only_the_token_is_the_token(given):
    assert same("secret", "secret")
    assert not same(given, "secret")
