"""What the log knows of a message that the store has decided nothing on.

It waits, was left out on its way, was refused, or was never there. The log has no index
of messages: it is read from its end backwards, span by span, and no further than
``RECORDS_MAX`` records.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, TypeAlias

import orjson

from gateway.event import Json
from gateway.log.contract import EventLog, Record, Span
from gateway.topics import EVENTS, OUTCOMES, REFUSED
from gateway.workspace.kind import TAKES

# Who asks has mostly just sent it. On Kafka each span costs two readers: few of them.
BACK_S = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
RECORDS_MAX = 100_000  # read within a second or two
Decision: TypeAlias = Literal["pending", "ignored", "not_routed", "refused", "dead"]
Matches: TypeAlias = Callable[[Record], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of a message so far; ``at`` is when it was received, ISO 8601."""

    decision: Decision
    reason: str | None
    source: str
    at: str
    errors: Sequence[Json] = ()


@dataclass(frozen=True, slots=True)
class Unseen:
    """It is nowhere in what was read: all since then (unix ms), or None: nothing."""

    since_ms: int | None


async def look(
    log: EventLog, workspace: str, message_id: str, source: str | None, now_ms: int
) -> Found | Unseen:
    """What became of it; ``workspace`` is the destination's name. Raises LogError."""
    reading = _Reading(log, message_id, source)
    since_ms: int | None = None
    for back_s in BACK_S:
        span = Span(from_ms=now_ms - back_s * 1_000, until_ms=since_ms)
        if (event := await reading.first(EVENTS, span)) is not None:
            return await _of_event(event, workspace, reading)
        if (refused := await reading.first(REFUSED, span)) is not None:
            return _of_refused(refused)
        if reading.left <= 0:
            break
        since_ms = span.from_ms
    return Unseen(since_ms)


class _Reading:
    """Reads of one request; ``left`` is how many records it may still read."""

    def __init__(self, log: EventLog, message_id: str, source: str | None) -> None:
        self.left = RECORDS_MAX
        self._log = log
        self._wanted = [("messageId", message_id.encode(errors="replace"))]
        if source is not None:
            self._wanted.append(("source", source.encode(errors="replace")))

    async def first(
        self, topic: str, span: Span, matches: Matches | None = None
    ) -> Record | None:
        """The first record about the message; None also when it may read no more."""
        of_it, *more = self._wanted
        async with aclosing(self._log.scan(topic, span)) as records:  # type: ignore[type-var]  # they are generators
            async for record in records:
                if self.left <= 0:
                    return None
                self.left -= 1
                headers = record.headers
                if of_it not in headers or not all(pair in headers for pair in more):
                    continue
                if matches is None or matches(record):
                    return record
        return None


async def _of_event(event: Record, workspace: str, reading: _Reading) -> Found:
    said = {name: value.decode(errors="replace") for name, value in event.headers}
    route = orjson.loads(said.get("route", "{}"))
    decision: Decision = "pending"
    reason: str | None = None
    if workspace not in route.get("to", ()):
        decision = "not_routed"
        reason = route.get("no", {}).get(workspace, "no_such_destination")
        if said["type"] not in TAKES.types:
            decision, reason = "ignored", said["type"]
    elif (outcome := await _outcome(event, workspace, reading)) is not None:
        decision = "dead" if outcome["kind"] == "dead" else "not_routed"
        reason = outcome["reason"] or outcome["kind"]
    return Found(
        decision=decision, reason=reason, source=said["source"], at=said["receivedAt"]
    )


async def _outcome(event: Record, workspace: str, reading: _Reading) -> Json:
    """How it ended in the worker of the workspace, without being applied."""

    def ends(record: Record) -> bool:
        value = orjson.loads(record.value)
        kept = value["kind"] in ("filtered", "skipped", "suppressed", "dead")
        return kept and value["destination"] == workspace

    reading.left = RECORDS_MAX
    found = await reading.first(OUTCOMES, Span(from_ms=event.appended_at_ms), ends)
    return None if found is None else orjson.loads(found.value)


def _of_refused(record: Record) -> Found:
    value = orjson.loads(record.value)
    errors = value["errors"]
    first = errors[0]
    return Found(
        decision="refused",
        reason=f"{first['pointer']}: {first['message']}".removeprefix(": "),
        source=value["source"],
        at=value["receivedAt"],
        errors=errors,
    )
