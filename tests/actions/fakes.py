"""An installation with a destination of ours, ``fake``, among those of the package."""

import functools
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import orjson

from gateway.actions.definitions import HERE, MADE_OF
from gateway.actions.runner import Runner
from gateway.notices import Notice
from gateway.outbound.contract import Verdict
from gateway.outbound.http import NoResponse, Request, Response
from tests.actions import kit
from tests.actions.events import action, delivery, opened, settings
from tests.path.sdks import kits

DEED, SAID = {"@path": "$.properties.deed"}, {"@path": "$.properties.said"}

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


class Fake:
    """The destination ``fake``, opened; its requests are answered by the test.

    ``said`` are the bodies that came, in their order.
    """

    def __init__(self, folder: Path, **more: Any) -> None:
        self.said: list[Any] = []
        self.notices: list[Notice] = []
        self.answer: Callable[[Request], Awaitable[Response | NoResponse]] = self._fine
        chosen = action("act", {"deed": DEED, "said": SAID})
        made = settings(more.pop("directory", "fake"), fake(), chosen, **more)
        self.destination = opened(made, folder, self._send, self.notices.append)

    async def _fine(self, request: Request) -> Response:
        return Response(status=200)

    async def _send(self, request: Request) -> Response | NoResponse:
        if request.body:
            body = orjson.loads(request.body)
            self.said.append(body["it"] if isinstance(body, dict) else body)
        return await self.answer(request)

    @property
    def runner(self) -> Runner:
        return self.destination._runner

    @property
    def pid(self) -> int | None:
        sidecar = self.runner.sidecar
        return None if sidecar is None or not sidecar.alive else sidecar.pid

    async def do(self, deed: str, said: Any = None, number: int = 1) -> Verdict:
        """One event that tells it what to do."""
        properties = {"deed": deed, "said": {"it": said}}
        event = delivery(number, "track", event="Done", properties=properties)
        (verdict,) = await self.destination.deliver([event])
        return verdict

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.destination.close()
