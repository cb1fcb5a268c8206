"""A headless Chromium on a page of ours, at another origin than the gateway's."""

import asyncio
import json
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from tests.path.sdks import kits

ANSWER_S = 30.0


class Browser:
    """One browser with one page; ``origin`` is where the page comes from."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._process: asyncio.subprocess.Process | None = None
        self._runner: web.ServerRunner | None = None
        self.origin = ""

    async def __aenter__(self) -> Self:
        script = kits.page().read_bytes()

        async def serve(request: web.BaseRequest) -> web.Response:
            if request.path == "/bundle.js":
                return web.Response(body=script, content_type="text/javascript")
            text = (
                "<!doctype html><title>A page</title><script src=/bundle.js></script>"
            )
            return web.Response(text=text, content_type="text/html")

        self._runner = web.ServerRunner(web.Server(serve), shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.origin = f"http://localhost:{self._runner.addresses[0][1]}"
        command = [kits.program("node"), str(kits.node() / "browse.js")]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            kits.chromium(),
            str(self._profile),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        await self.forget()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._runner is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._process.communicate()
        finally:
            if self._process.returncode is None:
                self._process.terminate()  # puppeteer takes the browser with it
                await self._process.wait()
            await self._runner.cleanup()

    async def forget(self) -> None:
        """Begin as somebody who was never here, on a page of ours."""
        await self._ask({"forget": True})
        await self.goto()

    async def goto(self) -> None:
        """Open the page anew; what the SDKs keep in it stays."""
        await self._ask({"goto": self.origin + "/"})

    async def leave(self) -> None:
        """Go to another page, as a user does: the page is hidden and unloaded."""
        await self._ask({"leave": True})

    async def evaluate(self, function: str, *arguments: Any) -> Any:
        """Call a function of the page and await what it returns."""
        return await self._ask({"evaluate": function, "arguments": arguments})

    async def _ask(self, command: dict[str, Any]) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(ANSWER_S):
            told = json.loads(await self._process.stdout.readline())
        assert "error" not in told, told["error"]
        return told["value"]
