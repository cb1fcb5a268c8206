"""What a replay gives a destination: the event, and of whom a dead letter speaks."""

from collections.abc import Mapping, Sequence

import orjson

from gateway import topics
from gateway.event import Json
from gateway.log.contract import Entry, Record

# The decision of the first time, its trace, an earlier replay's mark.
OURS = ("route", "replay", "traceparent", "actions")


def entry_of(
    record: Record, data: bytes, to: str, id_: str, repeated: Sequence[str] = ()
) -> Entry:
    """The event's entry for a destination; ``repeated``: some of its actions alone."""
    kept = [(name, text) for name, text in record.headers if name not in OURS]
    headers = [*kept, ("replay", id_.encode())]
    if repeated:
        headers.append(("actions", orjson.dumps(repeated)))
    return Entry(topics.to(to), record.key, data, tuple(headers))


def refusing(letter: Mapping[str, Json]) -> Sequence[str]:
    """The actions that are to have it, where others have delivered it; else none.

    Who took the event then would have it twice.
    """
    return tuple(letter.get("actions") or ()) if letter.get("delivered") else ()
