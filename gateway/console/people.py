"""People of the workspace: found by an identifier, and one with all that is known.

Looked up in the workspace's own store, with a reader of our own: it may be that another
process keeps the people. Opened by the first who looks.
"""

from typing import Any

from aiohttp import web

from gateway.console.eyes import Eyes
from gateway.console.page import Pages
from gateway.mistakes import Mistakes, Text
from gateway.workspace import answers, find
from gateway.workspace.people import KINDS, Person
from gateway.workspace.settings import Workspace, name_of
from gateway.workspace.store import Store, url_of

SHOWN = 50
ACTIVITIES = 30
FAILED = "failed_attribute_change"


class People:
    """``/people`` and ``/people/{cio_id}``."""

    def __init__(self, eyes: Eyes, pages: Pages) -> None:
        self._pages = pages
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
        return self._pages.render(
            "person.html",
            request=request,
            person=person,
            attributes=answers.attributes(person),
            devices=[answers.device(each) for each in devices],
            activities=[_told(row, person) for row in rows[:ACTIVITIES]],
            before=rows[ACTIVITIES - 1].seq if len(rows) > ACTIVITIES else None,
            failed=[_told(row, person) for row in failed],
        )


def _told(row: Any, person: Person) -> dict[str, Any]:
    return {**answers.activity(row, person), "at_ms": row.at * 1_000}


def _before(text: str | None) -> int | None:
    """Where a page of activities goes on; the newest for what is no number."""
    fits = text is not None and text.isascii() and text.isdigit() and len(text) < 19  # noqa: PLR2004
    return int(text) if fits and text is not None else None
