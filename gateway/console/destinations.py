"""Who receives: all of them, and one with its plots, its failures, its settings."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

from gateway import topics
from gateway.console import words
from gateway.console.book import Book
from gateway.console.eyes import RANGES, Eyes
from gateway.console.letter import read_letters
from gateway.console.newest import count_of
from gateway.console.page import Pages, no_destination
from gateway.console.plot import Plot, Value, plot
from gateway.console.samples import (
    ATTEMPTS,
    FAILED,
    OUTCOMES,
    Pair,
    Span,
    difference,
    per_second,
    quantile,
)
from gateway.console.standing import Standing
from gateway.console.trends import delivered, lagging, over, sparkline, times
from gateway.event import Json
from gateway.outbound.kind import Configured
from gateway.outbound.mask import MASK, masked, masked_url, secrets_of

LETTERS_READ = 500
REASONS = 5


class Destinations:
    """``/destinations`` and ``/destinations/{name}``."""

    def __init__(self, eyes: Eyes, pages: Pages, book: Book | None) -> None:
        self._eyes = eyes
        self._pages = pages
        self._book = book

    def routes(self) -> list[web.RouteDef]:
        """The pages."""
        return [
            web.get("/destinations", self._all),
            web.get("/destinations/{name}", self._one),
        ]

    async def _all(self, request: web.Request) -> web.Response:
        eyes, last = self._eyes, self._eyes.now()
        span = eyes.span(last, eyes.range())
        standings = eyes.standings(last)
        return self._pages.render(
            "destinations.html",
            request=request,
            standings=[(each, sparkline(each.name, span)) for each in standings],
        )

    async def _one(self, request: web.Request) -> web.Response:
        eyes, name = self._eyes, request.match_info["name"]
        config = eyes.shared.config.destinations.get(name)
        if config is None:
            raise no_destination(name)
        chosen, last = eyes.range(request.query.get("range")), eyes.now()
        span = eyes.span(last, chosen)
        (stands,) = [each for each in eyes.standings(last) if each.name == name]
        log, topic = eyes.shared.log, topics.dead(name)
        letters = await read_letters(log, self._book, name, LETTERS_READ)
        why = Counter((each.reason, each.status) for each in letters if each.is_open)
        mended = sum(not each.is_open for each in letters)
        dead = (await count_of(log, [topic]))[topic]
        made = eyes.shared.configured[name]
        return self._pages.render(
            "destination.html",
            request=request,
            name=name,
            stands=stands,
            figures_all=_figures(stands, eyes.lately(last), name),
            plots=_plots(name, span, times(last, chosen)),
            all_ranges=[each.name for each in RANGES],
            over=chosen.name,
            dead=dead - mended,
            mended=mended,
            why=[
                (reason, status, count, urlencode({"reason": reason, "status": status}))
                for (reason, status), count in why.most_common(REASONS)
            ],
            gets=_gets(made, config.when, config.spelling, config.order),
            settings=list(shown_settings(made).items()),
            actions=shown_actions(made, config.actions),
            transform=None if config.transform is None else config.transform.name,
            doc=made.kind.doc or "",
        )


def _figures(
    stands: Standing, minute: Pair | None, name: str
) -> list[Mapping[str, str]]:
    def slow(part: float) -> float | None:
        if minute is None or name not in minute[1].delivery:
            return None
        before = minute[0].delivery.get(name, ())
        return quantile(before, minute[1].delivery[name], part)

    failing = stands.errors is not None and stands.errors > 0.05  # noqa: PLR2004
    return [
        _figure("Delivered", f"{words.rate(stands.rate)}/s", "in the last minute"),
        _figure(
            "Waiting",
            words.number(stands.lag),
            f"{words.number(stands.pending)} of them held by the worker",
            "warn" if stands.word == "behind" else "",
        ),
        _figure(
            "Attempts failed",
            words.share(stands.errors),
            "in the last hour",
            "warn" if failing else "",
        ),
        _figure(
            "An attempt takes",
            words.seconds(slow(0.5)),
            f"99 of 100 at most {words.seconds(slow(0.99))}",
        ),
    ]


def _figure(label: str, value: str, note: str, tone: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note, "tone": tone}


def _plots(name: str, span: Span, at: list[str]) -> list[Plot]:
    def failed(pair: Pair) -> float:
        counts = [
            difference(pair, ATTEMPTS, first=name, second=result) for result in FAILED
        ]
        return per_second(pair, sum(counts))

    def ending(*kinds: str) -> Callable[[Pair], float]:
        return lambda pair: per_second(
            pair,
            sum(difference(pair, OUTCOMES, first=name, second=kind) for kind in kinds),
        )

    def took(part: float) -> Callable[[Pair], Value]:
        def value(pair: Pair) -> Value:
            if name not in pair[1].delivery:
                return None
            before = pair[0].delivery.get(name, ())
            return quantile(before, pair[1].delivery[name], part)

        return value

    return [
        plot(
            "Events a second",
            [
                ("delivered", "one", over(span, delivered(name))),
                ("attempts failed", "bad", over(span, failed)),
            ],
            times=at,
            say=words.rate,
        ),
        plot(
            "Events that wait",
            [("waiting", "one", over(span, lagging(name)))],
            times=at,
            say=words.rate,
        ),
        plot(
            "What becomes of events",
            [
                ("left out", "two", over(span, ending("filtered", "skipped"))),
                ("dead", "bad", over(span, ending("dead"))),
            ],
            times=at,
            say=words.rate,
        ),
        plot(
            "An attempt takes",
            [
                ("99 %", "two", over(span, took(0.99))),
                ("half", "one", over(span, took(0.5))),
            ],
            times=at,
            say=words.seconds,
        ),
    ]


def _gets(
    made: Configured[Any], when: str | None, spelling: str, order: str
) -> list[tuple[str, str, bool]]:
    """(what, how, whether it is code): which events it gets, and how."""
    types = made.takes.types if made.shape is None else made.shape.types
    rows = [("Types", ", ".join(sorted(types)), False)]
    if when is not None:
        rows.append(("When", when, True))
    spelled = made.takes.spelling or spelling
    return [
        *rows,
        ("Traits are spelled", spelled, False),
        ("In order", "one person's events" if order == "person" else "no", False),
    ]


def shown_settings(made: Configured[Any]) -> dict[str, str]:
    """Its settings by name; of a secret only whether it is there."""
    hidden = secrets_of(made.settings, made.given)
    declared = {each.name: each for each in made.kind.settings.settings}
    if not is_dataclass(made.settings) or not declared:
        return {}
    shown = {}
    for each in fields(made.settings):
        value = getattr(made.settings, each.name)
        if each.name not in declared:
            continue
        if declared[each.name].secret and not each.metadata.get("url"):
            shown[each.name] = MASK if value else "not set"
        elif each.metadata.get("url"):
            shown[each.name] = masked_url(str(value), hidden)
        else:
            shown[each.name] = masked(str(value), hidden)
    return shown


def shown_actions(
    made: Configured[Any], actions: Sequence[Mapping[str, Json]]
) -> list[dict[str, list[tuple[str, str]]]]:
    """The tables of ``actions`` without what is secret: whom for, field by field."""
    hidden = secrets_of(made.settings, made.given)
    shown = []
    for each in actions:
        table = _masked(dict(each), hidden)
        mapping = table.pop("mapping", None) or {}
        head = [(key, _short(value)) for key, value in table.items()]
        fields = [(key, _short(value)) for key, value in mapping.items()]
        shown.append({"head": head, "fields": fields})
    return shown


def _short(value: Json) -> str:
    """A value as short as it can be read: a path is its path."""
    if isinstance(value, dict) and len(value) == 1:
        ((directive, given),) = value.items()
        if directive in ("@path", "@template") and isinstance(given, str):
            return given
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _masked(value: Json, hidden: tuple[str, ...]) -> Json:
    if isinstance(value, dict):
        return {key: _masked(each, hidden) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each, hidden) for each in value]
    return masked(value, hidden) if isinstance(value, str) else value
