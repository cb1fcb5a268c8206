"""HTTP as values: a request, what came of it, what a status means, what may be shown.

``Send`` is handed down by the app (send.py has the one on aiohttp; a test gives its
own), so that nothing here opens a connection.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
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
LATER = frozenset({408, 423, 425, 429, 460, 499})
RETRY_AFTER_CHARS = 1_000
SENSIBLE_S = 86_400.0  # more is believed only where nothing less is said
SECONDS_DIGITS = 9
DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")
HTTP_DATE = re.compile(
    r"[A-Za-z]{3,9},? +[0-9A-Za-z]{1,3}[ -]+[0-9A-Za-z]{1,3}[ -][^,]*"
)
OK, REDIRECT, CLIENT_ERROR, SERVER_ERROR = 200, 300, 400, 500
DELIVERED = [Delivered(status) for status in range(OK, REDIRECT)]


@dataclass(slots=True, kw_only=True)  # frozen, it takes four times as long to make
class Request:
    """One HTTP request, complete but for what the connection adds; never changed."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    answer_bytes: int = BODY_BYTES
    """How much of the answer's body is wanted; dead letters show 8 KB of it."""


@dataclass(slots=True, kw_only=True)
class Response:
    """What came back; ``headers`` have lower-case names, ``body`` is its beginning.

    ``at_s`` is when it came: unix seconds.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    at_s: float = 0.0


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

    2xx delivered; 401, 403, 407 retried, and the breaker opens if nobody is served;
    408, 423, 425, 429, 460, 499 and 5xx retried, not before Retry-After; other 4xx
    refused for good. A redirect is not followed (it would turn a POST into a GET, and
    lead anywhere): it is retried, as it is the URL in the configuration that must be
    mended, not the event.
    """
    status = response.status
    if OK <= status < REDIRECT:
        return DELIVERED[status - OK]
    if status in AUTH:
        return Retry(str(status), status=status, auth=True)
    if status in LATER or not CLIENT_ERROR <= status < SERVER_ERROR:
        return Retry(str(status), _later(response), status)
    return Rejected("rejected", str(status), status)


def _later(response: Response) -> float | None:
    return retry_after_s(response.headers, response.at_s)


def retry_after_s(headers: Mapping[str, str], at_s: float) -> float | None:
    """Seconds that Retry-After asks for; None where it says nothing that can be read.

    Decimals are rounded up. A date counts from the answer's own Date, else from when it
    came, ``at_s`` (unix). Of several the largest that makes sense.
    """
    asked = headers.get("retry-after", "")[:RETRY_AFTER_CHARS]
    dates = HTTP_DATE.findall(asked)
    numbers = [each.strip() for each in HTTP_DATE.sub("", asked).split(",")]
    said = [_seconds(each) for each in numbers]
    if dates:
        answered_s = _unix_s(headers.get("date", ""))
        from_s = at_s if answered_s is None else answered_s
        said += [
            None if until_s is None else until_s - from_s
            for until_s in map(_unix_s, dates)
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
