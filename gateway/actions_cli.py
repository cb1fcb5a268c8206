"""``gateway actions install`` and ``import``: what a person reads of them."""

import sys
from pathlib import Path

from gateway.actions import definitions, exported, translate
from gateway.actions import install as installing


def install(folder: Path, source: Path | None, *, only_look: bool) -> int:
    """Fetch the packages, or judge those that are there."""
    if only_look:
        found = installing.examine(folder)
    else:
        found = installing.install(folder, source)
    print(f"ok: {found.version}, {installing.running(found)} run, in {found.folder}")
    return 0


def bring(folder: Path, text: str, name: str) -> int:
    """A workspace's answers as TOML; ``name`` is what they are called in errors."""
    found = definitions.needed(folder)
    written = translate.translated(exported.read(text, name), found)
    print(translate.whole(written), end="")
    made, left = len(written.made), len(written.left)
    print(f"{made} destinations, {left} left out: see the comments", file=sys.stderr)
    return 0
