"""``/account``: what became of all that was admitted, until nothing is missing."""

import time
from collections.abc import Mapping, Sequence

from aiohttp import web

from gateway.console.book import Book
from gateway.console.events import OFF
from gateway.console.page import Pages
from gateway.event import Json
from gateway.ledger.account import COLUMNS, UNKNOWN

SPANS: Mapping[str, float | None] = {
    "1 h": 3_600,
    "24 h": 86_400,
    "7 d": 604_800,
    "all": None,
}
FIRST = "24 h"
OPEN = ("pending", "unconfirmed", "difference")


class Account:
    """The page."""

    def __init__(self, pages: Pages, book: Book | None) -> None:
        self._pages = pages
        self._book = book

    def routes(self) -> list[web.RouteDef]:
        """The page."""
        return [web.get("/account", self._show)]

    async def _show(self, request: web.Request) -> web.Response:
        if self._book is None:
            return self._pages.trouble(request, 404, "There is no ledger", OFF)
        name = request.query.get("range", FIRST)
        back_s = SPANS.get(name, SPANS[FIRST])
        now_ms = time.time_ns() // 1_000_000
        from_ms = None if back_s is None else now_ms - int(back_s * 1_000)
        told = await self._book.accountant.account(from_ms, None)
        return self._pages.render(
            "account.html",
            request=request,
            told=told,
            columns=[each for each in COLUMNS if each in _shown(told["account"])],
            all_ranges=list(SPANS),
            over=name if name in SPANS else FIRST,
            unknown=UNKNOWN,
            missing=sum(each["difference"] for each in told["account"]),
        )


def _shown(lines: Sequence[Mapping[str, Json]]) -> set[str]:
    """The columns that say something, and those that say that nothing is missing."""
    used = {name for line in lines for name in COLUMNS if line[name]}
    return used | {"admitted", "delivered", "dead", *OPEN}
