"""The requests that one action makes, and their answers: sent, and written down."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from gateway.actions.frames import Frame
from gateway.actions.settings import OWN
from gateway.actions.transfer import answer_of, request_of
from gateway.event import Json
from gateway.notices import Notice
from gateway.outbound.contract import Exchange, Retry
from gateway.outbound.http import (
    NoResponse,
    Request,
    Response,
    Send,
    by_status,
    exchange,
    shown,
)
from gateway.outbound.mask import masked_url
from gateway.web import is_url

REQUESTS_MAX = 50  # of one action for one event
HOST_CHARS = 200

Heard: TypeAlias = tuple[Request, Response | NoResponse]


class Conversation:
    """One action at one event, from its first request to its end."""

    def __init__(
        self, send: Send, hosts: Iterable[str], tell: Callable[[Notice], None]
    ) -> None:
        self._send = send
        self._hosts = hosts
        self._tell = tell
        self.heard: list[Heard] = []

    @property
    def last(self) -> Heard | None:
        """Its last exchange; None when it made no request."""
        return self.heard[-1] if self.heard else None

    async def fetch(self, frame: Mapping[str, Any]) -> Frame:
        """Send what a ``fetch`` frame asks for; the ``answer`` frame."""
        request = request_of(frame)
        if not is_url(request.url):
            return answer_of(NoResponse("InvalidURL"))  # nobody to write of
        answer: Response | NoResponse
        if self.last is not None and _ends(self.last[1]):
            # Not heard: what it is judged by stays the answer before.
            return answer_of(NoResponse("PutOffError"))
        if len(self.heard) >= REQUESTS_MAX:
            answer = NoResponse("TooManyRequestsError")
        elif not self._may_go(request.url):
            answer = NoResponse("UnexpectedHostError")
        else:
            answer = await self._send(request)
        self.heard.append((request, answer))
        return answer_of(answer)

    def _may_go(self, url: str) -> bool:
        host = urlsplit(url).hostname or ""
        if allows(self._hosts, host):
            return True
        self._tell(Notice("unexpected_host", host[:HOST_CHARS]))
        return False

    def kept(self, secrets: tuple[str, ...]) -> Exchange | None:
        """The last exchange as a dead letter has it, with those before it in short."""
        if self.last is None:
            return None
        last = exchange(*self.last, secrets)
        if len(self.heard) == 1:
            return last
        earlier = [_in_short(each, secrets) for each in self.heard[:-1]]
        return Exchange({**last.request, "earlier": earlier}, last.response)

    def requests(self, secrets: tuple[str, ...]) -> Sequence[Mapping[str, Json]]:
        """All it would send; from the second on it depends on what is answered."""
        first, *others = [shown(request, secrets) for request, _ in self.heard] or [{}]
        later = [{**each, "depends": "on the answers before it"} for each in others]
        return [first, *later] if first else []


def _ends(answer: Response | NoResponse) -> bool:
    """Whether all is to be tried again later, whatever the code makes of the answer.

    One that takes a look-up that failed for "not found" would make everybody twice.
    """
    return isinstance(answer, NoResponse) or isinstance(by_status(answer), Retry)


def _in_short(heard: Heard, secrets: tuple[str, ...]) -> Mapping[str, Json]:
    request, answer = heard
    said = answer.reason if isinstance(answer, NoResponse) else answer.status
    url = masked_url(request.url, secrets)
    return {"method": request.method, "url": url, "answer": said}


def allows(hosts: Iterable[str], host: str) -> bool:
    """Whether a host is one of these, below or above one, or beside one (``api-eu.``).

    A ``*`` stands for what is of the settings: a region, an account. What begins with
    ``OWN`` is that host and those below it: who gave it meant none beside it, of a
    domain that many share.
    """
    beside = host.partition(".")[2]
    for each in hosts:
        if each.startswith(OWN):
            own = each.removeprefix(OWN)
            if host == own or host.endswith(f".{own}"):
                return True
            continue
        above = each.partition(".")[2]
        if host == each or host.endswith(f".{each}") or fnmatchcase(host, each):
            return True
        if "." in above and fnmatchcase(host, above):
            return True
        if "." in beside and fnmatchcase(beside, above):
            return True
    return False
