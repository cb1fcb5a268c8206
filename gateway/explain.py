"""``gateway explain FILE``: what becomes of a message, and why, without sending it.

The same functions that decide at run time are called one by one; the reference
validator is asked for its reading of a refused message too.
"""

import time
from collections.abc import Mapping, Sequence

import orjson

from gateway.config import Config, Source
from gateway.errors import ConfigError, MessageError
from gateway.event import Event, Json, Normalized, Origin, Raw, iso
from gateway.inbound import decode, fit, track_api
from gateway.inbound.check import check, planned, reference_errors
from gateway.inbound.normalize import normalize
from gateway.inbound.refusal import Fault, Refusal
from gateway.inbound.resolve import resolve
from gateway.inbound.route import route
from gateway.inbound.track_api import EMPTY, Call
from gateway.notices import Notice
from gateway.parts import Parts, previewing
from gateway.parts import check as check_config

SPARE_ID = "made-up-by-the-gateway"


def explain(
    config: Config, data: bytes, *, source: str | None = None
) -> dict[str, Json]:
    """Every stage of every message in ``data`` (a message, or a body with `batch`).

    Of a source that speaks the Track API, ``data`` is one of its requests.
    """
    parts = check_config(config)
    sender = _source(config, source)
    try:
        value, suspect, _ = decode.decode(data, config.limits)
        if sender.kind == "track_api":
            call, asked = _asked(value, config)
            teller = _Teller(config, parts, sender, decode.NO_BATCH, suspect=suspect)
            told = [each for body in asked for each in teller.tell_track(call, body)]
            return {"source": sender.name, "messages": told}
        single = not (isinstance(value, dict) and "batch" in value)
        if single and isinstance(value, dict) and value.get("type") is None:
            value = {**value, "type": "identify"}
        body = {"batch": [value]} if single else value
        messages, batch = decode.split(body, None, config.limits)
    except MessageError as error:
        return {"source": sender.name, "refused": str(error), "messages": []}
    teller = _Teller(config, parts, sender, batch, suspect=suspect)
    return {"source": sender.name, "messages": [teller.tell(each) for each in messages]}


def _asked(value: Json, config: Config) -> tuple[Call, list[Json]]:
    """A Track API request: ``{"endpoint": "PUT /api/v1/...", "body": ...}``.

    A record of ``refused`` is one; without an endpoint it is a v2 entity, or a `batch`.
    """
    given = value if isinstance(value, dict) else {}
    endpoint = given.get("endpoint")
    body = value if endpoint is None else given.get("body")
    if isinstance(given.get("bytes"), str):
        sent = given["bytes"].strip().encode() or EMPTY
        body = decode.decode(sent, config.limits).value
    method, _, target = str(endpoint or "POST /api/v2/entity").partition(" ")
    call = track_api.find(method, target)
    if not isinstance(call, Call):
        text = f"{endpoint} is no request of the Track API: METHOD and PATH are needed"
        raise MessageError("invalid_message", text)
    whole = isinstance(body, dict) and "batch" in body and "type" not in body
    if whole and (endpoint is None or call.is_batch):
        messages, _ = decode.split(body, None, config.limits)
        return call, messages
    return call, [body]


def _source(config: Config, name: str | None) -> Source:
    if name is None:
        return next(iter(config.sources.values()))
    if name not in config.sources:
        known = ", ".join(config.sources)
        raise ConfigError(f"--source {name}: unknown; known are: {known}")
    return config.sources[name]


class _Teller:
    """Walks messages through the stages and writes down what each did."""

    def __init__(
        self,
        config: Config,
        parts: Parts,
        source: Source,
        batch: decode.Batch,
        *,
        suspect: bool,
    ) -> None:
        self._config, self._parts, self._source = config, parts, source
        self._batch, self._suspect = batch, suspect
        self._previews = {
            name: previewing(config, parts, name) for name in config.destinations
        }

    def tell(self, message: Json) -> dict[str, Json]:
        """One message, stage by stage; it ends where the message ends."""
        told: dict[str, Json] = {"received": _shown(message)}
        if unfit := self._unfit(message):
            return told | _refused(unfit)
        raw = decode.prepare(message, None, self._batch)
        if isinstance(raw, Refusal):
            return told | _refused(raw.faults)
        checked = check(raw, self._parts.plans.get(self._source.name))
        if isinstance(checked, Refusal):
            reference = [fault._asdict() for fault in reference_errors(raw)]
            return told | _refused(checked.faults) | {"reference": reference}
        valid, flagged = checked
        return told | self._stages(raw, flagged, *normalize(valid))

    def tell_track(self, call: Call, body: Json) -> list[dict[str, Json]]:
        """A Track API request: each of the messages it becomes, stage by stage."""
        received: dict[str, Json] = {"received": _shown(body)}
        if unfit := self._unfit(body):
            return [received | _refused(unfit)]
        made = track_api.messages(call, body, self._source.forms)
        if isinstance(made, Refusal):
            return [received | _refused(made.faults)]
        given = made[0].get("messageId")
        track_api.number(made, SPARE_ID)
        plan, told = self._parts.plans.get(self._source.name), []
        for raw in made:
            checked = (raw, ()) if plan is None else planned(raw, plan)
            if isinstance(checked, Refusal):
                return [received | _refused(checked.faults)]
            as_sent = Normalized(raw)
            stages = self._stages(raw, checked[1], as_sent, ())
            stages["resolve"]["made"] = given is None
            told.append(received | stages)
        return told

    def _unfit(self, message: Json) -> Sequence[Fault]:
        """Too large, or holding what no event can."""
        limits = self._config.limits
        size, deep = fit.weigh(message, limits.nesting, limits.message_bytes)
        if size > limits.message_bytes:
            text = f"the message is {size} bytes, more than {limits.message_bytes}"
            return [Fault("", text, "too_large")]
        if self._suspect or deep:
            return fit.flaws(message, limits.nesting)
        return ()

    def _stages(
        self,
        raw: Raw,
        flagged: Sequence[Notice],
        normalized: Normalized,
        remarked: Sequence[Notice],
    ) -> dict[str, Json]:
        event, dated = resolve(normalized, self._origin())
        decided, unknown = route(event, self._parts.routes)
        return {
            "check": {"ok": True, "notices": _notices(flagged)},
            "normalize": {
                "asSent": normalized.get("asSent", {}),
                "notices": _notices(remarked),
            },
            "resolve": {
                "messageId": event.message_id,
                "made": raw.get("messageId") in (None, ""),
                "personKey": event.key,
                "timestamp": event.body["timestamp"],
                "timestampSource": event.body["timestampSource"],
                "notices": _notices(dated),
            },
            "route": {
                "to": list(decided.to),
                "no": dict(decided.no),
                "notices": _notices(unknown),
            },
            "event": event.body,
            "destinations": [
                self._destination(name, event, decided.no.get(name))
                for name in self._config.destinations
            ],
        }

    def _destination(self, name: str, event: Event, no: str | None) -> dict[str, Json]:
        told = {"name": name, "type": self._config.destinations[name].type}
        if no is not None:
            return {**told, "sent": False, "reason": no}
        shown = self._previews[name](event.to_bytes())
        paused = shown["sent"] and self._config.destinations[name].paused
        return {**told, **shown, **({"paused": True} if paused else {})}

    def _origin(self) -> Origin:
        now_ms = time.time_ns() // 1_000_000
        return Origin(
            source=self._source.name,
            kind=self._source.kind,
            received_at=iso(now_ms),
            received_at_ms=now_ms,
            spare_message_id=SPARE_ID,
            clock_skew=self._source.clock_skew,
        )


def _refused(faults: Sequence[Fault]) -> dict[str, Json]:
    return {"check": {"ok": False, "errors": [fault._asdict() for fault in faults]}}


def _notices(notices: Sequence[Notice]) -> list[str]:
    return [f"{notice.code}: {notice.name}" for notice in notices]


def _shown(message: Json) -> Json:
    """What JSON can show of it; the faults say what it cannot."""
    try:
        orjson.dumps(message)
    except TypeError:
        return "(holds what JSON cannot: see the errors)"
    return message


def as_json(explained: Mapping[str, Json]) -> str:
    """``gateway explain --json``."""
    return orjson.dumps(explained, option=orjson.OPT_INDENT_2).decode()


def as_text(explained: Mapping[str, Json]) -> str:
    """For a person: a line a fact, the event and the requests as JSON."""
    lines = [f"source {explained['source']}"]
    if "refused" in explained:
        lines.append(f"refused: {explained['refused']}")
    for number, told in enumerate(explained["messages"]):
        lines += [f"message {number}", *_message_lines(told)]
    return "\n".join(lines)


def _message_lines(told: Mapping[str, Json]) -> list[str]:
    if not told["check"]["ok"]:
        return [
            "  check      refused",
            *(
                f"    {fault['pointer'] or '(the message)'}: {fault['message']}"
                f" [{fault['code']}]"
                for fault in told["check"]["errors"]
            ),
        ]
    resolved, routed = told["resolve"], told["route"]
    made = " (made up: the sender gave none)" if resolved["made"] else ""
    renamed = [
        f"    {path} was {sent['name']}: {sent['value']!r}"
        for path, sent in told["normalize"]["asSent"].items()
    ]
    notices = [
        f"    notice {notice}"
        for stage in ("check", "normalize", "resolve", "route")
        for notice in told[stage]["notices"]
    ]
    return [
        "  check      ok",
        f"  normalize  {len(renamed)} traits renamed or coerced",
        *renamed,
        f"  resolve    messageId {resolved['messageId']}{made}",
        f"             person key {resolved['personKey']}",
        f"             {resolved['timestamp']} ({resolved['timestampSource']})",
        f"  route      to {', '.join(routed['to']) or 'nobody'}",
        *notices,
        "  event",
        _indented(told["event"]),
        *[line for each in told["destinations"] for line in _destination_lines(each)],
    ]


def _destination_lines(told: Mapping[str, Json]) -> list[str]:
    head = f"  {told['name']} ({told['type']}): "
    if not told["sent"]:
        return [f"{head}no, {told['reason']}"]
    paused = ", once it is no longer paused" if told.get("paused") else ""
    return [f"{head}yes{paused}", _indented(told["request"])]


def _indented(value: Json) -> str:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return "\n".join(f"    {line}" for line in text.splitlines())
