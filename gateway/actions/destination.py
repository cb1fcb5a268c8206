"""Delivers events to one of Segment's action destinations.

For each event the actions whose triggers want it run one after the other, in the order
of the configuration. An action is a call to the sidecar; the requests it makes come
back here, and leave through the gateway's own sender.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from gateway.actions.frames import Frame
from gateway.actions.judge import Said, combined, verdict_of
from gateway.actions.runner import Runner, Unable
from gateway.actions.settings import Chosen, Settings
from gateway.actions.transfer import answer_of, request_of
from gateway.actions.view import view
from gateway.event import Json
from gateway.notices import Notice
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Exchange,
    Rejected,
    Retry,
    Skipped,
    Takes,
    Verdict,
)
from gateway.outbound.http import NoResponse, Request, Response, Send, exchange
from gateway.outbound.mask import masked, masked_url

REQUESTS_MAX = 50  # of one action for one event
REASON_CHARS = 200
FINISHED_MAX = 10_000  # events with actions that need not be repeated

Heard = tuple[Request, Response | NoResponse]


@dataclass(slots=True)
class Talk:
    """What one action said and heard, in its order."""

    heard: list[Heard] = field(default_factory=list)

    @property
    def last(self) -> Heard | None:
        """Its last exchange; None when it made no request."""
        return self.heard[-1] if self.heard else None


class Actions:
    """A ``Destination`` whose requests a sidecar makes up."""

    def __init__(
        self,
        settings: Settings,
        takes: Takes,
        runner: Runner,
        send: Send,
        tell: Callable[[Notice], None],
    ) -> None:
        self._settings = settings
        self._takes = takes
        self._runner = runner
        self._send = send
        self._tell = tell
        self._finished: dict[tuple[str, str, str | None], dict[str, Verdict]] = {}

    @property
    def takes(self) -> Takes:
        """The types that its triggers can want; one event at a time."""
        return self._takes

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        """One verdict per event; nothing of an event that is done is done again."""
        return [await self._one(delivery) for delivery in deliveries]

    async def _one(self, delivery: Delivery) -> Verdict:
        seen = view(delivery, self._settings.names)
        event = delivery.event
        key = (event.source, event.message_id, delivery.replay)
        verdicts = self._finished.pop(key, {})
        wanted = [
            (number, action)
            for number, action in enumerate(self._settings.actions)
            if action.wants.because(seen) is None
        ]
        if not wanted:
            return Skipped("trigger")
        transaction: Mapping[str, Json] = {}
        for number, action in wanted:
            if action.name in verdicts:
                continue
            verdict, transaction = await self._act(number, action, seen, transaction)
            verdicts[action.name] = verdict
            if isinstance(verdict, Retry):
                self._remember(key, verdicts)
                return verdict
        return combined(verdicts)

    def _remember(
        self, key: tuple[str, str, str | None], verdicts: dict[str, Verdict]
    ) -> None:
        """The actions that are done are left out when the event is tried again."""
        done: dict[str, Verdict] = {
            n: each for n, each in verdicts.items() if not isinstance(each, Retry)
        }
        if done:
            self._finished[key] = done
            if len(self._finished) > FINISHED_MAX:
                del self._finished[next(iter(self._finished))]

    async def _act(
        self,
        number: int,
        action: Chosen,
        seen: Mapping[str, Json],
        transaction: Mapping[str, Json],
    ) -> tuple[Verdict, Mapping[str, Json]]:
        talk = Talk()

        async def fetch(frame: Mapping[str, Any]) -> Frame:
            return await self._fetch(frame, talk)

        call = {"action": number, "event": seen, "transaction": transaction, "auth": {}}
        done = await self._runner.run("call", call, fetch)
        if isinstance(done, Unable):
            why = masked(done.reason, self._settings.secrets)[:REASON_CHARS]
            return Retry(f"sidecar: {why}", away=True), transaction
        if isinstance(done, str):
            return Rejected("bug", f"{action.name}: the process died"), transaction
        said = Said(done.get("error"), talk.last, done.get("nodes"))
        verdict = self._written(verdict_of(action.name, said), talk, done)
        if isinstance(verdict, Rejected) and verdict.unsent:
            verdict = _as_told(verdict, action)
        return verdict, done.get("transaction") or {}

    async def _fetch(self, frame: Mapping[str, Any], talk: Talk) -> Frame:
        request = request_of(frame)
        answer: Response | NoResponse
        if len(talk.heard) >= REQUESTS_MAX:
            answer = NoResponse("TooManyRequestsError")
        elif not self._may_go(request.url):
            answer = NoResponse("UnexpectedHostError")
        else:
            answer = await self._send(request)
        talk.heard.append((request, answer))
        return answer_of(answer)

    def _may_go(self, url: str) -> bool:
        host = urlsplit(url).hostname or ""
        if allows(self._settings.hosts, host):
            return True
        self._tell(Notice("unexpected_host", host[:200]))
        return False

    def _written(
        self, verdict: Verdict, talk: Talk, done: Mapping[str, Any]
    ) -> Verdict:
        """With what was said: the last exchange, those before it, or the payload."""
        if isinstance(verdict, (Delivered, Skipped)):
            return verdict
        if talk.last is not None:
            secrets = self._settings.secrets
            kept = exchange(*talk.last, secrets)
            if len(talk.heard) > 1:
                earlier = [self._in_short(each) for each in talk.heard[:-1]]
                kept = Exchange({**kept.request, "earlier": earlier}, kept.response)
            verdict = replace(verdict, exchange=kept)
        if isinstance(verdict, Rejected):
            more = dict(verdict.more or {})
            if "error" in more:
                more["error"] = masked(str(more["error"]), self._settings.secrets)
            if talk.last is None and (payload := done.get("payload")) is not None:
                more["payload"] = payload
            verdict = replace(verdict, more=more or None)
        return verdict

    def _in_short(self, heard: Heard) -> Mapping[str, Json]:
        request, answer = heard
        said = answer.reason if isinstance(answer, NoResponse) else answer.status
        url = masked_url(request.url, self._settings.secrets)
        return {"method": request.method, "url": url, "answer": said}

    async def close(self) -> None:
        """End the process."""
        await self._runner.close()


def _as_told(verdict: Rejected, action: Chosen) -> Verdict:
    """An event that the action cannot take: given up, or left out if so configured."""
    return Skipped(verdict.detail) if action.on_invalid == "skip" else verdict


def allows(hosts: Iterable[str], host: str) -> bool:
    """Whether a host is one of these, or beside one (``api-eu.`` for ``api.``).

    A ``*`` stands for what is of the settings: a region, an account.
    """
    beside = host.partition(".")[2]
    for each in hosts:
        if host == each or fnmatchcase(host, each):
            return True
        if "." in beside and fnmatchcase(beside, each.partition(".")[2]):
            return True
    return False
