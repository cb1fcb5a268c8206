"""A log in a folder of its own, events to put in it, and a worker to follow it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from gateway.config import DeliveryConfig, DestinationConfig, LogConfig
from gateway.errors import LogError
from gateway.event import Event, EventType
from gateway.log.contract import Entry, EventLog, Past, Record, Span
from gateway.log.sqlite.log import open_sqlite
from gateway.log.sqlite.retention import Keeping
from gateway.metrics import Metrics
from gateway.notices import Notices
from gateway.outbound.contract import Delivered, Delivery, Takes, Verdict
from gateway.outbound.suppressed import Suppressed
from gateway.outbound.work import Worker
from gateway.topics import declaring

MEGABYTE = 1_000_000
ALL: frozenset[EventType] = frozenset(
    {"identify", "track", "page", "screen", "group", "alias"}
)


def make_body(number: int, user: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "identify",
        "messageId": f"m{number}",
        "userId": user,
        "traits": {"email": f"{user}@example.com", "firstName": "Jane"},
        "receivedAt": "2026-01-15T10:12:14.100Z",
        "source": "web",
        "version": 1,
        **changes,
    }


def make_entry(
    number: int, user: str, *, topic: str = "to.crm", replay: str = "", **changes: Any
) -> Entry:
    body = make_body(number, user, **changes)
    headers = [
        ("messageId", body["messageId"].encode()),
        ("source", body["source"].encode()),
        ("type", body["type"].encode()),
        ("receivedAt", body["receivedAt"].encode()),
    ]
    if replay:
        headers.append(("replay", replay.encode()))
    return Entry(topic, user.encode(), orjson.dumps(body), tuple(headers))


def make_record(
    offset: int, key: str = "u1", *, at_ms: int = 0, size: int = 0, **more: Any
) -> Record:
    entry = make_entry(offset, key, **more)
    value = b"x" * size or entry.value
    return Record("to.crm", 0, offset, entry.key, value, entry.headers, at_ms)


def make_delivery(number: int = 1, user: str = "u1", **changes: Any) -> Delivery:
    replay = changes.pop("replay", None)
    value = orjson.dumps(make_body(number, user, **changes))
    return Delivery(event=Event.from_bytes(value), value=value, replay=replay)


@pytest.fixture
def body() -> Callable[..., dict[str, Any]]:
    return make_body


@pytest.fixture
def entry() -> Callable[..., Entry]:
    return make_entry


@pytest.fixture
def record() -> Callable[..., Record]:
    return make_record


@pytest.fixture
def delivery() -> Callable[..., Delivery]:
    return make_delivery


class Recorder:
    """A destination that answers as it is told and remembers what it got."""

    def __init__(self, takes: Takes | None = None) -> None:
        self.takes = takes or Takes(types=ALL)
        self.got: list[tuple[str, str]] = []
        """(user, message id), in the order in which attempts ended"""
        self.answer: Callable[[Delivery], Verdict] = lambda _: Delivered(200)
        self.gate = asyncio.Event()
        self.gate.set()
        self.flying: Counter[str] = Counter()
        self.most_flying = 0
        self.batches: list[int] = []
        self.closed = 0

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        self.batches.append(len(deliveries))
        for each in deliveries:
            self.flying[each.event.key] += 1
            assert self.takes.same_key == "in_order" or self.flying[each.event.key] == 1
        self.most_flying = max(self.most_flying, self.flying.total())
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            self.got += [(each.event.key, each.event.message_id) for each in deliveries]
            return [self.answer(each) for each in deliveries]
        finally:
            self.flying.subtract(each.event.key for each in deliveries)

    async def close(self) -> None:
        self.closed += 1

    def ids(self, user: str | None = None) -> list[str]:
        return [ident for key, ident in self.got if user in (None, key)]


class Bench:
    """Everything a worker needs, and what it left in the log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = Metrics()
        self.notices = Notices()
        self.log: EventLog
        self.suppressed = Suppressed()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Bench"]:
        keeping = Keeping(
            retention_s=3600.0,
            size=1_000 * MEGABYTE,
            declared=declaring(LogConfig()),
        )
        self.log = await open_sqlite(
            self.folder / "log.db",
            keeping,
            topics=["to.crm", "outcomes", "dead.crm"],
            append_timeout_s=5.0,
            waiting_bytes=64 * MEGABYTE,
            tell=self.notices.say,
        )
        try:
            yield self
        finally:
            await self.log.close()

    def worker(self, destination: Any, **changes: Any) -> Worker:
        names = set(DeliveryConfig.__dataclass_fields__)
        delivery = {
            "retry_base_s": 0.005,
            "retry_cap_s": 0.02,
            "probe_every_s": 0.02,
            "timeout_s": 2.0,
            **{k: changes.pop(k) for k in list(changes) if k in names},
        }
        log = changes.pop("log", self.log)
        clock = changes.pop("clock", None)
        config = DestinationConfig(
            name="crm", type="webhook", delivery=DeliveryConfig(**delivery), **changes
        )
        return Worker(
            config=config,
            log=log,
            destination=destination,
            source_kinds={"web": "browser", "backend": "server"},
            suppressed=self.suppressed,
            metrics=self.metrics,
            notices=self.notices,
            clock=clock,
        )

    @asynccontextmanager
    async def running(self, destination: Any, **changes: Any) -> AsyncIterator[Worker]:
        """A worker until the block ends; then stopped, and nothing of it is left."""
        worker = self.worker(destination, **changes)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
            assert not task.done(), task
        finally:
            worker.request_stop()
            await task
            left = {each.get_name() for each in asyncio.all_tasks()}
            assert not {name for name in left if name.startswith("crm ")}

    async def settled(self, count: int, within_s: float = 15.0) -> None:
        """Wait until that many events have an outcome in the log."""
        await until(lambda: self.metrics.outcomes.total() >= count, within_s)
        while len(await self.outcomes()) < count:
            await asyncio.sleep(0.01)

    async def read(self, topic: str) -> list[dict[str, Any]]:
        return [orjson.loads(each.value) async for each in self.log.scan(topic, Span())]

    async def outcomes(self) -> list[dict[str, Any]]:
        return await self.read("outcomes")

    async def kinds(self) -> dict[str, str]:
        return {each["messageId"]: each["kind"] for each in await self.outcomes()}


async def kill_task(task: "asyncio.Task[None]") -> None:
    """As near to kill -9 as one process gets: nothing may finish."""
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


class SlowToSettle:
    """A log whose settles do not return, so that a kill finds them open."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.open = asyncio.Event()

    def subscribe(self, topic: str, *, group: str) -> Any:
        return _Subscribing(self._log.subscribe(topic, group=group), self)


class _Subscribing:
    def __init__(self, inner: Any, log: Any) -> None:
        self._inner, self._log = inner, log

    async def __aenter__(self) -> Any:
        self._subscription = await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._inner.__aexit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subscription, name)

    async def settle(
        self, records: Sequence[Record], entries: Sequence[Entry] = ()
    ) -> None:
        await self._log.open.wait()
        await self._subscription.settle(records, entries)


class Away:
    """A log that fails while told to, in all or in one thing; then it works again."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.away: bool | str = True
        self.asked: Counter[str] = Counter()

    def subscribe(self, topic: str, *, group: str) -> Any:
        return _AwaySubscription(self._log.subscribe(topic, group=group), self)

    def ask(self, what: str) -> None:
        self.asked[what] += 1
        if self.away in (True, what):
            raise LogError("the disk is gone")


class _AwaySubscription(_Subscribing):
    async def __aenter__(self) -> Any:
        self._log.ask("subscribe")
        return await super().__aenter__()

    async def poll(self, *, limit: int, timeout_s: float) -> Sequence[Record]:
        self._log.ask("poll")
        records: Sequence[Record] = await self._subscription.poll(
            limit=limit, timeout_s=timeout_s
        )
        return records

    async def settle(
        self, records: Sequence[Record], entries: Sequence[Entry] = ()
    ) -> None:
        self._log.ask("settle")
        await self._subscription.settle(records, entries)

    def before_committed(self, *arguments: Any) -> AsyncIterator[Sequence[Past]]:
        self._log.ask("remember")
        return cast(
            "AsyncIterator[Sequence[Past]]",
            self._subscription.before_committed(*arguments),
        )


async def until(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.002)


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    return until


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def recorder() -> Callable[..., Recorder]:
    return Recorder


@pytest.fixture
def users() -> Callable[[int], Iterator[str]]:
    return lambda count: (f"u{number}" for number in range(count))


@pytest.fixture
def kill() -> Callable[..., Any]:
    return kill_task


@pytest.fixture
def slow_to_settle() -> Callable[[Any], Any]:
    return SlowToSettle


@pytest.fixture
def away() -> Callable[[Any], Any]:
    return Away
