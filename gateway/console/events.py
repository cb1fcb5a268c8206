"""Events that were: searched for, and one with its whole story. Out of the ledger.

``/events`` and ``/events/{messageId}``; and ``/find``, which guesses what a text in the
search field means: a destination, a person's identifier, else a message id.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

from aiohttp import web

from gateway.console.book import Book
from gateway.console.eyes import Eyes
from gateway.console.page import Pages
from gateway.console.people import People
from gateway.console.times import time_of
from gateway.errors import ConfigError, GatewayError
from gateway.event import EVENT_TYPES
from gateway.ledger.search import KINDS, Search
from gateway.ledger.story import brief

TONES: Mapping[str, str] = {
    "delivered": "good",
    "dead": "bad",
    "refused": "bad",
    "unconfirmed": "bad",
    "unknown": "warn",
    "pending": "warn",
}
ASKED = ("person", "source", "destination", "kind", "type", "text", "from", "until")
OFF = 'Stories are told by the ledger: "enabled = true" in the table [ledger].'


class Events:
    """The list, the page of one message, and the search field."""

    def __init__(
        self, eyes: Eyes, pages: Pages, book: Book | None, people: People
    ) -> None:
        self._eyes = eyes
        self._pages = pages
        self._book = book
        self._people = people

    def routes(self) -> list[web.RouteDef]:
        """The pages."""
        return [
            web.get("/events", self._list),
            web.get("/events/{message_id:[^/]+}", self._show),
            web.get("/find", self._find),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        if self._book is None:
            return self._pages.trouble(request, 404, "There is no ledger", OFF)
        asked = {name: request.query.get(name, "").strip() for name in ASKED}
        wrong, page = "", None
        try:
            page = await self._book.search(
                wanted_of(asked, request.query.get("before"))
            )
        except ConfigError as error:
            wrong = str(error)
        config = self._eyes.shared.config
        given = {name: value for name, value in asked.items() if value}
        following = None if page is None else page.next
        return self._pages.render(
            "events.html",
            request=request,
            asked=asked,
            wrong=wrong,
            rows=[] if page is None else [brief(each) for each in page.found],
            following=following and urlencode({**given, "before": following}),
            first="before" not in request.query,
            sources=_known(config.sources, asked["source"]),
            destinations=_known(config.destinations, asked["destination"]),
            kinds=KINDS,
            types=EVENT_TYPES,
            tones=TONES,
        )

    async def _show(self, request: web.Request) -> web.Response:
        message_id = request.match_info["message_id"]
        if self._book is None:
            return self._pages.trouble(request, 404, "There is no ledger", OFF)
        told = await self._book.teller.tell(message_id)
        if told is None:
            return self._pages.render(
                "unseen.html", request=request, status=404, message_id=message_id
            )
        return self._pages.render(
            "event.html",
            request=request,
            message_id=message_id,
            found=told["found"],
            tones=TONES,
        )

    async def _find(self, request: web.Request) -> web.Response:
        asked = request.query.get("q", "").strip()
        if not asked:
            raise web.HTTPSeeOther("/")
        if asked in self._eyes.shared.config.destinations:
            raise web.HTTPSeeOther(f"/destinations/{asked}")
        people = await self._named(asked)
        if len(people) == 1:
            raise web.HTTPSeeOther(f"/people/{quote(people[0], safe='')}")
        if people:
            raise web.HTTPSeeOther(f"/people?q={quote(asked, safe='')}")
        if await self._has_events(asked):
            raise web.HTTPSeeOther(f"/events?person={quote(asked, safe='')}")
        raise web.HTTPSeeOther(f"/events/{quote(asked, safe='')}")

    async def _named(self, asked: str) -> list[str]:
        """Whoever it names; a store that is away names nobody."""
        try:
            return [each.cio_id for each in await self._people.named(asked)]
        except GatewayError:
            return []

    async def _has_events(self, person: str) -> bool:
        """Whether it is a person's key, of somebody whom no workspace keeps."""
        if self._book is None:
            return False
        try:
            return bool((await self._book.search(Search(person=person, limit=1))).found)
        except GatewayError:
            return False


def _known(configured: Iterable[str], asked: str) -> list[str]:
    """What can be chosen; the past knows names that the configuration has no more."""
    return [*dict.fromkeys([*configured, *filter(None, [asked])])]


def wanted_of(asked: Mapping[str, str], before: str | None) -> Search:
    """What a form asks for; ConfigError for a time that is none."""
    return Search(
        person=asked["person"] or None,
        source=asked["source"] or None,
        destination=asked["destination"] or None,
        kind=asked["kind"] or None,
        type=asked["type"] or None,
        text=asked["text"] or None,
        from_ms=time_of(asked["from"], "from"),
        until_ms=time_of(asked["until"], "until"),
        before=before or None,
    )
