"""Destinations that speak HTTP, as conversations: requests out, answers in, verdicts.

A destination says what it wants as a ``Talk``: a generator that yields requests, is
sent their answers, and returns what became of its events. It does no I/O, so a search
before an update, two calls for one event, or a verdict for each item of a batch are a
few lines in one file, and are tested without a loop:

    def talk(deliveries, settings, access):
        found = yield Request(method="GET", url=...)
        answer = yield Request(url=... if found.status == 404 else ...)
        return by_status(answer)

What stands here drives it: it sends, halves a batch that is refused as a whole, keeps
an access token until it expires, and writes down the last exchange for dead letters.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from gateway.event import Json
from gateway.outbound.batch import Said, in_parts
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Retry,
    Skipped,
    Takes,
    Verdict,
)
from gateway.outbound.http import (
    NoResponse,
    Request,
    Response,
    Send,
    by_status,
    exchange,
    shown,
)
from gateway.outbound.mask import masked, secrets_of

S = TypeVar("S")
REQUESTS_MAX = 20  # for each event of a conversation: one that goes on is a bug
RENEW_BEFORE_S = 30.0  # an access is renewed so long before it expires

# One verdict: to ask `isinstance` for a Sequence takes ten times as long.
ONE = (Delivered, Skipped, Retry, Rejected)

Talk: TypeAlias = Generator[Request, Response | NoResponse, Said]


class Access(NamedTuple):
    """What a login gave: a token, for so many seconds; "" where nobody logs in.

    ``learnt`` is what talks note in it, for those that follow while it lasts.
    """

    token: str = ""
    expires_s: float = float("inf")
    learnt: set[tuple[str, str]] | None = None


NO_ACCESS = Access()
Login: TypeAlias = Generator[Request, Response | NoResponse, Access | Retry]
Talks: TypeAlias = Callable[[Sequence[Delivery], S, Access], Talk]
Logins: TypeAlias = Callable[[S], Login]


def one_request(
    request: Callable[[Sequence[Delivery], S], Request | None],
    judge: Callable[[Response], Said] = by_status,
) -> Talks[S]:
    """The talk of a destination that sends one request and judges its answer.

    ``request`` gives None for events that the destination has no use for.
    """

    def talk(deliveries: Sequence[Delivery], settings: S, access: Access) -> Talk:
        del access
        made = request(deliveries, settings)
        if made is None:
            return Skipped("no request")
        answer = yield made
        if isinstance(answer, NoResponse):
            return no_answer(answer)
        return judge(answer)

    return talk


def no_answer(nothing: NoResponse) -> Retry:
    """What it means that no answer came: the same may succeed later."""
    return Retry(nothing.reason)


def first_request(talk: Talk) -> Request | None:
    """What a conversation begins with; None when it says nothing."""
    try:
        return next(talk)
    except StopIteration:
        return None
    finally:
        talk.close()


def foreseen(talk: Talk) -> tuple[list[Request], Said | None]:
    """What a conversation says, and its end, if every answer is a bare 200.

    None where it goes on and on.
    """
    requests: list[Request] = []
    try:
        request = next(talk)
        while len(requests) < REQUESTS_MAX:
            requests.append(request)
            request = talk.send(Response(status=200))
    except StopIteration as end:
        return requests, end.value
    finally:
        talk.close()
    return requests, None


class _Heard(NamedTuple):
    """What a conversation said at its end, and its last exchange."""

    said: Said
    requests: int
    last: Request | None
    answer: Response | NoResponse | None


class Talking(Generic[S]):
    """A destination that talks; made once for each that is configured."""

    def __init__(
        self,
        talks: Talks[S],
        settings: S,
        *,
        takes: Takes,
        send: Send,
        logins: Logins[S] | None = None,
        given: Collection[str] = (),
    ) -> None:
        self._talks = talks
        self._settings = settings
        self._takes = takes
        self._send = send
        self._secrets = secrets_of(settings, given)
        self._door = None if logins is None else _Door(logins, settings, send)

    @property
    def takes(self) -> Takes:
        """As declared, with these settings."""
        return self._takes

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        """One conversation for all; a batch refused as a whole is sent in parts."""
        if len(deliveries) > 1:
            return await in_parts(deliveries, self._converse)
        said = await self._converse(deliveries)
        return [said] if isinstance(said, ONE) else said

    async def _converse(self, deliveries: Sequence[Delivery]) -> Said:
        access = NO_ACCESS
        if self._door is not None:
            given = await self._door.access()
            if isinstance(given, Retry):
                return replace(given, reason=masked(given.reason, self._secrets))
            access = given
        talk = self._talks(deliveries, self._settings, access)
        heard = await self._hear(talk, most=REQUESTS_MAX * len(deliveries))
        if self._door is not None and _is_locked_out(heard.said):
            self._door.forget(access)  # revoked early, perhaps: the next try logs in
        return self._written(heard, deliveries)

    async def _hear(self, talk: Talk, *, most: int) -> _Heard:
        requests, last, answer = 0, None, None
        try:
            last = next(talk)
            while True:
                if requests == most:
                    raise RuntimeError(f"a talk of more than {most} requests")
                requests += 1
                answer = await self._send(last)
                last = talk.send(answer)
        except StopIteration as end:
            return _Heard(end.value, requests, last, answer)
        finally:
            talk.close()

    def _written(self, heard: _Heard, deliveries: Sequence[Delivery]) -> Said:
        """With its exchange, what may become a dead letter."""
        said = heard.said
        if isinstance(said, (Delivered, Skipped)):
            return said
        if isinstance(said, Rejected) and len(deliveries) > 1:
            return said  # it is sent again in parts
        verdicts = _each(said, len(deliveries))
        if len(verdicts) != len(deliveries):
            raise ValueError(f"{len(verdicts)} verdicts for {len(deliveries)} events")
        return [
            self._with_exchange(verdict, delivery, heard, alone=len(deliveries) == 1)
            for verdict, delivery in zip(verdicts, deliveries, strict=True)
        ]

    def _with_exchange(
        self, verdict: Verdict, delivery: Delivery, heard: _Heard, *, alone: bool
    ) -> Verdict:
        """An event's dead letter shows its own request, never its neighbours' data."""
        if isinstance(verdict, (Delivered, Skipped)) or verdict.exchange is not None:
            return verdict
        request = heard.last if alone else self._own_request(delivery)
        said = self._without_secrets(verdict)
        if request is None or heard.answer is None:
            return said
        return replace(said, exchange=exchange(request, heard.answer, self._secrets))

    def _without_secrets(self, verdict: Retry | Rejected) -> Retry | Rejected:
        """It may quote what came back, which may quote what was sent."""
        if isinstance(verdict, Rejected):
            return replace(verdict, detail=masked(verdict.detail, self._secrets))
        return replace(verdict, reason=masked(verdict.reason, self._secrets))

    def _own_request(self, delivery: Delivery) -> Request | None:
        return first_request(self._talks([delivery], self._settings, NO_ACCESS))

    def preview(self, delivery: Delivery) -> Mapping[str, Json]:
        """The first request for one event, secrets masked; empty: it sends none."""
        request = self._own_request(delivery)
        return {} if request is None else shown(request, self._secrets)

    def foreseen(
        self, delivery: Delivery
    ) -> tuple[Sequence[Mapping[str, Json]], str | None]:
        """All requests for one event, secrets masked; why, if there are none."""
        talk = self._talks([delivery], self._settings, NO_ACCESS)
        requests, said = foreseen(talk)
        verdict = _each(said, 1)[0] if said is not None else None
        reason = getattr(verdict, "detail", "") or getattr(verdict, "reason", None)
        return [shown(each, self._secrets) for each in requests], reason

    async def close(self) -> None:
        """Nothing of its own is open: the connections belong to the app."""


def _each(said: Said, count: int) -> Sequence[Verdict]:
    if isinstance(said, Sequence):
        return said
    return [said] * count


def _is_locked_out(said: Said) -> bool:
    verdicts = _each(said, 1)
    return any(isinstance(each, Retry) and each.auth for each in verdicts)


@dataclass(slots=True)
class _Kept:
    access: Access
    until_s: float


class _Door(Generic[S]):
    """The access that conversations share: one login at a time, kept until it ends."""

    def __init__(self, logins: Logins[S], settings: S, send: Send) -> None:
        self._logins = logins
        self._settings = settings
        self._send = send
        self._kept: _Kept | None = None
        self._lock = asyncio.Lock()

    async def access(self) -> Access | Retry:
        """A token that is valid now; the login's Retry when there is none."""
        async with self._lock:
            if self._kept is not None and time.monotonic() < self._kept.until_s:
                return self._kept.access
            given = await self._log_in()
            if isinstance(given, Access):
                until_s = time.monotonic() + given.expires_s - RENEW_BEFORE_S
                self._kept = _Kept(given, until_s)
            return given

    async def _log_in(self) -> Access | Retry:
        login, requests = self._logins(self._settings), 0
        try:
            request = next(login)
            while requests < REQUESTS_MAX:
                requests += 1
                request = login.send(await self._send(request))
        except StopIteration as end:
            given: Access | Retry = end.value
            return given
        finally:
            login.close()
        raise RuntimeError(f"a login of more than {REQUESTS_MAX} requests")

    def forget(self, access: Access) -> None:
        """Log in anew next time, unless somebody has done so meanwhile."""
        if self._kept is not None and self._kept.access is access:
            self._kept = None
