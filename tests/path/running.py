"""A gateway as a user runs it, and a webhook that may misbehave: real processes."""

import asyncio
import io
import json
import signal
import ssl
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson
from aiohttp import web

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0  # how long a cause may take to show on a busy machine


async def until(holds: Callable[[], object], *, timeout_s: float = PATIENCE_S) -> None:
    """Return as soon as it holds; fail when it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.01)


class Gateway:
    """``gateway serve`` in a folder of its own; it can be killed and started again."""

    def __init__(
        self, folder: Path, config: str, *, serve: Sequence[str] = (), name: str = ""
    ) -> None:
        self.folder = folder
        self.file = folder / f"gateway{name}.toml"
        self._serve = serve
        self._errors = folder / f"stderr{name}.log"
        self.file.write_text(
            '[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'
            'private_destinations = ["127.0.0.0/8"]\n' + config
            if "[server]" not in config
            else config
        )
        self.url = self.admin = ""
        self.trust: ssl.SSLContext | bool = True  # who may vouch for its certificate
        self.process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
        if self.process is not None and self.process.returncode is None:
            await self.kill()

    async def start(self) -> None:
        """Start it and wait for its ready line."""
        with self._errors.open("ab") as errors:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway",
                "--config",
                str(self.file),
                "serve",
                *self._serve,
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = (await self.process.stdout.readline()).decode().split()
        assert line[:1] == ["ready"], self.errors()
        self.url, self.admin = line[1], line[-1]  # a worker has no public port

    async def kill(self) -> None:
        """kill -9."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            code = await self.process.wait()
        self.process._transport.close()  # type: ignore[attr-defined]
        return code

    def errors(self) -> str:
        return self._errors.read_text()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=PATIENCE_S)
            )
        return self._session

    async def post(
        self,
        path: str,
        body: Any,
        *,
        key: str | None = "dev",
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> tuple[int, Any]:
        """Status and parsed body of one request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        if key is not None:
            given["Authorization"] = aiohttp.encode_basic_auth(key)
        async with self.session.request(
            method,
            self.url + path,
            data=io.BytesIO(data),
            headers=given,
            ssl=self.trust,
        ) as response:
            return response.status, orjson.loads(await response.read())

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(self.url + path) as response:
            return response.status, orjson.loads(await response.read())

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        """Run ``gateway`` with the same configuration: exit code, stdout, stderr."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            "--config",
            str(self.file),
            *arguments,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def read(self, topic: str, *arguments: str) -> list[dict[str, Any]]:
        """The records of a topic, through ``gateway read``."""
        code, out, err = await self.command("read", topic, *arguments)
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]

    async def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        async with self.session.get(self.admin + "/metrics") as response:
            text = await response.text()
        values = [
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith(name)
        ]
        return sum(values)


class Webhook:
    """A receiver on loopback; ``judge`` decides what each request is answered."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.known: set[str] = set()  # the message ids of those
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.judge: Callable[[dict[str, Any]], int | web.Response] = lambda _: 200
        self.url = ""
        self._runner: web.ServerRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._take), shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/hook"

    async def stop(self) -> None:
        """Go away; ``start`` comes back at the same port."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((dict(request.headers), body))
        parsed = orjson.loads(body)
        status: int | web.Response = 200
        for event in parsed if isinstance(parsed, list) else [parsed]:
            status = self.judge(event)
            if status == 200:
                self.received.append(event)
                self.known.add(event["messageId"])
        return (
            status if isinstance(status, web.Response) else web.Response(status=status)
        )

    def ids(self) -> list[str]:
        """The message ids that were answered 200, in order of arrival."""
        return [event["messageId"] for event in self.received]


def config(webhook: Webhook | None = None, more: str = "") -> str:
    """A source ``web`` with key ``dev``, a file, and the webhook as ``hook``."""
    text = '[sources.web]\nkind = "server"\nwrite_keys = ["dev"]\n'
    if webhook is not None:
        text += (
            '[destinations.hook]\ntype = "webhook"\n'
            f'settings = {{ url = "{webhook.url}" }}\n'
            'delivery = { retry_base = "50ms", retry_cap = "500ms", '
            'probe_every = "200ms", timeout = "5s" }\n'
        )
    return text + more
