"""Destinations that speak HTTP: request, send, judge - once, for all of them.

A destination gives a pure ``request(deliveries, settings)`` and perhaps a ``judge``;
what stands here makes a ``Destination`` of it. ``Send`` is handed down by the app
(send.py has the one on aiohttp; a test gives its own), so that nothing here opens a
connection.
"""

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Generic, Protocol, TypeAlias, TypeVar

from gateway.event import Json
from gateway.outbound.batch import in_parts
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Destination,
    Exchange,
    Rejected,
    Retry,
    Skipped,
    Traits,
    Verdict,
)
from gateway.outbound.mask import (
    BODY_BYTES,
    masked,
    masked_headers,
    masked_url,
    secrets_of,
    text_of,
)

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)
AUTH = frozenset({401, 403, 407})
LATER = frozenset({408, 423, 425, 429, 460, 499})
RETRY_AFTER_CHARS = 1_000
SENSIBLE_S = 86_400.0  # more is believed only where nothing less is said
SECONDS_DIGITS = 9
DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")
HTTP_DATE = re.compile(
    r"[A-Za-z]{3,9},? +[0-9A-Za-z]{1,3}[ -]+[0-9A-Za-z]{1,3}[ -][^,]*"
)
OK, REDIRECT, CLIENT_ERROR, SERVER_ERROR = 200, 300, 400, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, complete but for what the connection adds."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back; ``headers`` have lower-case names, ``body`` is its first 8 KB."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class NoResponse:
    """Nothing that is HTTP came back; ``reason`` is the name of the error."""

    reason: str


Send: TypeAlias = Callable[[Request], Awaitable[Response | NoResponse]]
Judge: TypeAlias = Callable[[Response], Verdict]
Render: TypeAlias = Callable[[Sequence[Delivery], S], Request | None]


def by_status(response: Response) -> Verdict:
    """The usual meaning of a status (DESIGN 5.3).

    2xx delivered; 401, 403, 407 retried, and the breaker opens if nobody is served;
    408, 423, 425, 429, 460, 499 and 5xx retried, not before Retry-After; other 4xx
    refused for good. A redirect is not followed (it would turn a POST into a GET, and
    lead anywhere): it is retried, as it is the URL in the configuration that must be
    mended, not the event.
    """
    status = response.status
    if OK <= status < REDIRECT:
        return Delivered(status)
    if status in AUTH:
        return Retry(str(status), status=status, auth=True)
    if status in LATER or not CLIENT_ERROR <= status < SERVER_ERROR:
        return Retry(str(status), retry_after_s(response.headers), status)
    return Rejected("rejected", str(status), status)


def retry_after_s(
    headers: Mapping[str, str], now_s: Callable[[], float] = time.time
) -> float | None:
    """Seconds that Retry-After asks for; None where it says nothing that can be read.

    Decimals are rounded up. A date counts from the answer's own Date, else from
    ``now_s`` (unix). Of several the largest that makes sense.
    """
    asked = headers.get("retry-after", "")[:RETRY_AFTER_CHARS]
    dates = HTTP_DATE.findall(asked)
    numbers = [each.strip() for each in HTTP_DATE.sub("", asked).split(",")]
    said = [_seconds(each) for each in numbers]
    if dates:
        answered_s = _unix_s(headers.get("date", ""))
        from_s = now_s() if answered_s is None else answered_s
        said += [
            None if at_s is None else at_s - from_s for at_s in map(_unix_s, dates)
        ]
    found = [max(0.0, seconds) for seconds in said if seconds is not None]
    return max([each for each in found if each <= SENSIBLE_S] or found, default=None)


def _seconds(text: str) -> float | None:
    if not DECIMAL.fullmatch(text):
        return None
    whole = float(text.partition(".")[0][:SECONDS_DIGITS])
    return whole + (text.partition(".")[2].strip("0") != "")


def _unix_s(date: str) -> float | None:
    try:
        at = parsedate_to_datetime(date)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except Exception:  # noqa: BLE001 -- email.utils raises what it likes: it is no date
        return None


def shown(request: Request, secrets: tuple[str, ...]) -> Mapping[str, Json]:
    """A request as dead letters and ``gateway explain`` show it: secrets masked."""
    return {
        "method": request.method,
        "url": masked_url(request.url, secrets),
        "headers": masked_headers(request.headers, secrets),
        "body": masked(text_of(request.body), secrets),
    }


def exchange(
    request: Request, response: Response | NoResponse, secrets: tuple[str, ...]
) -> Exchange:
    """A request and what came back, secrets masked."""
    if isinstance(response, NoResponse):
        return Exchange(shown(request, secrets))
    return Exchange(
        shown(request, secrets),
        {
            "status": response.status,
            "headers": masked_headers(response.headers, secrets),
            "body": masked(text_of(response.body[:BODY_BYTES]), secrets),
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDestination(Generic[S]):
    """Sends what ``request`` makes of a batch; one answer judges the batch."""

    settings: S
    traits: Traits
    request: Render[S]
    judge: Judge
    send: Send

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        """One request for all; only a batch refused for good is sent in parts."""
        if len(deliveries) == 1:
            return await self._deliver(deliveries)
        return await in_parts(deliveries, self._deliver)

    async def _deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        request = self.request(deliveries, self.settings)
        if request is None:
            return [Skipped("no request")] * len(deliveries)
        response = await self.send(request)
        if isinstance(response, NoResponse):
            verdict: Verdict = Retry(response.reason)
        else:
            verdict = self.judge(response)
        if isinstance(verdict, (Delivered, Skipped)):
            return [verdict] * len(deliveries)
        return [
            self._with_exchange(verdict, delivery, response) for delivery in deliveries
        ]

    def _with_exchange(
        self,
        verdict: Retry | Rejected,
        delivery: Delivery,
        response: Response | NoResponse,
    ) -> Verdict:
        """Each event's dead letter shows its own request, not its neighbours' data."""
        request = self.request([delivery], self.settings)
        if request is None:
            return verdict
        said = exchange(request, response, secrets_of(self.settings))
        return replace(verdict, exchange=said)

    def preview(self, delivery: Delivery) -> Mapping[str, Json]:
        """The exact request for one event, secrets masked; empty: it sends none."""
        request = self.request([delivery], self.settings)
        return {} if request is None else shown(request, secrets_of(self.settings))

    async def close(self) -> None:
        """Nothing of its own is open: the session belongs to the app."""


class Build(Protocol[S_contra]):
    """How every destination module makes its destination."""

    def __call__(
        self, settings: S_contra, *, name: str, folder: Path, send: Send
    ) -> Destination:
        """Make it, opening nothing yet; ``folder`` is where relative paths start."""
        ...


def destination(
    request: Render[S], *, traits: Callable[[S], Traits], judge: Judge = by_status
) -> Build[S]:
    """The ``build`` of a destination that sends a request and judges its answer."""

    def build(settings: S, *, name: str, folder: Path, send: Send) -> Destination:
        del name, folder
        return HttpDestination(
            settings=settings,
            traits=traits(settings),
            request=request,
            judge=judge,
            send=send,
        )

    return build
