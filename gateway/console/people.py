"""People of the workspace: found by an identifier, and one with all that is known.

Looked up in the workspace's own store, with a reader of our own: it may be that another
process keeps the people. Opened by the first who looks.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.console.book import Book
from gateway.console.eyes import Eyes
from gateway.console.page import Pages
from gateway.errors import GatewayError
from gateway.ledger.rows import Story
from gateway.ledger.search import Search
from gateway.mistakes import Mistakes, Text
from gateway.workspace import answers, find
from gateway.workspace.people import KINDS, Person, fold
from gateway.workspace.settings import Workspace, name_of
from gateway.workspace.store import Store, url_of

SHOWN = 50
ACTIVITIES = 30
FAILED = "failed_attribute_change"
DEVICE, DEVICES = "Device ", 30  # "Device Created or Updated", "Device Deleted"
IGNORED = "ignored"
RULES: Mapping[str, str] = {
    "device_without_token": "a device needs a token",
    "device_without_platform": "a device needs a platform: ios or android",
    "unknown_device": "there is no device with this token",
    "device_of_other_person": "the device is somebody else's",
}


class People:
    """``/people`` and ``/people/{cio_id}``."""

    def __init__(self, eyes: Eyes, pages: Pages, book: Book | None) -> None:
        self._pages = pages
        self._book = book
        config = eyes.shared.config
        self._store: Store | None = None
        if name_of(config) is not None:
            settings = config.section(Workspace, "workspace", Mistakes(Text()))
            self._store = Store(url_of(settings.url, config.folder))

    def routes(self) -> list[web.RouteDef]:
        """The pages."""
        return [
            web.get("/people", self._all),
            web.get("/people/{cio_id}", self._one),
        ]

    async def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            await self._store.close()

    async def named(self, value: str) -> list[Person]:
        """Whoever has this as an id, an email or a cio_id; nobody without a store."""
        if self._store is None or not value:
            return []
        found: dict[str, Person] = {}
        async with self._store.reading() as connection:
            for kind in KINDS:
                for each in await find.persons(connection, kind, [value]):
                    found[each.cio_id] = each
        return list(found.values())

    async def _all(self, request: web.Request) -> web.Response:
        if self._store is None:
            return self._pages.render("nobody.html", request=request)
        asked = request.query.get("q", "").strip()
        following = None
        if asked:
            found = await self.named(asked)
        else:
            async with self._store.reading() as connection:
                found, following = await find.matching(
                    connection,
                    lambda _: True,
                    after=request.query.get("after", ""),
                    limit=SHOWN,
                )
        return self._pages.render(
            "people.html",
            request=request,
            people=found,
            asked=asked,
            following=following,
            first="after" not in request.query,
        )

    async def _one(self, request: web.Request) -> web.Response:
        if self._store is None:
            raise web.HTTPNotFound
        async with self._store.reading() as connection:
            cio_id = request.match_info["cio_id"]
            person = await find.person(connection, "cio_id", cio_id)
            if person is None:
                raise web.HTTPNotFound
            devices = await find.devices(connection, cio_id)
            before = _before(request.query.get("before"))
            rows = await find.activities(
                connection,
                cio_id,
                before=before,
                limit=ACTIVITIES + 1,
                type_=None,
                name=None,
            )
            failed = await find.activities(
                connection,
                cio_id,
                before=None,
                limit=ACTIVITIES,
                type_=FAILED,
                name=None,
            )
        refused = await self._refused_devices(person)
        return self._pages.render(
            "person.html",
            refused=refused,
            request=request,
            person=person,
            attributes=answers.attributes(person),
            devices=[answers.device(each) for each in devices],
            activities=[_told(row, person) for row in rows[:ACTIVITIES]],
            before=rows[ACTIVITIES - 1].seq if len(rows) > ACTIVITIES else None,
            failed=[_told(row, person) for row in failed],
        )

    async def _refused_devices(self, person: Person) -> list[Mapping[str, Any]]:
        """The newest of this person's device events that were ignored, and the rule.

        The store knows the decision on a message, the ledger whose message it was.
        """
        if self._book is None or self._store is None:
            return []
        found: list[Mapping[str, Any]] = []
        for story in await self._device_events(person, self._book):
            async with self._store.reading() as connection:
                row = await find.decision(
                    connection, story.row.message_id, story.row.source
                )
            if row is not None and row.decision == IGNORED:
                rule = RULES.get(row.reason, row.reason)
                told = {"id": story.row.message_id, "at_ms": story.row.at, "rule": rule}
                found.append(told)
        return found

    @staticmethod
    async def _device_events(person: Person, book: Book) -> list[Story]:
        keys = dict.fromkeys(filter(None, (person.id, fold(person.email or ""))))
        found: list[Story] = []
        try:
            for key in keys:
                wanted = Search(person=key, type="track", text=DEVICE, limit=DEVICES)
                found += (await book.search(wanted)).found
        except GatewayError:
            return []  # the ledger is away: the people are not
        return found


def _told(row: Any, person: Person) -> dict[str, Any]:
    return {**answers.activity(row, person), "at_ms": row.at * 1_000}


def _before(text: str | None) -> int | None:
    """Where a page of activities goes on; the newest for what is no number."""
    fits = text is not None and text.isascii() and text.isdigit() and len(text) < 19  # noqa: PLR2004
    return int(text) if fits and text is not None else None
