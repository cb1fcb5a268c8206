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
from gateway.inbound import decode, entries, fit, track_api
from gateway.inbound.admit import Admitted, admit, admit_outside
from gateway.inbound.check import Plan
from gateway.inbound.inflate import inflate
from gateway.inbound.refusal import Refusal
from gateway.inbound.route import Routes
from gateway.inbound.track_api import EMPTY, Call
from gateway.log.contract import Entry

SINGLE: Mapping[str, EventType] = {
    "identify": "identify",
    "track": "track",
    "page": "page",
    "screen": "screen",
    "group": "group",
    "alias": "alias",
}


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

    def __init__(
        self,
        sources: Mapping[str, Source],
        routes: Routes,
        plans: Mapping[str, Plan],
        limits: Limits,
    ) -> None:
        self._sources, self._routes = sources, routes
        self._plans, self._limits = plans, limits

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
        value, call = kept.value, kept.call
        if kept.cut:
            return "cut"
        if kept.source is None or kept.origin is None:
            return "source"
        source, origin = kept.source, kept.origin
        try:
            body = inflate(kept.sent, None, self._limits.request_bytes)
            if call is not None:
                body = body.strip() or EMPTY
            parsed, *_ = decode.decode(body, self._limits)
            messages, batch = self._messages(parsed, value, call)
        except MessageError:
            return "refused"
        made: list[Sequence[Entry] | None] = []
        for index, message in enumerate(messages):
            spare = value["messageId"] if not index else f"{value['messageId']}-{index}"
            own = origin._replace(spare_message_id=spare)
            if not self._is_fit(message):
                made.append(None)
            elif call is not None:
                made.append(self._translated(message, source, call, own))
            else:
                made.append(self._admitted(message, value, batch, own))
        admitted = [each for each in made if each is not None]
        if not admitted:
            return "refused"
        return [entry for each in admitted for entry in each]

    def _messages(
        self, parsed: Json, value: Mapping[str, Json], call: Call | None
    ) -> tuple[Sequence[Json], decode.Batch]:
        """A whole request that was refused is taken apart; a message stands alone."""
        whole = isinstance(parsed, dict) and "batch" in parsed and "type" not in parsed
        single = value["endpoint"] in SINGLE or (call is not None and not call.is_batch)
        if whole and not single:
            return decode.split(parsed, None, self._limits)
        said = value.get("batch") or {}
        batch = decode.Batch(
            context=said.get("context"),
            integrations=said.get("integrations"),
            timestamp=said.get("timestamp"),
            sent_at=said.get("sentAt"),
        )
        return [parsed], batch

    def _admitted(
        self,
        message: Json,
        value: Mapping[str, Json],
        batch: decode.Batch,
        origin: Origin,
    ) -> Sequence[Entry] | None:
        raw = decode.prepare(message, SINGLE.get(value["endpoint"]), batch)
        if isinstance(raw, Refusal):
            return None
        verdict = admit(raw, origin, self._routes, self._plans.get(origin.source))
        return self._entered(verdict)

    def _translated(
        self, message: Json, source: Source, call: Call, origin: Origin
    ) -> Sequence[Entry] | None:
        """A Track API request: all of its messages, or none."""
        made = track_api.messages(call, message, source.forms)
        if isinstance(made, Refusal):
            return None
        track_api.number(made, origin.spare_message_id)
        plan = self._plans.get(origin.source)
        found = [
            self._entered(admit_outside(raw, origin, self._routes, plan))
            for raw in made
        ]
        if None in found:
            return None
        return [entry for each in found if each is not None for entry in each]

    def _is_fit(self, message: Json) -> bool:
        limits = self._limits
        size, _ = fit.weigh(message, limits.nesting, limits.message_bytes)
        if size > limits.message_bytes:
            return False
        return not fit.flaws(message, limits.nesting)

    def _entered(self, verdict: Admitted | Refusal) -> Sequence[Entry] | None:
        if isinstance(verdict, Refusal):
            return None
        data = verdict.event.to_bytes()
        if len(data) > self._limits.event_bytes:
            return None
        return entries.of_event(verdict.event, data, verdict.route)


def _call(endpoint: str) -> Call | None:
    """A Track API request's endpoint is its method and path."""
    method, _, target = endpoint.partition(" ")
    found = track_api.find(method, target) if target else None
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
    )


def _sent(value: Mapping[str, Json]) -> bytes:
    if "bytesBase64" in value:
        return base64.b64decode(value["bytesBase64"])
    sent: str = value["bytes"]
    return sent.encode()
