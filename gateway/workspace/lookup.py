"""The look-up API, at the admin port: who is known, what became of a message.

Shapes, paging and errors as Customer.io's App API; ``/v1/decisions`` and
``/v1/suppressed`` are ours. Bearer ``workspace.api_token``.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any

import orjson
from aiohttp import hdrs, web
from sqlalchemy import Row

from gateway.admin.port import Mount
from gateway.errors import LogError
from gateway.event import Json, iso
from gateway.log.contract import EventLog
from gateway.workspace import answers, find
from gateway.workspace.elsewhere import Found, Unseen, look
from gateway.workspace.filters import FilterError, compiled
from gateway.workspace.people import KINDS, Person
from gateway.workspace.store import Store, StoreError

ACTIVITIES, ACTIVITIES_MAX = 10, 100
PEOPLE, PEOPLE_MAX = 50, 1_000
IDS_MAX = 100
DIGITS_MAX = 19  # of the largest 64-bit number
RETRY_AFTER_S = 5
Answer = Awaitable[web.Response]
Handler = Callable[["Lookup", web.Request], Answer]


class Problem(Exception):  # noqa: N818 -- an answer, not a failure
    """The request cannot be answered; ``status`` and text say why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def _answering(handler: Handler) -> Callable[["Lookup", web.Request], Answer]:
    """Problems, an absent store or log as errors of the API's shape."""

    @wraps(handler)
    async def answer(self: "Lookup", request: web.Request) -> web.Response:
        try:
            return await handler(self, request)
        except Problem as problem:
            return _problem(problem.status, str(problem))
        except (StoreError, LogError) as error:
            what = "store" if isinstance(error, StoreError) else "log"
            response = _problem(503, f"the {what} cannot be read: {error}")
            response.headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_S)
            return response

    return answer


class Lookup:
    """The handlers; ``mount`` goes to the admin port.

    ``log`` has what the store never got; ``workspace`` is the destination's name in it.
    """

    def __init__(
        self, store: Store, *, log: EventLog, workspace: str, api_token: str | None
    ) -> None:
        self._store = store
        self._log = log
        self._workspace = workspace
        self._token = api_token
        self._looking = asyncio.Lock()  # one reads the log; the others wait
        self._filtering = asyncio.Lock()  # one reads all people; the others wait

    def mount(self) -> Mount:
        """The API's paths, behind ``workspace.api_token``."""
        return Mount(
            routes=self._routes(),
            token=self._token or None,
            refusal="unauthorized"
            if self._token
            else "unauthorized: workspace.api_token is not set",
            problem=_problem,
        )

    def _routes(self) -> list[web.RouteDef]:
        customer = "/v1/customers/{customer_id:[^/]+}"
        return [
            web.get("/v1/customers", self._by_email),
            web.post("/v1/customers", self._by_filter),
            web.post("/v1/customers/attributes", self._several),
            web.get(f"{customer}/attributes", self._attributes),
            web.get(f"{customer}/activities", self._activities),
            web.get(f"{customer}/segments", self._segments),
            web.get(f"{customer}/messages", self._messages),
            web.get(f"{customer}/relationships", self._relationships),
            web.get("/v1/decisions/{message_id:[^/]+}", self._decision),
            web.get("/v1/suppressed", self._suppressed),
        ]

    @_answering
    async def _by_email(self, request: web.Request) -> web.Response:
        email = request.query.get("email")
        if not email:
            raise Problem(400, "email: missing")
        async with self._store.reading() as connection:
            found = await find.persons(connection, "email", [email])
        return _json({"results": [answers.identifiers(each) for each in found]})

    @_answering
    async def _by_filter(self, request: web.Request) -> web.Response:
        body = await _body(request)
        try:
            matches = compiled(body.get("filter"))
        except FilterError as error:
            raise Problem(400, str(error)) from error
        limit = _number(request, "limit", PEOPLE, PEOPLE_MAX)
        async with self._filtering, self._store.reading() as connection:
            found, following = await find.matching(
                connection,
                lambda person: matches(answers.attributes(person)),
                after=request.query.get("start", ""),
                limit=limit,
            )
        named = [answers.identifiers(each) for each in found]
        ids = {"ids": [each.id or "" for each in found]}
        return _json({**answers.page("identifiers", named, following), **ids})

    @_answering
    async def _several(self, request: web.Request) -> web.Response:
        ids = (await _body(request)).get("ids")
        if (
            not isinstance(ids, list)
            or not 1 <= len(ids) <= IDS_MAX
            or not all(isinstance(each, str) for each in ids)
        ):
            raise Problem(400, f"ids: not 1 to {IDS_MAX} texts")
        async with self._store.reading() as connection:
            found = await find.persons(connection, _id_type(request), ids)
            shown = [
                {
                    "customer": answers.customer(
                        each, await find.devices(connection, each.cio_id)
                    )
                }
                for each in found
            ]
        return _json({"customers": shown})

    @_answering
    async def _attributes(self, request: web.Request) -> web.Response:
        async with self._store.reading() as connection:
            person = await _person(connection, request)
            devices = await find.devices(connection, person.cio_id)
        return _json({"customer": answers.customer(person, devices)})

    @_answering
    async def _activities(self, request: web.Request) -> web.Response:
        limit = _number(request, "limit", ACTIVITIES, ACTIVITIES_MAX)
        before = _number(request, "start", 0, 2**63 - 1) or None
        async with self._store.reading() as connection:
            person = await _person(connection, request)
            found = await find.activities(
                connection,
                person.cio_id,
                before=before,
                limit=limit + 1,
                type_=request.query.get("type"),
                name=request.query.get("name"),
            )
        shown = [answers.activity(row, person) for row in found[:limit]]
        more = str(found[limit - 1].seq) if len(found) > limit else None
        return _json(answers.page("activities", shown, more))

    @_answering
    async def _segments(self, request: web.Request) -> web.Response:
        return await self._none(request, "segments")

    @_answering
    async def _messages(self, request: web.Request) -> web.Response:
        return await self._none(request, "messages")

    @_answering
    async def _relationships(self, request: web.Request) -> web.Response:
        return await self._none(request, "cio_relationships")

    async def _none(self, request: web.Request, name: str) -> web.Response:
        """What is not kept: a known person has none, an unknown one is a 404."""
        async with self._store.reading() as connection:
            await _person(connection, request)
        return _json({name: []})

    @_answering
    async def _decision(self, request: web.Request) -> web.Response:
        message_id = request.match_info["message_id"]
        source = request.query.get("source")
        if row := await self._decided(message_id, source):
            return _json(answers.decision(row))
        async with self._looking:
            now_ms = time.time_ns() // 1_000_000
            found = await look(self._log, self._workspace, message_id, source, now_ms)
        if isinstance(found, Found) and found.decision != "pending":
            return _json(answers.undecided(found))
        if row := await self._decided(message_id, source):  # in the meantime
            return _json(answers.decision(row))
        if isinstance(found, Unseen):
            raise Problem(404, _unseen(found))
        return _json(answers.undecided(found))

    async def _decided(self, message_id: str, source: str | None) -> Row[Any] | None:
        async with self._store.reading() as connection:
            return await find.decision(connection, message_id, source)

    @_answering
    async def _suppressed(self, request: web.Request) -> web.Response:
        limit = _number(request, "limit", PEOPLE_MAX, PEOPLE_MAX)
        kind, _, value = request.query.get("start", "").partition(":")
        async with self._store.reading() as connection:
            found = await find.suppressed(connection, (kind, value), limit + 1)
        shown = [answers.suppressed(row) for row in found[:limit]]
        more = shown[-1]["identifier"] if len(found) > limit else None
        return _json(answers.page("suppressed", shown, more))


def _unseen(found: Unseen) -> str:
    said = "the store has decided on no message with this id"
    if found.since_ms is None:
        return f"{said}, and the log has too much to be searched for it"
    return f"{said}, and the log has got none since {iso(found.since_ms)}"


async def _person(connection: Any, request: web.Request) -> Person:
    value = request.match_info["customer_id"]
    person = await find.person(connection, _id_type(request), value)
    if person is None:
        raise Problem(404, "customer not found")
    return person


def _id_type(request: web.Request) -> str:
    id_type = request.query.get("id_type", "id")
    if id_type not in KINDS:
        raise Problem(400, f"id_type: {id_type!r} is not one of id, email, cio_id")
    return id_type


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    given = request.query.get(name)
    if given is None:
        return default
    fits = given.isascii() and given.isdigit() and len(given) <= DIGITS_MAX
    if not fits or not 0 < int(given) <= most:
        raise Problem(400, f"{name}: not a number from 1 to {most}")
    return int(given)


async def _body(request: web.Request) -> Mapping[str, Json]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Problem(400, "the body is not JSON") from error
    if not isinstance(body, dict):
        raise Problem(400, "the body is not an object")
    return body


def _json(value: Json, *, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, content_type="application/json"
    )


def _problem(status: int, detail: str) -> web.Response:
    """``errors`` as the App API's; ``meta.error`` is what a client library shows."""
    errors = [{"detail": detail, "status": status}]
    return _json({"errors": errors, "meta": {"error": detail}}, status=status)
