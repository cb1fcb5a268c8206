"""Intakes and workers as processes on one broker, and what their users see."""

import asyncio
import itertools
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

from tests.log.broker.kafka import Node, free_ports
from tests.path.running import Gateway, Webhook, config, until
from tests.path.test_faults import REPEATS, Client, in_order_per_person

NUMBERS = itertools.count()
PATIENCE_S = 120.0  # beyond sessions, rebalances and a busy machine
LOST = (  # what a worker says when others may have what it had in flight
    '"notice": "log_group_lost"',
    '"notice": "log_revoke_timeout"',
    '"notice": "log_follow_failed"',
)


def on(node: Node, prefix: str = "") -> str:
    """A log of its own on the broker."""
    prefix = prefix or f"p{next(NUMBERS)}."
    return (
        f'[log]\nkind = "kafka"\nbootstrap_servers = "{node.address}"\n'
        f'prefix = "{prefix}"\npartitions = 3\nreplication_factor = 1\n'
    )


def losses(*gateways: Gateway) -> int:
    """How often a worker that lives on lost partitions with work in flight."""
    return sum(each.errors().count(words) for each in gateways for words in LOST)


def few_repeats(hook: Webhook, lost: int) -> dict[str, int]:
    """At most what was in flight comes again, for each time somebody lost it."""
    arrived = Counter(hook.ids())
    repeats = arrived.total() - len(arrived)
    told = {"arrived": len(arrived), "repeats": repeats, "lost": lost}
    assert repeats <= REPEATS * lost, told
    # Who was frozen has sent it, another does, and it may once more before it hears.
    assert max(arrived.values()) <= 1 + 2 * lost, told
    return told


class House:
    """Intakes that share a port, and workers, each a process; ``text``: of them all."""

    def __init__(
        self, folder: Path, hook: Webhook, node: Node, text: str | None = None
    ) -> None:
        self._folder, self._stack = folder, AsyncExitStack()
        (self._port,) = free_ports(1)
        self._text = (config(hook) if text is None else text) + on(node)
        self.workers: list[Gateway] = []
        self.kills = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def add(self, role: str, *destinations: str, more: str = "") -> Gateway:
        """One more; commands with its configuration find its admin port."""
        (admin,) = free_ports(1)
        ports = f'listen = "127.0.0.1:{self._port}"\n'
        ports += f'admin_listen = "127.0.0.1:{admin}"\n'
        ports += 'private_destinations = ["127.0.0.0/8"]\n'
        text = f"[server]\n{ports}{self._text}{more}"
        name = f"-{role}{next(NUMBERS)}"
        serve = ["--role", role]
        for each in destinations:
            serve += ["--destination", each]
        gateway = Gateway(self._folder, text, serve=serve, name=name)
        await self._stack.enter_async_context(gateway)
        if role == "worker":
            self.workers.append(gateway)
        return gateway

    async def kill(self, worker: Gateway) -> None:
        await worker.kill()
        self.kills += 1

    @property
    def lost(self) -> int:
        return self.kills + losses(*self.workers)


async def works(worker: Gateway, *, more_than: float = 0) -> float:
    """Return once a worker has outcomes: it has partitions and delivers."""
    async with asyncio.timeout(PATIENCE_S):
        while (count := await worker.metric("gateway_outcomes_total")) <= more_than:
            await asyncio.sleep(0.05)
    return count


async def freeze(gateway: Gateway) -> None:
    """SIGSTOP; returns when it stands still."""
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGSTOP)
    await asyncio.to_thread(os.waitid, os.P_PID, gateway.process.pid, os.WSTOPPED)


class Calm(Client):
    """Posts some hundred a second, so that no queue is long when a fault comes."""

    async def post(self, batch: list[dict[str, Any]]) -> bool:
        await asyncio.sleep(0.05)
        return await super().post(batch)


@asynccontextmanager
async def loaded(gateway: Gateway, count: int = 4):
    """Clients that post until the end of the block, then finish what they began."""
    stop = asyncio.Event()
    clients = [Calm(gateway, f"c{number}") for number in range(count)]
    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(client.run(stop))
        try:
            yield clients
        finally:
            stop.set()


def acknowledged(clients: list[Client]) -> set[str]:
    return {one for client in clients for one in client.acknowledged}


async def more(clients: list[Client], count: int = 50) -> None:
    """Until so many more are answered 200."""
    goal = len(acknowledged(clients)) + count
    await until(lambda: len(acknowledged(clients)) >= goal, timeout_s=PATIENCE_S)


async def all_arrive(clients: list[Client], hook: Webhook) -> None:
    """What was answered 200 by now, and in order per person."""
    wanted = acknowledged(clients)
    await until(lambda: wanted <= hook.known, timeout_s=PATIENCE_S)
    ours = {one for client in clients for one in client.sent}
    in_order_per_person([e for e in hook.received if e["messageId"] in ours])


async def says(gateway: Gateway, words: str) -> str:
    """The line that it writes to its log with these words; waits for it."""
    found: list[str] = []

    def look() -> bool:
        found[:] = [line for line in gateway.errors().splitlines() if words in line]
        return bool(found)

    await until(look, timeout_s=PATIENCE_S)
    return found[0]


async def is_ready(gateway: Gateway, judge: Callable[[int, dict], bool]) -> dict:
    """What /readyz says, once it is what is waited for."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with gateway.session.get(gateway.admin + "/readyz") as answer:
                body: dict[str, Any] = await answer.json()
                if judge(answer.status, body):
                    return body
            await asyncio.sleep(0.05)
