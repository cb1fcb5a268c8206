"""A refused message, judged again: with its own time and sender, by today's rules.

What was cut when it was kept cannot be read whole and stays refused.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime

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


class Readmission:
    """``replay.Readmit``: a refused record's value to the entries of its events."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        routes: Routes,
        plans: Mapping[str, Plan],
        limits: Limits,
    ) -> None:
        self._sources, self._routes = sources, routes
        self._plans, self._limits = plans, limits

    def __call__(self, value: Mapping[str, Json]) -> Sequence[Entry] | str:
        """The entries, or why it is still refused: a word for the summary."""
        if value["cut"]:
            return "cut"
        source = self._sources.get(value["source"])
        if source is None:
            return "source"
        origin, call = _origin(value, source), _call(value["endpoint"])
        try:
            body = _body(value, self._limits)
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


def _body(value: Mapping[str, Json], limits: Limits) -> bytes:
    if "bytesBase64" in value:
        sent = base64.b64decode(value["bytesBase64"])
    else:
        sent = value["bytes"].encode()
    return inflate(sent, None, limits.request_bytes)
