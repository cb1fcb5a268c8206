"""How a sidecar is started on this machine: which Node, and without a network if so.

Asked once, at the first start: the answer needs a process of its own.
"""

import asyncio
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import Sequence

from gateway.actions.node import Node
from gateway.actions.process import Launch
from gateway.actions.settings import Settings

PATIENCE_S = 10.0
STABLE = 24  # from this major version on, the permission model has its final name
TRIAL = ("-rn", "true")


class Launching:
    """Finds out how to start a process for one destination."""

    def __init__(self, program: Node, settings: Settings) -> None:
        self._program = program
        self._settings = settings
        self._launch: Launch | None = None

    async def launch(self) -> Launch:
        """How it is done here."""
        if self._launch is None:
            version = self._program.version.removeprefix("v")
            is_new = int(version.partition(".")[0]) >= STABLE
            self._launch = Launch(
                node=self._program.program,
                installation=self._settings.installation.resolve(),
                environment=self._settings.environment,
                prefix=await _without_network(),
                permission="--permission" if is_new else "--experimental-permission",
            )
        return self._launch


async def _without_network() -> Sequence[str]:
    """The command that takes the network from a process, where users may do that."""
    program = shutil.which("unshare")
    if program is None:
        return ()
    trial = await asyncio.create_subprocess_exec(
        program, *TRIAL, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            works = await trial.wait() == 0
    except TimeoutError:
        trial.kill()
        await trial.wait()
        return ()
    return (program, "-rn") if works else ()
