"""The Dockerfile's own steps, taken from its text and run in a folder, without Docker.

The folder stands for the image's root: every absolute path of the file is put below
it. What only a daemon can do (making the user, the base image) is left out.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
OURS = re.compile(r"(?<![\w.:])/(opt/gateway|etc/gateway|data)\b")


@dataclass(frozen=True)
class Stage:
    """One FROM and the instructions after it, in order."""

    name: str
    steps: list[tuple[str, str]]

    def all(self, word: str) -> list[str]:
        return [rest for name, rest in self.steps if name == word]

    def last(self, word: str) -> str:
        return self.all(word)[-1]

    def environment(self) -> dict[str, str]:
        return dict(each.split("=", 1) for each in self.all("ENV"))

    def health(self) -> list[str]:
        words: list[str] = json.loads(self.last("HEALTHCHECK").partition("CMD ")[2])
        return words

    def command(self) -> list[str]:
        return [*json.loads(self.last("ENTRYPOINT")), *json.loads(self.last("CMD"))]


def stages(text: str) -> list[Stage]:
    """The Dockerfile's stages; comments and continued lines are resolved."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[Stage] = []
    for line in filter(str.strip, joined.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append(Stage(rest.partition(" AS ")[2], []))
        elif found:
            found[-1].steps.append((word, rest))
    return found


def user() -> int | None:
    """The uid of the image where we may take it, else None: as we are."""
    final = stages(DOCKERFILE.read_text())[-1]
    return int(final.last("USER").partition(":")[0]) if os.getuid() == 0 else None


def interpreter() -> str:
    """A Python that the image's user can run; root's own may lie in a closed folder."""
    known = [getattr(sys, "_base_executable", sys.executable), *_installed()]
    code = "import sys, venv; sys.exit(sys.version_info < (3, 11))"
    for python in known:
        try:
            done = subprocess.run(
                [python, "-c", code], cwd="/", check=False, **as_user()
            )
        except PermissionError:
            continue
        if done.returncode == 0:
            return python
    message = f"no Python 3.11 that uid {user()} may run among {known}"
    raise RuntimeError(message)


def _installed() -> list[str]:
    names = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")
    folders = "/usr/local/bin:/usr/bin"
    return [p for name in names if (p := shutil.which(name, path=folders))]


def as_user() -> dict[str, Any]:
    uid = user()
    return {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}


@dataclass
class Image:
    """What the Dockerfile makes, below ``root``."""

    root: Path
    python: str
    ran: list[str] = field(default_factory=list)

    def below(self, text: str) -> str:
        return OURS.sub(lambda match: f"{self.root}/{match[1]}", text)

    def build(self) -> None:
        for stage in stages(DOCKERFILE.read_text()):
            source = self.root / "source"
            source.mkdir(exist_ok=True)
            for word, rest in stage.steps:
                if word == "COPY":
                    self._copy(rest, source)
                elif word == "RUN" and stage.name == "build":
                    self._run(rest, source)
        data = self.root / "data"
        data.mkdir(mode=0o700)
        if (uid := user()) is not None:
            os.chown(data, uid, uid)

    def _copy(self, rest: str, source: Path) -> None:
        if rest.startswith("--from=build"):
            return  # it is built where it stays
        *names, to = rest.split()
        for name in names:
            place = Path(self.below(to)) if to.startswith("/") else source / to
            if to.endswith("/"):
                place /= Path(name).name
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, place, ignore=ignored)
            else:
                shutil.copy(ROOT / name, place)

    def _run(self, rest: str, source: Path) -> None:
        pip = shlex.join([sys.executable, "-m", "pip"])
        done = subprocess.run(
            ["sh", "-ec", self.below(rest)],
            cwd=source,
            env={**os.environ, "PYTHON": self.python, "PIP": pip},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{rest}\n{done.stdout}{done.stderr}"
        self.ran.append(rest)

    def environment(self, **more: str) -> Mapping[str, str]:
        final = stages(DOCKERFILE.read_text())[-1]
        given = final.environment() | more
        return {name: self.below(value) for name, value in given.items()}

    def start(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        """As the runtime would: the image's user, folder and environment, no shell."""
        final = stages(DOCKERFILE.read_text())[-1]
        program = shutil.which(command[0], path=environment["PATH"])
        assert program, command
        return subprocess.Popen(
            [program, *command[1:]],
            cwd=self.below(final.last("WORKDIR")),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **as_user(),
        )
