"""``gateway explain --diff OLD NEW``: what a change would send differently.

The newest events of the log go through both configurations as `explain` would show
them; nothing is sent. Whose values differ is told by their kind, unless they are asked
for.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import orjson

from gateway import commands, topics
from gateway.config import Config
from gateway.event import Json
from gateway.outbound.mapping.coerce import kind_of
from gateway.outbound.preview import readable
from gateway.parts import Parts, becoming, check

BACK_S = (60, 1_200, 21_600, 86_400, 604_800)
"""How far back the newest events are looked for, before the whole log is read."""
FIELDS_SHOWN = 5
FIELDS_MAX = 1_000  # told apart at one destination; senders choose their names
VALUE_CHARS = 60
MISSING = object()
NOWHERE: Mapping[str, Json] = {"sent": False, "reason": "no such destination"}


@dataclass(slots=True)
class Field:
    """One place in a request that differs: in how many events; what the first has."""

    events: int
    before: Json
    after: Json


@dataclass(slots=True)
class Difference:
    """What becomes of the events at one destination, before and after."""

    name: str
    same: int = 0
    different: int = 0
    neither: int = 0
    new: int = 0
    gone: Counter[str] = field(default_factory=Counter)
    """Why what was sent no longer is."""
    fields: dict[str, Field] = field(default_factory=dict)

    def add(self, before: Mapping[str, Json], after: Mapping[str, Json]) -> None:
        """Count one event."""
        if not after["sent"]:
            if before["sent"]:
                self.gone[after.get("because") or after["reason"]] += 1
            else:
                self.neither += 1
        elif not before["sent"]:
            self.new += 1
        elif before == after:
            self.same += 1
        else:
            self.different += 1
            self._differing(dict(_leaves(before)), dict(_leaves(after)))

    def _differing(self, before: Mapping[str, Json], after: Mapping[str, Json]) -> None:
        for path in sorted({**before, **after}, key=lambda path: "headers." in path):
            one, two = before.get(path, MISSING), after.get(path, MISSING)
            if one is two or one == two:
                continue
            if (known := self.fields.get(path)) is not None:
                known.events += 1
            elif len(self.fields) < FIELDS_MAX:
                self.fields[path] = Field(1, one, two)


def _leaves(shown: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """Every value of the requests with its path."""
    requests = shown.get("requests", [shown["request"]])
    for number, request in enumerate(map(readable, requests)):
        at = f"requests[{number}]." if len(requests) > 1 else ""
        for key, value in request.items():
            yield from _within(value, f"{at}{key}")


def _within(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _within(each, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for number, each in enumerate(value):
            yield from _within(each, f"{path}[{number}]")
    else:
        yield path, value


def compare(old: Config, new: Config, *, last: int, values: bool) -> Mapping[str, Json]:
    """What both make of the newest events in the log of the new one."""
    parts = check(old), check(new)
    events = newest(new, last)
    found = asyncio.run(_compared((old, new), parts, events))
    return {
        "events": len(events),
        "destinations": [_told(each, values=values) for each in found],
    }


def newest(config: Config, count: int) -> list[bytes]:
    """The values of the newest events; fewer where the log has no more."""
    now_ms = time.time_ns() // 1_000_000
    lines: deque[bytes] = deque(maxlen=count)
    for from_ms in (*[now_ms - back_s * 1_000 for back_s in BACK_S], None):
        lines.clear()
        lines.extend(
            commands.lines(
                config,
                topics.EVENTS,
                from_ms=from_ms,
                until_ms=None,
                follow=False,
                where=None,
            )
        )
        if len(lines) == count:
            break
    values = [orjson.loads(line)["value"] for line in lines]
    return [orjson.dumps(value) for value in values if isinstance(value, dict)]


async def _compared(
    configs: tuple[Config, Config],
    parts: tuple[Parts, Parts],
    events: Sequence[bytes],
) -> list[Difference]:
    found = []
    for name in dict.fromkeys(
        each for config in configs for each in config.destinations
    ):
        difference = Difference(name)
        async with AsyncExitStack() as stack:
            before, after = [
                await stack.enter_async_context(becoming(config, made, name))
                if name in config.destinations
                else _nowhere
                for config, made in zip(configs, parts, strict=True)
            ]
            for value in events:
                difference.add(await before(value), await after(value))
        found.append(difference)
    return found


async def _nowhere(value: bytes) -> dict[str, Json]:
    del value
    return dict(NOWHERE)


def _told(found: Difference, *, values: bool) -> dict[str, Json]:
    shown = list(found.fields.items())[:FIELDS_SHOWN]
    return {
        "name": found.name,
        "different": found.different,
        "new": found.new,
        "gone": dict(found.gone),
        "same": found.same,
        "neither": found.neither,
        "fields": [
            {"path": path, "events": each.events, **_sides(each, values=values)}
            for path, each in shown
        ],
        "more_fields": len(found.fields) - len(shown),
    }


def _sides(found: Field, *, values: bool) -> dict[str, Json]:
    """What stood there and what would; only its kind, unless values are asked for."""
    sides = {"from": found.before, "to": found.after}
    present = {side: each for side, each in sides.items() if each is not MISSING}
    if values:
        return present
    kinds = {side: kind_of(each) for side, each in present.items()}
    if kinds.get("from") == kinds.get("to"):
        kinds["to"] = kinds["to"].replace("a ", "another ", 1)
    return kinds


def as_json(told: Mapping[str, Json]) -> str:
    """``--json``: one object."""
    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()


def as_text(told: Mapping[str, Json]) -> str:
    """For a person: what changes at each destination, the first fields that differ."""
    lines = [f"{told['events']} events"]
    for each in told["destinations"]:
        lines += _lines(each)
    return "\n".join(lines)


def _lines(told: Mapping[str, Json]) -> Iterator[str]:
    gone = sum(told["gone"].values())
    counts = {
        "sent differently": told["different"],
        "newly sent": told["new"],
        "no longer sent": gone,
        "the same": told["same"],
        "not sent by either": told["neither"],
    }
    said = ", ".join(f"{n} {words}" for words, n in counts.items() if n)
    yield f"{told['name']}: {said or 'nothing'}"
    for why, events in told["gone"].items():
        yield f"  no longer sent, {why}: {events}"
    for each in told["fields"]:
        sides = [_side(each, side) for side in ("from", "to")]
        yield f"  {each['path']}: {' -> '.join(sides)} ({each['events']})"
    if told["more_fields"]:
        yield f"  and {told['more_fields']} more fields"


def _side(told: Mapping[str, Json], side: str) -> str:
    if side not in told:
        return "missing"
    value = told[side]
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}..."
