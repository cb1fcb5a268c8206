"""Sends each event, as JSON, to a URL of yours.

The body is the event as the log keeps it, traits in the destination's `spelling`; with
a `mapping` in a table of its `actions` it is the mapped object alone. With `batch`
above 1 it is a JSON array of up to that many events, of different people.

Headers: `Content-Type: application/json`; `X-Gateway-Message-Id` (percent-encoded where
a header cannot hold it; not on a request with several events); `X-Gateway-Replay` on a
replay; `X-Gateway-Signature: sha256=HEX`, the HMAC-SHA256 of the body, when `secret` is
set. Yours are added, and may replace the content type. Dead letters and `gateway
explain` show none of their values; nor what stands in the URL by `${NAME}`, but for its
host: give the path so if it is a secret.

Answer with 2xx when you have it: the status line is the answer. 408, 423, 425, 429,
460, 499, 5xx, a redirect or no answer: it is sent again, not before `Retry-After`. 401,
403, 407: so, too, and when nobody else is served only probes are sent. Other 4xx: it is
never sent again but kept in `dead.NAME`; a batch is first sent again in parts, so that
only the bad event is given up. An event may come twice (after a crash, or if your
answer was lost): its message id tells.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from gateway.errors import ConfigError
from gateway.event import PIPELINE_TYPES
from gateway.outbound.batch import json_array
from gateway.outbound.contract import Delivery, Takes, whole
from gateway.outbound.http import Request
from gateway.outbound.kind import Kind, Schema, setting
from gateway.outbound.shape import Mapped
from gateway.outbound.talk import one_request

BATCH_MAX = 1_000
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
PLAIN = re.compile(r"[0-9A-Za-z_.~-]+")  # what quote() leaves alone
HEADER_SAFE = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"  # beside what quote() leaves anyway
OURS = frozenset(  # of the connection, or said by us: another value would not be true
    {
        "content-length",
        "content-encoding",
        "host",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "x-gateway-signature",
        "x-gateway-message-id",
        "x-gateway-replay",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``settings = {...}`` of a webhook."""

    url: str = setting(
        doc="Where events are sent: http or https",
        example='"https://crm.example/hook"',
        url=True,
    )
    secret: str = setting(
        doc="Signs each body (HMAC-SHA256); empty: no signature",
        example='"${CRM_SECRET}"',
        secret=True,
        default="",
    )
    headers: dict[str, str] = setting(  # noqa: RUF009 -- it is a dataclass field
        doc="Sent with every request",
        example='{ Authorization = "Bearer ${CRM_TOKEN}" }',
        secret=True,
        default={},
    )
    batch: int = setting(
        doc="Events a request: 1 sends the event itself, more a JSON array",
        example="100",
        default=1,
    )
    method: Literal["POST", "PUT", "PATCH"] = setting(
        doc="How it is sent", example='"PUT"', default="POST"
    )


def check(settings: Settings, place: str) -> None:
    """Raise ConfigError for a value that cannot work."""
    if settings.batch > BATCH_MAX:
        raise ConfigError(f"{place}.batch: {settings.batch} is not 1 to {BATCH_MAX}")
    for name, value in settings.headers.items():
        _check_header(name, value, f"{place}.headers.{name}")
    names = [name.lower() for name in settings.headers]
    for name in settings.headers:
        if names.count(name.lower()) > 1:
            raise ConfigError(f"{place}.headers.{name}: is there twice")
    if "authorization" in names and "@" in urlsplit(settings.url).netloc:
        text = "the URL has a user already, which is sent as this header: leave one out"
        raise ConfigError(f"{place}.headers.Authorization: {text}")


def _check_header(name: str, value: object, place: str) -> None:
    if not HEADER_NAME.fullmatch(name) or name.lower() in OURS:
        raise ConfigError(f"{place}: a header of this name cannot be set")
    if not isinstance(value, str) or not HEADER_VALUE.fullmatch(value):
        raise ConfigError(f"{place}: the value is not a text of printable ASCII")


def request(deliveries: Sequence[Delivery], settings: Settings) -> Request:
    """The one request for these events."""
    values = map(whole, deliveries)
    body = next(values) if settings.batch == 1 else json_array(values)
    headers = dict(settings.headers)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    if len(deliveries) == 1:
        headers["X-Gateway-Message-Id"] = _as_header(deliveries[0].message_id)
    replay = deliveries[0].replay
    if replay is not None and all(each.replay == replay for each in deliveries):
        headers["X-Gateway-Replay"] = _as_header(replay)
    if settings.secret:
        signature = hmac.digest(settings.secret.encode(), body, "sha256").hex()
        headers["X-Gateway-Signature"] = f"sha256={signature}"
    return Request(method=settings.method, url=settings.url, headers=headers, body=body)


def _as_header(text: str) -> str:
    """Percent-encoded where a header cannot hold it; most ids can be held."""
    return text if PLAIN.fullmatch(text) else quote(text, safe=HEADER_SAFE)


def takes(settings: Settings) -> Takes:
    """Every type of event, as many a request as the settings say."""
    return Takes(types=frozenset(PIPELINE_TYPES), batch_events=settings.batch)


KIND = Kind(
    doc=__doc__,
    settings=Schema.of(Settings),
    takes=takes,
    check=check,
    mapped=Mapped(whole=True),
    talk=one_request(request),
)
