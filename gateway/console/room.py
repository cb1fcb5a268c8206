"""Joins the parts: the door, the guard, every page, and what works beside them."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.console.account import Account
from gateway.console.book import book_of
from gateway.console.catalogue import Catalogue
from gateway.console.destinations import Destinations
from gateway.console.door import Door
from gateway.console.events import Events
from gateway.console.eyes import Eyes
from gateway.console.guard import FORM_BYTES, Guard, protect
from gateway.console.letters import Letters
from gateway.console.live import Live
from gateway.console.overview import Overview
from gateway.console.page import MISSING, Pages, asset
from gateway.console.people import People
from gateway.console.replays import Replays
from gateway.console.runs import Runs
from gateway.console.sources import Sources
from gateway.console.tap import Tap
from gateway.errors import ConfigError, GatewayError, place_of
from gateway.ports import Listening
from gateway.token import console_token
from gateway.wing import Shared

NO_PAGE = "There is no such page. What you look for may have been deleted by its age."


class Section(Protocol):
    """Some pages that belong together."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Their addresses."""
        ...


class Room:
    """The console of one process."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._door = Door(console_token(shared.config).text)
        self._eyes = Eyes(shared)
        self._pages = Pages(process=_process(shared))
        self._guard = Guard(
            self._door, self._pages, hosts=frozenset(shared.config.console.hosts)
        )
        self._pages.form_token = self._guard.form_token
        self._runs = Runs(shared)
        self._tap = Tap(shared.log)
        self._book = book_of(self._eyes)
        self._people = People(self._eyes, self._pages, self._book)
        self._sections: list[Section] = [
            Overview(self._eyes, self._pages, self._book),
            Live(self._eyes, self._pages, self._tap),
            Sources(self._eyes, self._pages),
            Catalogue(self._eyes, self._pages, self._book),
            Destinations(self._eyes, self._pages, self._book),
            Letters(self._eyes, self._pages, self._runs, self._book),
            self._people,
            Events(self._eyes, self._pages, self._book, self._people),
            Account(self._pages, self._book),
            Replays(self._eyes, self._pages, self._runs),
        ]

    @property
    def listening(self) -> Listening:
        """The port, and how a person at a terminal comes in."""
        return Listening(
            place="console.listen",
            listen=self._shared.config.console.listen,
            application=self._application(),
            said=self._said,
        )

    def _said(self, url: str) -> str:
        """A link that lets in who reads it, once."""
        return f"open  {url}/login?once={self._door.link()}"

    async def run(self) -> None:
        """What goes on beside the pages, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._eyes.remember())
            tasks.create_task(self._tap.run())
            tasks.create_task(self._runs.run())

    async def close(self) -> None:
        """Let go of the stores that were opened to look."""
        await self._people.close()
        if self._book is not None:
            await self._book.close()

    def _application(self) -> web.Application:
        application = web.Application(
            middlewares=[self._named_errors, self._guard.middleware],
            client_max_size=FORM_BYTES,
        )
        application.on_response_prepare.append(protect)
        application.router.add_routes(self._guard.routes())
        application.router.add_get("/static/{name}", asset)
        application.router.add_get("/favicon.ico", _icon)
        for section in self._sections:
            application.router.add_routes(section.routes())
        return application

    @web.middleware
    async def _named_errors(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Errors as pages; a bug of ours is a notice, and tells nothing it met."""
        try:
            return await handler(request)
        except web.HTTPRedirection:
            raise
        except web.HTTPNotFound as error:
            text = error.text if error.reason == MISSING else None
            return self._pages.trouble(request, 404, "Not here", text or NO_PAGE)
        except web.HTTPException as error:
            return self._pages.trouble(request, error.status, error.reason, "")
        except ConfigError as error:
            return self._pages.trouble(request, 400, "That cannot be", str(error))
        except GatewayError as error:
            return self._pages.trouble(request, 503, "Not now", f"{error}")
        except ConnectionError:
            raise  # nobody is left to answer
        except Exception as error:  # noqa: BLE001 -- a bug costs one page, and no trace shows what was asked
            say = self._shared.notices.say
            say("bug", place=place_of(error), error=type(error).__name__)
            text = "The gateway failed on this page; its log says where."
            return self._pages.trouble(request, 500, "Our mistake", text)


def _process(shared: Shared) -> str:
    """What the pages are of, where a process does not do everything."""
    names = shared.config.destinations
    here = [name for name in names if shared.works_for(name)]
    if len(here) < len(names):
        return f"worker of {', '.join(here)}"
    return "" if shared.accepts else "worker of all destinations, and takes no messages"


async def _icon(request: web.Request) -> web.Response:
    del request
    raise web.HTTPMovedPermanently("/static/icon.svg", headers={hdrs.VARY: ""})
