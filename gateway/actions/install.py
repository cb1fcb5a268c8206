"""Fetches the packages that package-lock.json pins, once, to ``actions.path``.

``npm ci`` checks each against its sha512; what is left after pruning is checked again,
as a tree, against ``tree.sha256``: so a folder that came by another way (``--from``)
is known to be the same, file by file. Everything is made in a folder aside, ``ready``
is written last, and one rename makes it the installation. Never at ``gateway serve``.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.actions import node
from gateway.actions.definitions import (
    DEFINITIONS,
    HERE,
    READY,
    Installed,
    find,
    place,
)
from gateway.actions.known import cannot
from gateway.errors import ConfigError, GatewayError

MODULES = "node_modules"
TREE = HERE / "tree.sha256"
NPM = (
    "ci",
    "--install-links",  # copies of absent/: no link leads out of the folder
    "--no-bin-links",
    "--ignore-scripts",
    "--omit=optional",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
)
INPUT = ("package.json", "package-lock.json", "absent")
PRUNED = (".ts", ".cts", ".mts", ".map", ".mjs", ".tsbuildinfo", ".md", ".markdown")
PRUNED_FOLDERS = frozenset({"__tests__", "__test__", "esm", ".bin"})
LOCK_OF_NPM = ".package-lock.json"  # says how it was fetched
SAID_MAX = 2_000
STALE_S = 3_600
"""An install that is this old was killed."""


def install(root: Path, source: Path | None = None) -> Installed:
    """Everything that action destinations need, made from a registry or ``source``.

    ``root`` is ``actions.path``. What is there already stays. ConfigError: there is no
    Node.js, or ``source`` is not what is pinned; GatewayError: npm failed.
    """
    if (found := find(root)) is not None:
        return found
    program = node.find()
    target = place(root)
    work = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _folders(work)
        _fetch(work, program.npm_command()) if source is None else _take(work, source)
        prune(work / MODULES)
        _judge(work, source)
        _describe(work, program)
        (work / READY).write_text(f"{program.version}\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)  # one that never became ready
        work.rename(target)
    except OSError as error:
        raise GatewayError(f"{target}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _sweep(target)
    return Installed(target)


def _folders(work: Path) -> None:
    """Root may install what another user runs; what else is beside it stays unseen."""
    root = work.parent
    root.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    root.mkdir(exist_ok=True)
    work.mkdir()


def examine(root: Path) -> Installed:
    """The installation, if it is there and whole; else an error with the remedy."""
    found = find(root)
    if found is None:
        raise GatewayError(f"{place(root)} is not there: gateway actions install")
    if digest(found.folder / MODULES) != pinned():
        remedy = f"rm -r {found.folder}, then gateway actions install"
        raise GatewayError(f"{found.folder} is not what was installed: {remedy}")
    node.find()
    return found


def running(installed: Installed) -> int:
    """How many of its destinations run here."""
    every = installed.definitions.items()
    return sum(raw["fails"] is None and cannot(name) is None for name, raw in every)


def pinned() -> str:
    """The digest that the files have to have."""
    return TREE.read_text(encoding="ascii").split()[0]


def digest(modules: Path) -> str:
    """One digest of every file's path and bytes; modes and times do not count."""
    whole = hashlib.sha256()
    files = (each for each in modules.rglob("*") if each.is_file())
    for name, file in sorted(
        (each.relative_to(modules).as_posix(), each) for each in files
    ):
        whole.update(
            f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}\n".encode()
        )
    return whole.hexdigest()


def prune(modules: Path) -> None:
    """Leave what runs, and licences: no types, maps, tests and second module forms."""
    for folder, folders, files in os.walk(modules):
        at = Path(folder)
        for name in PRUNED_FOLDERS.intersection(folders):
            shutil.rmtree(at / name)
            folders.remove(name)
        for name in files:
            if (name.endswith(PRUNED) and not _licence(name)) or name == LOCK_OF_NPM:
                (at / name).unlink()


def _licence(name: str) -> bool:
    return name.lower().startswith(("licen", "copying", "notice"))


def _fetch(work: Path, npm: Sequence[str]) -> None:
    for name in INPUT:
        given, copy = HERE / name, work / name
        shutil.copytree(given, copy) if given.is_dir() else shutil.copy(given, copy)
    _run([*npm, *NPM], work, dict(os.environ), "npm")


def _take(work: Path, source: Path) -> None:
    """``node_modules`` of another installation: of its folder, or of a tar of it."""
    target = work / MODULES
    target.mkdir()
    try:
        if source.is_dir():
            shutil.copytree(source / MODULES, target, dirs_exist_ok=True)
            return
        with tarfile.open(source) as archive:
            for path, data in _files(archive):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                (target / path).write_bytes(data)
    except (OSError, shutil.Error, tarfile.TarError) as error:
        raise ConfigError(f"--from {source}: cannot be read: {error}") from error


def _files(archive: tarfile.TarFile) -> Iterator[tuple[Path, bytes]]:
    """The plain files within ``node_modules``; whatever leads out of it is left."""
    for member in archive:
        parts = Path(member.name).parts
        if member.isfile() and MODULES in parts[:2] and ".." not in parts:
            data = archive.extractfile(member)
            assert data is not None, "a file has content"
            yield Path(*parts[parts.index(MODULES) + 1 :]), data.read()


def _judge(work: Path, source: Path | None) -> None:
    found = digest(work / MODULES)
    if found == pinned():
        return
    if source is None:
        raise GatewayError(f"npm gave other files than those that are pinned: {found}")
    text = "is not an installation of this version of the gateway"
    raise ConfigError(f"--from {source}: {text}; make it anew with the same version")


def _describe(work: Path, program: node.Node) -> None:
    """Write down what each destination is; the code sees nothing of the environment."""
    command = [str(program.program), str(HERE / "describe.js"), str(work)]
    _run([*command, str(work / DEFINITIONS)], work, {}, "describe.js")


def _run(
    command: Sequence[str], folder: Path, environment: dict[str, str], name: str
) -> None:
    """Run to the end; what it said is told only when it failed."""
    done = subprocess.run(  # noqa: S603 -- npm and node, with arguments of ours
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-SAID_MAX:]
        raise GatewayError(f"{name} failed (exit code {done.returncode}):\n{said}")


def _sweep(target: Path) -> None:
    """Remove what earlier installs left, but the newest: a gateway may run from it."""
    now = (target / READY).stat().st_mtime
    others = [each for each in target.parent.iterdir() if each != target]
    ready = [each for each in others if (each / READY).exists()]
    kept = max(ready, key=lambda each: (each / READY).stat().st_mtime, default=None)
    for each in others:
        under_way = each.name.startswith(".") and now - each.stat().st_mtime < STALE_S
        if each != kept and not under_way:
            shutil.rmtree(each, ignore_errors=True)
