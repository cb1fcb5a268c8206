"""Delivers events to one of Segment's action destinations.

For each event the actions whose triggers want it run one after the other, in the order
of the configuration. An action is a call to the sidecar; the requests it makes come
back here, and leave through the gateway's own sender.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from gateway.actions.conversation import Conversation
from gateway.actions.judge import (
    Said,
    combined,
    is_unknown,
    verdict_of,
    verdicts_of,
)
from gateway.actions.passing import Finished, Key, Passing, Seen, grouped
from gateway.actions.runner import Runner, Unable
from gateway.actions.secrets import forms
from gateway.actions.settings import Chosen, Settings
from gateway.actions.tokens import Tokens
from gateway.actions.view import view
from gateway.event import Json
from gateway.notices import Notice
from gateway.outbound.batch import Said as SaidOfAll
from gateway.outbound.batch import in_parts
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Retry,
    Skipped,
    Takes,
    Verdict,
)
from gateway.outbound.http import Response, Send
from gateway.outbound.kind import Shown
from gateway.outbound.mask import masked

REASON_CHARS = 200
FINISHED_MAX = 10_000  # events with actions that need not be repeated
UNAUTHORIZED = 401


class NoProcess(str):
    """Why a refresh could not even be tried: that says nothing of the credentials."""

    __slots__ = ()


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
        self._finished: dict[Key, Finished] = {}

    @property
    def takes(self) -> Takes:
        """The types that its triggers can want; how many events a call takes."""
        return self._takes

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        """One verdict per event; nothing of an event that is done is done again."""
        passing = [self._begun(delivery) for delivery in deliveries]
        try:
            await self._all(passing)
        except asyncio.CancelledError:  # their time is up
            for each in passing:
                self._remember(each.key, each.done, each.told)
            raise
        return [self._ended(each) for each in passing]

    async def _all(self, passing: Sequence[Passing]) -> None:
        """Each action, in its turn, for those that want it."""
        for number, action in enumerate(self._settings.actions):
            wanted = [each for each in passing if each.is_for(action)]
            if action.batch is None:
                for each in wanted:
                    each.note(action, await self._alone(number, each))
                continue
            for group in grouped(wanted, action):
                verdicts = await in_parts(group, partial(self._together, number))
                for each, verdict in zip(group, verdicts, strict=True):
                    each.note(action, verdict)

    def _begun(self, delivery: Delivery) -> Passing:
        event = delivery.event
        key = (event.source, event.message_id, delivery.replay)
        seen = view(delivery, self._settings.names)
        before = self._finished.pop(key, Finished())
        return Passing(key, seen, before, delivery.only)

    def _ended(self, passing: Passing) -> Verdict:
        """What becomes of it; a refusal may be doubted, and tried again, too."""
        if passing.retry is not None:
            self._remember(passing.key, passing.done, passing.told)
            had = self._had(passing)
            more = {"actions": self._left(passing), "delivered": had}
            return replace(passing.retry, more=more if had else None)
        verdict = combined(passing.done) if passing.done else Skipped("trigger")
        if isinstance(verdict, Rejected):
            fine = {k: v for k, v in passing.done.items() if not _is_refused(v)}
            self._remember(passing.key, fine, passing.told)
            if had := self._had(passing):
                verdict = replace(
                    verdict, more={**(verdict.more or {}), "delivered": had}
                )
        return self._without_the_gone(verdict, passing)

    def _had(self, passing: Passing) -> list[str]:
        """Which actions have delivered it, now or before this replay."""
        return [
            each.name
            for each in self._settings.actions
            if isinstance(passing.done.get(each.name), Delivered)
            or not passing.may_be_for(each)
        ]

    def _left(self, passing: Passing) -> list[str]:
        """Which actions do not have it yet, and want it."""
        return [
            each.name
            for each in self._settings.actions
            if _is_refused(passing.done.get(each.name))
            or (each.name not in passing.done and passing.wanted_by(each))
        ]

    def _without_the_gone(self, verdict: Verdict, passing: Passing) -> Verdict:
        """Says of a replay which of its actions are not configured any more.

        What stands in their place is not run: it may be one that delivered the event.
        """
        if passing.only is None:
            return verdict
        gone = passing.only.difference(each.name for each in self._settings.actions)
        if not gone:
            return verdict
        text = f"no longer configured: {', '.join(sorted(gone))}"[:REASON_CHARS]
        if isinstance(verdict, Delivered):
            return replace(verdict, detail=text)
        return verdict if passing.done else Skipped(text)

    def _remember(
        self, key: Key, done: Mapping[str, Verdict], told: Mapping[str, Json]
    ) -> None:
        """What is done is left out when the event is tried again."""
        if done:
            self._finished[key] = Finished(dict(done), told)
            if len(self._finished) > FINISHED_MAX:
                del self._finished[next(iter(self._finished))]

    def _conversation(self) -> Conversation:
        return Conversation(self._send, self._settings.hosts, self._tell)

    async def _alone(self, number: int, passing: Passing) -> Verdict:
        """One action for one event."""
        talk = self._conversation()
        verdict, told = await self._act(number, passing.seen, passing.told, talk)
        if not isinstance(verdict, Retry):
            passing.told = told
        return verdict

    async def _act(
        self, number: int, seen: Seen, told: Mapping[str, Json], talk: Conversation
    ) -> tuple[Verdict, Mapping[str, Json]]:
        """What became of it, and what it tells the next action at the same event."""
        action = self._settings.actions[number]
        done = await self._run(
            {"action": number, "event": seen, "transaction": told}, talk
        )
        if isinstance(done, (Retry, Rejected)):
            return done, told
        said = Said(done.get("error"), talk.last, done.get("nodes"))
        verdict = self._written(verdict_of(action.name, said), talk, done)
        return _as_asked(verdict, action), done.get("transaction") or {}

    async def _together(self, number: int, group: Sequence[Passing]) -> SaidOfAll:
        """One action for several events in one call; of one alone as ever."""
        if len(group) == 1:
            return [await self._alone(number, group[0])]
        action, talk = self._settings.actions[number], self._conversation()
        events = [each.seen for each in group]
        done = await self._run({"action": number, "events": events}, talk)
        if isinstance(done, (Retry, Rejected)):
            return done
        said = Said(done.get("error"), talk.last, done.get("nodes"))
        verdicts = verdicts_of(action.name, said, len(group))
        if is_unknown(verdicts) and not action.per_item:
            self._tell(Notice("batch_unknown", action.slug))
        if isinstance(verdicts, Rejected):
            return self._written(verdicts, self._conversation(), {})
        return verdicts

    async def _run(
        self, call: Mapping[str, Json], talk: Conversation
    ) -> dict[str, Any] | Retry | Rejected:
        """A call's ``done`` frame; with a new token, if the one it had is expired."""
        auth = await self._tokens.auth(self._refresh)
        if isinstance(auth, str):
            return self._locked_out(auth)
        self._hide()
        done = await self._ask({**call, "auth": auth}, talk)
        if not (self._tokens.renewable and _is_locked_out(done, talk)):
            return done
        used = str(auth["accessToken"])
        if (why := await self._tokens.renew(used, self._refresh)) is not None:
            return self._locked_out(why)
        auth = await self._tokens.auth(self._refresh)
        self._hide()
        talk.heard.clear()
        return await self._ask({**call, "auth": auth}, talk)

    async def _ask(
        self, call: Mapping[str, Json], talk: Conversation
    ) -> dict[str, Any] | Retry | Rejected:
        done = await self._runner.run("call", call, talk.fetch)
        if isinstance(done, Unable):
            return self._away(done.reason)
        if isinstance(done, str):
            name = self._settings.actions[call["action"]].name
            return Rejected("bug", f"{name}: the process died")
        return done

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
            if delivery.only is not None and action.name not in delivery.only:
                reasons.append(f"{action.name}: a replay does not repeat it")
                continue
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

    async def ask(self) -> str | None:
        """Why the credentials do not work, by the package's own test; or None."""
        auth = await self._tokens.auth(self._refresh)
        if isinstance(auth, str):
            return masked(auth, self._secrets)
        talk = self._conversation()
        done = await self._runner.run("test", {"auth": auth}, talk.fetch)
        if isinstance(done, Unable):
            return masked(done.reason, self._secrets)
        if isinstance(done, str):
            return "the process died"
        if (error := done.get("error")) is None:
            return None
        answered = error.get("answered") or error.get("status") or ""
        said = f"{answered} {error.get('message') or error.get('name')}".strip()
        return masked(said, self._secrets)[:REASON_CHARS]

    async def close(self) -> None:
        """End the process, and what else is open."""
        await self._runner.close()
        await self._tokens.close()


def _is_locked_out(done: dict[str, Any] | Retry | Rejected, talk: Conversation) -> bool:
    """Whether the token was refused, by the wire or by the action's own word."""
    if isinstance(done, (Retry, Rejected)):
        return False
    answer = None if talk.last is None else talk.last[1]
    if isinstance(answer, Response):
        return answer.status == UNAUTHORIZED
    return (done.get("error") or {}).get("status") == UNAUTHORIZED


def _is_refused(verdict: Verdict | None) -> bool:
    return isinstance(verdict, Rejected)


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
