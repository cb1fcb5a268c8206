"""The real packages, installed once into the cache of the tests."""

import functools
from pathlib import Path

from gateway.actions import install
from gateway.actions.definitions import HERE, MADE_OF, ROOT, Installed, find
from tests.path.sdks import kits


@functools.cache
def package() -> Installed:
    """What ``gateway actions install`` makes; it needs Node and npm."""
    kits.program("node")
    kits.program("npm")

    def fill(folder: Path) -> None:
        install.install(folder / ROOT)

    cached = kits.cached("actions", [HERE / name for name in MADE_OF], fill)
    found = find(cached / ROOT)
    assert found is not None
    return found
