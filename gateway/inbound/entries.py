"""What a request appends: an event's entries, or the record of a refused message.

An event's bytes are made once and shared by all its entries (DESIGN §3); only the
archive's entry carries the routing decision.
"""

import base64
import json
from collections.abc import Callable
from functools import lru_cache, partial

import orjson

from gateway.event import Event, Json, Origin, exact
from gateway.inbound import fit
from gateway.inbound.decode import NO_BATCH, Batch
from gateway.inbound.refusal import Refusal
from gateway.inbound.route import Route
from gateway.log.contract import Entry, Headers
from gateway.topics import EVENTS, REFUSED

REFUSED_BYTES_MAX = 65_536  # of a refused message's bytes; the rest is cut
BRIEF_ENDPOINT = 100  # characters of an endpoint, where a record is brief
MESSAGE_ID_MAX = 1_000  # characters of an id that a refusal repeats
# What ``Entry(...)`` does, in half the time.
_entry: Callable[[tuple[str, bytes, bytes, Headers]], Entry] = partial(
    tuple.__new__, Entry
)


def of_event(event: Event, value: bytes, route: Route) -> list[Entry]:
    """The archive's entry and one per destination, all with the same bytes."""
    shared = _headers(event.source, event.type, event.received_at)
    headers: Headers = (("messageId", event.message_id.encode()), *shared)
    key = event.key.encode()
    made = [_entry((EVENTS, key, value, (*headers, ("route", route.header))))]
    for topic in route.topics:
        made.append(_entry((topic, key, value, headers)))  # noqa: PERF401 -- faster than what it wants
    return made


@lru_cache(maxsize=64)  # the events of a request share them
def _headers(source: str, kind: str, received_at: str) -> Headers:
    return (
        ("source", source.encode()),
        ("type", kind.encode()),
        ("receivedAt", received_at.encode()),
    )


def of_refused(
    sent: bytes,
    refusal: Refusal,
    *,
    origin: Origin,
    message_id: str,
    endpoint: str,
    batch: orjson.Fragment | None,
) -> Entry:
    """A refused message as it was sent, with everything needed to admit it later.

    ``batch`` is what ``of_batch`` made. Without it: that it was refused, and why; its
    request has filled what is kept of one request.
    """
    whole = batch is not None
    kept = sent[:REFUSED_BYTES_MAX] if whole else b""
    faults = refusal.faults if whole else refusal.faults[:1]
    value: dict[str, Json] = {
        "messageId": message_id,
        "source": origin.source,
        "endpoint": endpoint if whole else endpoint[:BRIEF_ENDPOINT],
        "receivedAt": origin.received_at,
        "ip": origin.ip,
        "userAgent": origin.user_agent if whole else None,
        **_text_or_base64(kept),
        "size": len(sent),
        "cut": not whole or len(sent) > len(kept),
        "batch": batch or NOTHING_SHARED,
        "errors": [fault._asdict() for fault in faults],
    }
    headers: Headers = (
        ("messageId", message_id.encode()),
        ("source", origin.source.encode()),
        ("receivedAt", origin.received_at.encode()),
    )
    return Entry(REFUSED, message_id.encode(), exact(orjson.dumps(value)), headers)


def _writable(value: Json) -> Json:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return json.loads(text, parse_constant=lambda _: None, parse_int=_integer)


def _integer(digits: str) -> int | None:
    number = int(digits)
    return number if fit.INTEGER_MIN <= number < fit.INTEGER_END else None


def of_batch(batch: Batch) -> orjson.Fragment:
    """What a batch said, for the records of all its refused messages.

    Without what JSON cannot hold: the faults say that it was there.
    """
    said = batch.as_sent()
    try:
        return orjson.Fragment(exact(orjson.dumps(said)))
    except TypeError:
        return orjson.Fragment(orjson.dumps(_writable(said)))


NOTHING_SHARED = of_batch(NO_BATCH)


def as_json(value: Json, *, suspect: bool) -> bytes:
    """JSON again; of a ``suspect`` message also what JSON cannot hold (NaN)."""
    try:
        if not suspect:  # orjson would write null for NaN
            return orjson.dumps(value)
    except TypeError:  # too large, and too deep besides
        pass
    return fit.written(value, ascii_only=True).encode()


def message_id_of(message: Json) -> str | None:
    """The sender's own id of a message, however wrong the rest of it is."""
    given = message.get("messageId") if isinstance(message, dict) else None
    if not isinstance(given, str) or not 0 < len(given) <= MESSAGE_ID_MAX:
        return None
    try:
        given.encode()
    except UnicodeEncodeError:
        return None
    return given


def _text_or_base64(kept: bytes) -> dict[str, str]:
    try:
        return {"bytes": kept.decode()}
    except UnicodeDecodeError as error:
        if len(kept) == REFUSED_BYTES_MAX and error.start > len(kept) - 4:
            return {"bytes": kept[: error.start].decode()}
        return {"bytesBase64": base64.b64encode(kept).decode()}
