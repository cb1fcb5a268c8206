"""What was just written, for those who follow closely: from memory, not from the file.

A question to the reader costs two changes of threads, more than all else of a record
that comes alone. In: the entries of a small transaction that is durable. Out: by topic,
the records that the reader would have found. Pure.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from gateway.log.contract import Entry, Record

FRESH_MAX = 32  # entries of a transaction: where more come at once, reading is cheap


class Grown(NamedTuple):
    """What a transaction added: when, and each topic's first new offset."""

    at_ms: int
    first: Mapping[str, int]


def fresh_of(
    entries: Iterable[Sequence[Entry]], grown: Grown, wanted: Collection[str]
) -> Mapping[str, Sequence[Record]]:
    """By topic, the records of ``wanted`` topics; none when there are too many.

    ``entries``: all that the transaction added, in its order.
    """
    together = [entry for some in entries for entry in some]
    if len(together) > FRESH_MAX:
        return {}
    found: dict[str, list[Record]] = {}
    for topic, key, value, headers in together:
        if topic in wanted:
            records = found.setdefault(topic, [])
            offset = grown.first[topic] + len(records)
            records.append(Record(topic, 0, offset, key, value, headers, grown.at_ms))
    return found


def taken(
    fresh: Sequence[Record], span: tuple[int, int], limit: int
) -> Sequence[Record]:
    """``[start, stop)`` if all of it is here, ``limit`` at most; else nothing."""
    start, stop = span
    if not fresh or start < fresh[0].offset or stop > fresh[-1].offset + 1:
        return ()
    begin = start - fresh[0].offset
    return fresh[begin : begin + min(limit, stop - start)]
