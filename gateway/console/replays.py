"""Replays: asked for, previewed by reason and count, started, watched, stopped.

``/replays`` and what hangs below it. Nothing is sent before its preview was seen, but
for dead letters that were chosen one by one.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from difflib import SequenceMatcher
from typing import Any

from aiohttp import web

from gateway.console.eyes import Eyes
from gateway.console.page import Pages, exchange, missing
from gateway.console.runs import Run, Runs
from gateway.console.times import time_of
from gateway.errors import ConfigError
from gateway.event import Json
from gateway.replay.run import TOPICS, new_id

PREVIEW_S = 5.0  # what a page waits for a preview; a longer one is shown so far
RATE_MAX = 1_000_000
COMPARED_CHARS = 20_000  # of a request, line by line
FIELDS = ("topic", "to", "from", "until", "where", "rate")
REASONS: Mapping[str, str] = {
    "duplicate": "the same message id was there before",
    "where": "the expression does not hold",
    "time": "received at another time",
    "route": "today's rules do not route it there",
    "unreadable": "a record of another make",
    "bug": "the gateway failed on it; tried again on a resume",
}


class Replays:
    """``/replays``."""

    def __init__(self, eyes: Eyes, pages: Pages, runs: Runs) -> None:
        self._eyes = eyes
        self._pages = pages
        self._runs = runs

    def routes(self) -> list[web.RouteDef]:
        """The pages, and what their buttons do."""
        return [
            web.get("/replays", self._show),
            web.post("/replays", self._start),
            web.get("/replays/preview", self._preview),
            web.get("/replays/{id}", self._watch),
            web.post("/replays/{id}/stop", self._stop),
            web.post("/replays/{id}/resume", self._resume),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        return self._pages.render(
            "replays.html",
            request=request,
            runs=self._runs.all,
            given=request.query,
            destinations=self._destinations(),
        )

    async def _preview(self, request: web.Request) -> web.Response:
        asked = asked_of(request.query)
        told, seconds = await self._surveyed(asked)
        return self._pages.render(
            "preview.html",
            request=request,
            asked=asked,
            given={name: request.query.get(name, "") for name in FIELDS},
            told=told,
            seconds=seconds,
            reasons=REASONS,
            examples=[_example(shown, value) for shown, value in told["examples"]],
        )

    async def _surveyed(
        self, asked: Mapping[str, Json]
    ) -> tuple[Mapping[str, Any], float]:
        """The survey as far as it came in the time that a page waits."""
        start_s, told = time.monotonic(), dict[str, Any]()
        steps = self._eyes.shared.replaying({**asked, "id": new_id(), "survey": True})
        try:
            async with asyncio.timeout(PREVIEW_S), aclosing(steps):  # type: ignore[type-var]  # they are generators
                async for step in steps:
                    told = dict(step)
        except TimeoutError:
            pass
        if not told:
            raise ConfigError("The log was too slow for a preview: try again.")
        return told, time.monotonic() - start_s

    async def _start(self, request: web.Request) -> web.Response:
        form = await request.post()
        run = self._runs.start(
            asked_of({k: v for k, v in form.items() if isinstance(v, str)})
        )
        raise web.HTTPSeeOther(f"/replays/{run.id}")

    async def _watch(self, request: web.Request) -> web.Response:
        run = self._found(request)
        return self._pages.render(
            "replay.html", request=request, run=run, reasons=REASONS
        )

    async def _stop(self, request: web.Request) -> web.Response:
        run = self._found(request)
        self._runs.stop(run)
        await asyncio.sleep(0)  # the task hears of it
        raise web.HTTPSeeOther(f"/replays/{run.id}")

    async def _resume(self, request: web.Request) -> web.Response:
        run = self._found(request)
        self._runs.resume(run)
        raise web.HTTPSeeOther(f"/replays/{run.id}")

    def _found(self, request: web.Request) -> Run:
        id_ = request.match_info["id"]
        run = self._runs.find(id_)
        if run is None:
            text = (
                f"This console remembers no replay {id_}: it was started from the"
                " command line, or before a restart. What it came to is told with each"
                " of its events."
            )
            raise missing(text)
        return run

    def _destinations(self) -> list[str]:
        return [
            n for n, d in self._eyes.shared.config.destinations.items() if d.enabled
        ]


def asked_of(given: Mapping[str, str]) -> dict[str, Json]:
    """What a form asks for, as a replay is asked; ConfigError says what cannot be."""
    said = {name: given.get(name, "").strip() for name in FIELDS}
    topic = said["topic"] or "events"
    if topic not in TOPICS:
        raise ConfigError(f"topic: {topic} is none of {', '.join(TOPICS)}")
    return {
        "topic": topic,
        "to": None if topic == "refused" else said["to"] or None,
        "from_ms": time_of(said["from"], "from"),
        "until_ms": time_of(said["until"], "until"),
        "where": said["where"] or None,
        "rate": _rate(said["rate"]),
    }


def _rate(text: str) -> int | None:
    if not text:
        return None
    digits = text.lstrip("0") if text.isascii() and text.isdigit() else ""
    if not digits or len(digits) > len(str(RATE_MAX)) or int(digits) > RATE_MAX:
        raise ConfigError(f"rate: a whole number of events a second, 1 to {RATE_MAX}")
    return int(digits)


def _example(shown: Mapping[str, Any], value: Json) -> dict[str, Json]:
    """What one event would become now, beside what was sent when it was given up."""
    before = value.get("request") if isinstance(value, dict) else None
    after = shown.get("request") or shown.get("event")
    return {
        "id": shown["messageId"],
        "sent": shown.get("sent", True),
        "why": shown.get("because") or shown.get("reason"),
        **beside(_text(before), _text(after)),
    }


def _text(request: Json) -> str:
    return exchange(request)[:COMPARED_CHARS] if request else ""


def beside(before: str, after: str) -> dict[str, Json]:
    """Two texts by line: each line with whether the other has it, too."""
    one, two = before.splitlines(), after.splitlines()
    if not one or not two:
        return {
            "before": [(line, False) for line in one],
            "after": [(line, False) for line in two],
            "same": False,
        }
    kept = SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks()
    ours = {block.a + n for block in kept for n in range(block.size)}
    theirs = {block.b + n for block in kept for n in range(block.size)}
    return {
        "before": [(line, n not in ours) for n, line in enumerate(one)],
        "after": [(line, n not in theirs) for n, line in enumerate(two)],
        "same": one == two,
    }
