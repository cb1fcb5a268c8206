"""Sending the past again: from a topic to ``to.X``, or refused messages to admission.

The place is a group ``replay.<id>`` on the source topic, settled together with what was
appended, so a killed replay resumes and sends each message id once. It stops feeding
while its destination is far behind: live traffic never waits behind a replay. What
``integrations``, filters and suppression say today applies; so does today's mapping.
"""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, get_args

import orjson

from gateway import topics
from gateway.errors import ConfigError, place_of
from gateway.event import Event, Json
from gateway.log.contract import Entry, EventLog, Record, Span, Subscription
from gateway.notices import Notices
from gateway.replay.feed import (
    IDENTITY,
    SEEN_MAX,
    Pace,
    digest_of,
    entry_of,
    left_of,
    refusing,
)

LAG_MAX = 10_000  # events of the destination that a live event may have to wait for
CHUNK = 500  # records read at once; the lag is looked at before each
WAIT_S = 0.5  # while the destination catches up
POLL_S = 1.0  # the end is reached when nothing comes for so long
SHOWN_MAX = 1_000  # events that a survey takes as far as their requests
EXAMPLES = 3  # of them it shows
STAMP = "%Y%m%dT%H%M%S"
ID = re.compile(r"[A-Za-z0-9._-]{1,80}")
STAMPED = re.compile(r"(\d{8}T\d{6})-[0-9a-f]{6}")

NUMBERS = frozenset({"from_ms", "until_ms", "rate"})
BUG = "bug"  # ours: the record is not settled, so that a resume tries it again

Topic = Literal["events", "dead", "refused"]
TOPICS = get_args(Topic)


class Readmission(Protocol):
    """How a refused message is judged again (``inbound.doors.readmit``)."""

    def read(self, value: Json) -> Any:
        """What the record says; KeyError, TypeError, ValueError: it is none such."""
        ...

    def judge(self, kept: Any) -> Sequence[Entry] | str:
        """The entries of its events, or why it is still refused."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to replay. Times are unix milliseconds, judged on receivedAt."""

    id: str
    topic: Topic = "events"
    to: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    where: str | None = None
    rate: int | None = None

    @classmethod
    def of(cls, asked: Mapping[str, Json]) -> "Request":
        """What somebody asked for as JSON; ConfigError names what cannot be."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(asked.keys() - known):
            raise ConfigError(f"replay: {unknown[0]} is unknown; known are {known}")
        for name, value in asked.items():
            wanted = (int,) if name in NUMBERS else (str,)
            if value is not None and type(value) not in wanted:
                raise ConfigError(f"replay: {name} is not {wanted[0].__name__}")
        if asked.get("id") is None or asked.get("topic", "events") not in TOPICS:
            raise ConfigError(f"replay: needs an id, and a topic of {TOPICS}")
        return cls(**asked)


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far it is; ``total`` is what the topic held when this run began."""

    id: str
    total: int
    read: int = 0
    sent: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    waiting: bool = False
    done: bool = False

    def skip(self, reason: str) -> None:
        """Count a record that is not sent."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def as_json(self) -> dict[str, Json]:
        """One line of progress."""
        return asdict(self)


@dataclass(slots=True, kw_only=True)
class Survey:
    """What would be sent and what not, and why; of the first what would come of them.

    ``shown`` of those that would be fed were taken as far as their requests:
    ``becoming`` counts the reasons of those that would not be sent after all,
    ``examples`` has the first with the record that they are from.
    """

    total: int
    read: int = 0
    sent: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    shown: int = 0
    becoming: dict[str, int] = field(default_factory=dict)
    examples: list[tuple[Mapping[str, Json], Json]] = field(default_factory=list)
    done: bool = False

    def add(self, told: Mapping[str, Json], record: Record) -> None:
        """Count what one event would become."""
        self.shown += 1
        if told.get("sent") is False:
            reason = str(told.get("because") or told.get("reason") or "filtered")
            self.becoming[reason] = self.becoming.get(reason, 0) + 1
        if len(self.examples) < EXAMPLES:
            self.examples.append((told, orjson.loads(record.value)))

    def as_json(self) -> dict[str, Json]:
        """One line of it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the app hands in: who gets what today, and how a refused message is read."""

    passes: Callable[[Json], bool]  # --where, over the value
    routed: Callable[[Event], bool]  # today's `integrations` and types
    readmission: Readmission
    show: Callable[[Sequence[Entry]], Awaitable[Mapping[str, Json]]]  # for --dry-run
    left: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """Of messages that died again, by their digests: which actions are left."""


def new_id() -> str:
    """An id that remembers when it was made: a resumed replay ends there too."""
    return f"{datetime.now(UTC):{STAMP}}-{secrets.token_hex(3)}"


def check(request: Request, destinations: Mapping[str, bool]) -> None:
    """Raise ConfigError for what cannot be; ``destinations`` says who is enabled."""
    if not ID.fullmatch(request.id):
        raise ConfigError("--id: letters, digits, dot, dash and underscore only")
    start, end = request.from_ms, request.until_ms
    if start is not None and end is not None and end < start:
        raise ConfigError("--until: is before --from, so that nothing lies between")
    if request.topic == "refused":
        if request.to is not None:
            raise ConfigError("--topic refused takes no --to: messages are routed anew")
        return
    if request.to is None:
        raise ConfigError(f"--to: missing; known are: {', '.join(destinations)}")
    if request.to not in destinations:
        known = ", ".join(destinations)
        raise ConfigError(f"--to {request.to}: unknown; known are: {known}")
    if not destinations[request.to]:
        raise ConfigError(f"--to {request.to}: it is disabled and would never get them")


def source_topic(request: Request) -> str:
    """Where the records come from."""
    if request.topic == "dead" and request.to is not None:
        return topics.dead(request.to)
    return request.topic


def end_ms(request: Request) -> int:
    """Nothing appended later is sent: the moment in the id, or now."""
    now_ms = time.time_ns() // 1_000_000
    match = STAMPED.fullmatch(request.id)
    if match is None:
        return now_ms
    try:
        made = datetime.strptime(match[1], STAMP).replace(tzinfo=UTC)
    except ValueError:
        return now_ms  # a name that somebody chose, and no time
    return int(made.timestamp() * 1000) + 1_000


async def replay(
    log: EventLog, request: Request, rules: Rules, notices: Notices
) -> AsyncIterator[Progress]:
    """Run it; yields progress at least every few records, the last one ``done``.

    A record that a bug of ours stops is told, counted as ``bug`` and left unsettled.
    """
    topic, end = source_topic(request), end_ms(request)
    states = {state.name: state for state in await log.topics()}
    total = states[topic].records if topic in states else 0
    progress = Progress(id=request.id, total=total)
    if topic not in states:
        progress.done = True
        yield progress
        return
    rules = await _with_left(log, request, rules)
    pace, late = Pace(request.rate), 0
    async with log.subscribe(topic, group=f"replay.{request.id}") as subscription:
        seen = await _seen(subscription)
        while True:
            while request.to is not None and await _is_behind(log, request.to):
                progress.waiting = True
                yield progress
                await asyncio.sleep(WAIT_S)
            progress.waiting = False
            records = await subscription.poll(limit=CHUNK, timeout_s=POLL_S)
            due = [record for record in records if record.appended_at_ms < end]
            late += len(records) - len(due)
            done, entries = _entries(due, request, rules, seen, progress, notices)
            late += len(due) - len(done)
            if done:
                await subscription.settle(done, entries)
            progress.read += len(due)
            await pace.spend(len(entries))
            if not due and await _lag(log, topic, f"replay.{request.id}") <= late:
                break  # what is unsettled came after the end, or hit a bug
            yield progress
    progress.done = True
    yield progress


async def dry_run(
    log: EventLog, request: Request, rules: Rules, notices: Notices
) -> AsyncIterator[Mapping[str, Json]]:
    """What would be sent, and as what: moves no group, appends nothing."""
    seen: set[int] = set()
    span = Span(until_ms=end_ms(request))
    rules = await _with_left(log, request, rules)
    async for record in log.scan(source_topic(request), span):
        made = _made(record, request, rules, seen, notices)
        if not isinstance(made, str):
            yield await rules.show(made)


async def survey(
    log: EventLog, request: Request, rules: Rules, notices: Notices
) -> AsyncIterator[Survey]:
    """What a replay would do, counted: moves no group, appends nothing.

    Yields the same survey again and again while it reads, the last time ``done``.
    """
    topic, seen = source_topic(request), set[int]()
    rules = await _with_left(log, request, rules)
    states = {state.name: state for state in await log.topics()}
    told = Survey(total=states[topic].records if topic in states else 0)
    async for record in log.scan(topic, Span(until_ms=end_ms(request))):
        made = _made(record, request, rules, seen, notices)
        told.read += 1
        if isinstance(made, str):
            told.skipped[made] = told.skipped.get(made, 0) + 1
        else:
            told.sent += 1
            if told.shown < SHOWN_MAX:
                told.add(await rules.show(made), record)
        if told.read % CHUNK == 0:
            yield told
    told.done = True
    yield told


async def _with_left(log: EventLog, request: Request, rules: Rules) -> Rules:
    """With what the newest dead letters say: only of them others can be repeated."""
    if request.topic != "dead":
        return rules
    left = await left_of(log, source_topic(request), end_ms(request))
    return replace(rules, left=left)


async def _lag(log: EventLog, topic: str, group: str) -> float:
    """What a group has not settled by the store's own account; inf if unknown yet."""
    for state in await log.topics():
        if state.name == topic:
            lags = [each.lag for each in state.groups if each.name == group]
            return lags[0] if lags else state.records and float("inf")
    return 0


async def _seen(subscription: Subscription) -> set[int]:
    """The message ids that this replay has already read, before it was interrupted."""
    seen: set[int] = set()
    async for records in subscription.before_committed(SEEN_MAX, IDENTITY):
        seen.update(hash(record.headers) for record in records)
    return seen


async def _is_behind(log: EventLog, destination: str) -> bool:
    """Whether a live event would have to wait; a topic nobody reads yet is not."""
    lag = await _lag(log, topics.to(destination), destination)
    return LAG_MAX - CHUNK < lag < float("inf")


def _entries(
    records: Sequence[Record],
    request: Request,
    rules: Rules,
    seen: set[int],
    progress: Progress,
    notices: Notices,
) -> tuple[list[Record], list[Entry]]:
    """The records that are done with, and what is appended for them."""
    done: list[Record] = []
    entries: list[Entry] = []
    for record in records:
        made = _made(record, request, rules, seen, notices)
        if made != BUG:
            done.append(record)
        if isinstance(made, str):
            progress.skip(made)
        else:
            progress.sent += 1
            entries += made
    return done, entries


def _made(
    record: Record,
    request: Request,
    rules: Rules,
    seen: set[int],
    notices: Notices,
) -> Sequence[Entry] | str:
    """What one record becomes, or why it is not sent; ``BUG`` for a bug of ours."""
    try:
        return _entries_of(record, request, rules, seen)
    except Exception as error:  # noqa: BLE001 -- one record's bug ends no replay; it is told, and tried again
        notices.say("bug", place=place_of(error), error=type(error).__name__)
        return BUG


def _entries_of(
    record: Record, request: Request, rules: Rules, seen: set[int]
) -> Sequence[Entry] | str:
    """What one record becomes, or why it is not sent."""
    made: Sequence[Entry] | str
    if not _is_within(record, request):
        return "time"
    if (digest := digest_of(record)) in seen:
        return "duplicate"
    try:
        value = orjson.loads(record.value)
        read = _read(record, value, request, rules)
    except (ValueError, KeyError, TypeError):
        return "unreadable"  # a record of another make: kept, and passed over here
    if not rules.passes(value):
        return "where"
    if request.topic == "refused":
        made = rules.readmission.judge(read)
    else:
        event, data = read
        made = "route"
        if rules.routed(event):
            again = refusing(value) if request.topic == "dead" else ()
            again = rules.left.get(digest, again)
            made = [entry_of(record, data, str(request.to), request.id, again)]
    if not isinstance(made, str) and len(seen) < SEEN_MAX:
        seen.add(digest)
    return made


def _read(record: Record, value: Json, request: Request, rules: Rules) -> Any:
    """What the record holds, by its topic; raises for one of another make."""
    if request.topic == "refused":
        return rules.readmission.read(value)
    data = orjson.dumps(value["event"]) if request.topic == "dead" else record.value
    return Event.from_bytes(data), data


def _is_within(record: Record, request: Request) -> bool:
    if request.from_ms is None and request.until_ms is None:
        return True
    received = dict(record.headers).get("receivedAt", b"").decode()
    try:
        at_ms = datetime.fromisoformat(received).timestamp() * 1000
    except ValueError:
        return False
    after = request.from_ms is None or at_ms >= request.from_ms
    return after and (request.until_ms is None or at_ms < request.until_ms)
