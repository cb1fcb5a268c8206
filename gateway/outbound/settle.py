"""The end of an event at a destination: its outcome, its dead letter, then the mark.

What comes in: verdicts. What goes out: entries of ``outcomes`` and ``dead.NAME`` in the
shapes of INTERFACE, and ``Subscription.settle``, which writes them before the marks
(DESIGN 5.5). Events that end together share one settle: while one is under way the next
ones collect.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from typing import NamedTuple

import orjson

from gateway import topics
from gateway.errors import LogError, place_of
from gateway.event import Json, iso
from gateway.log.contract import Entry, Headers, Record, Subscription
from gateway.notices import Notice, Notices
from gateway.outbound.bells import happens
from gateway.outbound.contract import (
    TRIES_MAX,
    Delivered,
    Outcome,
    Rejected,
    Retry,
    Skipped,
    Try,
)
from gateway.outbound.headers import ACTIONS, Names, named, names_in
from gateway.outbound.retry import pause_s

GATHER_S = 0.05  # ends are gathered for so long, unless they are many
FLIGHTS = 2  # groups on their way to the disk
MANY = 4  # the part of what may be unsettled that is not waited with
GROUP_RECORDS = 1_000  # records one settle marks at most: bounds its transaction
GROUP_BYTES = 8_388_608  # bytes of outcomes and dead letters one settle writes at most
SAID_CHARS = 8_192  # of what a destination says of an event
DETAIL_CHARS = 1_000  # of a text that could not be written as it was
STATUS_MAX = 999
ERROR_CHARS = 300  # of an attempt's error: a status, the name of an error, a place
# What ``Entry(...)`` does, in half the time.
_entry: Callable[[tuple[str, bytes, bytes, Headers]], Entry] = partial(
    tuple.__new__, Entry
)
_time = lru_cache(maxsize=1_024)(iso)  # events that end together share their times


class Attempts(NamedTuple):
    """How often an event was sent, and when: unix milliseconds.

    ``failed`` are the last attempts that the end is not the answer of.
    """

    made: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    failed: Sequence[Try] = ()


def outcome_of(verdict: Delivered | Skipped | Rejected) -> Outcome:
    """The end that a verdict means; a Retry is none."""
    match verdict:
        case Delivered(status, ""):
            return _delivered(status)
        case Delivered(status, detail):
            return Outcome(kind="delivered", status=status, detail=detail)
        case Skipped():
            return Outcome(kind="skipped", reason=verdict.reason)
        case Rejected():
            return Outcome(
                kind="dead",
                reason=verdict.reason,
                status=verdict.status,
                detail=verdict.detail,
                exchange=verdict.exchange,
                more=verdict.more,
            )


@lru_cache(maxsize=1_024)
def _delivered(status: int | None) -> Outcome:
    """The end of nearly every event."""
    return Outcome(kind="delivered", status=status)


def given_up(reason: str, last: Retry | None) -> Outcome:
    """The end of an event that might have been delivered later, after its last try."""
    if last is None:
        return Outcome(kind="dead", reason=reason)
    return Outcome(
        kind="dead",
        reason=reason,
        status=last.status,
        detail=last.reason,
        exchange=last.exchange,
        more=last.more,
    )


def entries_of(
    destination: str,
    record: Record,
    outcome: Outcome,
    attempts: Attempts,
    at_ms: int,
    mark: str = "",
    names: Names | None = None,
) -> list[Entry]:
    """What the log keeps of an end: the outcome, and the dead letter if it is one.

    ``mark`` is of how the destination is configured (mark.py), ``names`` what the
    record's headers say, where that is known.

    Raises for what no JSON can hold (a destination may say anything): ``plainly`` has
    entries for that.
    """
    message_id, source, replay = names or named(record)
    value: dict[str, Json] = {
        "messageId": message_id,
        "source": source,
        "destination": destination,
        "personKey": record.key.decode(errors="replace"),
        "kind": outcome.kind,
        "reason": outcome.reason and outcome.reason[:SAID_CHARS],
        "attempts": attempts.made,
        "firstAttemptAt": _at(attempts.first_ms),
        "at": _time(at_ms),
        "replay": replay,
        "status": outcome.status,
        "config": mark or None,
    }
    if outcome.detail and outcome.kind != "dead":  # a dead letter has its own
        value["detail"] = outcome.detail[:SAID_CHARS]
    said = replay is not None or outcome.more is not None
    if said and (actions := _actions(record, outcome)):
        value["actions"] = actions
    if attempts.failed or (outcome.kind == "dead" and attempts.made):
        value["tries"] = tries_of(outcome, attempts, at_ms)
    entry = _entry((topics.OUTCOMES, record.key, orjson.dumps(value), record.headers))
    if outcome.kind != "dead":
        return [entry]
    letter = dead_letter(record, outcome, attempts)
    return [entry, Entry(topics.dead(destination), record.key, letter, record.headers)]


def tries_of(outcome: Outcome, attempts: Attempts, at_ms: int) -> list[Json]:
    """Each attempt's time, duration, status and error; the last ones of many.

    A success at the first attempt needs none: the outcome has its times and status. An
    event that was given up after a failure ended with that one.
    """
    tries = list(attempts.failed)
    last_ms = attempts.last_ms
    if last_ms is not None and (not tries or tries[-1].began_ms != last_ms):
        error = "" if outcome.kind == "delivered" else outcome.detail or outcome.reason
        tries.append(Try(last_ms, at_ms, outcome.status, error or ""))
    return [*map(_told, tries[-TRIES_MAX:])]


def tries_so_far(failed: Sequence[Try], last: Retry | None) -> list[Json]:
    """The attempts of an event that is tried again; the last one with its exchange."""
    tries: list[Json] = [*map(_told, failed)]
    if tries and last is not None and last.exchange is not None:
        tries[-1] |= asdict(last.exchange)
    return tries


def _told(one: Try) -> Json:
    return {
        "at": _time(one.began_ms),
        "ms": one.ended_ms - one.began_ms,
        "status": one.status,
        "error": one.error[:ERROR_CHARS] or None,
    }


def _actions(record: Record, outcome: Outcome) -> list[str]:
    """Those that did not take it, of a dead letter; else those that were repeated."""
    refused = (outcome.more or {}).get(ACTIONS)
    names = refused if isinstance(refused, list) else names_in(record.headers)
    return [str(each) for each in names]


def plainly(outcome: Outcome, error: Exception) -> Outcome:
    """An end that could not be written, as it can be: without what was said.

    A delivered event stays delivered. A dead letter names the error in its detail.
    """
    problem = f"not written: {type(error).__name__} in {place_of(error)}"
    status = outcome.status if type(outcome.status) is int else None
    return replace(
        outcome,
        reason=None if outcome.reason is None else _writable(outcome.reason),
        status=None if status is None or abs(status) > STATUS_MAX else status,
        detail=f"{_writable(outcome.detail)} ({problem})".lstrip(),
        exchange=None,
        more=None,
    )


def _writable(text: object) -> str:
    """A text without the halves of characters that UTF-8 cannot hold."""
    return str(text)[:DETAIL_CHARS].encode(errors="replace").decode()


def dead_letter(record: Record, outcome: Outcome, attempts: Attempts) -> bytes:
    """The event, why it was given up, the last request (secrets masked) and its answer.

    ``detail`` is beyond INTERFACE: which error, where no response says it.
    """
    exchange = outcome.exchange
    letter = {
        "event": _event(record.value),
        "reason": outcome.reason and outcome.reason[:SAID_CHARS],
        "detail": outcome.detail[:SAID_CHARS],
        "attempts": attempts.made,
        "firstAttemptAt": _at(attempts.first_ms),
        "lastAttemptAt": _at(attempts.last_ms),
        "request": exchange and exchange.request,
        "response": exchange and exchange.response,
        **(outcome.more or {}),
    }
    written = orjson.dumps(letter)
    if len(written) <= topics.LETTER_BYTES or exchange is None:
        return written
    note = f"request and response left out: {len(written)} bytes"
    detail = f"{_writable(outcome.detail)} ({note})".lstrip()
    return orjson.dumps(letter | {"detail": detail, "request": None, "response": None})


def _size(entries: Sequence[Entry]) -> int:
    return sum([len(entry.value) for entry in entries])


def _at(at_ms: int | None) -> str | None:
    return None if at_ms is None else _time(at_ms)


def _event(value: bytes) -> object:
    """The record's value as it is; as text if it is no JSON, which was the bug."""
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return value.decode(errors="replace")
    return orjson.Fragment(value)


class Settled(NamedTuple):
    """One record and what is written before it is marked."""

    record: Record
    entries: Sequence[Entry]


class Settler:
    """Settles one subscription's records, many at a time.

    They set out in the order in which they end, two groups at once; while the log fails
    the second may be durable before the first.

    Never loses and never skips: while the log is away it asks again, slower and slower,
    and who waits in ``durable`` waits. What is handed over is bounded by the worker's
    bound on pending events. ``settled`` is told what has become durable; ``unsettled``
    is how many may end and not be durable: so many a crash repeats.
    """

    def __init__(
        self,
        subscription: Subscription,
        *,
        name: str,
        notices: Notices,
        settled: Callable[[Sequence[Settled]], None],
        unsettled: int,
    ) -> None:
        self._most = unsettled
        self._subscription = subscription
        self._name = name
        self._notices = notices
        self._settled = settled
        self._queue: deque[tuple[Settled, int]] = deque()
        self._news = asyncio.Event()
        self._wanted = asyncio.Event()
        self._slots = asyncio.Semaphore(FLIGHTS)
        self._added = 0
        self._done = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """Records handed over and not yet durable."""
        return self._added - self._done

    def add(self, record: Record, entries: Sequence[Entry]) -> None:
        """Settle this record after all that were added before it."""
        size = len(entries[0].value) if len(entries) == 1 else _size(entries)
        self._queue.append((Settled(record, entries), size))
        self._added += 1
        self._news.set()
        if len(self._queue) * MANY >= self._most:
            self._wanted.set()

    async def room(self) -> None:
        """Return when fewer than ``unsettled`` of all that was added are not durable.

        For the senders alone: those that wait for one group share its future, so they
        must be cancelled together.
        """
        await self._until(self._added - self._most + 1)

    async def durable(self) -> None:
        """Return when all that has been added so far is durable; no sender is left."""
        await self._until(self._added)

    async def _until(self, count: int) -> None:
        """Return when so many of all that was ever added are durable."""
        if self._done >= count:
            return
        last = self._waiters[-1] if self._waiters else None
        if last is None or last[0] < count or last[1].done():
            future = asyncio.get_running_loop().create_future()
            self._waiters.append((count, future))
            self._wanted.set()
        await self._waiters[-1][1]

    async def run(self) -> None:
        """Settle what is added, until cancelled.

        Nobody waits for a single end: what a transaction costs, or a request to the
        log, is shared by those of a few milliseconds, or by many. While one group is on
        its way to the disk the next sets out: an answer is waited for, not worked for.
        """
        async with asyncio.TaskGroup() as flights:
            while True:
                await self._news.wait()
                if not self._waiters and len(self._queue) * MANY < self._most:
                    self._wanted.clear()
                    await happens(self._wanted, GATHER_S)
                self._news.clear()
                while self._queue:
                    await self._slots.acquire()
                    flights.create_task(self._settled_next(self._next_group()))

    async def _settled_next(self, group: Sequence[Settled]) -> None:
        try:
            await self._settle(group)
        finally:
            self._slots.release()
        self._done += len(group)
        self._settled(group)
        self._wake()

    def _next_group(self) -> list[Settled]:
        group: list[Settled] = []
        room = GROUP_BYTES
        while self._queue and len(group) < GROUP_RECORDS:
            room -= self._queue[0][1]
            if group and room < 0:
                break
            group.append(self._queue.popleft()[0])
        return group

    async def _settle(self, group: Sequence[Settled]) -> None:
        records = [record for record, _ in group]
        entries = [entry for _, entries in group for entry in entries]
        failures = 0
        while True:
            try:
                await self._subscription.settle(records, entries)
            except LogError:
                failures += 1
                self._notices.post(self._name, Notice("log_unavailable", "settle"))
                await asyncio.sleep(pause_s(failures, chance=random.random()))  # noqa: S311 -- jitter
            else:
                return

    def _wake(self) -> None:
        while self._waiters and self._waiters[0][0] <= self._done:
            future = self._waiters.popleft()[1]
            if not future.done():
                future.set_result(None)
