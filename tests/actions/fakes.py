"""An installation with a destination of ours, ``fake``, among those of the package."""

import functools
import os
import shutil
from pathlib import Path

from gateway.actions.definitions import HERE, MADE_OF
from tests.actions import kit
from tests.path.sdks import kits

OURS = ("fake.js", "reach.js")
WHERE = "node_modules/@segment/action-destinations/dist/destinations/fake"


@functools.cache
def fake() -> Path:
    """The folder of the installation; its files are those of the package's own."""
    sources = [Path(__file__).with_name(name) for name in OURS]

    def fill(folder: Path) -> None:
        whole = folder / "installation"
        shutil.copytree(kit.package().folder, whole, copy_function=os.link)
        (whole / WHERE).mkdir()
        shutil.copy(sources[0], whole / WHERE / "index.js")
        shutil.copy(sources[1], whole / WHERE)

    parts = [*sources, *(HERE / name for name in MADE_OF)]
    return kits.cached("actions-fake", parts, fill) / "installation"
