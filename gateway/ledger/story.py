"""One message's story: what the ledger kept, told with what the log still has.

The shape is INTERFACE's (`GET /v1/events/{messageId}`). A replay is one more occurrence
in ``found``, with what it came to at its destination.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from gateway.config import Config, DestinationConfig
from gateway.event import Json, iso
from gateway.integrations import names_of
from gateway.ledger import recall
from gateway.ledger.facts import route_of
from gateway.ledger.queries import Queries
from gateway.ledger.rows import EndRow, Row, Story
from gateway.ledger.store import Store
from gateway.ledger.waiting import waits
from gateway.ledger.words import as_sent, changes_of, rule_of_end, rule_of_route
from gateway.ledger.write import missed_of
from gateway.log.contract import EventLog
from gateway.outbound.mark import mark_of
from gateway.topics import EVENTS, REFUSED, dead
from gateway.wing import Shows, Tries

SHOW_S = 2.0
NOTHING = {"request": None, "response": None}  # of an attempt, where it is not kept
BESIDE = ("detail", "actions")  # of an end, where there is more to say


def _nothing(_: str, _message_id: str, _received_at: str) -> Sequence[Json]:
    """No worker is here to be asked."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """Today's configuration: what a request is rendered with, and whom names mean.

    ``tries`` knows what of this moment no topic has yet.
    """

    destinations: Mapping[str, DestinationConfig]
    shows: Shows
    marks: Mapping[str, str] = field(default_factory=dict)
    tries: Tries = _nothing

    @classmethod
    def of(cls, config: Config, shows: Shows, tries: Tries = _nothing) -> "Now":
        """As the configuration has it."""
        marks = {name: mark_of(each) for name, each in config.destinations.items()}
        return cls(
            destinations=config.destinations, shows=shows, marks=marks, tries=tries
        )

    def names(self, destination: str) -> frozenset[str]:
        """What ``integrations`` may call it."""
        each = self.destinations.get(destination)
        if each is None:
            return names_of(destination, destination, ())
        return names_of(destination, each.type, each.display_name)


class Teller:
    """Tells stories; ``store`` is a reader's."""

    def __init__(self, store: Store, log: EventLog, now: Now) -> None:
        self._store, self._log, self._now = store, log, now

    async def tell(self, message_id: str) -> dict[str, Json] | None:
        """All of a message; None: the ledger has never seen it, or no longer."""
        stories, missed_ms = await self._store.ask(
            lambda c: (Queries(c).story(message_id), missed_of(c))
        )
        if not stories:
            return None
        found: list[dict[str, Json]] = []
        for story in stories:
            if story.row.kind == "refused":
                found += await self._refused(story)
            else:
                found += await self._admitted(story, missed_ms)
        return {"messageId": message_id, "found": found}

    async def _refused(self, story: Story) -> list[dict[str, Json]]:
        row = story.row
        record = await self._record(REFUSED, row)
        return [
            {
                **_head(row),
                "asSent": None if record is None else _as_sent(record),
                "event": None,
                "changes": [],
                "errors": row.more["errors"],
                "endpoint": row.more.get("endpoint"),
                "userAgent": row.more.get("userAgent"),
                "replay": None,
                "destinations": [],
            }
        ]

    async def _admitted(self, story: Story, missed_ms: int) -> list[dict[str, Json]]:
        row = story.row
        record = await self._record(EVENTS, row)
        event = None if record is None else _parsed(record)
        head = {
            **_head(row),
            "asSent": None if event is None else as_sent(event),
            "event": event,
            "changes": [] if event is None else changes_of(event),
            "errors": [],
        }
        occurrence = _Occurrence(row, event, record, self._now, self._log, missed_ms)
        found = []
        for replay, ends in _by_replay(story.ends):
            routed = replay is None
            told = await occurrence.destinations(ends, routed=routed)
            found.append({**head, "replay": replay, "destinations": told})
        return found

    async def _record(self, topic: str, row: Row) -> bytes | None:
        record = await recall.at_place(
            self._log, topic, row.partition, row.offset, row.appended_at
        )
        return None if record is None else record.value


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """One event, once: what becomes of it at each destination."""

    row: Row
    event: Mapping[str, Json] | None
    value: bytes | None
    now: Now
    log: EventLog
    missed_ms: int

    async def destinations(
        self, ends: Sequence[EndRow], *, routed: bool
    ) -> list[dict[str, Json]]:
        """In the order of the routing decision; a replay has only what it came to."""
        went, no = route_of(self.row.route) if routed else ((), {})
        told = [await self._end(end) for end in sorted(ends, key=_order(went))]
        ended = {end.destination for end in ends}
        told += [await self._open(name) for name in went if name not in ended]
        for name, reason in no.items():
            rule = rule_of_route(reason, self.event, self.now.names(name))
            told.append(_told(name, "filtered", rule, []))
        return told

    async def _open(self, name: str) -> dict[str, Json]:
        """No end is known: it waits in its topic, or never came there.

        Or it came and ended, and nobody read it: the log had to delete its outcome.
        """
        tries = self.now.tries(name, self.row.message_id, iso(self.row.at))
        if tries or await waits(self.log, name, self.row):
            kind = "pending"
        elif self.row.appended_at <= self.missed_ms:
            kind = "unknown"
        else:
            kind = "unconfirmed"
        return _told(name, kind, None, [{**NOTHING, **each} for each in tries])

    async def _end(self, end: EndRow) -> dict[str, Json]:
        detail = end.more.get("detail")
        names = self.now.names(end.destination)
        rule = rule_of_end(end.kind, end.reason, detail, self.event, names)
        attempts = list(_attempts(end))
        if attempts:
            attempts[-1] |= await self._exchange(end)
        beside = {key: end.more[key] for key in BESIDE if end.more.get(key)}
        return _told(end.destination, end.kind, rule, attempts) | beside

    async def _exchange(self, end: EndRow) -> dict[str, Json]:
        """The last request: of a failure as it was, of a success rendered again."""
        if end.kind == "dead":
            letter = await recall.of_message(
                self.log,
                dead(end.destination),
                message_id=self.row.message_id,
                received_at=iso(self.row.at),
                appended_ms=end.appended_at,
            )
            kept = {} if letter is None else _parsed(letter.value) or {}
            said = {"error": kept["detail"]} if kept.get("detail") else {}
            given = {"request": kept.get("request"), "response": kept.get("response")}
            return {**given, **said}
        if end.kind == "delivered" and self.value is not None:
            return await self._rendered(end, self.value)
        return {}

    async def _rendered(self, end: EndRow, value: bytes) -> dict[str, Json]:
        """What would be sent today; ``changed`` when that may be something else."""
        name = end.destination
        if name not in self.now.destinations:
            return {}
        try:
            async with asyncio.timeout(SHOW_S):
                shown = await self.now.shows(name, value)
        except Exception:  # noqa: BLE001 -- a preview that fails costs no story
            return {}
        changed = end.mark is not None and end.mark != self.now.marks.get(name)
        request = shown.get("request")
        return {"request": request, "rendered": True, "changed": changed}


def brief(story: Story) -> dict[str, Json]:
    """One line of a list: what it is, and what became of it at each destination."""
    row = story.row
    went, no = route_of(row.route)
    kinds = dict.fromkeys(went, "pending") | dict.fromkeys(no, "filtered")
    kinds |= {end.destination: end.kind for end in story.ends if end.replay is None}
    errors = {"errors": row.more["errors"]} if row.kind == "refused" else {}
    return {
        "messageId": row.message_id,
        **_head(row),
        "type": row.type,
        "person": row.person,
        "name": row.name,
        "destinations": kinds,
        **errors,
    }


def _order(went: Sequence[str]) -> Callable[[EndRow], int]:
    places = {name: place for place, name in enumerate(went)}
    return lambda end: places.get(end.destination, len(places))


def _by_replay(
    ends: Sequence[EndRow],
) -> Iterator[tuple[str | None, list[EndRow]]]:
    """The first time, which is always told, then replay by replay."""
    replays: dict[str | None, list[EndRow]] = {None: []}
    for end in ends:
        replays.setdefault(end.replay, []).append(end)
    yield from replays.items()


def _head(row: Row) -> dict[str, Json]:
    return {"source": row.source, "receivedAt": iso(row.at), "kind": row.kind}


def _told(
    name: str, kind: str, rule: str | None, attempts: Sequence[Mapping[str, Json]]
) -> dict[str, Json]:
    return {"destination": name, "kind": kind, "rule": rule, "attempts": attempts}


def _attempts(end: EndRow) -> Iterator[dict[str, Json]]:
    """Every attempt that is known of, oldest first; the last one has the status."""
    tries = end.more.get("tries")
    if tries:
        for each in tries:
            yield {**each, **NOTHING}
    elif end.attempts and end.first_at is not None:
        once = end.attempts == 1
        yield {
            "at": iso(end.first_at if once else end.ended_at),
            "ms": end.ended_at - end.first_at if once else None,
            "status": end.status,
            "error": end.reason if end.kind == "dead" else None,
            **NOTHING,
        }


def _parsed(value: bytes) -> dict[str, Json] | None:
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _as_sent(value: bytes) -> Json:
    """A refused message as it came: parsed if it can be, else its text."""
    kept = _parsed(value) or {}
    text = kept.get("bytes", kept.get("bytesBase64"))
    try:
        return orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError:
        return text
