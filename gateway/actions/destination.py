"""Delivers events to one of Segment's action destinations.

For each event the actions whose triggers want it run one after the other, in the order
of the configuration. An action is a call to the sidecar; the requests it makes come
back here, and leave through the gateway's own sender.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from gateway.actions.conversation import Conversation
from gateway.actions.judge import Said, combined, verdict_of
from gateway.actions.runner import Runner, Unable
from gateway.actions.secrets import forms
from gateway.actions.settings import Chosen, Settings
from gateway.actions.tokens import Tokens
from gateway.actions.view import view
from gateway.event import Json
from gateway.notices import Notice
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Retry,
    Skipped,
    Takes,
    Verdict,
)
from gateway.outbound.http import Send
from gateway.outbound.kind import Shown
from gateway.outbound.mask import masked

REASON_CHARS = 200
FINISHED_MAX = 10_000  # events with actions that need not be repeated
UNAUTHORIZED = 401

Seen: TypeAlias = dict[str, Json]
Key: TypeAlias = tuple[str, str, str | None]
Act: TypeAlias = tuple[Verdict, Mapping[str, Json]]
"""What became of an action, and what it tells the next one at the same event."""


class NoProcess(str):
    """Why a refresh could not even be tried: that says nothing of the credentials."""

    __slots__ = ()


@dataclass(slots=True)
class Done:
    """What the actions that are done said of one event, and tell the next one."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    told: Mapping[str, Json] = field(default_factory=dict)


class Actions:
    """A ``Destination`` whose requests a sidecar makes up."""

    def __init__(
        self,
        settings: Settings,
        takes: Takes,
        runner: Runner,
        tokens: Tokens,
        send: Send,
        tell: Callable[[Notice], None],
    ) -> None:
        self._settings = settings
        self._takes = takes
        self._runner = runner
        self._tokens = tokens
        self._send = send
        self._tell = tell
        self._secrets = settings.secrets
        self._hidden = tokens.secrets
        self._finished: dict[Key, Done] = {}

    @property
    def takes(self) -> Takes:
        """The types that its triggers can want; one event at a time."""
        return self._takes

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        """One verdict per event; nothing of an event that is done is done again."""
        return [await self._one(delivery) for delivery in deliveries]

    async def _one(self, delivery: Delivery) -> Verdict:
        seen, event = view(delivery, self._settings.names), delivery.event
        key = (event.source, event.message_id, delivery.replay)
        done = self._finished.pop(key, None) or Done()
        try:
            verdict = await self._rest(seen, done)
        except asyncio.CancelledError:  # its time is up
            self._remember(key, done)
            raise
        if isinstance(verdict, Retry):
            self._remember(key, done)
        return verdict

    async def _rest(self, seen: Seen, done: Done) -> Verdict:
        """The actions that are not done yet, until one asks for a later time."""
        for number, action in enumerate(self._settings.actions):
            if action.name in done.verdicts or not action.wants(seen):
                continue
            talk = self._conversation()
            verdict, told = await self._act(number, seen, done.told, talk)
            if isinstance(verdict, Retry):
                return verdict
            done.verdicts[action.name], done.told = verdict, told
        return combined(done.verdicts) if done.verdicts else Skipped("trigger")

    def _remember(self, key: Key, done: Done) -> None:
        """The actions that are done are left out when the event is tried again."""
        if done.verdicts:
            self._finished[key] = done
            if len(self._finished) > FINISHED_MAX:
                del self._finished[next(iter(self._finished))]

    def _conversation(self) -> Conversation:
        return Conversation(self._send, self._settings.hosts, self._tell)

    async def _act(
        self, number: int, seen: Seen, told: Mapping[str, Json], talk: Conversation
    ) -> Act:
        """One action; with a new token, if the one that it had is expired."""
        auth = await self._tokens.auth(self._refresh)
        if isinstance(auth, str):
            return self._locked_out(auth), told
        self._hide()
        call = {"action": number, "event": seen, "transaction": told}
        done = await self._call({**call, "auth": auth}, talk)
        if not (_is_locked_out(done[0]) and self._tokens.renewable):
            return done
        used = str(auth["accessToken"])
        if (why := await self._tokens.renew(used, self._refresh)) is not None:
            return self._locked_out(why), told
        auth = await self._tokens.auth(self._refresh)
        self._hide()
        talk.heard.clear()
        return await self._call({**call, "auth": auth}, talk)

    def _hide(self) -> None:
        """What is masked: tokens that came by a refresh, too."""
        if self._hidden != self._tokens.secrets:
            self._hidden = self._tokens.secrets
            self._secrets = (*self._settings.secrets, *forms(self._hidden))

    def _locked_out(self, why: str) -> Retry:
        if isinstance(why, NoProcess):
            return self._away(why)
        reason = masked(why, self._secrets)[:REASON_CHARS]
        return Retry(f"refresh: {reason}", status=UNAUTHORIZED, auth=True)

    def _away(self, why: str) -> Retry:
        reason = masked(why, self._secrets)[:REASON_CHARS]
        return Retry(f"sidecar: {reason}", away=True)

    async def _refresh(self, auth: Mapping[str, Json]) -> Mapping[str, Json] | str:
        """New tokens, or why there are none; what is said for that is never kept."""
        talk = self._conversation()
        done = await self._runner.run("refresh", {"auth": auth}, talk.fetch)
        if isinstance(done, Unable):
            return NoProcess(done.reason)
        if isinstance(done, str):
            return "the process died"
        if (error := done.get("error")) is not None:
            answered = error.get("answered") or error.get("code") or ""
            return f"{error.get('name') or error.get('class')} {answered}".strip()
        tokens: Mapping[str, Json] = done.get("tokens") or {}
        return tokens

    async def _call(self, call: Mapping[str, Json], talk: Conversation) -> Act:
        action, told = self._settings.actions[call["action"]], call["transaction"]
        done = await self._runner.run("call", call, talk.fetch)
        if isinstance(done, Unable):
            return self._away(done.reason), told
        if isinstance(done, str):
            return Rejected("bug", f"{action.name}: the process died"), told
        said = Said(done.get("error"), talk.last, done.get("nodes"))
        verdict = self._written(verdict_of(action.name, said), talk, done)
        return _as_asked(verdict, action), done.get("transaction") or {}

    def _written(
        self, verdict: Verdict, talk: Conversation, done: Mapping[str, Any]
    ) -> Verdict:
        """With what was said: the exchanges; or the payload that was not sent."""
        if isinstance(verdict, (Delivered, Skipped)):
            return verdict
        verdict = replace(verdict, exchange=talk.kept(self._secrets))
        if isinstance(verdict, Rejected):
            more = dict(verdict.more or {})
            if "error" in more:
                more["error"] = masked(str(more["error"]), self._secrets)
            if talk.last is None and (payload := done.get("payload")) is not None:
                more["payload"] = payload
            verdict = replace(verdict, more=more or None)
        return verdict

    async def show(self, delivery: Delivery) -> Shown:
        """What would be sent, masked; for a destination whose ``send`` sends nothing.

        Why each of the other actions would send nothing.
        """
        seen = view(delivery, self._settings.names)
        reasons: list[str] = []
        requests: list[Mapping[str, Json]] = []
        for number, action in enumerate(self._settings.actions):
            if (why := action.wants.because(seen)) is not None:
                reasons.append(f"{action.name}: {why}")
                continue
            talk = self._conversation()
            verdict, _ = await self._act(number, seen, {}, talk)
            made = talk.requests(self._secrets)
            requests += [{"action": action.name, **each} for each in made]
            if not made:
                reasons.append(_reason(action, verdict))
        return Shown(requests, "; ".join(reasons))

    async def close(self) -> None:
        """End the process, and what else is open."""
        await self._runner.close()
        await self._tokens.close()


def _is_locked_out(verdict: Verdict) -> bool:
    return isinstance(verdict, Retry) and verdict.status == UNAUTHORIZED


def _reason(action: Chosen, verdict: Verdict) -> str:
    """Why an action sends nothing; of what it refuses, with its own words."""
    if isinstance(verdict, Rejected):
        error = (verdict.more or {}).get("error")
        return verdict.detail if error is None else f"{verdict.detail}: {error}"
    return f"{action.name}: {getattr(verdict, 'reason', 'no request')}"


def _as_asked(verdict: Verdict, action: Chosen) -> Verdict:
    """An event that an action cannot take is given up, or left out if so configured."""
    if isinstance(verdict, Rejected) and verdict.unsent and action.on_invalid == "skip":
        return Skipped(verdict.detail)
    return verdict
