"""A wing: it follows topics into a store of its own, and needs no edit elsewhere."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web

from gateway import wings
from gateway.admin.port import Mount
from gateway.config import Config, Limits, LogConfig, parse
from gateway.errors import ConfigError, LogError
from gateway.log import open_log
from gateway.log.contract import Entry, EventLog, Record, Span
from gateway.notices import Notices
from gateway.outbound.contract import Delivered, Delivery, Takes, Verdict
from gateway.outbound.kind import Kind, Schema
from gateway.parts import check, declared_of, known_kinds, topics_of
from gateway.ports import Listening
from gateway.topics import Declared
from gateway.wing import Readiness, Shared, follow
from tests.whole import running, until

TOKEN = "ledger-token"
BASIC = "Basic ZGV2Og=="  # dev:


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """``[ledger]``"""

    token: str = TOKEN
    pages: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """It has no settings."""


class Counting:
    """A wing of the tests: counts what is admitted, and keeps a destination."""

    def __init__(self, config: Config, settings: Ledger) -> None:
        self.settings = settings
        kind: Kind[Any] = Kind(
            doc="Counts.",
            settings=Schema.of(Nothing),
            takes=Store.takes,
            by_wing=True,
        )
        self.kinds: Mapping[str, Kind[Any]] = {"counter": kind}
        self.topics = {"ledger": Declared(kept="for_ever")}

    def check(self) -> None:
        if self.settings.pages > 100:
            raise ConfigError("ledger.pages: more than 100")

    def open(self, shared: Shared) -> "OpenedCounting":
        return OpenedCounting(shared, self.settings)


class Store:
    takes = Takes(types=frozenset({"identify"}))

    def __init__(self) -> None:
        self.got: list[str] = []

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        self.got += [each.event.message_id for each in deliveries]
        return [Delivered()] * len(deliveries)

    async def close(self) -> None: ...


class OpenedCounting:
    opened: ClassVar[list["OpenedCounting"]] = []

    def __init__(self, shared: Shared, settings: Ledger) -> None:
        self.shared, self.store = shared, Store()
        self.seen: list[str] = []
        self.ports: Sequence[Listening] = ()
        self.closed = False
        self.fail = False
        names = [
            name
            for name, each in shared.config.destinations.items()
            if each.type == "counter" and shared.works_for(name)
        ]
        self.destinations = dict.fromkeys(names, self.store)
        self.mounts = [
            Mount(
                routes=[web.get("/v1/count", self._count)],
                token=settings.token,
                refusal="the ledger's token opens this",
            )
        ]
        self.opened.append(self)

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response({"seen": len(self.seen)})

    async def _take(self, records: Sequence[Record]) -> None:
        if self.fail:
            self.fail = False
            raise RuntimeError("a bug")
        self.seen += [dict(each.headers)["messageId"].decode() for each in records]

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        shared = self.shared
        await follow(shared.log, "events", "ledger", self._take, notices=shared.notices)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line more in ``wings.WINGS``, and nothing else."""
    module = ModuleType("tests_ledger")
    module.wing = lambda config, mistakes: Counting(  # type: ignore[attr-defined]  # made here
        config, config.section(Ledger, "ledger", mistakes)
    )
    monkeypatch.setitem(sys.modules, "tests_ledger", module)
    monkeypatch.setitem(wings.WINGS, "ledger", "tests_ledger")
    monkeypatch.setattr(OpenedCounting, "opened", [])


CONFIG = """
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[sources.web]
write_keys = ["dev"]
[destinations.counts]
type = "counter"
"""


def read(folder: Path, more: str = "") -> Config:
    return parse(CONFIG + more, folder=folder, environment={})


async def test_a_wing_brings_its_section_topic_kind_paths_and_work(
    ledger: None, tmp_path: Path
) -> None:
    config = read(tmp_path, '[ledger]\ntoken = "own"\n')
    parts = check(config)
    assert "ledger" in topics_of(config, parts)
    assert declared_of(config, parts)("ledger").kept == "for_ever"
    assert "counter" in known_kinds()
    async with running(config) as gateway:
        (opened,) = OpenedCounting.opened
        async with aiohttp.ClientSession() as session:
            for number in range(3):
                message = {"userId": "u", "messageId": f"m{number}"}
                async with session.post(
                    f"{gateway.url}/v1/identify",
                    json=message,
                    headers={"Authorization": BASIC},
                ) as response:
                    assert response.status == 200
            await until(lambda: len(opened.seen) == len(opened.store.got) == 3)
            for token, status in (("own", 200), ("other", 401)):
                async with session.get(
                    f"{gateway.admin}/v1/count",
                    headers={"Authorization": f"Bearer {token}"},
                ) as response:
                    assert response.status == status
    assert opened.seen == opened.store.got == ["m0", "m1", "m2"]
    assert opened.closed
    assert gateway.said.getvalue() == ""


async def test_a_bug_in_a_wing_is_told_and_its_records_come_again(
    ledger: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.RESTART_S", 0.01)
    async with running(read(tmp_path)) as gateway:
        (opened,) = OpenedCounting.opened
        opened.fail = True
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{gateway.url}/v1/identify",
                json={"userId": "u", "messageId": "m"},
                headers={"Authorization": BASIC},
            ) as response,
        ):
            assert response.status == 200
        await until(lambda: opened.seen == ["m"])
        await until(lambda: opened.store.got == ["m"])  # others go on meanwhile
    (told,) = gateway.notices("wing_failed")
    assert told["error"] == "RuntimeError"


def test_what_is_wrong_with_its_section_is_told_with_the_rest(
    ledger: None, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        check(read(tmp_path, "[ledger]\npages = 101\n[destinations.x]\ntype = 'no'"))
    assert "ledger.pages: more than 100" in str(caught.value)
    assert "destinations.x.type" in str(caught.value)
    with pytest.raises(ConfigError, match="pagse: unknown key"):
        check(read(tmp_path, "[ledger]\npagse = 1\n"))


# follow


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    log = await open_log(
        LogConfig(path=tmp_path / "log.db"),
        Limits(),
        topics=["events"],
        notices=Notices(io.StringIO()),
    )
    yield log
    await log.close()


def entry(number: int) -> Entry:
    return Entry("events", b"u", str(number).encode(), ())


class Away:
    """A log that cannot be followed for a while."""

    def __init__(self, log: EventLog, times: int) -> None:
        self._log, self.times = log, times

    def subscribe(self, topic: str, *, group: str) -> Any:
        if self.times:
            self.times -= 1
            raise LogError("away")
        return self._log.subscribe(topic, group=group)


async def test_followed_records_come_at_least_once_and_in_order(log: EventLog) -> None:
    got: list[int] = []
    failing = True

    async def take(records: Sequence[Record]) -> None:
        nonlocal failing
        if failing and len(got) >= 3:
            failing = False
            raise RuntimeError("the store broke after it wrote")
        got.extend(int(each.value) for each in records)

    await log.append([entry(number) for number in range(3)])
    notices = Notices(io.StringIO())
    first = asyncio.create_task(follow(log, "events", "l", take, notices=notices))
    await until(lambda: got == [0, 1, 2])
    await log.append([entry(number) for number in range(3, 6)])
    with pytest.raises(RuntimeError):
        await first
    second = asyncio.create_task(follow(log, "events", "l", take, notices=notices))
    await until(lambda: got[-1] == 5)
    second.cancel()
    await asyncio.wait([second])
    assert got == [0, 1, 2, 3, 4, 5]


async def test_a_log_that_is_away_is_told_and_waited_for(log: EventLog) -> None:
    got: list[int] = []

    async def take(records: Sequence[Record]) -> None:
        got.extend(int(each.value) for each in records)

    await log.append([entry(1)])
    away: Any = Away(log, 2)
    notices = Notices(io.StringIO())
    task = asyncio.create_task(
        follow(away, "events", "l", take, notices=notices, chance=lambda: 0.0)
    )
    await until(lambda: got == [1])
    task.cancel()
    await asyncio.wait([task])
    assert notices.counts["log_unavailable"] == 2
    assert [record.value async for record in log.scan("events", Span())] == [b"1"]


async def test_workers_wait_until_every_wing_is_ready() -> None:
    readiness = Readiness(2)
    first, second = readiness.say(), readiness.say()
    waiting = asyncio.create_task(readiness.wait())
    first()
    first()  # it starts again after a bug, and says so again
    await asyncio.sleep(0)
    assert not waiting.done()
    second()
    await waiting
    await Readiness(0).wait()
