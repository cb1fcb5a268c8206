"""What is sent: names of events and traits, their types, how often, how lately.

``/catalogue``: out of the ledger. What a source's plan does not have is marked.
"""

import time
from collections.abc import Mapping, Sequence

from aiohttp import web

from gateway.console.book import Book
from gateway.console.events import OFF
from gateway.console.eyes import Eyes
from gateway.console.page import Pages
from gateway.event import Json
from gateway.ledger.catalogue import Asked, catalogue
from gateway.ledger.facts import ms_of
from gateway.ledger.queries import Queries

SPANS: Mapping[str, float | None] = {"24 h": 86_400, "7 d": 604_800, "all": None}
FIRST = "all"
NAMES_MAX = 200  # on a page, of one source
FIELDS_MAX = 60  # of one name
ROWS_MAX = 2_000  # of fields, of all names: a page is made where messages are taken


class Catalogue:
    """``/catalogue``."""

    def __init__(self, eyes: Eyes, pages: Pages, book: Book | None) -> None:
        self._plans = eyes.shared.plans
        self._pages = pages
        self._book = book

    def routes(self) -> list[web.RouteDef]:
        """The page."""
        return [web.get("/catalogue", self._show)]

    async def _show(self, request: web.Request) -> web.Response:
        if self._book is None:
            return self._pages.trouble(request, 404, "There is no ledger", OFF)
        query = request.query
        over = query.get("range", FIRST)
        over = over if over in SPANS else FIRST
        now_ms = time.time_ns() // 1_000_000
        back_s, plans = SPANS[over], self._plans
        from_ms = 0 if back_s is None else now_ms - int(back_s * 1_000)
        source, name = query.get("source", ""), query.get("name", "")
        asked = Asked(from_ms, now_ms + 1, source, name)
        told = await self._book.store.ask(lambda c: catalogue(Queries(c), asked, plans))
        return self._pages.render(
            "catalogue.html",
            request=request,
            sources=of_source(told["kinds"]),
            planned=self._plans.keys(),
            all_ranges=list(SPANS),
            over=over,
            narrowed=bool(source or name),
            names_max=NAMES_MAX,
        )


def of_source(kinds: Sequence[Json]) -> dict[str, list[Json]]:
    """The kinds as the page shows them, source by source, those outside a plan first.

    With ``unplanned``, how many of a kind's fields the plan does not have, and
    ``shown``, those that the page has room for.
    """
    sources: dict[str, list[Json]] = {}
    room = ROWS_MAX
    for each in sorted(kinds, key=lambda each: each["known"] is not False):
        shown = each["fields"][: min(room, FIELDS_MAX)]
        room -= len(shown)
        sources.setdefault(each["source"], []).append(_told(each, shown))
    return dict(sorted(sources.items()))


def _told(kind: Mapping[str, Json], shown: Sequence[Json]) -> dict[str, Json]:
    unplanned = sum(each["known"] is False for each in kind["fields"])
    return {
        **kind,
        "first_ms": ms_of(kind["first"]),
        "last_ms": ms_of(kind["last"]),
        "unplanned": unplanned if kind["known"] else 0,
        "shown": shown,
    }
