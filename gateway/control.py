"""The admin port: /metrics and /readyz for machines, and what the command line calls.

The command line proves that it may read the log with the token that the owner of the
log wrote into its lock file (mode 0600): whoever can read that file could read the
log itself.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import hdrs, web

from gateway.errors import ConfigError, LogError
from gateway.event import Json
from gateway.log.contract import EventLog, Span
from gateway.log.lines import line
from gateway.metrics import Metrics

Readiness = Callable[[], Mapping[str, Json]]
Replaying = Callable[[Mapping[str, Json]], AsyncIterator[Mapping[str, Json]]]
CHUNK_BYTES = 64_000


class Control:
    """The admin port's handlers; ``token`` opens /control, ``more`` see to theirs."""

    def __init__(
        self,
        *,
        log: EventLog,
        metrics: Metrics,
        workers: Readiness,
        replaying: Replaying,
        more: Sequence[web.RouteDef] = (),
    ) -> None:
        self.token = secrets.token_urlsafe(32)
        self._log = log
        self._metrics = metrics
        self._workers = workers
        self._replaying = replaying
        self._more = more

    def application(self) -> web.Application:
        """The aiohttp application of the admin port."""
        application = web.Application(middlewares=[_json_errors])
        application.router.add_get("/metrics", self._show_metrics)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/control/topics", self._topics)
        application.router.add_get("/control/read/{topic}", self._read)
        application.router.add_post("/control/replay", self._replay)
        application.router.add_routes(self._more)
        return application

    async def _show_metrics(self, request: web.Request) -> web.Response:
        del request
        from prometheus_client import CollectorRegistry, exposition  # noqa: PLC0415 -- costs start-up time

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._metrics)
        return web.Response(
            body=exposition.generate_latest(registry),
            headers={hdrs.CONTENT_TYPE: exposition.CONTENT_TYPE_LATEST},
        )

    async def _readyz(self, request: web.Request) -> web.Response:
        """200 when an append would be taken now; the destinations are told beside."""
        del request
        problem = None
        try:
            await self._log.ping()
        except LogError as error:
            problem = str(error)
        body = {
            "ready": problem is None,
            "log": problem or "ok",
            "weaknesses": list(self._log.weaknesses),
            "destinations": self._workers(),
        }
        status = 200 if problem is None else 503
        return _json(body, status=status)

    async def _topics(self, request: web.Request) -> web.Response:
        self._admit(request)
        return _json([asdict(topic) for topic in await self._log.topics()])

    async def _read(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        query = request.query
        span = Span(
            from_ms=int(query["from"]) if "from" in query else None,
            until_ms=int(query["until"]) if "until" in query else None,
        )
        topic = request.match_info["topic"]
        if (problem := await missing(self._log, topic)) is not None:
            raise web.HTTPNotFound(text=problem)
        response = web.StreamResponse()
        response.content_type = "application/x-ndjson"
        await response.prepare(request)
        waiting = bytearray()
        follow = query.get("follow") == "1"
        async for record in self._log.scan(topic, span, follow=follow):
            waiting += line(record)
            if follow or len(waiting) >= CHUNK_BYTES:
                await response.write(bytes(waiting))
                waiting.clear()
        await response.write(bytes(waiting))
        await response.write_eof()
        return response

    async def _replay(self, request: web.Request) -> web.StreamResponse:
        """Run a replay for as long as the command line listens, a line a step."""
        self._admit(request)
        steps = aiter(self._replaying(orjson.loads(await request.read())))
        try:
            first = await anext(steps, None)
        except ConfigError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        response = web.StreamResponse()
        response.content_type = "application/x-ndjson"
        await response.prepare(request)
        if first is not None:
            await response.write(_line(first))
            async for step in steps:
                await response.write(_line(step))
        await response.write_eof()
        return response

    def _admit(self, request: web.Request) -> None:
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode()
        if not secrets.compare_digest(given, f"Bearer {self.token}".encode()):
            raise web.HTTPUnauthorized(
                text="the token in the log's lock file opens this"
            )


async def missing(log: EventLog, topic: str) -> str | None:
    """What to say of a topic that is not there; None when it is."""
    known = [each.name for each in await log.topics()]
    if topic in known:
        return None
    return f"there is no topic {topic!r}; known are: {', '.join(sorted(known))}"


def _line(value: Mapping[str, Json]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, content_type="application/json"
    )


@web.middleware
async def _json_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPException as error:
        return _json(
            {"success": False, "message": error.text or error.reason},
            status=error.status,
        )
    return response
