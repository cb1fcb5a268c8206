"""The first page: what needs somebody, then how much, how fast, how well."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from gateway import topics
from gateway.console import words
from gateway.console.book import Book
from gateway.console.eyes import RANGES, Eyes
from gateway.console.newest import count_of
from gateway.console.page import Pages
from gateway.console.plot import Plot, Value, plot
from gateway.console.samples import (
    ATTEMPTS,
    FAILED,
    MESSAGES,
    OUTCOMES,
    Counts,
    Pair,
    Span,
    difference,
    per_second,
    quantile,
)
from gateway.console.standing import LONG_S, Standing, concerns, with_letters
from gateway.console.trends import lagging, over, sparkline, times
from gateway.errors import GatewayError

SHOWN = 5  # destinations with a line of their own in a plot
TONES = ("one", "two", "three", "four", "five")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number that is read at a glance, and what it is of."""

    label: str
    value: str
    note: str
    tone: str = ""


class Overview:
    """``/``."""

    def __init__(self, eyes: Eyes, pages: Pages, book: Book | None) -> None:
        self._eyes = eyes
        self._book = book
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        """The page."""
        return [web.get("/", self._show)]

    async def _show(self, request: web.Request) -> web.Response:
        eyes, chosen = self._eyes, self._eyes.range(request.query.get("range"))
        last = eyes.now()
        standings, span = eyes.standings(last), eyes.span(last, chosen)
        hour = eyes.samples.within(last, LONG_S)
        trouble = await eyes.log_trouble()
        standings = await self._with_letters(standings)
        return self._pages.render(
            "overview.html",
            request=request,
            concerns=concerns(
                eyes.shared.config,
                standings,
                hour,
                weaknesses=eyes.weaknesses,
                log=trouble,
            ),
            all_figures=_figures(eyes.lately(last), hour, standings),
            plots=_plots(span, times(last, chosen), standings),
            standings=[(each, sparkline(each.name, span)) for each in standings],
            all_ranges=[each.name for each in RANGES],
            over=chosen.name,
            fresh=not any(last.messages.values()) and await self._is_new(),
            hint=_hint(eyes),
        )

    async def _is_new(self) -> bool:
        """Whether nobody has sent anything here, before this process either."""
        shared = self._eyes.shared
        if not shared.accepts:
            return False
        try:
            held = await count_of(shared.log, (topics.EVENTS, topics.REFUSED))
        except GatewayError:
            return False  # the page says what it is with the log
        return not any(held.values())

    async def _with_letters(self, standings: Sequence[Standing]) -> list[Standing]:
        """As they stand, without the dead letters that were sent again since."""
        if self._book is None:
            return [*standings]
        since_ms = time.time_ns() // 1_000_000 - int(LONG_S * 1_000)
        found = await self._book.letters(since_ms)
        return [with_letters(each, found.get(each.name)) for each in standings]


def _hint(eyes: Eyes) -> dict[str, str]:
    """What a first message needs: where to, and who as; never the key itself."""
    config = eyes.shared.config
    url = config.server.public_url or f"http://{config.server.listen}"
    return {"url": url.rstrip("/"), "source": next(iter(config.sources))}


def _figures(
    minute: Pair | None, hour: Pair | None, standings: Sequence[Standing]
) -> list[Figure]:
    accepted = _rate(minute, lambda pair: difference(pair, MESSAGES, second="accepted"))
    delivered = _rate(
        minute, lambda pair: difference(pair, OUTCOMES, second="delivered")
    )
    slow = minute and quantile(minute[0].append, minute[1].append, 0.99)
    lags = [each.lag for each in standings if each.lag is not None]
    refused = _share(hour, MESSAGES, ("refused",))
    failed = _share(hour, ATTEMPTS, FAILED)
    return [
        Figure(
            label="Accepted",
            value=f"{words.rate(accepted)}/s",
            note=f"{words.share(refused)} refused in the last hour",
            tone="warn" if refused and refused > 0.05 else "",  # noqa: PLR2004
        ),
        Figure(
            label="Delivered",
            value=f"{words.rate(delivered)}/s",
            note=f"{words.share(failed)} of attempts failed",
            tone="warn" if failed and failed > 0.05 else "",  # noqa: PLR2004
        ),
        Figure(
            label="Durable after",
            value=words.seconds(slow),
            note="99 of 100 appends, in the last minute",
        ),
        Figure(
            label="Waiting",
            value=words.number(sum(lags) if lags else None),
            note="events on their way to a destination",
        ),
    ]


def _rate(pair: Pair | None, count: Callable[[Pair], int]) -> float | None:
    return None if pair is None else per_second(pair, count(pair))


def _share(pair: Pair | None, counts: Counts, parts: Sequence[str]) -> float | None:
    if pair is None or not (whole := difference(pair, counts)):
        return None
    part = sum(difference(pair, counts, second=each) for each in parts)
    return part / whole


def _sharing(counts: Counts, parts: Sequence[str]) -> Callable[[Pair], Value]:
    return lambda pair: _share(pair, counts, parts) or 0


def _plots(span: Span, at: Sequence[str], standings: Sequence[Standing]) -> list[Plot]:
    """The four questions: how much, how fast, how far behind, how many fail."""

    def rate(result: str) -> list[Value]:
        return over(
            span,
            lambda pair: per_second(pair, difference(pair, MESSAGES, second=result)),
        )

    here = [each for each in standings if each.lag is not None]
    busiest = sorted(here, key=lambda each: -(each.lag or 0))[:SHOWN]
    return [
        plot(
            "Messages a second",
            [
                ("accepted", "one", rate("accepted")),
                ("refused", "bad", rate("refused")),
            ],
            times=at,
            say=words.rate,
        ),
        plot(
            "Until a message is durable",
            [
                ("99 %", "two", over(span, _append(0.99))),
                ("half", "one", over(span, _append(0.5))),
            ],
            times=at,
            say=words.seconds,
        ),
        plot(
            "Events that wait",
            [
                (each.name, tone, over(span, lagging(each.name)))
                for each, tone in zip(busiest, TONES, strict=False)
            ],
            times=at,
            say=words.rate,
        ),
        plot(
            "What fails",
            [
                ("attempts", "bad", over(span, _sharing(ATTEMPTS, FAILED))),
                (
                    "messages refused",
                    "two",
                    over(span, _sharing(MESSAGES, ("refused",))),
                ),
            ],
            times=at,
            say=words.share,
        ),
    ]


def _append(part: float) -> Callable[[Pair], Value]:
    return lambda pair: quantile(pair[0].append, pair[1].append, part)
