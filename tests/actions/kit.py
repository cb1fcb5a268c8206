"""The real packages, installed once into the cache of the tests."""

import functools
from pathlib import Path

from gateway.actions import install
from gateway.actions.definitions import HERE, MADE_OF, Installed, find
from tests.path.sdks import kits


@functools.cache
def package() -> Installed:
    """What ``gateway actions install`` makes; it needs Node and npm."""
    kits.program("node")
    kits.program("npm")

    def fill(folder: Path) -> None:
        install.install(folder)

    found = find(kits.cached("actions", [HERE / name for name in MADE_OF], fill))
    assert found is not None
    return found
