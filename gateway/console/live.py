"""``/live``: what comes in, as it comes, with what was decided; or the last hundred."""

import asyncio
from itertools import count

import orjson
from aiohttp import web

from gateway import topics
from gateway.console.eyes import Eyes
from gateway.console.newest import newest
from gateway.console.page import Pages
from gateway.console.tap import TICK_S, Tap, chosen, row_of
from gateway.errors import ConfigError
from gateway.outbound.when import Filter

SHOWN = 100
LOOKED = 1_000  # records that a filter is asked about when the page is opened
WHERE_CHARS = 2_000
QUIET_TICKS = 40


class Live:
    """The page, and what feeds it."""

    def __init__(self, eyes: Eyes, pages: Pages, tap: Tap) -> None:
        self._eyes = eyes
        self._pages = pages
        self._tap = tap

    def routes(self) -> list[web.RouteDef]:
        """The page and its stream."""
        return [web.get("/live", self._show), web.get("/live/stream", self._stream)]

    async def _show(self, request: web.Request) -> web.Response:
        where, wrong, wanted = request.query.get("where", "").strip(), "", None
        try:
            wanted = filter_of(where)
        except ConfigError as error:
            wrong = str(error)
        log, most = self._eyes.shared.log, SHOWN if wanted is None else LOOKED
        records = await newest(log, topics.EVENTS, most)
        records += await newest(log, topics.REFUSED, most)
        if wanted is not None:
            records = [each for each in records if chosen(wanted, each)]
        records.sort(key=lambda each: each.appended_at_ms, reverse=True)
        return self._pages.render(
            "live.html",
            request=request,
            where=where,
            wrong=wrong,
            rows=[row_of(each) for each in records[:SHOWN]],
            shown=SHOWN,
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: a line of JSON a tick that has something."""
        wanted = filter_of(request.query.get("where", "").strip())
        if self._tap.is_crowded:
            raise web.HTTPServiceUnavailable(text="Too many live pages are open.")
        response = web.StreamResponse()
        response.content_type = "text/event-stream"
        with self._tap.viewing(wanted) as viewer:
            await response.prepare(request)
            for tick in count(1):
                await asyncio.sleep(TICK_S)
                rows, more = viewer.take()
                if rows or more:
                    said = orjson.dumps({"rows": rows, "more": more})
                    await response.write(b"data: " + said + b"\n\n")
                elif tick % QUIET_TICKS == 0:  # so that a page that left is noticed
                    await response.write(b": still here\n\n")
        return response


def filter_of(where: str) -> Filter | None:
    """What a page asks for; ConfigError for what is no expression."""
    if len(where) > WHERE_CHARS:
        raise ConfigError(f"where: longer than {WHERE_CHARS} characters")
    return Filter(where, place="where") if where else None
