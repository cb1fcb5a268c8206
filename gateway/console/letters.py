"""Dead letters of one destination: grouped by why, chosen, looked at, sent again.

``/dead/{name}``. Sending again is a replay of ``dead.NAME`` whose ``where`` names what
was chosen: today's filters, mapping and suppression apply to it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

from gateway import topics
from gateway.console.eyes import Eyes
from gateway.console.newest import count_of, header, newest
from gateway.console.page import Pages
from gateway.console.runs import Runs
from gateway.errors import ConfigError
from gateway.event import Json
from gateway.log.contract import Record

READ = 2_000
SHOWN = 50
REASONS: Mapping[str, str] = {
    "rejected": "The destination refused it for good.",
    "max_age": "It was tried for as long as it may be (delivery.max_age).",
    "pressure": "It was blocked the longest when the worker held all it may hold.",
    "bug": "The gateway, a mapping or a transform failed on it.",
    "too_large": "The destination takes nothing of this size.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One dead letter, as a page shows it."""

    message_id: str
    source: str
    type: str
    at_ms: int
    value: Mapping[str, Any]

    @property
    def status(self) -> str:
        """What the last response was, or which error there was instead."""
        response = self.value.get("response")
        if isinstance(response, dict) and response.get("status") is not None:
            return str(response["status"])
        return str(self.value.get("detail") or "").partition(":")[0][:60] or "-"

    @property
    def reason(self) -> str:
        """Why it was given up."""
        return str(self.value.get("reason"))

    @property
    def chosen(self) -> str:
        """What a form says to name it."""
        return orjson.dumps([self.source, self.message_id]).decode()

    @property
    def event_name(self) -> str:
        """What it is about: the event's name, or its type."""
        event = self.value.get("event")
        name = event.get("event") or event.get("name") if isinstance(event, dict) else 0
        return name if isinstance(name, str) and name else self.type


def letter_of(record: Record) -> Letter | None:
    """A record's letter; None for one of another make."""
    try:
        value = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    return Letter(
        message_id=header(record, "messageId") or "",
        source=header(record, "source") or "",
        type=header(record, "type") or "",
        at_ms=record.appended_at_ms,
        value=value,
    )


class Letters:
    """``/dead/{name}``."""

    def __init__(self, eyes: Eyes, pages: Pages, runs: Runs) -> None:
        self._eyes = eyes
        self._pages = pages
        self._runs = runs

    def routes(self) -> list[web.RouteDef]:
        """The page, and what its buttons do."""
        return [
            web.get("/dead/{name}", self._show),
            web.post("/dead/{name}", self._again),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        name = self._name(request)
        log, topic = self._eyes.shared.log, topics.dead(name)
        total = (await count_of(log, [topic]))[topic]
        read = [letter_of(each) for each in await newest(log, topic, READ)]
        letters = [each for each in read if each is not None]
        groups = Counter((each.reason, each.status) for each in letters)
        reason, status = request.query.get("reason"), request.query.get("status")
        wanted = [
            each
            for each in letters
            if reason in (None, each.reason) and status in (None, each.status)
        ]
        return self._pages.render(
            "letters.html",
            request=request,
            name=name,
            total=total,
            read=len(read),
            groups=[
                (why, said, count, urlencode({"reason": why, "status": said}))
                for (why, said), count in groups.most_common()
            ],
            letters=wanted[:SHOWN],
            matching=len(wanted),
            chosen=(reason, status),
            reasons=REASONS,
        )

    async def _again(self, request: web.Request) -> web.Response:
        name, form = self._name(request), await request.post()
        given = [each for each in form.getall("letter", []) if isinstance(each, str)]
        if not given:
            raise ConfigError("Choose at least one dead letter.")
        run = self._runs.start(
            {"topic": "dead", "to": name, "where": where_of(given)}, len(given)
        )
        raise web.HTTPSeeOther(f"/replays/{run.id}")

    def _name(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if name not in self._eyes.shared.config.destinations:
            raise web.HTTPNotFound
        return name


def where_of(chosen: Sequence[str]) -> str:
    """JMESPath that holds for the chosen letters alone; ConfigError for other texts."""
    pairs: list[Json] = []
    for each in chosen:
        try:
            source, message_id = orjson.loads(each)
        except (orjson.JSONDecodeError, ValueError, TypeError) as error:
            raise ConfigError("That is no dead letter of this page.") from error
        if not isinstance(source, str) or not isinstance(message_id, str):
            raise ConfigError("That is no dead letter of this page.")
        pairs.append([source, message_id])
    literal = orjson.dumps(pairs).decode().replace("`", "\\`")
    return f"contains(`{literal}`, [event.source, event.messageId])"
