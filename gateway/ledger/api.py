"""The ledger's paths of the admin port, behind the console's token."""

from collections.abc import Awaitable, Callable
from functools import wraps

import orjson
from aiohttp import web

from gateway.admin.port import Mount, problem
from gateway.errors import LogError
from gateway.event import Json
from gateway.ledger.store import LedgerError
from gateway.ledger.story import Teller

Answer = Awaitable[web.Response]
Handler = Callable[["Api", web.Request], Answer]


def _answering(handler: Handler) -> Callable[["Api", web.Request], Answer]:
    """A ledger or log that is away is a 503."""

    @wraps(handler)
    async def answer(self: "Api", request: web.Request) -> web.Response:
        try:
            return await handler(self, request)
        except (LedgerError, LogError) as error:
            return problem(503, str(error))

    return answer


class Api:
    """The handlers; ``mount`` goes to the admin port."""

    def __init__(self, teller: Teller, token: str) -> None:
        self._teller, self._token = teller, token

    def mount(self) -> Mount:
        """The paths, behind the token."""
        return Mount(
            routes=[web.get("/v1/events/{message_id}", self._story)],
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


def _json(value: Json) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
