"""Dead letters of one destination: grouped by why, chosen, looked at, sent again.

``/dead/{name}``. Sending again is a replay of ``dead.NAME`` whose ``where`` names what
was chosen: today's filters, mapping and suppression apply to it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import orjson
from aiohttp import web

from gateway import topics
from gateway.console.book import Book
from gateway.console.eyes import Eyes
from gateway.console.letter import Letter, read_letters
from gateway.console.newest import count_of
from gateway.console.page import Pages, literal, no_destination
from gateway.console.runs import Runs
from gateway.errors import ConfigError
from gateway.event import Json

READ = 2_000
SHOWN = 50
REPLAYS = 3  # named beside what they mended
REASONS: Mapping[str, str] = {
    "rejected": "The destination refused it for good.",
    "max_age": "It was tried for as long as it may be (delivery.max_age).",
    "pressure": "It was blocked the longest when the worker held all it may hold.",
    "bug": "The gateway, a mapping or a transform failed on it.",
    "too_large": "The destination takes nothing of this size.",
}


KINDS: Mapping[str, str] = {
    "delivered": "delivered since",
    "dead": "given up again",
    "under way": "under way again",
}
"""What became of a letter, as the page calls it; others: their end, and since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """Letters of one standing, which need nobody: how many, and by which replays."""

    standing: str
    words: str
    count: int
    replays: Sequence[str]


class Letters:
    """``/dead/{name}``."""

    def __init__(self, eyes: Eyes, pages: Pages, runs: Runs, book: Book | None) -> None:
        self._eyes = eyes
        self._book = book
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
        letters = await read_letters(log, self._book, name, READ)
        open_ = [each for each in letters if each.is_open]
        groups = Counter((each.reason, each.status) for each in open_)
        query = request.query
        reason, status, since = map(query.get, ("reason", "status", "since"))
        wanted = [
            each
            for each in (open_ if since is None else letters)
            if reason in (None, each.reason)
            and status in (None, each.status)
            and since in (None, each.standing)
        ]
        return self._pages.render(
            "letters.html",
            request=request,
            name=name,
            total=total,
            left=total - (len(letters) - len(open_)),
            read=len(letters),
            groups=[
                (why, said, count, urlencode({"reason": why, "status": said}))
                for (why, said), count in groups.most_common()
            ],
            mended=mended(letters),
            letters=wanted[:SHOWN],
            matching=len(wanted),
            chosen=(reason, status),
            since=since,
            reasons=REASONS,
            kinds=KINDS,
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
            raise no_destination(name)
        return name


def mended(letters: Sequence[Letter]) -> list[Mended]:
    """Those that were sent again, by what became of them; the delivered ones first."""
    found: dict[str, list[str]] = {}
    for each in letters:
        if (replay := each.since.replay if each.since else each.fed_by) is not None:
            found.setdefault(each.standing, []).append(replay)
    order = [*KINDS, *found]
    return [
        Mended(
            standing=standing,
            words=KINDS.get(standing, f"{standing} since"),
            count=len(found[standing]),
            replays=[id_ for id_, _ in Counter(found[standing]).most_common(REPLAYS)],
        )
        for standing in sorted(found, key=order.index)
    ]


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
    return f"contains({literal(pairs)}, [event.source, event.messageId])"
