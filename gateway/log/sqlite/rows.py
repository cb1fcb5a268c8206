"""Entries to rows: what the writer is about to insert, ready to bind. Pure.

Consecutive entries with the same value object and key share one body row; headers that
all of them have are stored with it, the rest with each record. Rows are flat lists, so
that one statement inserts many of them: each step of SQLite gives up the interpreter
lock, and getting it back from a busy event loop is what costs.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.log.contract import Entry, Headers

BODY_COLUMNS = 5  # id, refs, key, value, headers
RECORD_COLUMNS = 6  # topic, offset, body, headers, bytes, appended
ROW_BYTES = 40  # what a record costs beside its body: an estimate


class TopicRows:
    """The new records of one topic."""

    __slots__ = ("bytes", "id", "name", "next", "records")

    def __init__(self, topic_id: int, name: str, next_offset: int) -> None:
        self.id = topic_id
        self.name = name
        self.next = next_offset
        self.bytes = 0
        self.records: list[Any] = []


class Rows:
    """The rows of one transaction. ``topics`` finds or makes a topic's place."""

    def __init__(self, next_body: int, now_ms: int) -> None:
        self.next_body = next_body
        self.now_ms = now_ms
        self.bodies: list[Any] = []
        self.topics: dict[str, TopicRows] = {}

    def add(self, entries: Sequence[Entry]) -> None:
        """Make the rows of one append; its topics are in ``topics`` already."""
        start, count = 0, len(entries)
        while start < count:
            _, key, value, common = entries[start]
            stop = start + 1
            while stop < count:
                entry = entries[stop]
                if entry.value is not value or entry.key != key:
                    break
                if entry.headers is not common:
                    common = shared(common, entry.headers)
                stop += 1
            self._add_body(entries[start:stop], key, value, common)
            start = stop

    def _add_body(
        self, entries: Sequence[Entry], key: bytes, value: bytes, common: Headers
    ) -> None:
        body, now_ms, topics = self.next_body, self.now_ms, self.topics
        self.next_body = body + 1
        headers = encode(common)
        self.bodies += (body, len(entries), key, value, headers)
        size = len(key) + len(value) + len(headers) + ROW_BYTES
        beyond = len(common)
        for entry in entries:
            own, own_size = None, size
            if len(entry.headers) > beyond:
                own = encode(entry.headers[beyond:])
                own_size += len(own)
            topic = topics[entry.topic]
            topic.records += (topic.id, topic.next, body, own, own_size, now_ms)
            topic.next += 1
            topic.bytes += own_size


def weigh(entries: Iterable[Entry]) -> int:
    """The bytes that waiting entries hold, a shared value counted once."""
    total, last = 0, None
    for entry in entries:
        total += ROW_BYTES
        if entry.value is not last:
            last = entry.value
            total += len(last) + len(entry.key)
    return total


def shared(one: Headers, other: Headers) -> Headers:
    """The headers both begin with; ``other`` itself when that is all of it."""
    if one[: len(other)] == other:
        return other
    length = 0
    for mine, yours in zip(one, other, strict=False):
        if mine != yours:
            break
        length += 1
    return one[:length]


def encode(headers: Headers) -> bytes:
    """Lengths as text, a line's end, then names and values without any separator."""
    if not headers:
        return b""
    parts = [part for name, value in headers for part in (name.encode(), value)]
    return b" ".join([b"%d" % len(part) for part in parts]) + b"\n" + b"".join(parts)


def decode(data: bytes | None) -> Headers:
    """What ``encode`` was given."""
    if not data:
        return ()
    line = data.index(b"\n")
    place, parts = line + 1, []
    for length in map(int, data[:line].split()):
        parts.append(data[place : place + length])
        place += length
    return tuple(zip(map(bytes.decode, parts[::2]), parts[1::2], strict=True))
