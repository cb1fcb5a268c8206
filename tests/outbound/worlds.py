"""Worlds in virtual time: a real worker, and people of whom some cannot be served.

The worker is all of outbound (poll, lanes, senders, breaker, settle), the log a list,
the destination a function, and the loop's clock jumps to the next thing that happens:
an hour takes milliseconds. A seed makes a world, and the same world again.
"""

import asyncio
import selectors
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, TypeVar

import orjson

from gateway.config import DeliveryConfig, DestinationConfig
from gateway.log.contract import Entry, Past, Record
from gateway.log.marks import Marks
from gateway.metrics import Metrics
from gateway.notices import Notices
from gateway.outbound.clock import Clock
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Retry,
    Takes,
    Verdict,
)
from gateway.outbound.suppressed import Suppressed
from gateway.outbound.work import Worker

T = TypeVar("T")
STUCK = 200_000  # turns of the loop without a moment passing: something spins


class _Jumping(selectors.SelectSelector):
    """Nothing is ever waited for: the clock is set to the next timer instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0
        self.turns = 0
        self.turned = 0  # altogether

    def select(self, timeout: float | None = None) -> list[Any]:
        self.turns += 1
        self.turned += 1
        assert timeout is not None, "nobody will ever wake up again"
        assert self.turns < STUCK, "time does not pass any more"
        if timeout > 0:
            self.now_s += timeout
            self.turns = 0
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes at once."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    @property
    def turned(self) -> int:
        return self._jumping.turned


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class Log:
    """A topic of one partition that is a list; what is settled outlives a worker."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.appended_s: list[float] = []
        self.marks = Marks()
        self.ends: dict[int, dict[str, Any]] = {}
        """offset -> outcome, with the time of it in ``at_s``"""
        self._news = asyncio.Event()

    def append(self, key: str, value: bytes | None = None) -> int:
        number, now_s = len(self.records), asyncio.get_running_loop().time()
        if value is None:
            value = b'{"type":"identify","messageId":"m%d","userId":"%s"' % (
                number,
                key.encode(),
            )
            value += b',"source":"web","receivedAt":"2026-01-15T10:12:14.100Z"}'
        headers = (("messageId", b"m%d" % number), ("source", b"web"))
        record = Record("to.crm", 0, number, key.encode(), value, headers, 0)
        self.records.append(record)
        self.appended_s.append(now_s)
        self._news.set()
        return number

    @asynccontextmanager
    async def subscribe(self, topic: str, *, group: str) -> AsyncIterator[Any]:
        del topic, group
        yield Subscription(self)

    async def news(self, within_s: float) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            pass


class Subscription:
    """One run's reading of it."""

    on_revoke = on_overdue = on_assign = None

    def __init__(self, log: Log) -> None:
        self._log = log
        self._place = 0

    async def poll(self, *, limit: int, timeout_s: float) -> Sequence[Record]:
        if not (found := self._next(limit)):
            await self._log.news(timeout_s)
            found = self._next(limit)
        return found

    def _next(self, limit: int) -> list[Record]:
        found: list[Record] = []
        records, marks = self._log.records, self._log.marks
        self._place = max(self._place, marks.mark)
        while self._place < len(records) and len(found) < limit:
            if not marks.is_settled(self._place):
                found.append(records[self._place])
            self._place += 1
        return found

    async def settle(
        self, records: Sequence[Record], entries: Sequence[Entry] = ()
    ) -> None:
        await asyncio.sleep(0.001)
        now_s = asyncio.get_running_loop().time()
        for record in records:
            assert not self._log.marks.is_settled(record.offset), "settled twice"
            self._log.marks.settle(record.offset)
        for entry in entries:
            if entry.topic == "outcomes":
                value = orjson.loads(entry.value)
                offset = int(value["messageId"][1:])
                self._log.ends[offset] = value | {"at_s": now_s}

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    async def before_committed(
        self,
        limit: int,
        headers: tuple[str, ...],
        partitions: Collection[int] | None = None,
    ) -> AsyncIterator[Sequence[Past]]:
        del limit, headers, partitions
        return
        yield

    @property
    def runs(self) -> int:
        return self._log.marks.runs

    @property
    def lag(self) -> int:
        marks = self._log.marks
        return len(self._log.records) - marks.mark - marks.above


REFUSALS: dict[str, Callable[[], Verdict]] = {
    **{
        str(status): lambda status=status: Retry(str(status), status=status, auth=True)  # type: ignore[misc]
        for status in (401, 403, 407)
    },
    **{
        str(status): lambda status=status: Retry(str(status), status=status)  # type: ignore[misc]
        for status in (408, 429, 500, 502, 503)
    },
    "reset": lambda: Retry("ServerDisconnectedError"),
    "later": lambda: Retry("503", 40.0, 503),
    "much later": lambda: Retry("503", 1e9, 503),
    "hang": lambda: Retry("TimeoutError"),
    "400": lambda: Rejected("rejected", "400", 400),
    "too_large": lambda: Rejected("too_large", "413", 413),
}
OURS = ("bug", "filter")  # an exception in the destination, in the filter
ANSWER_S = 0.005


@dataclass
class Person:
    """``how`` is what every attempt gets, until ``heals_s``; empty: is served."""

    key: str
    how: str = ""
    heals_s: float = float("inf")


@dataclass
class World:
    """Who lives here, and what was seen."""

    people: dict[str, Person] = field(default_factory=dict)
    outages: list[tuple[float, float, str]] = field(default_factory=list)
    takes: Takes = field(default_factory=lambda: Takes(types=frozenset({"identify"})))
    timeout_s: float = 10.0
    log: Log = field(default_factory=Log)
    requests: list[tuple[float, str]] = field(default_factory=list)
    """(when, key) of each event of each request"""
    calls: list[float] = field(default_factory=list)
    flying: Counter[str] = field(default_factory=Counter)
    got: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """key -> numbers of the events that were delivered, in order"""
    notices: Notices = field(default_factory=lambda: Notices(StringIO()))
    order: str = "person"

    def how(self, key: str, now_s: float) -> str:
        for start_s, end_s, how in self.outages:
            if start_s <= now_s < end_s:
                return how
        person = self.people[key]
        return "" if now_s >= person.heals_s else person.how

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        keys = [each.event.key for each in deliveries]
        self.calls.append(now_s)
        self.requests += [(now_s, key) for key in keys]
        self.flying.update(keys)
        assert self.order == "none" or max(self.flying.values()) == 1
        hows = [self.how(key, now_s) for key in keys]
        try:
            await asyncio.sleep(self.timeout_s if "hang" in hows else ANSWER_S)
        finally:
            self.flying.subtract(keys)
        return self._verdicts(deliveries, hows)

    def _verdicts(
        self, deliveries: Sequence[Delivery], hows: Sequence[str]
    ) -> Sequence[Verdict]:
        """A batch fails for one event's sake; a rejected one was sent in parts."""
        if "bug" in hows:
            raise ZeroDivisionError
        for how in hows:
            if how and isinstance(REFUSALS[how](), Retry):
                return [REFUSALS[how]()] * len(hows)
        for each, how in zip(deliveries, hows, strict=True):
            if not how:
                self.got[each.event.key].append(int(each.event.message_id[1:]))
        return [REFUSALS[how]() if how else Delivered(200) for how in hows]

    async def close(self) -> None: ...

    def worker(self, chance: Callable[[], float], **delivery: Any) -> Worker:
        loop = asyncio.get_running_loop()
        config = DestinationConfig(
            name="crm",
            type="webhook",
            order=self.order,  # type: ignore[arg-type]
            when="contains(userId, 'filter') && abs(userId) || 'yes'",
            delivery=DeliveryConfig(timeout_s=self.timeout_s, **delivery),
        )
        return Worker(
            config=config,
            log=self.log,  # type: ignore[arg-type]
            destination=self,
            source_kinds={},
            suppressed=Suppressed(),
            metrics=Metrics(),
            notices=self.notices,
            clock=Clock(
                monotonic=loop.time,
                wall_ms=lambda: int(loop.time() * 1_000),
                chance=chance,
            ),
        )

    @asynccontextmanager
    async def working(
        self, chance: Callable[[], float], **delivery: Any
    ) -> AsyncIterator[Worker]:
        """A worker until the block ends; then it is killed."""
        worker = self.worker(chance, **delivery)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            if task.done():
                task.result()
            task.cancel()
            await asyncio.wait([task])
