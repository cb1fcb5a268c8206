"""What failed last at a destination, told to whoever must mend it.

A status or the name of an error, the host that was asked and, of a redirect, where it
points: no payload, no secret, nothing of a query. /readyz has the last; a notice says
each cause once, and again an hour later if it is still one.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from gateway.event import Json, iso
from gateway.outbound.breaker import Cause
from gateway.outbound.contract import Rejected, Retry

TEXT_CHARS = 200
AGAIN_S = 3_600.0  # a cause that was said is said again
CAUSES_MAX = 20  # said in that time
OPEN_AGAIN_S = 60.0  # a breaker that opens and closes is told this often at most


class Failure(NamedTuple):
    """Why an attempt failed, where, and what it was pointed to instead."""

    reason: str
    host: str | None = None
    location: str | None = None


def failure_of(verdict: Retry | Rejected) -> Failure:
    """What of a verdict may be shown to everybody who may see /readyz."""
    reason = verdict.reason
    if isinstance(verdict, Rejected) and verdict.detail:
        said = verdict.detail if reason == "rejected" else f"{reason}: {verdict.detail}"
        reason = said
    exchange, host, location = verdict.exchange, None, None
    if exchange is not None:
        host = _host(exchange.request.get("url"))
        status = verdict.status or 0
        if exchange.response is not None and 300 <= status < 400:  # noqa: PLR2004 -- redirects
            location = _place(exchange.response.get("headers"))
    return Failure(reason[:TEXT_CHARS], host, location)


def _host(url: Json) -> str | None:
    parts = _parts(url)
    return None if parts is None else parts.netloc[:TEXT_CHARS]


def _place(headers: Json) -> str | None:
    """Where a redirect points: no credentials, no query."""
    parts = _parts(headers.get("location") if isinstance(headers, Mapping) else None)
    if parts is None:
        return None
    return parts._replace(query="", fragment="").geturl()[:TEXT_CHARS]


def _parts(url: Json) -> SplitResult | None:
    """A URL without credentials; None for what is none."""
    if not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2])


class Trouble:
    """One destination's last failure, and who has been told of what."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self._last: tuple[Failure, int] | None = None
        self._said_s: dict[tuple[str, str | None], float] = {}
        self._open_was_said = False
        self.open_again_at_s = float("-inf")
        """When it may be said again that the breaker is open."""

    def last(self) -> Mapping[str, Json] | None:
        """The last failure and its time, for /readyz; None: there was none."""
        if self._last is None:
            return None
        failure, at_ms = self._last
        return {"at": iso(at_ms), **failure._asdict()}

    def failed(self, verdict: Retry | Rejected, now_s: float, at_ms: int) -> None:
        """An attempt failed; a cause that is new is said."""
        failure = failure_of(verdict)
        self._last = failure, at_ms
        cause = failure.reason, failure.host
        if now_s < self._said_s.get(cause, float("-inf")) + AGAIN_S:
            return
        if len(self._said_s) >= CAUSES_MAX:
            of_late = {k: s for k, s in self._said_s.items() if now_s < s + AGAIN_S}
            self._said_s = of_late
        if len(self._said_s) < CAUSES_MAX:
            self._said_s[cause] = now_s
            self._say("delivery_failed", **_fields(failure))

    def breaker_is(self, cause: Cause | None, now_s: float) -> None:
        """Say that it is open, and why, or closed again; once a minute at most."""
        if cause is None:
            if self._open_was_said:
                self._open_was_said = False
                self._say("breaker_closed")
        elif not self._open_was_said and now_s >= self.open_again_at_s:
            self._open_was_said = True
            self.open_again_at_s = now_s + OPEN_AGAIN_S
            last = {} if self._last is None else _fields(self._last[0])
            self._say("breaker_open", cause=cause, **last)


def _fields(failure: Failure) -> dict[str, Any]:
    return {key: text for key, text in failure._asdict().items() if text is not None}
