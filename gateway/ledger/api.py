"""The ledger's paths of the admin port, behind the console's token."""

import time
from collections.abc import Awaitable, Callable
from functools import wraps

import orjson
from aiohttp import web

from gateway.admin.port import Mount, problem
from gateway.errors import ConfigError, LogError
from gateway.event import Json, unix_ms
from gateway.ledger.account import Accountant
from gateway.ledger.catalogue import Asked, Plans, catalogue
from gateway.ledger.contract import ElsewhereError, LedgerError
from gateway.ledger.queries import Queries
from gateway.ledger.search import PAGE, Search, check_span
from gateway.ledger.store import Store
from gateway.ledger.story import Teller, brief

DAY_MS = 86_400_000
DIGITS_MAX = 9
REMEDY = "ask the admin port of that one, the other that answers 202; or stop it first"

Answer = Awaitable[web.Response]
Handler = Callable[["Api", web.Request], Answer]


def _answering(handler: Handler) -> Callable[["Api", web.Request], Answer]:
    """A ledger or log that is away is a 503."""

    @wraps(handler)
    async def answer(self: "Api", request: web.Request) -> web.Response:
        try:
            return await handler(self, request)
        except ConfigError as error:
            return problem(400, str(error))
        except (LedgerError, LogError) as error:
            return problem(503, str(error))

    return answer


class Api:
    """The handlers; ``mount`` goes to the admin port."""

    def __init__(
        self,
        teller: Teller,
        accountant: Accountant,
        store: Store,
        *,
        plans: Plans,
        rebuild: Callable[[], Awaitable[None]],
        token: str,
    ) -> None:
        self._teller, self._accountant, self._store = teller, accountant, store
        self._begin_anew, self._token = rebuild, token
        self._plans = plans

    def mount(self) -> Mount:
        """The paths, behind the token."""
        return Mount(
            routes=[
                web.get("/v1/events", self._search),
                web.get("/v1/events/{message_id:[^/]+}", self._story),
                web.get("/v1/account", self._account),
                web.get("/v1/ledger", self._state),
                web.post("/v1/ledger/rebuild", self._rebuild),
                web.get("/v1/minutes", self._minutes),
                web.get("/v1/dead", self._dead),
                web.get("/v1/refused", self._refused),
                web.get("/v1/catalogue", self._catalogue),
            ],
            token=self._token,
            refusal="the console's token opens this: console.token, or the file of "
            "this name beside the log",
        )

    @_answering
    async def _story(self, request: web.Request) -> web.Response:
        message_id = request.match_info["message_id"]
        told = await self._teller.tell(message_id)
        if told is None:
            return problem(404, f"{message_id}: no such message in the ledger")
        return _json(told)

    @_answering
    async def _account(self, request: web.Request) -> web.Response:
        return _json(await self._accountant.account(*_given(request)))

    @_answering
    async def _search(self, request: web.Request) -> web.Response:
        query = request.query
        limit = query.get("limit", str(PAGE))
        from_ms, until_ms = _given(request)
        wanted = Search(
            person=query.get("person"),
            source=query.get("source"),
            destination=query.get("destination"),
            kind=query.get("kind"),
            type=query.get("type"),
            text=query.get("text"),
            before=query.get("before"),
            from_ms=from_ms,
            until_ms=until_ms,
            limit=int(limit) if limit.isdecimal() and len(limit) < DIGITS_MAX else 0,
        )
        wanted.check()
        page = await self._store.ask(lambda c: Queries(c).search(wanted))
        return _json({"events": [*map(brief, page.found)], "next": page.next})

    @_answering
    async def _state(self, request: web.Request) -> web.Response:
        del request
        return _json({"behind": await self._accountant.behind()})

    @_answering
    async def _rebuild(self, request: web.Request) -> web.Response:
        """Begin to make it anew; ``GET /v1/ledger`` tells how much is left.

        409 where that is for another process to do.
        """
        del request
        try:
            await self._begin_anew()
        except ElsewhereError as error:
            return problem(409, f"{error}: {REMEDY}")
        return web.Response(status=202)

    @_answering
    async def _minutes(self, request: web.Request) -> web.Response:
        span = _span(request)
        found = await self._store.ask(lambda c: Queries(c).per_minute(*span))
        return _json({"minutes": found})

    @_answering
    async def _dead(self, request: web.Request) -> web.Response:
        span = _span(request)
        found = await self._store.ask(lambda c: Queries(c).dead(*span))
        return _json({"groups": found})

    @_answering
    async def _refused(self, request: web.Request) -> web.Response:
        span = _span(request)
        found = await self._store.ask(lambda c: Queries(c).refused(*span))
        return _json({"groups": found})

    @_answering
    async def _catalogue(self, request: web.Request) -> web.Response:
        """All that is kept, unless a span is asked for."""
        query, (from_ms, _) = request.query, _given(request)
        asked = Asked(
            from_ms or 0,
            _until(request),
            source=query.get("source", ""),
            name=query.get("name", ""),
            fields=query.get("fields") != "false",
        )
        plans = self._plans
        told = await self._store.ask(lambda c: catalogue(Queries(c), asked, plans))
        return _json(told)


def _time(request: web.Request, name: str) -> int | None:
    """A time of the query, ISO 8601, as unix milliseconds; without an offset UTC.

    A plus in a query means a space: whoever did not write %2B meant it all the same.
    """
    text = request.query.get(name)
    if not text:
        return None
    if "T" in text:
        text = text.replace(" ", "+")
    try:
        return unix_ms(text)
    except ValueError:
        raise ConfigError(f"{name}: is not an ISO 8601 time") from None


def _given(request: web.Request) -> tuple[int | None, int | None]:
    """``from`` and ``until`` as they are asked for; ConfigError: in the wrong order."""
    span = _time(request, "from"), _time(request, "until")
    check_span(*span)
    return span


def _span(request: web.Request) -> tuple[int, int]:
    """``from`` and ``until``; the last day if they are not given."""
    until_ms, (from_ms, _) = _until(request), _given(request)
    return until_ms - DAY_MS if from_ms is None else from_ms, until_ms


def _until(request: web.Request) -> int:
    until = _time(request, "until")
    return time.time_ns() // 1_000_000 + 1 if until is None else until


def _json(value: Json) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
