"""Today's rules for a replay, out of the configuration; and its steps as JSON."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack

import orjson

from gateway.config import Config
from gateway.event import Event, Json
from gateway.inbound.doors.readmit import Readmission
from gateway.inbound.route import route, route_outside
from gateway.log.contract import Entry, EventLog
from gateway.notices import Notices
from gateway.outbound.headers import repeated
from gateway.outbound.when import Filter
from gateway.parts import Parts, Previews, previewing
from gateway.replay.ends import with_ends
from gateway.replay.run import Request, Rules, check, dry_run, replay, survey

ASIDE = frozenset({"dry", "survey", "ends"})
"""What of that which is asked says how it is to be told, not what is sent."""


def rules_of(
    config: Config, parts: Parts, request: Request, shown: Previews | None = None
) -> Rules:
    """Today's rules for a replay; ConfigError for a bad ``--where``."""
    wanted = Filter(request.where, place="--where") if request.where else None

    async def show(entries: Sequence[Entry]) -> Mapping[str, Json]:
        headers = {name: value.decode() for name, value in entries[0].headers}
        told: dict[str, Json] = {"messageId": headers["messageId"]}
        if shown is not None:
            only = repeated(entries[0].headers)
            return {**told, **await shown(entries[0].value, only)}
        routed = [entry.topic for entry in entries[1:]]
        return {**told, "event": orjson.loads(entries[0].value), "to": routed}

    return Rules(
        passes=lambda value: wanted is None or wanted.chooses(value),
        routed=lambda event: _is_routed(event, parts, request.to),
        readmission=Readmission(config.sources, parts.rules),
        show=show,
    )


def _is_routed(event: Event, parts: Parts, destination: str | None) -> bool:
    judged = route_outside if "origin" in event.body else route
    decided, _ = judged(event, parts.rules.routes)
    return destination in decided.to


async def steps(
    log: EventLog,
    config: Config,
    parts: Parts,
    asked: Mapping[str, Json],
    notices: Notices,
) -> AsyncIterator[Mapping[str, Json]]:
    """A replay's progress, as JSON values; sends nothing with ``dry`` or ``survey``.

    ``dry`` is what it would send, ``survey`` counts that; ``ends`` tells, too, what
    came of it at its destination. ConfigError before the first step for what cannot
    be asked.
    """
    dry, counted = asked.get("dry", False), asked.get("survey", False)
    request = Request.of({k: v for k, v in asked.items() if k not in ASIDE})
    enabled = {name: each.enabled for name, each in config.destinations.items()}
    check(request, enabled)
    if dry or counted:
        async with AsyncExitStack() as stack:
            tell: Previews | None = None
            if request.to is not None:
                told = previewing(config, parts, request.to)
                tell = await stack.enter_async_context(told)
            rules = rules_of(config, parts, request, tell)
            if counted:
                async for said in survey(log, request, rules, notices):
                    yield said.as_json()
                return
            async for shown in dry_run(log, request, rules, notices):
                yield shown
        return
    fed = replay(log, request, rules_of(config, parts, request), notices)
    if asked.get("ends") and request.to is not None:
        async for step in with_ends(log, request.id, fed):
            yield step
        return
    async for progress in fed:
        yield progress.as_json()
