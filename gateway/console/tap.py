"""What comes in while somebody looks: one reader of the log, for all who do.

Nobody looks: nothing is read, and the intake never knows of this. Somebody does: the
topics ``events`` and ``refused`` are followed at their ends. Four times a second each
viewer gets what is new, a few at most, with how many more there were; of a viewer that
takes nothing the oldest are dropped and counted. Nothing is parsed that is not shown,
unless a filter has to.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway import topics
from gateway.console.newest import header
from gateway.errors import LogError
from gateway.log.contract import EventLog, Record, Span
from gateway.outbound.when import Filter

TICK_S = 0.25
SHOWN = 10  # events a tick that a viewer gets: forty a second are more than one reads
KEPT = 500  # that wait for a viewer; the oldest go
VIEWERS_MAX = 20
AGAIN_S = 1.0
LATE_S = 0.12  # the log may tell it so late: half a tick
FOLLOWED = (topics.EVENTS, topics.REFUSED)


@dataclass(slots=True)
class Viewer:
    """One live page; ``more`` counts what it will not be shown."""

    wanted: Filter | None
    waiting: deque[Record] = field(default_factory=lambda: deque(maxlen=KEPT))
    more: int = 0

    def hear(self, record: Record) -> None:
        """Keep a record for the next tick."""
        if len(self.waiting) == KEPT:
            self.more += 1
        self.waiting.append(record)

    def take(self) -> tuple[list[dict[str, Any]], int]:
        """The newest of what waits, oldest first, and how many were left out."""
        shown: list[dict[str, Any]] = []
        passed = 0
        while self.waiting:
            record = self.waiting.pop()
            if self.wanted is None:
                if len(shown) < SHOWN:
                    shown.append(row_of(record))
                    continue
                passed += 1 + len(self.waiting)
                self.waiting.clear()
            elif chosen(self.wanted, record):
                if len(shown) < SHOWN:
                    shown.append(row_of(record))
                else:
                    passed += 1
        more, self.more = passed + self.more, 0
        return shown[::-1], more


class Tap:
    """Reads while there are viewers, and only then."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._viewers: list[Viewer] = []
        self._somebody = asyncio.Event()
        self._nobody = asyncio.Event()
        self._since_ms = 0

    @property
    def is_crowded(self) -> bool:
        """Whether there are as many viewers as there may be."""
        return len(self._viewers) >= VIEWERS_MAX

    async def run(self) -> None:
        """Follow the log whenever somebody looks, until cancelled."""
        while True:
            await self._somebody.wait()
            self._nobody.clear()
            if not self._viewers:
                continue
            following = [asyncio.create_task(self._follow(name)) for name in FOLLOWED]
            try:
                await self._nobody.wait()
            finally:
                for task in following:
                    task.cancel()
                await asyncio.wait(following)

    async def _follow(self, topic: str) -> None:
        while True:
            span = Span(from_ms=self._since_ms)
            with suppress(LogError):
                records = self._log.scan(topic, span, follow=True, late_s=LATE_S)
                async for record in records:
                    for viewer in self._viewers:
                        viewer.hear(record)
            self._since_ms = time.time_ns() // 1_000_000  # the log was away
            await asyncio.sleep(AGAIN_S)

    @contextmanager
    def viewing(self, wanted: Filter | None) -> Iterator[Viewer]:
        """Somebody who looks: what comes from now on waits for ``Viewer.take``."""
        viewer = Viewer(wanted)
        if not self._viewers:
            self._since_ms = time.time_ns() // 1_000_000
        self._viewers.append(viewer)
        self._somebody.set()
        try:
            yield viewer
        finally:
            self._viewers.remove(viewer)
            if not self._viewers:
                self._somebody.clear()
                self._nobody.set()


def chosen(wanted: Filter, record: Record) -> bool:
    """Whether a filter means this event, or this refused message."""
    return not wanted.surely_passes_over(record.value) and wanted.chooses(
        value_of(record)
    )


def value_of(record: Record) -> Any:
    """What a filter is asked about: an event, or a refused message."""
    try:
        return orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None


def row_of(record: Record) -> dict[str, Any]:
    """One line of the live page, out of an event or a refused message."""
    value = value_of(record)
    value = value if isinstance(value, dict) else {}
    shown = {
        "id": header(record, "messageId") or "",
        "at": record.appended_at_ms,
        "source": header(record, "source") or "",
        "place": f"{record.topic}-{record.partition}-{record.offset}",
    }
    if record.topic == topics.REFUSED:
        errors = value.get("errors") or [{}]
        said = f"{errors[0].get('pointer') or '/'}: {errors[0].get('message')}"
        return {
            **shown,
            "type": "refused",
            "name": str(value.get("endpoint")),
            "who": "",
            "refused": said[:300],
            "to": [],
            "no": {},
        }
    route = _route(record)
    name = value.get("event") or value.get("name") or ""
    return {
        **shown,
        "type": header(record, "type") or "",
        "name": name if isinstance(name, str) else "",
        "who": str(value.get("userId") or value.get("anonymousId") or ""),
        "refused": "",
        "to": route["to"],
        "no": route["no"],
    }


def _route(record: Record) -> dict[str, Any]:
    try:
        route = orjson.loads(header(record, "route") or "{}")
    except orjson.JSONDecodeError:
        route = {}
    return {"to": route.get("to", []), "no": route.get("no", {})}
