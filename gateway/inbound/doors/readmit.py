"""A refused message, judged again: with its own time and sender, by today's rules.

What was cut when it was kept cannot be read whole and stays refused.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from gateway.config import Limits, Source
from gateway.errors import MessageError
from gateway.event import EventType, Json, Origin
from gateway.inbound import decode
from gateway.inbound.decode import NO_BATCH
from gateway.inbound.doors.message import Message, pieces_of
from gateway.inbound.doors.track import calls
from gateway.inbound.doors.track.api import Entity
from gateway.inbound.doors.track.api import single as track_single
from gateway.inbound.doors.track.calls import EMPTY, Call
from gateway.inbound.inflate import inflate
from gateway.inbound.intake import Part, Rules, Taken, Total, alone, among, judge
from gateway.inbound.salvage import Salvage
from gateway.log.contract import Entry

SINGLE: Mapping[str, EventType] = {kind: kind for kind in decode.TYPES}


class Kept(NamedTuple):
    """What a record of ``refused`` holds; ``source`` None: there is none such now."""

    value: Mapping[str, Json]
    cut: bool
    source: Source | None
    origin: Origin | None
    call: Call | None
    sent: bytes


class Readmission:
    """``replay.Readmission``: a refused record's value to the entries of its events."""

    def __init__(self, sources: Mapping[str, Source], rules: Rules) -> None:
        self._sources, self._rules = sources, rules

    def read(self, value: Json) -> Kept:
        """The record's parts; KeyError, TypeError, ValueError: it is no such record."""
        source = self._sources.get(value["source"])
        return Kept(
            value=value,
            cut=bool(value["cut"]),
            source=source,
            origin=None if source is None else _origin(value, source),
            call=_call(value["endpoint"]),
            sent=_sent(value),
        )

    def judge(self, kept: Kept) -> Sequence[Entry] | str:
        """The entries, or why it is still refused: a word for the summary."""
        if kept.cut:
            return "cut"
        if kept.source is None or kept.origin is None:
            return "source"
        try:
            parts = self._parts(kept, kept.source)
        except MessageError:
            return "refused"
        spare, entries, total = kept.value["messageId"], list[Entry](), Total()
        for index, part in enumerate(parts):
            own = f"{spare}-{index}" if index else spare
            origin = kept.origin._replace(spare_message_id=own)
            sent, text, door = part
            judged = judge(sent, text, origin, door, self._rules, total)
            if isinstance(judged, Taken):
                entries += judged.entries
        return entries or "refused"

    def _parts(self, kept: Kept, source: Source) -> Sequence[Part]:
        """A whole request that was refused is taken apart; a message stands alone."""
        limits, call = self._rules.limits, kept.call
        kind = SINGLE.get(kept.value["endpoint"])
        single = kind is not None if call is None else not call.is_batch
        body = inflate(kept.sent, None, limits.request_bytes)
        body = body if call is None else body.strip() or EMPTY
        try:
            if single and call is not None:
                decoded = track_single(body, limits)
            else:
                decoded = decode.decode(body, limits, batch=not single)
        except MessageError:
            if single or call is not None:
                raise
            return _saved(body, kept, limits)
        value = decoded.value
        whole = decode.is_whole_batch(value)
        text, sent = alone(body, decoded), [value]
        if not single and whole:
            text, sent = among(body, decoded, limits), decode.messages_of(value, limits)
        elif not single:  # it was written anew for its record: as long, or longer
            text = text._replace(alone=None)
        if call is not None:
            text, door = text._replace(first=True), Entity(call, source.forms)
            return [Part(each, text, door) for each in sent]
        if whole and not single:
            batch = decode.shared(value, limits, suspect=decoded.suspect)
        else:
            batch = _shared(kept.value, limits)
        return [Part(each, text, Message(kind, batch)) for each in sent]


def _saved(body: bytes, kept: Kept, limits: Limits) -> Sequence[Part]:
    """The messages of a damaged body; what they share may stand in the record."""
    own = Message(None, _shared(kept.value, limits))
    return [
        Part(sent, text, own if door.batch is NO_BATCH else door)
        for sent, text, door in pieces_of(Salvage.of(body, limits), limits)
    ]


def _shared(value: Mapping[str, Json], limits: Limits) -> decode.Batch:
    """What its batch said for each of its messages."""
    return decode.shared(value.get("batch") or {}, limits)


def _call(endpoint: str) -> Call | None:
    """A Track API request's endpoint is its method and path."""
    method, _, target = endpoint.partition(" ")
    found = calls.find(method, target) if target else None
    return found if isinstance(found, Call) else None


def _origin(value: Mapping[str, Json], source: Source) -> Origin:
    at = datetime.fromisoformat(value["receivedAt"])
    return Origin(
        source=source.name,
        kind=source.kind,
        received_at=value["receivedAt"],
        received_at_ms=round(at.timestamp() * 1000),
        spare_message_id=value["messageId"],
        ip=value.get("ip"),
        user_agent=value.get("userAgent"),
        clock_skew=source.clock_skew,
        invalid_traits=source.invalid_traits,
    )


def _sent(value: Mapping[str, Json]) -> bytes:
    if "bytesBase64" in value:
        return base64.b64decode(value["bytesBase64"])
    sent: str = value["bytes"]
    return sent.encode()
