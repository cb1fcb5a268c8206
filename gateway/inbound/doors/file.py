"""The door of files: what `explain` and `send` are given, read as a POST would be.

Of a pipeline's source a file is the body of a POST: a message to the endpoint of its
type, or a `batch`. Of one that speaks the Track API it is a request of it.
"""

from typing import NamedTuple

from gateway.config import Limits, Source
from gateway.errors import MessageError
from gateway.event import EventType, Json, Origin, iso
from gateway.inbound import decode
from gateway.inbound.decode import NO_BATCH, Batch
from gateway.inbound.doors.message import SINGLE, Message, pieces_of
from gateway.inbound.doors.track import calls
from gateway.inbound.doors.track.api import Apart, Entity, take_apart
from gateway.inbound.doors.track.calls import EMPTY, Call
from gateway.inbound.entries import as_json
from gateway.inbound.inflate import inflate
from gateway.inbound.intake import Part, alone, among
from gateway.inbound.receive import too_large
from gateway.inbound.salvage import Salvage

TYPE_NAMED_BY_NOBODY: EventType = "identify"


class Given(NamedTuple):
    """A file taken apart; ``batch`` is what its messages share.

    ``name`` and ``type`` are its endpoint's.
    """

    parts: list[Part]
    name: str
    type: EventType | None
    batch: Batch = NO_BATCH


def read(data: bytes, source: Source, limits: Limits) -> Given:
    """MessageError for what no POST could be."""
    if len(data) > limits.request_bytes:
        raise too_large(limits.request_bytes)
    body = inflate(data, None, limits.request_bytes)
    if source.kind == "track_api":
        return _request(body, source, limits)
    try:
        decoded = decode.decode(body, limits)
    except MessageError:
        saved = Salvage.of(body, limits)
        if not saved.found:
            raise
        pieces = [Part(*each) for each in pieces_of(saved, limits)]
        return Given(pieces, "batch", None)
    value = decoded.value
    if decode.is_batch(value):
        messages = decode.messages_of(value, limits)
        batch = decode.shared(value, limits, suspect=decoded.suspect)
        text, door = among(body, decoded, limits), Message(None, batch)
        parts = [Part(each, text, door) for each in messages]
        return Given(parts, "batch", None, batch)
    said = value.get("type") if isinstance(value, dict) else None
    kind = TYPE_NAMED_BY_NOBODY if said is None else said
    door = SINGLE[kind] if kind in decode.TYPES else Message(None)
    name = str(door.type or "batch")
    return Given([Part(value, alone(body, decoded), door)], name, door.type)


def origin(source: Source, spare: str, now_ms: int) -> Origin:
    """A file is sent now, by nobody who has an address; ``spare`` is a message id."""
    return Origin(
        source=source.name,
        kind=source.kind,
        received_at=iso(now_ms),
        received_at_ms=now_ms,
        spare_message_id=spare,
        clock_skew=source.clock_skew,
        invalid_traits=source.invalid_traits,
    )


def _request(body: bytes, source: Source, limits: Limits) -> Given:
    """``{"endpoint": "PUT /api/v1/...", "body": ...}``, or a record of ``refused``.

    Without an endpoint it is a v2 entity, or a `batch`.
    """
    decoded = decode.decode(body, limits)
    given = decoded.value if isinstance(decoded.value, dict) else {}
    endpoint = given.get("endpoint")
    whole = decode.is_whole_batch(given)
    if endpoint is None:
        endpoint = "POST /api/v2/batch" if whole else "POST /api/v2/entity"
    elif isinstance(given.get("bytes"), str):
        body = given["bytes"].encode()
    elif "body" in given:
        body = as_json(given["body"], suspect=decoded.suspect)
    else:
        body = EMPTY
    call = _call(endpoint)
    taken, text = _apart(call, body, limits)
    door = Entity(call, source.forms)
    parts = [Part(each, text, door) for each in taken]
    return Given(parts, call.line, call.operation.type)


def _apart(call: Call, body: bytes, limits: Limits) -> Apart:
    """A record of ``refused`` may hold one entity of a batch."""
    if call.is_batch:
        decoded = decode.decode(body.strip() or EMPTY, limits)
        value = decoded.value
        if not decode.is_whole_batch(value):
            return Apart([value], alone(body, decoded))
    return take_apart(call, body, limits)


def _call(endpoint: Json) -> Call:
    method, _, target = str(endpoint).partition(" ")
    call = calls.find(method, target)
    if not isinstance(call, Call):
        text = f"{endpoint} is no request of the Track API: METHOD and PATH are needed"
        raise MessageError("invalid_message", text)
    return call
