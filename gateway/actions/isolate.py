"""Whether a sidecar's process can be run without any network: ``[actions] isolate``.

Asked once, when the configuration is read: the answer needs a process of its own.
"""

import shutil
import subprocess
from functools import cache
from typing import Literal, NamedTuple

Isolate = Literal["auto", "always", "never"]
PROGRAM, OPTIONS = "unshare", ("-rn",)
PATIENCE_S = 10
SAID_CHARS = 200
REMEDY = (
    "let unprivileged users make user and network namespaces (deploy/README.md,"
    ' "Without a network"), or set actions.isolate = "auto"'
)


class Isolation(NamedTuple):
    """The command before another that takes the network from it; else why not."""

    prefix: tuple[str, ...] = ()
    why: str = ""


@cache
def found() -> Isolation:
    """What this machine allows this user."""
    program = shutil.which(PROGRAM)
    if program is None:
        return Isolation(why=f"{PROGRAM} is not on PATH: it comes with util-linux")
    prefix = (program, *OPTIONS)
    try:
        done = subprocess.run(  # noqa: S603 -- a program of the operator's own PATH
            [*prefix, "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=PATIENCE_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Isolation(why=f"{PROGRAM} cannot be run: {type(error).__name__}")
    if done.returncode != 0:
        said = done.stderr.strip()[-SAID_CHARS:] or f"exit {done.returncode}"
        return Isolation(why=said)
    return Isolation(prefix)


def prefix_of(isolate: Isolate) -> tuple[str, ...]:
    """What a process is started with; nothing where it is not wanted, or cannot be."""
    return () if isolate == "never" else found().prefix


def refused(isolate: Isolate) -> str | None:
    """Why a configuration asks for what cannot be here, with the remedy; or None."""
    if isolate != "always" or found().prefix:
        return None
    why = f"a process cannot be started without a network here: {found().why}"
    return f'actions.isolate: is "always", and {why}: {REMEDY}'
