"""HTTP as values: a request, what came of it, what a status means, what may be shown.

``Send`` is handed down by the app (send.py has the one on aiohttp; a test gives its
own), so that nothing here opens a connection.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from gateway.event import Json
from gateway.outbound.contract import Delivered, Exchange, Rejected, Retry, Verdict
from gateway.outbound.mask import (
    BODY_BYTES,
    masked,
    masked_headers,
    masked_url,
    text_of,
)

AUTH = frozenset({401, 403, 407})
LATER = frozenset({408, 423, 429})
OK, REDIRECT, CLIENT_ERROR, SERVER_ERROR = 200, 300, 400, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, complete but for what the connection adds."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    answer_bytes: int = BODY_BYTES
    """How much of the answer's body is wanted; dead letters show 8 KB of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back; ``headers`` have lower-case names, ``body`` is its beginning."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class NoResponse:
    """Nothing that is HTTP came back; ``reason`` is the name of the error."""

    reason: str


Send: TypeAlias = Callable[[Request], Awaitable[Response | NoResponse]]


def json_request(
    url: str, body: bytes, *, method: str = "POST", **headers: str
) -> Request:
    """A request whose body is JSON already; ``X_Api_Key="..."`` is a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(
        url=url,
        method=method,
        headers={"Content-Type": "application/json", **named},
        body=body,
    )


def by_status(response: Response) -> Verdict:
    """The usual meaning of a status (DESIGN 5.3).

    2xx delivered; 401, 403, 407 retried, and the breaker opens; 408, 423, 429 and 5xx
    retried, not before Retry-After; other 4xx refused for good. A redirect is not
    followed (it would turn a POST into a GET, and lead anywhere): it is retried, as
    it is the URL in the configuration that must be mended, not the event.
    """
    status = response.status
    if OK <= status < REDIRECT:
        return Delivered(status)
    if status in AUTH:
        return Retry(str(status), status=status, auth=True)
    if status in LATER or not CLIENT_ERROR <= status < SERVER_ERROR:
        return Retry(str(status), retry_after_s(response.headers), status)
    return Rejected("rejected", str(status), status)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks for; a date counts from the answer's own Date."""
    asked = headers.get("retry-after", "").strip()
    if asked.isdecimal():
        return float(asked[:9])
    try:
        until = parsedate_to_datetime(asked)
        now = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):  # not a date; a date with and one without a zone
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
