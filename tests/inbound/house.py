"""A public port in this process, on a real log that can be away, full or slow."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from gateway.config import Config, Limits, LogConfig, parse
from gateway.errors import LogError
from gateway.event import EventType
from gateway.inbound.accept import Acceptor
from gateway.inbound.authenticate import SITE_KEYS, Keys
from gateway.inbound.check import SCHEMAS
from gateway.inbound.doors.pipelines import Pipelines
from gateway.inbound.doors.track.api import TrackApi
from gateway.inbound.intake import Rules
from gateway.inbound.rate import Budget
from gateway.inbound.receive import Receiver
from gateway.inbound.route import Routes
from gateway.inbound.serve.connection import Server
from gateway.inbound.serve.listen import Listener
from gateway.log import EventLog, Span, open_log
from gateway.log.contract import Record
from gateway.metrics import Metrics
from gateway.notices import Notices
from gateway.parts import check

CONFIG = """
[sources.web]
kind = "browser"
write_keys = ["web", "web-2"]
origins = ["https://shop.example"]
[sources.backend]
write_keys = ["dev"]
[sources.old]
write_keys = ["old"]
on_invalid = "accept"
[sources.slow]
write_keys = ["slow"]
rate = 10
[sources.track]
kind = "track_api"
site_id = "site"
api_keys = ["key", "key-2"]
forms = { form1 = { mail = "email" } }
[sources.old-track]
kind = "track_api"
site_id = "old"
api_keys = ["key"]
on_invalid = "accept"
[sources.slow-track]
kind = "track_api"
site_id = "slow"
api_keys = ["key"]
rate = 10
[destinations.hook]
type = "webhook"
[destinations.off]
type = "webhook"
enabled = false
"""
TYPES: frozenset[EventType] = frozenset(
    {"identify", "track", "page", "screen", "group", "alias"}
)
GOOD = {"type": "identify", "userId": "u"}


class Away:
    """A log that cannot be written, is full or slow; the rest is the real one's."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.away = False
        self.room = True
        self.open = asyncio.Event()  # cleared: nothing becomes durable
        self.open.set()
        self.waiting = 0  # appends that wait for it to open

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def has_room(self) -> bool:
        return self.room and self._log.has_room()

    async def append(self, entries: Any) -> None:
        if self.away:
            raise LogError("the disk is full")
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1
        await self._log.append(entries)


class House:
    """A public port in this process, on a real log."""

    def __init__(
        self,
        log: Away,
        notices: Notices,
        session,
        limits: Limits,
        config: Config | None = None,
    ) -> None:
        if config is None:
            config = parse(CONFIG, folder=Path())
            names = dict.fromkeys(config.destinations, TYPES)
            routes = Routes(config.destinations, names)
            rules = Rules(routes=routes, plans={}, limits=limits)
        else:
            rules = check(config).rules
        self.log, self.session, self.notices = log, session, notices
        self.config = config
        self.metrics = Metrics()
        self.receiver = Receiver(
            body_bytes_max=limits.request_bytes, reading_bytes_max=10_000_000
        )
        self.acceptor = Acceptor(
            rules=rules,
            log=log,
            receiver=self.receiver,
            metrics=self.metrics,
            notices=notices,
            budgets={"slow": Budget(10), "slow-track": Budget(10)},
        )
        url, sources = "https://gateway.example", config.sources
        self.listener = Listener(
            pipelines=Pipelines(acceptor=self.acceptor, keys=Keys(sources)),
            track=TrackApi(
                acceptor=self.acceptor, keys=Keys(sources, SITE_KEYS), public_url=url
            ),
            schemas=SCHEMAS,
            metrics=self.metrics,
            notices=notices,
            public_url=url,
        )
        self.url = ""
        self.runner: web.ServerRunner
        self.written: io.StringIO

    async def post(
        self, path: str, body: Any, *, key: str | None = "dev", **headers: str
    ) -> tuple[int, Any, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            given["Authorization"] = aiohttp.encode_basic_auth(key)
        async with self.session.post(
            self.url + path, data=data, headers=given
        ) as answer:
            return answer.status, json.loads(await answer.read()), answer.headers

    def told(self) -> list[tuple[str, str, str, int]]:
        """The notices so far: code, where, name, count."""
        self.notices.flush()
        lines = map(json.loads, self.written.getvalue().splitlines())
        return [(e["notice"], e["where"], e["name"], e["count"]) for e in lines]

    async def records(self, topic: str) -> list[Record]:
        return [record async for record in self.log.scan(topic, Span())]

    async def events(self) -> list[dict[str, Any]]:
        return [json.loads(record.value) for record in await self.records("events")]


async def ask(
    house: House,
    line: str,
    body: Any = None,
    *,
    key: str | None = "site:key",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any, Any]:
    method, path = line.split(" ", 1)
    given = dict(headers or {})
    if key is not None:
        given["Authorization"] = f"Basic {base64.b64encode(key.encode()).decode()}"
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    url = URL(house.url + path, encoded=True)
    async with house.session.request(method, url, data=data, headers=given) as answer:
        return answer.status, json.loads(await answer.read()), answer.headers


@asynccontextmanager
async def running(
    folder, limits: Limits, config: Config | None = None
) -> AsyncIterator[House]:
    written = io.StringIO()
    notices = Notices(stream=written)
    kept = LogConfig(path=folder / "log.db")
    log = await open_log(kept, limits, topics=("events",), notices=notices)
    async with aiohttp.ClientSession() as session:
        house = House(Away(log), notices, session, limits, config)
        runner = web.ServerRunner(Server(house.listener), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        house.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        house.runner, house.written = runner, written
        yield house
        await runner.cleanup()
    await log.close()
