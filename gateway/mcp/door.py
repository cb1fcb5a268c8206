"""``/mcp`` of the admin port: the same questions over HTTP (Streamable HTTP).

One POST, one JSON answer; nothing is remembered, no stream is opened. The questions are
put to the admin port itself, on a thread, as ``gateway mcp`` does it from outside.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import orjson
from aiohttp import hdrs, web

from gateway.admin.client import Client
from gateway.admin.port import Mount, problem
from gateway.event import Json
from gateway.mcp.protocol import HANDSHAKE, STATELESS
from gateway.mcp.stdio import answering

PATH = "/mcp"
VERSION_HEADER = "MCP-Protocol-Version"
WAITING_MAX = 8  # questions at once
STATUS: Mapping[int, int] = {-32700: 400, -32600: 400, -32601: 404, -32602: 400}


class Door:
    """The path, behind the console's token."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mcp")
        self._waiting = 0

    def mount(self) -> Mount:
        """For the admin port."""
        return Mount(
            routes=[web.post(PATH, self._post)],
            token=self._token,
            refusal="the console's token opens this: console.token, or the file of "
            "this name beside the log",
        )

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _post(self, request: web.Request) -> web.Response:
        if hdrs.ORIGIN in request.headers:
            return problem(403, "no page may ask this")
        version = request.headers.get(VERSION_HEADER)
        if version is not None and version not in (*STATELESS, *HANDSHAKE):
            return problem(400, f"{VERSION_HEADER}: this version is not spoken here")
        body = await request.read()  # of 1 MB at most
        if self._waiting >= WAITING_MAX:
            return problem(503, "too many questions at once; ask again")
        self._waiting += 1
        try:
            said = await self._answered(request, body)
        finally:
            self._waiting -= 1
        if said is None:
            return web.Response(status=202)
        modern = version in STATELESS
        return web.Response(
            body=said,
            status=_status(said) if modern else 200,
            content_type="application/json",
        )

    async def _answered(self, request: web.Request, body: bytes) -> bytes | None:
        assert request.transport is not None
        host, port, *_ = request.transport.get_extra_info("sockname")
        shown = f"[{host}]" if ":" in host else host
        owner = {"admin": f"http://{shown}:{port}", "token": self._token}
        server = answering(lambda: Client(owner))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, server.answer, body)


def _status(said: bytes) -> int:
    """Since 2026-07-28 an error of the protocol has a status of its own."""
    answer: Json = orjson.loads(said)
    error = answer.get("error") if isinstance(answer, dict) else None
    return STATUS.get(error["code"], 400) if error else 200
