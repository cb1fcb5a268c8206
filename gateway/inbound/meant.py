"""What a sender meant: other forms of what the schemas ask for, read without a doubt.

Asked only about a message that the schemas refuse, so that it costs no other anything.
What was read is remembered in ``asSent``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from gateway.event import Json, Raw
from gateway.inbound.refusal import pointer
from gateway.notices import Notice
from gateway.traits import read_date

POINTER_MAX = 100  # characters of a pointer in a notice
TIMES = ("timestamp", "originalTimestamp", "sentAt")
Way: TypeAlias = Sequence[str | int]


class Violation(NamedTuple):
    """What either validator says, in one form; ``schema`` holds the ``keyword``."""

    keyword: str
    schema: Mapping[str, Json]
    path: Way
    instance: Json


def wants_object(violation: Violation) -> bool:
    """Whether it is PHP's empty array where an object is meant: there they are one."""
    wanted = violation.schema.get("type", ())
    return (
        violation.keyword == "type"
        and violation.instance == []
        and ("object" in wanted if isinstance(wanted, list) else wanted == "object")
    )


def timed(raw: Raw) -> Raw:
    """Its times read in every form that a date is; the same object if all are ISO."""
    as_sent: dict[str, Json] = {}
    read: dict[str, Json] = {}
    for name in TIMES:
        value = raw.get(name)
        at = None if value is None else read_date(value)
        if at is not None and at != value:
            read[name] = at
            as_sent[name] = {"name": name, "value": value}
    return _remembering(Raw(raw | read), as_sent) if read else raw


def with_objects(
    raw: Raw, violations: Iterable[Violation]
) -> tuple[Raw, tuple[Notice, ...]]:
    """Its empty arrays as the objects that are meant; the same object without any."""
    read, as_sent = raw, dict[str, Json]()
    notices: list[Notice] = []
    for each in violations:
        if wants_object(each):
            read = Raw(put(read, each.path, {}))
            notices.append(notice("empty_array", each.path))
            place = ".".join(map(str, each.path))
            as_sent[place] = {"name": str(each.path[-1]), "value": []}
    return (_remembering(read, as_sent) if as_sent else raw), tuple(notices)


def _remembering(read: Raw, as_sent: dict[str, Json]) -> Raw:
    return Raw({**read, "asSent": read.get("asSent", {}) | as_sent})


def is_of_a_trait(violation: Violation) -> bool:
    """Whether it is about the value of a trait; an email is more: it identifies."""
    return (
        len(violation.path) > 1
        and violation.path[0] == "traits"
        and violation.path[1] != "email"
    )


def notice(code: Literal["empty_array", "invalid_trait"], path: Way) -> Notice:
    """A notice that names the place."""
    return Notice(code, pointer(path)[:POINTER_MAX])


def put(value: Json, path: Way, new: Json) -> Json:
    """The value with another one at a place; only what is on the way is copied."""
    if not path:
        return new
    copy, key = value.copy(), path[0]
    copy[key] = put(copy[key], path[1:], new)
    return copy
