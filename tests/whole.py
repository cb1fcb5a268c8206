"""A whole gateway in this process, from ready to drained, as ``serve`` makes it."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from gateway.app import Role, run
from gateway.config import Config
from gateway.notices import Notices
from gateway.parts import check
from gateway.ports import Port

PATIENCE_S = 20.0


@dataclass(slots=True)
class Whole:
    """One gateway: where it listens, what it said, and how it is stopped."""

    task: asyncio.Task[None]
    stop: asyncio.Event
    said: io.StringIO
    ports: asyncio.Future[tuple[Port | None, Port, Sequence[Port]]]
    session: aiohttp.ClientSession = field(default_factory=aiohttp.ClientSession)

    @property
    def url(self) -> str:
        public = self.ports.result()[0]
        assert public is not None, "a worker has no public port"
        return public.url

    @property
    def admin(self) -> str:
        return self.ports.result()[1].url

    async def post(self, body: Any, path: str = "/v1/identify") -> int:
        """The status; ``dev`` is the key."""
        headers = {"Authorization": "Basic ZGV2Og=="}
        url = self.url + path
        async with self.session.post(url, json=body, headers=headers) as response:
            return response.status

    async def get(self, path: str) -> Any:
        """What the admin port says."""
        async with self.session.get(self.admin + path) as response:
            return await response.json()

    def notices(self, code: str) -> list[dict[str, Any]]:
        told = map(json.loads, self.said.getvalue().splitlines())
        return [each for each in told if each["notice"] == code]


@asynccontextmanager
async def running(config: Config, role: Role | None = None) -> AsyncIterator[Whole]:
    """Ready at the beginning, drained at the end; what hinders it is raised."""
    stop, said = asyncio.Event(), io.StringIO()
    ports = asyncio.get_running_loop().create_future()
    work = run(
        config,
        check(config),
        role or Role(),
        notices=Notices(said),
        stop=stop,
        ready=lambda *opened: ports.set_result(opened),
    )
    whole = Whole(asyncio.create_task(work), stop, said, ports)
    try:
        await asyncio.wait([whole.task, ports], return_when=asyncio.FIRST_COMPLETED)
        if whole.task.done():
            await whole.task
        yield whole
    finally:
        await whole.session.close()
        stop.set()
        await asyncio.wait([whole.task])
    if not whole.task.cancelled():
        await whole.task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)
