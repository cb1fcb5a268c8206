"""What a record says, as the ledger keeps it; pure, and it reads no more than it must.

Of an event nearly everything stands in its headers. Its value is parsed only where it
has a name, an outcome's always: it is small.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

import orjson

from gateway.log.contract import Record

T = TypeVar("T", int, str)
NUMBER_MAX = 2_147_483_647
DIGEST_BYTES = 6
NAME_CHARS = 200  # of an event's name
REASON_CHARS = 200  # of a reason that is kept as a word
ERRORS_MAX = 10
TEXT_CHARS = 500  # of a pointer or a message of an error, of a user agent
NAMED = frozenset({b"track", b"page", b"screen"})
UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HEX = re.compile(rb"[0-9a-f]{32}")
PLAIN, AS_UUID, AS_HEX = b"\0", b"\1", b"\2"

ADMITTED, DELIVERED, FILTERED, SKIPPED, DUPLICATE, SUPPRESSED, DEAD, REFUSED = range(8)
AGAIN = 16
"""Added to the kind of an end that repeats one: on Kafka a crash may come between an
outcome and its mark. It is counted with replays, apart."""
ENDS: Mapping[str, int] = {
    "delivered": DELIVERED,
    "filtered": FILTERED,
    "skipped": SKIPPED,
    "duplicate": DUPLICATE,
    "suppressed": SUPPRESSED,
    "dead": DEAD,
}
BESIDE = ("detail", "tries", "actions")  # of an outcome, where it has them
KINDS: Mapping[int, str] = {number: kind for kind, number in ENDS.items()}


class Place(NamedTuple):
    """Where the record is: the first columns of each row, and their order."""

    at: int
    digest: int
    partition: int
    offset: int
    appended: int


class Admitted(NamedTuple):
    """One record of ``events``."""

    place: Place
    source: str
    type: str
    route: str
    message: bytes
    person: bytes | None
    who: int | None
    name: str | None
    value: bytes


class Refused(NamedTuple):
    """One record of ``refused``; ``more`` is JSON."""

    place: Place
    source: str
    reason: str
    message: bytes
    more: str


class End(NamedTuple):
    """One record of ``outcomes``; times are milliseconds after the event's."""

    place: Place
    source: str
    destination: str
    kind: int
    reason: str | None
    replay: str | None
    mark: str | None
    attempts: int
    first: int | None
    ended: int
    status: int | None
    more: str | None


@lru_cache(maxsize=8_192)  # an event's ends come soon after it
def digest(text: bytes) -> int:
    """48 bits of a text, as a column; who looks something up compares the text too."""
    return int.from_bytes(blake2b(text, digest_size=DIGEST_BYTES).digest(), "big")


def packed(text: bytes) -> bytes:
    """A text in fewer bytes, if it is a UUID as most ids are."""
    if len(text) == 36 and UUID.fullmatch(text):  # noqa: PLR2004 -- a UUID
        return AS_UUID + bytes.fromhex(text.replace(b"-", b"").decode())
    if len(text) == 32 and HEX.fullmatch(text):  # noqa: PLR2004 -- those we make up
        return AS_HEX + bytes.fromhex(text.decode())
    return PLAIN + text


def unpacked(kept: bytes) -> str:
    """The text again."""
    form, rest = kept[:1], kept[1:]
    if form == PLAIN:
        return rest.decode(errors="replace")
    text = rest.hex()
    if form == AS_HEX:
        return text
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


@lru_cache(maxsize=4_096)  # those of a request share it
def ms_of(at: str | bytes) -> int:
    """Unix milliseconds of an ISO 8601 time; ValueError for what is none."""
    text = at if isinstance(at, str) else at.decode(errors="replace")
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except OverflowError as error:  # of the first and the last day there is
        raise ValueError(text) from error


@lru_cache(maxsize=1_024)
def route_of(text: str) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Where an event went, and why not elsewhere."""
    try:
        route = orjson.loads(text)
        return tuple(route["to"]), dict(route["no"])
    except (ValueError, KeyError, TypeError):
        return (), {}


def _place(record: Record, headers: Mapping[str, bytes]) -> Place:
    at = ms_of(headers["receivedAt"])
    return Place(
        at,
        digest(headers["messageId"]),
        record.partition,
        record.offset,
        record.appended_at_ms - at,
    )


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def admitted(record: Record) -> Admitted | None:
    """An event; None for a record that is none."""
    headers = dict(record.headers)
    try:
        place = _place(record, headers)
    except (KeyError, ValueError):
        return None
    message, key, kind = headers["messageId"], record.key, headers.get("type", b"")
    nobody = key == message
    return Admitted(
        place,
        _text(headers.get("source", b"")),
        _text(kind),
        _text(headers.get("route", b"{}")),
        packed(message),
        None if nobody else packed(key),
        None if nobody else digest(key),
        _name(record.value, kind) if kind in NAMED else None,
        record.value,
    )


def _name(value: bytes, kind: bytes) -> str | None:
    try:
        name = orjson.loads(value).get("event" if kind == b"track" else "name")
    except (ValueError, AttributeError):
        return None
    return name[:NAME_CHARS] if isinstance(name, str) else None


def refused(record: Record) -> Refused | None:
    """A refused message; None for a record that is none."""
    headers = dict(record.headers)
    try:
        place, value = _place(record, headers), orjson.loads(record.value)
        errors = [_error(each) for each in value["errors"][:ERRORS_MAX]]
        more = {
            "endpoint": value.get("endpoint"),
            "userAgent": (value.get("userAgent") or "")[:TEXT_CHARS] or None,
            "errors": errors,
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    first = errors[0] if errors else {"code": "", "pointer": ""}
    return Refused(
        place,
        _text(headers.get("source", b"")),
        f"{first['code']} {first['pointer']}".strip()[:REASON_CHARS],
        packed(headers["messageId"]),
        orjson.dumps(more).decode(),
    )


def _error(fault: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: str(fault.get(key, ""))[:TEXT_CHARS]
        for key in ("pointer", "message", "code")
    }


def end(record: Record) -> End | None:
    """An outcome; None for a record that is none, or of a kind nobody knows here."""
    headers = dict(record.headers)
    try:
        place, value = _place(record, headers), orjson.loads(record.value)
        kind, ended = ENDS[value["kind"]], ms_of(value["at"]) - place.at
        first, reason = value.get("firstAttemptAt"), value.get("reason")
        more = {key: value[key] for key in BESIDE if key in value}
        if reason is not None and len(reason) > REASON_CHARS:
            more["reason"], reason = reason, None
        return End(
            place,
            _text(headers.get("source", b"")),
            _is(value["destination"], str),
            kind,
            _maybe(reason, str),
            _maybe(value.get("replay"), str),
            _maybe(value.get("config"), str),
            _number(value.get("attempts", 0)),
            None if first is None else ms_of(first) - place.at,
            ended,
            None if (status := value.get("status")) is None else _number(status),
            orjson.dumps(more).decode() if more else None,
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _is(value: Any, kind: type[T]) -> T:
    """It; TypeError: what wrote the record was no gateway."""
    if type(value) is not kind:
        raise TypeError(kind)
    return value


def _maybe(value: Any, kind: type[T]) -> T | None:
    return None if value is None else _is(value, kind)


def _number(value: Any) -> int:
    """One that a column takes."""
    if not 0 <= _is(value, int) <= NUMBER_MAX:
        raise ValueError(value)
    return int(value)
