"""What the headers of a destination's record say: who it is, and what is repeated."""

from collections.abc import Sequence
from typing import TypeAlias

import orjson

from gateway.log.contract import Headers, Record

Names: TypeAlias = tuple[str | None, str | None, str | None]
ACTIONS = "actions"  # of a dead letter, and the header of its replay that names them


def named(record: Record) -> Names:
    """The message id, the source and the replay's id that a record's headers say."""
    message_id = source = replay = None
    for name, value in record.headers:
        if name == "messageId":
            message_id = value.decode(errors="replace")
        elif name == "source":
            source = value.decode(errors="replace")
        elif name == "replay":
            replay = value.decode(errors="replace")
    return message_id, source, replay


def repeated(headers: Headers) -> frozenset[str] | None:
    """The actions that a replay of a dead letter repeats, by its header; None: all."""
    names = names_in(headers)
    return frozenset(names) if names else None


def names_in(headers: Headers) -> Sequence[str]:
    """The names in a header; none where it is of another make."""
    for name, value in headers:
        if name == ACTIONS:
            try:
                return [str(each) for each in orjson.loads(value)]
            except (ValueError, TypeError):
                return ()
    return ()
