"""Twenty vendors on one port of loopback, and what each of them was asked.

``[egress] hosts`` sends each host's requests below a path of its name.
"""

import time
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from aiohttp import web

from gateway.event import Json
from tests.actions import golden

ANSWER: Mapping[str, str] = {"Retry-After": "1"}


class Asked(NamedTuple):
    """One request as it came in."""

    at_s: float
    request: Mapping[str, Json]


class Vendors:
    """They answer 200 ``{}``, as the dry run does, unless ``script`` says otherwise."""

    def __init__(self) -> None:
        self.asked: dict[str, list[Asked]] = defaultdict(list)
        self.script: dict[str, deque[int]] = {}
        """Host -> the statuses of its next answers."""
        self.always: int | None = None
        """The status of every answer."""
        self.url = ""
        self._runner = web.ServerRunner(web.Server(self._take), shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def egress(self, hosts: list[str]) -> str:
        """``[egress]`` that sends their requests here."""
        pairs = "".join(f'"{each}" = "{self.url}/{each}"\n' for each in hosts)
        return f"[egress.hosts]\n{pairs}"

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        host, _, path = request.raw_path.lstrip("/").partition("/")
        shown: dict[str, Any] = {
            "method": request.method,
            "url": f"https://{host}/{path}",
            "headers": {name.lower(): each for name, each in request.headers.items()},
            "body": await request.text(),
        }
        self.asked[host].append(Asked(time.monotonic(), golden.readable(shown)))
        waiting = self.script.get(host)
        status = self.always or (waiting.popleft() if waiting else 200)
        headers = ANSWER if status == 429 else {}
        return web.json_response({}, status=status, headers=headers)
