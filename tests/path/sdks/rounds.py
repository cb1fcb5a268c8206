"""One SDK through one fault, from its first call to the last arrival.

A round has a gateway, a webhook and a driver of its own, so that rounds of all SDKs
run side by side: some wait half a minute before they send again.
"""

import asyncio
import resource
import secrets
import sqlite3
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.log.broker.kafka import free_ports
from tests.path.running import PATIENCE_S, Gateway, Webhook, config, until
from tests.path.sdks.browser import Browser
from tests.path.sdks.clients import SDKS, Driver, Page, Sdk

ARRIVE_S = 90.0  # analytics-java waits up to 30 s, and 60 the second time
EVENTS = 12
BLOCKED = "a-key-without-rights"
ELSEWHERE = """
[sources.elsewhere]
kind = "browser"
write_keys = ["a-key-without-rights"]
origins = ["https://shop.example"]
"""
WAITING_BYTES = 20_000
CROWDED = f"""
[limits]
waiting_bytes = {WAITING_BYTES}
append_timeout = "60s"
"""
POISON = "x" * 1_001  # no name of an event is longer than 1,000 characters


@dataclass(slots=True)
class Round:
    """What one SDK did: which calls were made, what arrived, what it was answered."""

    sdk: Sdk
    gateway: Gateway
    hook: Webhook
    folder: Path
    tls: Path
    key: str
    made: list[int] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    messages: float = 0
    refused: int = 0

    @asynccontextmanager
    async def driving(
        self, *, key: str = "", patient: bool = True
    ) -> AsyncIterator[Driver | Page]:
        """A driver with the options that SDKS.md recommends; then what it heard."""
        sdk, host, key = self.sdk, self.gateway.url, key or self.key
        async with AsyncExitStack() as stack:
            if sdk.language == "browser":
                browser = Browser(self.folder / "profile")
                await stack.enter_async_context(browser)
                driver: Driver | Page = Page(browser, sdk, host=host, key=key)
            else:
                trust = self.tls / "trust.p12"
                driver = Driver(sdk, host=host, key=key, patient=patient, trust=trust)
            async with driver:
                yield driver
        self.problems = driver.problems
        self.answers = await self.statuses()

    async def track(
        self, driver: Driver | Page, numbers: range, *, every_s: float = 0.1
    ) -> None:
        """Make these calls, spread over a second or two."""
        for number in numbers:
            await driver.call(
                type="track",
                userId="user-1",
                event="Counted",
                properties={"n": number},
            )
            self.made.append(number)
            await asyncio.sleep(every_s)

    def arrived(self) -> set[int]:
        return {event["properties"]["n"] for event in self.hook.received}

    async def all_arrive(self, timeout_s: float = ARRIVE_S) -> None:
        """Wait for all that was made so far; what is lost is named."""
        try:
            await until(lambda: self.arrived() >= set(self.made), timeout_s=timeout_s)
        except TimeoutError:
            lost = sorted(set(self.made) - self.arrived())
            told = dict(await self.statuses())
            raise AssertionError(f"lost: {lost} of {self.made}, {told}") from None

    async def all_settle(self) -> None:
        """Wait until nothing that arrived waits to be recorded."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.gateway.metric("gateway_lag{"):
                await asyncio.sleep(0.05)

    async def post_large(self) -> tuple[int, Any]:
        """Append more than may wait; it repeats the first call, so nothing is new."""
        properties = {"n": 0, "filler": "x" * WAITING_BYTES}
        body = {"userId": "user-2", "event": "Counted", "properties": properties}
        return await self.gateway.post("/v1/track", body, key=self.key)

    async def is_overloaded(self) -> None:
        """Wait until nothing more may wait; and see that posts are told so."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.gateway.metric("gateway_waiting_bytes ") < WAITING_BYTES:
                await asyncio.sleep(0.05)
        body = {"userId": "user-2", "event": "Counted", "properties": {"n": 0}}
        status, told = await self.gateway.post("/v1/track", body, key=self.key)
        assert (status, told["code"]) == (503, "overloaded")

    async def statuses(self) -> Counter[str]:
        """The answers this gateway gave to posts since it started, by status."""
        async with self.gateway.session.get(self.gateway.admin + "/metrics") as answer:
            text = await answer.text()
        told: Counter[str] = Counter()
        for line in text.splitlines():
            if line.startswith("gateway_requests_total{") and "projects" not in line:
                status = line.partition('status="')[2][:3]
                told[status] += int(float(line.rpartition(" ")[2]))
        return told

    def twice(self) -> list[str]:
        """Message ids that the webhook got again because the SDK sent them again.

        A gateway that is killed may deliver again what was in flight: that is the same
        entry of the log, received at the same time.
        """
        times: dict[str, set[str]] = {}
        for event in self.hook.received:
            times.setdefault(event["messageId"], set()).add(event["receivedAt"])
        return [one for one, at in times.items() if len(at) > 1]


@asynccontextmanager
async def round_of(
    name: str, folder: Path, tls: Path, more: str = ""
) -> AsyncIterator[Round]:
    """A gateway at a port it keeps, with a webhook, for one SDK."""
    sdk = SDKS[name]
    (port,) = free_ports(1)
    server = f'[server]\nlisten = "127.0.0.1:{port}"\nadmin_listen = "127.0.0.1:0"\n'
    server += 'private_destinations = ["127.0.0.0/8"]\n'
    if sdk.secure:
        server += f'tls_certificate = "{tls / "cert.pem"}"\n'
        server += f'tls_key = "{tls / "key.pem"}"\n'
    async with Webhook() as hook:
        text = server + config(hook, "")
        key = (
            f"key-{secrets.token_hex(8)}"  # of this round alone: SDKs keep files by it
        )
        text = text.replace('"dev"]', f'"{key}"]\norigins = ["*"]\n{more}')
        async with Gateway(folder, text) as gateway:
            gateway.trust = ssl.create_default_context(cafile=tls / "ca.pem")
            yield Round(sdk, gateway, hook, folder, tls, key)


async def killed(told: Round, *, away_s: float) -> None:
    """kill -9 in the middle of the stream, away for so long, then back."""
    async with told.driving() as driver:
        await told.track(driver, range(3))
        await told.all_arrive()
        await told.track(driver, range(3, EVENTS // 2))
        await told.gateway.kill()
        await told.track(driver, range(EVENTS // 2, EVENTS))
        await asyncio.sleep(away_s)
        await told.gateway.start()
        await told.track(driver, range(EVENTS, EVENTS + 3))
        await told.all_arrive(ARRIVE_S + 5 * away_s)


async def full(told: Round, *, away_s: float) -> None:
    """The log takes nothing for so long: 503, then all goes on."""
    async with told.driving() as driver:
        await told.track(driver, range(3))
        await told.all_arrive()
        assert told.gateway.process is not None
        limit_files(told.gateway.process.pid, 1_000)
        await told.track(driver, range(3, EVENTS))
        await asyncio.sleep(away_s)
        limit_files(told.gateway.process.pid, resource.RLIM_INFINITY)
        await told.all_arrive()


async def overloaded(told: Round, *, away_s: float) -> None:
    """As much waits to be written as may, for so long: 503 before a body is read."""
    async with told.driving() as driver:
        await told.track(driver, range(3))
        await told.all_arrive()
        await told.all_settle()  # or that would be the first to wait
        with held(told.folder / "data/log.db"):
            first = asyncio.create_task(told.post_large())
            await told.is_overloaded()
            await told.track(driver, range(3, EVENTS))
            await asyncio.sleep(away_s)
        assert await first == (200, {"success": True})
        await told.all_arrive()


async def limited(told: Round) -> None:
    """More than the source's rate: 429 until the debt is paid."""
    async with told.driving() as driver:
        for start in (0, EVENTS // 2):
            await told.track(driver, range(start, start + EVENTS // 2), every_s=0)
            await told.all_arrive()


async def poisoned(told: Round) -> None:
    """A message that is refused among each few that are good."""
    async with told.driving() as driver:
        for start in range(0, EVENTS, 4):
            await told.track(driver, range(start, start + 2), every_s=0)
            await driver.call(type="track", userId="user-1", event=POISON)
            await told.track(driver, range(start + 2, start + 4), every_s=0)
            await told.all_arrive()
    told.messages = await told.gateway.metric("gateway_messages_total")
    told.refused = len(await told.gateway.read("refused"))


async def refused(told: Round, status: int) -> None:
    """One message that is answered 400 or 401: what the SDK makes of it."""
    key, event = "", POISON
    if status == 401:  # browsers ask for settings first: there a key must be known
        key = BLOCKED if told.sdk.language == "browser" else "nobody-s"
        event = "Counted"
    async with told.driving(key=key, patient=False) as driver:
        await driver.call(type="track", userId="user-1", event=event)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep SQLite's lock on this file: whoever writes waits for it."""
    with closing(sqlite3.connect(path, timeout=PATIENCE_S)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def limit_files(pid: int, size: int) -> None:
    """How large this process may let a file become: nothing fits a log of its size."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
