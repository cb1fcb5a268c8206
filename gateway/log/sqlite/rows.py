"""Entries to rows: what the writer is about to insert, ready to bind. Pure.

Consecutive entries with the same value object and key share one body row; headers that
all of them have are stored with it, the rest with each record. Rows are flat lists, so
that one statement inserts many of them: each step of SQLite gives up the interpreter
lock, and getting it back from a busy event loop is what costs.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise, starmap
from operator import itemgetter
from typing import Any

from gateway.log.contract import Entry, Headers

BODY_COLUMNS = 5  # id, refs, key, value, headers
RECORD_COLUMNS = 6  # topic, offset, body, headers, bytes, appended
ROW_BYTES = 40  # what a record costs beside its body: an estimate
NOTHING = slice(0)
Cells = tuple[bytes, ...]
Getter = Callable[[bytes], Cells]


class TopicRows:
    """The new records of one topic."""

    __slots__ = ("bytes", "id", "name", "next", "records", "start")

    def __init__(self, topic_id: int, name: str, next_offset: int) -> None:
        self.id = topic_id
        self.name = name
        self.start = self.next = next_offset
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


# Most records have headers of the same names and lengths: how to write and to cut them
# is known by then.


def encode(headers: Headers) -> bytes:
    """Lengths as text, a line's end, then names and values without any separator."""
    if not headers:
        return b""
    names, values = zip(*headers, strict=True)
    return _template(names, tuple(map(len, values))) % values


@lru_cache(maxsize=4_096)
def _template(names: tuple[str, ...], lengths: tuple[int, ...]) -> bytes:
    """Headers of these names, with places for values of these lengths."""
    encoded = [name.encode() for name in names]
    pairs = zip(map(len, encoded), lengths, strict=True)
    line = b" ".join([b"%d %d" % pair for pair in pairs])
    cells = b"".join([name.replace(b"%", b"%%") + b"%b" for name in encoded])
    return line + b"\n" + cells


def decode(data: bytes | None) -> Headers:
    """What ``encode`` was given; ValueError for what it cannot have written."""
    if not data:
        return ()
    line, end, cells = data.partition(b"\n")
    if not end:
        raise ValueError("headers without their lengths")
    names, values = _layout(line)
    return tuple(zip(_texts(names(cells)), values(cells), strict=True))


def picker(names: tuple[str, ...]) -> Callable[[bytes, bytes | None], Cells]:
    """From a body's headers and a record's own: the values of these, or empty ones.

    Most have the same names at the same places, so that nothing is decoded.
    """
    known: dict[bytes, tuple[Getter, Cells, Getter]] = {}

    def pick(common: bytes, own: bytes | None) -> Cells:
        line, _, cells = common.partition(b"\n")
        if own is None and (places := known.get(line)) is not None:
            names_of, names_there, values_of = places
            if names_of(cells) == names_there:
                return values_of(cells)
        found = dict(decode(common) + decode(own))
        if own is None:
            places_of = _places(line)
            names_of = _getter(places_of[::2])
            texts = map(bytes.decode, names_of(cells))
            at = dict(zip(texts, places_of[1::2], strict=True))
            values_of = _getter([at.get(name, NOTHING) for name in names])
            known[line] = names_of, names_of(cells), values_of
        return tuple([found.get(name, b"") for name in names])

    return pick


@lru_cache(maxsize=4_096)
def _layout(line: bytes) -> tuple[Getter, Getter]:
    """How to get the names, and the values, out of what stands behind this line."""
    places = _places(line)
    return _getter(places[::2]), _getter(places[1::2])


def _places(line: bytes) -> list[slice]:
    ends = list(accumulate(map(int, line.split()), initial=0))
    return list(starmap(slice, pairwise(ends)))


@lru_cache(maxsize=1_024)
def _texts(names: Cells) -> tuple[str, ...]:
    return tuple(map(bytes.decode, names))


def _getter(items: Sequence[slice]) -> Getter:
    """``itemgetter``, which makes no tuple of a single item, or of none."""
    if len(items) > 1:
        return itemgetter(*items)
    return lambda cells: tuple([cells[each] for each in items])
