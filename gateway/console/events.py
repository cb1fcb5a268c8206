"""One message's story: what was sent, what was made of it, what became of it, and why.

``/events/{messageId}``, out of the ledger; and ``/find``, which guesses what a text in
the search field means: a person's identifier, a destination, else a message id.
"""

from urllib.parse import quote

from aiohttp import web

from gateway.console.eyes import Eyes
from gateway.console.page import Pages
from gateway.console.people import People
from gateway.errors import GatewayError
from gateway.ledger.settings import Ledger
from gateway.ledger.store import Store
from gateway.ledger.story import Now, Teller
from gateway.mistakes import Mistakes, Text

TONES = {
    "delivered": "good",
    "dead": "bad",
    "unconfirmed": "bad",
    "pending": "warn",
}


class Events:
    """The page of one message, and the search field."""

    def __init__(self, eyes: Eyes, pages: Pages, people: People) -> None:
        self._eyes = eyes
        self._pages = pages
        self._people = people
        shared = eyes.shared
        settings = shared.config.section(Ledger, "ledger", Mistakes(Text()))
        self._store: Store | None = None
        if settings.enabled:
            self._store = Store(settings.path, writes=False)
            now = Now.of(shared.config, shared.shows)
            self._teller = Teller(self._store, shared.log, now)

    def routes(self) -> list[web.RouteDef]:
        """The pages."""
        return [
            web.get("/events/{message_id}", self._show),
            web.get("/find", self._find),
        ]

    async def close(self) -> None:
        """Let go of the ledger's file."""
        if self._store is not None:
            await self._store.close()

    async def _show(self, request: web.Request) -> web.Response:
        message_id = request.match_info["message_id"]
        if self._store is None:
            text = 'Stories are told by the ledger: "enabled = true" in [ledger].'
            return self._pages.trouble(request, 404, "There is no ledger", text)
        told = await self._teller.tell(message_id)
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
        raise web.HTTPSeeOther(f"/events/{quote(asked, safe='')}")

    async def _named(self, asked: str) -> list[str]:
        """Whoever it names; a store that is away names nobody."""
        try:
            return [each.cio_id for each in await self._people.named(asked)]
        except GatewayError:
            return []
