"""Dead letters as the pages read them: the newest, each with what became of it since.

What a replay made of a letter stands in the ledger; what is on its way again stands in
the destination's topic. Where there is no ledger nothing is known of either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from gateway import topics
from gateway.console.book import Book
from gateway.console.newest import header, newest
from gateway.ledger import again
from gateway.ledger.again import Since
from gateway.ledger.contract import LedgerError
from gateway.ledger.facts import ms_of
from gateway.ledger.queries import Queries
from gateway.log.contract import EventLog, Record

FED_READ = 2_000  # of the topic that a replay feeds
OPEN, UNDER_WAY = "open", "under way"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One dead letter, as a page shows it."""

    message_id: str
    source: str
    type: str
    at_ms: int
    value: Mapping[str, Any]
    received_at: str = ""
    replay: str | None = None
    """The replay that came to it; None: it was the first time."""
    since: Since | None = None
    """What the last replay of it came to."""
    fed_by: str | None = None
    """The replay that it is under way by again."""

    @property
    def standing(self) -> str:
        """``open``, ``under way``, or which end a replay of it had."""
        if self.since is not None:
            return self.since.kind
        return OPEN if self.fed_by is None else UNDER_WAY

    @property
    def is_open(self) -> bool:
        """Whether nothing became of it since: what is under way may come back."""
        return self.since is None

    @property
    def status(self) -> str:
        """What the last response was, or which error there was instead."""
        response = self.value.get("response")
        if isinstance(response, dict) and response.get("status") is not None:
            return str(response["status"])
        return str(self.value.get("detail") or "").partition(":")[0][:60] or "-"

    @property
    def reason(self) -> str:
        """Why it was given up."""
        return str(self.value.get("reason"))

    @property
    def chosen(self) -> str:
        """What a form says to name it."""
        return orjson.dumps([self.source, self.message_id]).decode()

    @property
    def event_name(self) -> str:
        """What it is about: the event's name, or its type."""
        event = self.value.get("event")
        name = event.get("event") or event.get("name") if isinstance(event, dict) else 0
        return name if isinstance(name, str) and name else self.type


def letter_of(record: Record) -> Letter | None:
    """A record's letter; None for one of another make."""
    try:
        value = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    return Letter(
        message_id=header(record, "messageId") or "",
        source=header(record, "source") or "",
        type=header(record, "type") or "",
        at_ms=record.appended_at_ms,
        value=value,
        received_at=header(record, "receivedAt") or "",
        replay=header(record, "replay"),
    )


async def read_letters(
    log: EventLog, book: Book | None, name: str, limit: int
) -> list[Letter]:
    """The newest letters of a destination, at most so many; LogError."""
    read = map(letter_of, await newest(log, topics.dead(name), limit))
    letters = [each for each in read if each is not None]
    if book is None or not letters:
        return letters
    try:
        found = await book.store.ask(
            lambda c: Queries(c).since(name, [*map(_asked, letters)])
        )
    except LedgerError:
        return letters
    letters = [
        replace(each, since=since) for each, since in zip(letters, found, strict=True)
    ]
    return await _with_fed(log, name, letters)


def _asked(letter: Letter) -> again.Letter:
    try:
        received_ms = ms_of(letter.received_at)
    except ValueError:
        received_ms = -1  # of another make: the ledger knows none such
    ids = letter.source, letter.message_id
    return again.Letter(*ids, received_ms, letter.at_ms, letter.replay)


async def _with_fed(
    log: EventLog, name: str, letters: Sequence[Letter]
) -> list[Letter]:
    """Those that a replay has fed, and that have no end of it yet."""
    fed: dict[tuple[str | None, ...], tuple[int, str]] = {}
    for record in await newest(log, topics.to(name), FED_READ):
        replay = header(record, "replay")
        if replay is not None:
            names = "source", "messageId", "receivedAt"
            key = tuple(header(record, each) for each in names)
            fed.setdefault(key, (record.appended_at_ms, replay))
    return [_fed(each, fed) for each in letters]


def _fed(
    letter: Letter, fed: Mapping[tuple[str | None, ...], tuple[int, str]]
) -> Letter:
    key = letter.source, letter.message_id, letter.received_at
    at_ms, replay = fed.get(key, (0, ""))
    if letter.since is not None or at_ms <= letter.at_ms or replay == letter.replay:
        return letter
    return replace(letter, fed_by=replay)
