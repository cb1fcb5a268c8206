"""A destination's other side, for authors of one: a server that answers as it is told.

    async with Fake(Answer(404), Answer(201)) as crm:
        verdicts = await crm.deliver("slack", {"url": crm.url}, [delivery(1)])
        assert [each.path for each in crm.asked] == ["/", "/"]

    async with Fake(answer=speak, stands_for=["track.customer.io"]) as vendor: ...

Real sockets on loopback, and the sender that the gateway has. ``answer`` decides by the
request instead; it gets what would be sent to the hosts that the server stands for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.outbound import destinations
from gateway.outbound.client.origin import Origins
from gateway.outbound.contract import Delivery, Verdict
from gateway.outbound.reach import Reach
from gateway.outbound.send import HttpSend, open_pool

TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


class Fake:
    """Gives its answers in turn, then 200 to everything."""

    def __init__(
        self,
        *answers: Answer,
        answer: Callable[[Asked], Answer] | None = None,
        stands_for: Sequence[str] = (),
    ) -> None:
        self.answers = list(answers)
        self._decide, self._hosts = answer, stands_for
        self.asked: list[Asked] = []
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._server = TestServer(application)

    @property
    def url(self) -> str:
        return str(self._server.make_url("/"))

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        asked = Asked(request.method, request.path_qs, request.headers, body)
        self.asked.append(asked)
        answer = self._next(asked)
        return web.Response(
            status=answer.status, body=answer.body, headers=answer.headers
        )

    def _next(self, asked: Asked) -> Answer:
        if self._decide is not None:
            return self._decide(asked)
        return self.answers.pop(0) if self.answers else Answer()

    async def deliver(
        self, type_: str, settings: Mapping[str, Any], deliveries: Sequence[Delivery]
    ) -> Sequence[Verdict]:
        """One attempt by a destination of this type, as a worker makes it."""
        return await self._attempts(type_, settings, [deliveries])

    async def deliver_in_turn(
        self, type_: str, settings: Mapping[str, Any], deliveries: Sequence[Delivery]
    ) -> Sequence[Verdict]:
        """An attempt for each, by one destination."""
        return await self._attempts(type_, settings, [[each] for each in deliveries])

    async def _attempts(
        self,
        type_: str,
        settings: Mapping[str, Any],
        batches: Sequence[Sequence[Delivery]],
    ) -> Sequence[Verdict]:
        made = destinations.load(type_).configured(settings, name="fake", folder=Path())
        async with open_pool(Reach(["127.0.0.0/8"])) as pool:
            hosts = dict.fromkeys(self._hosts, self.url)
            origins = Origins(hosts)
            opened = made.open(HttpSend(pool, timeout_s=TIMEOUT_S, origins=origins))
            try:
                said = [await opened.deliver(batch) for batch in batches]
                return [verdict for verdicts in said for verdict in verdicts]
            finally:
                await opened.close()
