"""The Track API's real clients: fetched for the tests, and driven.

``customerio`` of PyPI has an interpreter of its own: another SDK has its package name.
"""

import asyncio
import functools
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.path.sdks.kits import cached, environment, program, run

HERE = Path(__file__).parent


@functools.cache
def python() -> Path:
    """The interpreter that has ``customerio``."""
    return environment("track", HERE / "requirements.txt")


@functools.cache
def node() -> Path:
    """The folder that has ``customerio-node`` in both versions, and the driver."""
    files = [HERE / "package.json", HERE / "package-lock.json"]
    program("node")

    def fill(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        command = [program("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        run([*command, "--loglevel=error", "--prefix", folder])

    folder = cached("track-node", files, fill)
    shutil.copy(HERE / "drive.js", folder)
    return folder


async def drive(
    command: Sequence[str | Path], given: Mapping[str, Any], trust: Path
) -> list[Any]:
    """Run a driver that trusts the test CA; what became of each call."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "NODE_EXTRA_CA_CERTS": str(trust),
            "REQUESTS_CA_BUNDLE": str(trust),
        },
    )
    out, err = await process.communicate(json.dumps(given).encode())
    assert process.returncode == 0, err.decode()
    results: list[Any] = json.loads(out)
    return results
