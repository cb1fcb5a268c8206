"""What a replay gives a destination: the event, and of whom a dead letter speaks."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import orjson

from gateway import topics
from gateway.event import Json
from gateway.log.contract import Entry, EventLog, Record, Span
from gateway.outbound.headers import ACTIONS

IDENTITY = ("source", "messageId")  # the headers that tell messages apart
SEEN_MAX = 500_000  # message ids remembered: each is sent once

# The decision of the first time, its trace, an earlier replay's mark.
OURS = ("route", "replay", "traceparent", ACTIONS)


def entry_of(
    record: Record, data: bytes, to: str, id_: str, repeated: Sequence[str] = ()
) -> Entry:
    """The event's entry for a destination; ``repeated``: some of its actions alone."""
    kept = [(name, text) for name, text in record.headers if name not in OURS]
    headers = [*kept, ("replay", id_.encode())]
    if repeated:
        headers.append((ACTIONS, orjson.dumps(repeated)))
    return Entry(topics.to(to), record.key, data, tuple(headers))


def refusing(letter: Mapping[str, Json]) -> Sequence[str]:
    """The actions that are to have it, where others have delivered it; else none.

    Who took the event then would have it twice.
    """
    return tuple(letter.get(ACTIONS) or ()) if letter.get("delivered") else ()


def digest_of(record: Record) -> int:
    """Of what tells its message from others."""
    headers = dict(record.headers)
    return hash(tuple([headers.get(name, b"") for name in IDENTITY]))


async def left_of(log: EventLog, topic: str, until_ms: int) -> dict[int, Sequence[str]]:
    """Which actions are left of messages that died again in an earlier replay.

    By digest. A replay reads each message's first letter, which names actions that have
    delivered it since: the last letter knows.
    """
    left: dict[int, Sequence[str]] = {}
    async for record in log.scan(topic, Span(until_ms=until_ms)):
        if "replay" in dict(record.headers) and len(left) < SEEN_MAX:
            try:
                left[digest_of(record)] = refusing(orjson.loads(record.value))
            except (ValueError, TypeError, AttributeError):
                continue  # of another make
    return left


class Pace:
    """``--rate``: so many events a second, at most."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._free_s = time.monotonic()

    async def spend(self, events: int) -> None:
        """Wait until so many more may be fed."""
        if self._rate is None or not events:
            return
        self._free_s = max(self._free_s, time.monotonic()) + events / self._rate
        await asyncio.sleep(self._free_s - time.monotonic())
