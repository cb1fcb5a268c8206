"""The promises beyond one machine: intakes and workers on a real Kafka broker."""

import asyncio
import itertools
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest

from tests.log.broker.kafka import Node, free_ports
from tests.path.running import Gateway, Webhook, config, until
from tests.path.test_faults import (
    CONCURRENCY,
    POISON,
    Client,
    in_order_per_person,
    kill_rounds,
    one_blocked,
)
from tests.path.test_full_disk import rss_bytes

# In soak until they have passed long enough on a busy machine; the conformance suite
# and the model test run on Kafka in CI.
pytestmark = [pytest.mark.service, pytest.mark.soak]

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("kafka"))
    node.format()
    node.start()
    yield node
    node.kill()


@pytest.fixture
def node(broker):
    """One broker for this file; a test that killed it and failed leaves none dead."""
    assert broker.process is not None
    if broker.process.poll() is not None:
        broker.start()
    return broker


@pytest.fixture
async def hook():
    async with Webhook() as webhook:
        yield webhook


def on(node: Node) -> str:
    """A log of its own on the broker."""
    return (
        f'[log]\nkind = "kafka"\nbootstrap_servers = "{node.address}"\n'
        f'prefix = "p{next(NUMBERS)}."\npartitions = 3\nreplication_factor = 1\n'
    )


class House:
    """Two intakes that share a port, and workers, each a process."""

    def __init__(self, folder: Path, hook: Webhook, node: Node) -> None:
        self._folder, self._stack = folder, AsyncExitStack()
        (self._port,) = free_ports(1)
        self._text = config(hook, on(node))
        self._names = itertools.count()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def add(self, role: str) -> Gateway:
        ports = f'listen = "127.0.0.1:{self._port}"\nadmin_listen = "127.0.0.1:0"\n'
        text = f"[server]\n{ports}{self._text}"
        serve = ("--role", role)
        gateway = Gateway(
            self._folder, text, serve=serve, name=f"-{role}{next(self._names)}"
        )
        return await self._stack.enter_async_context(gateway)


async def load(gateway: Gateway, stop: asyncio.Event, tasks) -> list[Client]:
    clients = [Client(gateway, f"c{number}") for number in range(4)]
    for client in clients:
        tasks.create_task(client.run(stop))
    return clients


def acknowledged(clients: list[Client]) -> set[str]:
    return {one for client in clients for one in client.acknowledged}


async def all_arrive(clients: list[Client], hook: Webhook) -> None:
    wanted = acknowledged(clients)
    await until(lambda: len(hook.known) >= len(wanted), timeout_s=90)
    assert hook.known == wanted
    in_order_per_person(hook.received)


async def test_kill_9_of_the_gateway_loses_nothing(tmp_path, hook, node):
    told = await kill_rounds(tmp_path, hook, 3, on(node))
    assert told["acknowledged"] > 50
    print(told)


async def test_two_intakes_share_a_port_and_workers_come_and_die(tmp_path, hook, node):
    async with House(tmp_path, hook, node) as house:
        intake = await house.add("intake")
        other = await house.add("intake")
        worker = await house.add("worker")
        assert worker.admin.startswith("http://127.0.0.1:")
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            clients = await load(intake, stop, tasks)
            await until(lambda: len(hook.known) > 100)
            second = await house.add("worker")
            await asyncio.sleep(2)
            await worker.kill()
            await asyncio.sleep(2)
            await other.kill()
            await asyncio.sleep(1)
            stop.set()
        await all_arrive(clients, hook)
        repeats = len(hook.ids()) - len(hook.known)
        assert repeats <= CONCURRENCY
        assert await second.stop() == 0
        events = {r["value"]["messageId"] for r in await intake.read("events")}
        assert acknowledged(clients) <= events
        print({"acknowledged": len(acknowledged(clients)), "repeats": repeats})


async def test_a_broker_killed_mid_load_costs_time_and_no_event(tmp_path, hook, node):
    async with Gateway(tmp_path, config(hook, on(node))) as gateway:
        assert gateway.process is not None
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            clients = await load(gateway, stop, tasks)
            await until(lambda: len(hook.known) > 100)
            node.kill()
            began = time.monotonic()
            status, answer = await gateway.post("/v1/identify", {"userId": "u"})
            assert (status, answer["code"]) == (503, "log_unavailable")
            assert time.monotonic() - began < 6
            body = {"batch": [{"type": "identify", "userId": "u" * 900}] * 100}
            sizes = []
            for _ in range(4):
                posts = (gateway.post("/v1/batch", body) for _ in range(40))
                answers = await asyncio.gather(*posts)
                assert {status for status, _ in answers} == {503}
                sizes.append(rss_bytes(gateway.process.pid))
            assert sizes[-1] - sizes[0] < 16_000_000  # flat at what 40 at once take
            async with gateway.session.get(gateway.admin + "/readyz") as ready:
                assert ready.status == 503
            await asyncio.to_thread(node.start)
            count = len(acknowledged(clients))
            await until(lambda: len(acknowledged(clients)) > count + 50, timeout_s=60)
            stop.set()
        wanted = acknowledged(clients)
        await until(lambda: wanted <= hook.known, timeout_s=90)
        repeats = Counter(hook.ids())
        assert max(repeats.values()) <= 2
        assert sum(repeats.values()) - len(repeats) <= CONCURRENCY
        assert "Traceback" not in gateway.errors()


async def test_one_blocked_person_holds_nobody_else(tmp_path, hook, node):
    print(await one_blocked(tmp_path, hook, 1_500, on(node)))


async def test_a_destination_that_is_away_shares_nothing(tmp_path, hook, node):
    async with Webhook() as away:
        await away.stop()
        more = "[destinations.away]" + config(away).partition("[destinations.hook]")[2]
        async with Gateway(tmp_path, config(hook, more + on(node))) as gateway:
            batch = [
                {
                    "type": "identify",
                    "userId": f"p{n % 7}",
                    "messageId": f"m{n}",
                    "traits": {"n": n},
                }
                for n in range(1, 201)
            ]
            assert (await gateway.post("/v1/batch", {"batch": batch}))[0] == 200
            await until(lambda: len(hook.received) == 200)
            in_order_per_person(hook.received)
            assert away.received == []
            await away.start()
            await until(lambda: len(away.known) == 200)
            in_order_per_person(away.received)


async def test_poison_in_a_batch_is_set_aside(tmp_path, hook, node):
    good = b'{"type":"identify","userId":"u","messageId":"good"}'
    body = b'{"batch":[' + b",".join([good, *POISON.values()]) + b"]}"
    async with Gateway(tmp_path, config(hook, on(node))) as gateway:
        status, answer = await gateway.post("/v1/batch", body)
        assert (status, answer["accepted"]) == (200, 1)
        await until(lambda: hook.ids() == ["good"])
        kept = {r["value"]["messageId"] for r in await gateway.read("refused")}
        assert kept == set(POISON)


async def test_topics_read_and_replay_need_no_running_gateway(tmp_path, hook, node):
    inbox = '[destinations.inbox]\ntype = "file"\nsettings = { path = "in.ndjson" }\n'
    async with Gateway(tmp_path, config(more=inbox + on(node))) as gateway:
        for start in range(0, 600, 200):
            batch = [
                {
                    "type": "identify",
                    "userId": f"p{n % 7}",
                    "messageId": f"m{n}",
                    "traits": {"n": n},
                }
                for n in range(start + 1, start + 201)
            ]
            assert (await gateway.post("/v1/batch", {"batch": batch}))[0] == 200
        await gateway.stop()
        text = gateway.file.read_text()
        section = (
            "[destinations.hook]" + config(hook).partition("[destinations.hook]")[2]
        )
        gateway.file.write_text(text + section)
        code, out, err = await gateway.command("topics")
        assert code == 0, err
        assert "to.hook" in out
        code, out, err = await gateway.command("replay", "--to", "hook")
        assert code == 0, err
        assert out.splitlines()[-1] == "sent 600, skipped none"
        name = out.split()[1]
        code, out, _ = await gateway.command("replay", "--to", "hook", "--id", name)
        assert (code, out.splitlines()[-1]) == (0, "sent 0, skipped none")
        await gateway.start()
        await until(lambda: len(hook.known) == 600)
        in_order_per_person(hook.received)
        assert len(hook.ids()) == 600


async def test_a_role_needs_a_log_that_many_can_open(tmp_path, hook):
    gateway = Gateway(tmp_path, config(hook))
    code, _, err = await gateway.command("serve", "--role", "worker")
    assert code == 2
    assert "log.kind kafka" in err


async def test_soak_kafka_stopped_for_60_s_under_load(tmp_path, hook, node):
    async with Gateway(tmp_path, config(hook, on(node))) as gateway:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            clients = await load(gateway, stop, tasks)
            await until(lambda: len(hook.known) > 100)
            node.freeze()
            await asyncio.sleep(60)
            node.thaw()
            count = len(acknowledged(clients))
            await until(lambda: len(acknowledged(clients)) > count + 50, timeout_s=60)
            stop.set()
        wanted = acknowledged(clients)
        await until(lambda: wanted <= hook.known, timeout_s=90)
        repeats = len(hook.ids()) - len(hook.known)
        print({"acknowledged": len(wanted), "repeats": repeats})
        assert repeats <= CONCURRENCY


async def test_soak_workers_added_and_killed_twenty_times(tmp_path, hook, node):
    async with House(tmp_path, hook, node) as house:
        intake = await house.add("intake")
        workers = [await house.add("worker"), await house.add("worker")]
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            clients = await load(intake, stop, tasks)
            for _ in range(20):
                await asyncio.sleep(random.uniform(1, 3))
                await workers.pop(0).kill()
                workers.append(await house.add("worker"))
            stop.set()
        await all_arrive(clients, hook)
        repeats = len(hook.ids()) - len(hook.known)
        print({"acknowledged": len(acknowledged(clients)), "repeats": repeats})
        assert repeats <= CONCURRENCY * 20
