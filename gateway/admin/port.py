"""The admin port: /metrics and /readyz for machines, all else for who has a token.

A middleware guards every path before its handler runs, and a path that nobody says
anything about is closed: no handler can forget to ask. Each ``Mount`` is one owner's
routes with the token that opens them. A request for another host is answered 421.

The command line proves that it may read the log with the token that the owner of the
log wrote into its lock file (mode 0600): whoever can read that file could read the
log itself.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.admin.host import is_answered
from gateway.errors import ConfigError, LogError, place_of
from gateway.event import Json
from gateway.log.contract import EventLog, Span
from gateway.log.lines import lines, missing
from gateway.metrics import Metrics
from gateway.notices import Notices

States = Callable[[], Mapping[str, Json]]
Replaying = Callable[[Mapping[str, Json]], AsyncIterator[Mapping[str, Json]]]
CHUNK_BYTES = 64_000
DIGITS_MAX = 18  # of unix milliseconds; a 64-bit store takes no more
OPEN = frozenset({"/metrics", "/readyz"})
BEARER = "bearer "
MISDIRECTED = (
    "this port does not answer to the name in Host: ask for it by its address, or add"
    " the name to server.admin_hosts"
)


def problem(status: int, text: str) -> web.Response:
    """What went wrong, in the admin port's own shape."""
    return _json({"success": False, "message": text}, status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One owner's routes, and the token that opens them all; None: nobody may enter.

    ``refusal`` is what the others hear, in the shape that ``problem`` gives it: the
    one that the clients of these routes read.
    """

    routes: Sequence[web.RouteDef]
    token: str | None
    refusal: str
    problem: Callable[[int, str], web.Response] = problem

    def admits(self, request: web.Request) -> bool:
        """Whether the request has the token; compared in constant time."""
        given = request.headers.get(hdrs.AUTHORIZATION, "")
        scheme, token = given[: len(BEARER)], given[len(BEARER) :].strip()
        if self.token is None or scheme.lower() != BEARER:
            return False
        # A header may hold any bytes; aiohttp shows those that are no UTF-8 this way.
        return secrets.compare_digest(
            token.encode("utf-8", "surrogateescape"), self.token.encode()
        )


class AdminPort:
    """The admin port's handlers; ``token`` opens /control, ``mounts`` bring theirs.

    ``hosts`` are the names that it answers to beside those that are always its own.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        metrics: Metrics,
        notices: Notices,
        workers: States,
        replaying: Replaying,
        mounts: Sequence[Mount] = (),
        hosts: Sequence[str] = (),
    ) -> None:
        self.token = secrets.token_urlsafe(32)
        self._log = log
        self._metrics = metrics
        self._notices = notices
        self._workers = workers
        self._replaying = replaying
        self._hosts = hosts
        self._mounts = (self._control(), *mounts)
        self._doors: dict[str, Mount] = {}

    def application(self) -> web.Application:
        """The aiohttp application of the admin port."""
        middlewares = [self._named_errors, self._own_host, self._guard]
        application = web.Application(middlewares=middlewares)
        application.router.add_get("/metrics", self._show_metrics)
        application.router.add_get("/readyz", self._readyz)
        for mount in self._mounts:
            for route in application.router.add_routes(mount.routes):
                if route.resource is not None:
                    self._doors[route.resource.canonical] = mount
        return application

    def _control(self) -> Mount:
        return Mount(
            routes=[
                web.get("/control/topics", self._topics),
                web.get("/control/read/{topic:[^/]*}", self._read),
                web.post("/control/replay", self._replay),
            ],
            token=self.token,
            refusal="the token in the log's lock file opens this",
        )

    @web.middleware
    async def _own_host(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Answer nothing to a page whose own name was made to point here."""
        for given in request.headers.getall(hdrs.HOST, ()):
            if not is_answered(given, self._hosts):
                return problem(421, MISDIRECTED)
        return await handler(request)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Let in who may enter; what no mount declares is open to nobody."""
        resource = request.match_info.route.resource
        if resource is None or resource.canonical in OPEN:
            return await handler(request)  # there is no such path, or anyone may read
        mount = self._doors.get(resource.canonical)
        if mount is None:
            return problem(401, "this path declares no token, so it is closed")
        if not mount.admits(request):
            return mount.problem(401, mount.refusal)
        return await handler(request)

    @web.middleware
    async def _named_errors(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Errors as JSON; a bug of ours is a notice, and tells the client nothing."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            return problem(error.status, error.text or error.reason)
        except LogError as error:
            return problem(503, str(error))
        except ConnectionError:
            raise  # nobody is left to answer
        except Exception as error:  # noqa: BLE001 -- a bug costs one request, and no trace shows what was asked
            self._notices.say("bug", place=place_of(error), error=type(error).__name__)
            return problem(
                500, "the gateway failed on this request; its log says where"
            )

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
        trouble = None
        try:
            await self._log.ping()
        except LogError as error:
            trouble = str(error)
        body = {
            "ready": trouble is None,
            "log": trouble or "ok",
            "weaknesses": list(self._log.weaknesses),
            "destinations": self._workers(),
        }
        return _json(body, status=200 if trouble is None else 503)

    async def _topics(self, request: web.Request) -> web.Response:
        del request
        return _json([asdict(topic) for topic in await self._log.topics()])

    async def _read(self, request: web.Request) -> web.StreamResponse:
        topic, span = request.match_info["topic"], _span(request.query)
        if (said := await missing(self._log, topic)) is not None:
            raise web.HTTPNotFound(text=said)
        response = web.StreamResponse()
        response.content_type = "application/x-ndjson"
        waiting = bytearray()
        follow = request.query.get("follow") == "1"
        if follow:
            await response.prepare(request)
        try:
            async for line in lines(self._log, topic, span, follow=follow):
                waiting += line
                if follow or len(line) == 1 or len(waiting) >= CHUNK_BYTES:
                    await self._send(request, response, waiting)
        except LogError as error:
            if not response.prepared:
                raise
            await self._send(request, response, waiting)
            self._break_off(request, topic, error)
            return response
        await self._send(request, response, waiting)
        await response.write_eof()
        return response

    async def _send(
        self, request: web.Request, response: web.StreamResponse, waiting: bytearray
    ) -> None:
        """Write what waits; before the first of it an error has a status of its own."""
        if not response.prepared:
            await response.prepare(request)
        await response.write(bytes(waiting))
        waiting.clear()

    def _break_off(self, request: web.Request, topic: str, error: LogError) -> None:
        """No status can tell it any more: who reads sees the answer end too soon."""
        self._notices.say("log_read_failed", topic=topic, error=str(error))
        if request.transport is not None:
            request.transport.close()

    async def _replay(self, request: web.Request) -> web.StreamResponse:
        """Run a replay for as long as the command line listens, a line a step."""
        steps = self._replaying(_asked(await request.read()))
        async with aclosing(steps):  # type: ignore[type-var]  # they are generators
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


def _span(query: Mapping[str, str]) -> Span:
    """When they were received: unix milliseconds; 400 for what is no number."""
    given: dict[str, int] = {}
    for name in ("from", "until"):
        text = query.get(name, "0")
        if not text.removeprefix("-").isdecimal() or len(text) > DIGITS_MAX:
            raise web.HTTPBadRequest(text=f"{name}: not unix milliseconds")
        if name in query:
            given[name] = int(text)
    return Span(from_ms=given.get("from"), until_ms=given.get("until"))


def _asked(body: bytes) -> Mapping[str, Json]:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        asked = None
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object: a replay")
    return asked


def _line(value: Mapping[str, Json]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, content_type="application/json"
    )
