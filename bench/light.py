"""Light load: so many single posts a second to one webhook, for a while.

What comes out: the CPU time of the gateway and of its broker, and two times of each
event: until its POST was answered, and until the webhook had it.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import processes
from bench.delivery import Run
from bench.intake import make_store
from bench.load import PEOPLE
from bench.targets import WEBHOOK

CONNECTIONS = 8
WARM_UP_S = 2.0
LATE_S = 10.0  # how long is waited for the last events
ID = b'"messageId":"'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """One log under light load, once."""

    log: str
    per_s: int
    events: int
    problem: str  # empty: each event was answered 200 and came once
    server_us: float
    store_us: float | None
    answered_ms: tuple[float, float]  # p50, p99
    delivered_ms: tuple[float, float]

    @property
    def named(self) -> str:
        """What it is of."""
        return f"{self.log}, {self.per_s} a second"


class Hook:
    """The webhook: when each message came."""

    def __init__(self) -> None:
        self.came: dict[bytes, float] = {}
        self.repeats = 0
        self.news = asyncio.Event()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                message = body.partition(ID)[2].partition(b'"')[0]
                self.repeats += message in self.came
                self.came.setdefault(message, time.monotonic())
                self.news.set()
                writer.write(OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


class Sender:
    """Posts at even intervals; a connection that is still waiting skips no turn."""

    def __init__(self, url: str, body: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.template = body.strip()
        self.run_id = secrets.token_hex(4)
        self.sent: dict[bytes, float] = {}
        self.took: dict[bytes, float] = {}
        self.refused = 0

    async def send(self, per_s: int, seconds: float) -> None:
        """Return when all that was sent is answered."""
        began = time.monotonic() + 0.1
        turns = iter(range(int(per_s * seconds)))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONNECTIONS):
                tasks.create_task(self._post(turns, began, 1 / per_s))

    async def _post(self, turns: Iterator[int], began: float, pause_s: float) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        for number in turns:
            await asyncio.sleep(began + number * pause_s - time.monotonic())
            message, data = self._message()
            self.sent[message] = time.monotonic()
            writer.write(data)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2]
            await reader.readexactly(int(length.partition(b"\r\n")[0] or 0))
            self.took[message] = time.monotonic() - self.sent[message]
            self.refused += not head.startswith(b"HTTP/1.1 200")
        writer.close()

    def _message(self) -> tuple[bytes, bytes]:
        own = f"{self.run_id}-{len(self.sent):09d}"
        person = f"{random.randrange(PEOPLE):05d}"
        text = self.template.replace("@ID@", own).replace("@PERSON@", person)
        message = text.encode().partition(ID)[2].partition(b'"')[0]
        head = (
            f"POST /v1/identify HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            "Content-Type: application/json\r\nAuthorization: Basic ZGV2Og==\r\n"
            f"Content-Length: {len(text.encode())}\r\n\r\n"
        )
        return message, (head + text).encode()


def measure(
    folder: Path,
    kind: str,
    bootstrap: str | None,
    *,
    per_s: int,
    seconds: float,
    rounds: int,
    body: Path,
) -> Iterator[Light]:
    """A new log each time; the sink and the sender are this process."""
    for number in range(rounds):
        with ExitStack() as stack:
            place = folder / f"light-{kind}-{number}"
            place.mkdir()
            run = Run(place, make_store(stack, kind, place, bootstrap), "", [WEBHOOK])
            yield asyncio.run(_measured(run, body.read_text(), per_s, seconds))


async def _measured(run: Run, body: str, per_s: int, seconds: float) -> Light:
    hook = Hook()
    server = await asyncio.start_server(hook.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    config = run._replace(sink=f"http://{host}:{port}").configure(WEBHOOK)
    program, url, _ = await asyncio.to_thread(
        processes.gateway, config, run.place / "errors.log"
    )
    try:
        warm = Sender(url, body)
        await warm.send(per_s, WARM_UP_S)
        await _arrived(hook, warm)
        sender = Sender(url, body)
        server_us = processes.cpu_us([program.pid])
        store_us = processes.cpu_us(run.store.pids)
        await sender.send(per_s, seconds)
        await _arrived(hook, sender)
        server_us = processes.cpu_us([program.pid]) - server_us
        store_us = processes.cpu_us(run.store.pids) - store_us
    finally:
        await asyncio.to_thread(program.stop)
        server.close()
    return _light(run, hook, sender, per_s=per_s, used=(server_us, store_us))


async def _arrived(hook: Hook, sender: Sender) -> None:
    """Until the webhook has all of it, or is late."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LATE_S):
            while not sender.sent.keys() <= hook.came.keys():
                hook.news.clear()
                await hook.news.wait()


def _light(
    run: Run, hook: Hook, sender: Sender, *, per_s: int, used: tuple[float, float]
) -> Light:
    events = len(sender.sent)
    late = [
        hook.came[message] - at
        for message, at in sender.sent.items()
        if message in hook.came
    ]
    found = []
    if sender.refused:
        found.append(f"{sender.refused} refused")
    if len(late) < events:
        found.append(f"{len(late)} came of {events}")
    if hook.repeats:
        found.append(f"{hook.repeats} came again")
    return Light(
        log=run.store.kind,
        per_s=per_s,
        events=events,
        problem="; ".join(found),
        server_us=used[0] / max(events, 1),
        store_us=used[1] / max(events, 1) if run.store.pids else None,
        answered_ms=_percentiles(sender.took.values()),
        delivered_ms=_percentiles(late),
    )


def _percentiles(seconds: Iterable[float]) -> tuple[float, float]:
    took = sorted(seconds) or [0.0]
    return took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3
