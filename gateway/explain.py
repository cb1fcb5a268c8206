"""``gateway explain FILE``: what becomes of a message, and why, without sending it.

The intake's own function judges it (``inbound.intake``), with the request's totals, so
that the two never differ; the reference validator is asked for its reading of a refused
message too. What only a connection knows is not there: an address, a browser's name.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import orjson

from gateway.config import Config, Source
from gateway.errors import MessageError
from gateway.event import Json
from gateway.inbound.admit import Admitted
from gateway.inbound.check import reference_errors
from gateway.inbound.doors import file
from gateway.inbound.intake import Judged, Part, Refused, judge, written
from gateway.inbound.receipt import Receipt
from gateway.notices import Notice
from gateway.parts import Parts, Previews, previewing
from gateway.parts import check as check_config

SPARE_ID = "made-up-by-the-gateway-as-always"  # as long as those that it makes up


async def explain(
    config: Config, data: bytes, *, source: str | None = None
) -> dict[str, Json]:
    """Every stage of every message in ``data``, as if it were POSTed as it is.

    It is a message, or a body with `batch`; of a source that speaks the Track API, one
    of its requests.
    """
    parts = check_config(config)
    sender = config.source(source)
    try:
        given = file.read(data, sender, config.limits)
        async with AsyncExitStack() as stack:
            previews = {
                name: await stack.enter_async_context(previewing(config, parts, name))
                for name in config.destinations
            }
            messages = await _Teller(config, parts, sender, given, previews).tell()
    except MessageError as error:
        return {"source": sender.name, "refused": str(error), "messages": []}
    return {"source": sender.name, "messages": messages}


class _Teller:
    """Judges the messages of a file in their order, and writes down what each is."""

    def __init__(
        self,
        config: Config,
        parts: Parts,
        source: Source,
        given: file.Given,
        previews: Mapping[str, Previews],
    ) -> None:
        self._config, self._parts, self._source = config, parts, source
        self._given = given
        self._receipt = Receipt(given, config.limits, given.batch)
        self._previews = previews

    async def tell(self) -> list[dict[str, Json]]:
        """What becomes of each; MessageError when all of it is refused together."""
        told: list[dict[str, Json]] = []
        for index, part in enumerate(self._given.parts):
            received = {"received": _shown(part.sent)}
            judged = self._judged(index, part)
            if isinstance(judged, Refused):
                told.append(received | self._refused(judged, part))
            else:
                stages = [await self._stages(each) for each in judged.admitted]
                told += [received | each for each in stages]
        self._receipt.check_that_it_fits()
        return told

    def _judged(self, index: int, part: Part) -> Judged:
        (sent, text, door), receipt = part, self._receipt
        spare = f"{SPARE_ID}-{index}" if door.as_sent and index else SPARE_ID
        now_ms, rules = time.time_ns() // 1_000_000, self._parts.rules
        origin = file.origin(self._source, spare, now_ms)
        judged = judge(sent, text, origin, door, rules, receipt)
        if isinstance(judged, Refused):
            kept, source = written(sent, text), self._source
            receipt.set_aside(index, spare, judged.refusal, kept, source, origin)
        else:
            receipt.take(judged)
        return judged

    def _refused(self, judged: Refused, part: Part) -> dict[str, Json]:
        """Why; and what the reference says, if the check refused it."""
        errors = [fault._asdict() for fault in judged.refusal.faults]
        told: dict[str, Json] = {"check": {"ok": False, "errors": errors}}
        if judged.raw is not None and not part.door.as_sent:
            reference = reference_errors(judged.raw)
            told["reference"] = [fault._asdict() for fault in reference]
        return told

    async def _stages(self, admitted: Admitted) -> dict[str, Json]:
        event, decided = admitted.event, admitted.route
        return {
            "check": {"ok": True, "notices": _notices(admitted.checked)},
            "normalize": {
                "asSent": event.body.get("asSent", {}),
                "notices": _notices(admitted.normalized),
            },
            "resolve": {
                "messageId": event.message_id,
                "made": event.message_id.startswith(SPARE_ID),
                "personKey": event.key,
                "timestamp": event.body["timestamp"],
                "timestampSource": event.body["timestampSource"],
                "notices": _notices(admitted.resolved),
            },
            "route": {
                "to": list(decided.to),
                "no": dict(decided.no),
                "notices": _notices(admitted.routed),
            },
            "event": event.body,
            "destinations": [
                await self._destination(name, admitted)
                for name in self._config.destinations
            ],
        }

    async def _destination(self, name: str, admitted: Admitted) -> dict[str, Json]:
        told = {"name": name, "type": self._config.destinations[name].type}
        no = admitted.route.no.get(name)
        if no is not None:
            return {**told, "sent": False, "reason": no}
        shown = await self._previews[name](admitted.event.to_bytes())
        paused = shown["sent"] and self._config.destinations[name].paused
        return {**told, **shown, **({"paused": True} if paused else {})}


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
        because = f" ({told['because']})" if told.get("because") else ""
        return [f"{head}no, {told['reason']}{because}"]
    paused = ", once it is no longer paused" if told.get("paused") else ""
    requests = told.get("requests", [told["request"]])
    return [f"{head}yes{paused}", *map(_indented, requests)]


def _indented(value: Json) -> str:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return "\n".join(f"    {line}" for line in text.splitlines())
