"""``gateway send``: one event to one destination, shown, or sent by hand and judged.

The event goes through the destination's gate as in a worker, so that what is shown is
what would be sent. Nothing is written to the log, and nothing is tried again.
"""

import secrets
import time
from collections.abc import Mapping
from typing import NamedTuple, Self

import orjson

from gateway.config import Config, Source
from gateway.errors import ConfigError, MessageError
from gateway.event import Event, Json
from gateway.inbound.doors import file
from gateway.inbound.intake import Refused, Total, judge
from gateway.inbound.refusal import Refusal
from gateway.outbound.attempt import bound_s, deliver
from gateway.outbound.contract import Delivered, Delivery, Skipped, Verdict
from gateway.outbound.deadlines import Deadlines
from gateway.outbound.send import open_ways
from gateway.parts import Parts, gate_of, previewing

WRITTEN = frozenset({"receivedAt", "source", "version"})
"""What only the gateway writes: a JSON object that has it is an event already."""


class Stamp(NamedTuple):
    """What a message gets that has no id of its own, and when it is received."""

    spare_id: str
    at_ms: int

    @classmethod
    def now(cls) -> Self:
        """As the intake would."""
        return cls(secrets.token_hex(16), time.time_ns() // 1_000_000)


def value_of(
    config: Config,
    parts: Parts,
    data: bytes,
    source: str | None,
    stamp: Stamp | None = None,
) -> bytes:
    """The event in a file: as the log has it, a line of `gateway read`, or a message.

    ConfigError says what is wrong with it. A message is admitted as one of ``source``,
    by default the first in the configuration; now, unless ``stamp`` says otherwise.
    """
    try:
        given = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"the file is not one JSON value: {error}") from error
    if isinstance(given, dict) and isinstance(given.get("value"), dict):
        given = given["value"]  # a record, as `gateway read` prints it
        data = orjson.dumps(given)
    if not isinstance(given, dict):
        raise ConfigError("the file must hold one JSON object: an event or a message")
    if given.keys() >= WRITTEN:
        return Event.from_bytes(orjson.dumps(given)).to_bytes()
    return _admitted(parts, data, config.source(source), stamp or Stamp.now())


def _admitted(parts: Parts, data: bytes, source: Source, stamp: Stamp) -> bytes:
    """The one event that a message becomes, judged as the intake judges it."""
    origin = file.origin(source, *stamp)
    try:
        given = file.read(data, source, parts.rules.limits)
    except MessageError as error:
        raise ConfigError(f"the message would be refused: {error}") from error
    events: list[Event] = []
    for message, known, door in given.parts:
        judged = judge(message, known, origin, door, parts.rules, Total())
        if isinstance(judged, Refused):
            raise _refused(judged.refusal)
        events += [admitted.event for admitted in judged.admitted]
    if len(events) != 1:
        text = f"the file becomes {len(events)} events; give it one message"
        raise ConfigError(text)
    return events[0].to_bytes()


def _refused(refusal: Refusal) -> ConfigError:
    faults = [f"{each.pointer or '/'}: {each.message}" for each in refusal.faults]
    return ConfigError("the message would be refused: " + "; ".join(faults))


async def shown(
    config: Config, parts: Parts, name: str, value: bytes
) -> dict[str, Json]:
    """What the event becomes at a destination, secrets masked; sends nothing."""
    async with previewing(config, parts, _known(parts, name)) as tell:
        return await tell(value)


async def sent(
    config: Config, parts: Parts, name: str, value: bytes
) -> dict[str, Json]:
    """Send it, once; what the destination said.

    ``{"sent": false, "reason"}`` when its gate lets nothing through. ConfigError for a
    destination that only applies what its topic holds.
    """
    configured = parts.configured[_known(parts, name)]
    destination = config.destinations[name]
    if configured.kind.by_wing:
        text = f"{name} applies what the log holds, in its order: POST the message"
        raise ConfigError(f"--to {text}")
    prepared = gate_of(config, parts, name).prepare(value)
    if not isinstance(prepared, Delivery):
        return await shown(config, parts, name, value)
    async with open_ways(config.server, config.egress) as ways:
        timeout_s = destination.delivery.timeout_s
        made = configured.open(ways.send(timeout_s))
        try:
            (verdict,) = await deliver(
                made,
                [prepared],
                timeout_s=bound_s(made.takes, timeout_s, 1),
                under_way=Deadlines(),
            )
        finally:
            await made.close()
    return {"sent": not isinstance(verdict, Skipped), **_told(verdict)}


async def connected(config: Config, parts: Parts) -> dict[str, str | None]:
    """Of each enabled destination that can be asked: why it lets us not in, or None."""
    said: dict[str, str | None] = {}
    async with open_ways(config.server, config.egress) as ways:
        for name, made in parts.configured.items():
            destination = config.destinations[name]
            if destination.enabled and made.kind.asks is not None:
                timeout_s = destination.delivery.timeout_s
                said[name] = await made.ask(ways.send(timeout_s))
    return said


def _known(parts: Parts, name: str) -> str:
    if name not in parts.configured:
        known = ", ".join(parts.configured)
        raise ConfigError(f"--to {name}: unknown; known are: {known}")
    return name


def _told(verdict: Verdict) -> Mapping[str, Json]:
    """A verdict in words, with the exchange if it is not a delivery."""
    told: dict[str, Json] = {"verdict": type(verdict).__name__.lower()}
    if isinstance(verdict, Skipped):
        return {**told, "reason": verdict.reason}
    told["status"] = verdict.status
    if isinstance(verdict, Delivered):
        return {**told, "detail": verdict.detail} if verdict.detail else told
    exchange = verdict.exchange
    return {
        **told,
        "reason": verdict.reason,
        "detail": getattr(verdict, "detail", ""),
        "request": exchange and exchange.request,
        "response": exchange and exchange.response,
    }


def as_text(told: Mapping[str, Json]) -> str:
    """For a person and for `jq`: indented JSON."""
    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()
