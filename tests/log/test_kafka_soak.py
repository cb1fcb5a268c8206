"""Three brokers, one killed at random under load, again and again."""

import asyncio
import itertools
import os
import time
from collections.abc import Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from gateway.errors import LogError
from gateway.log.kafka.log import KafkaLog
from tests.chance import chance
from tests.log.backends import KafkaBackend, Stream, entry, scanned, until, values
from tests.log.broker.kafka import Cluster

pytestmark = [pytest.mark.service, pytest.mark.soak]
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "20"))
TOPICS = ("events", "to.crm", "outcomes")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.start()
    asyncio.run(joined(cluster))
    yield cluster
    cluster.kill()


async def joined(cluster: Cluster) -> None:
    """Until every broker is known: before, no topic of three replicas can be made."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.address)
    await admin.start()
    async with asyncio.timeout(30):
        while len((await admin.describe_cluster())["brokers"]) < len(cluster.nodes):
            await asyncio.sleep(0.1)
    await admin.close()


class Load:
    """Callers that append, a worker that settles: what each was told."""

    def __init__(self, log: KafkaLog) -> None:
        self.log = log
        self.kept: list[str] = []
        self.settled: list[str] = []
        self.refused = 0

    async def append(self, name: str) -> None:
        for number in itertools.count():
            value = f"{name}-{number}"
            entries = [entry(t, key=name, value=value) for t in TOPICS[:2]]
            try:
                await self.log.append(entries)
            except LogError:
                self.refused += 1
                await asyncio.sleep(0.05)
            else:
                self.kept.append(value)

    async def follow(self) -> None:
        async with self.log.subscribe("to.crm", group="crm") as subscription:
            while True:
                try:
                    records = await subscription.poll(limit=50, timeout_s=0.5)
                except LogError:
                    await asyncio.sleep(0.1)
                    continue
                outcomes = [entry("outcomes", value=v) for v in values(records)]
                while records:
                    try:
                        await subscription.settle(records, outcomes)
                        break
                    except LogError:
                        await asyncio.sleep(0.1)
                self.settled += values(records)

    async def more(self, count: int, timeout_s: float = 60) -> None:
        kept, settled = len(self.kept) + count, len(self.settled) + count
        async with asyncio.timeout(timeout_s):
            while len(self.kept) < kept or len(self.settled) < settled:
                await asyncio.sleep(0.02)


async def test_a_random_broker_dies_under_load(cluster: Cluster) -> None:
    backend = KafkaBackend(cluster)  # type: ignore[arg-type]  # it has an address
    config = backend.config(replication_factor=3)
    async with backend.opened(config=config, topics=TOPICS, session_s=6.0) as log:
        assert log.weaknesses == []
        load = Load(log)
        tasks = [asyncio.create_task(load.append(f"k{n}")) for n in range(8)]
        tasks.append(asyncio.create_task(load.follow()))
        await load.more(200)
        killed = chance("killed")
        for round_ in range(ROUNDS):
            node = killed.choice(cluster.nodes)
            node.kill()
            await load.more(100)  # two of three go on
            node.launch()
            await asyncio.to_thread(node.wait)
            await load.more(100)
            print(f"round {round_}: {len(load.kept)} kept, {load.refused} refused")
        for task in tasks[:-1]:
            task.cancel()
        await asyncio.wait(tasks[:-1])
        async with asyncio.timeout(60):
            while not set(load.kept) <= set(load.settled):
                await asyncio.sleep(0.1)
        tasks[-1].cancel()
        await asyncio.wait(tasks[-1:])
        await until(lambda: log.waiting_bytes == 0)
        for topic in TOPICS[:2]:
            found = values(await scanned(log, topic))
            assert set(load.kept) <= set(found)
            for name in {value.split("-")[0] for value in load.kept}:
                mine = [int(v.split("-")[1]) for v in found if v.startswith(f"{name}-")]
                assert mine == sorted(set(mine))
        repeats = len(load.settled) - len(set(load.settled))
        print(f"{len(load.kept)} kept, {load.refused} refused, {repeats} repeats")


async def test_a_lone_broker_restarts_under_load(kafka: KafkaBackend) -> None:
    """Acknowledged again within seconds of its being up, whichever way it went."""
    took = []
    async with kafka.opened(topics=TOPICS) as log:
        load = Load(log)
        following = asyncio.create_task(load.follow())
        async with Stream(log, TOPICS[:2]) as stream:
            await stream.flows()
            for round_ in range(ROUNDS):
                end = (kafka.node.kill, kafka.node.stop)[round_ % 2]
                await asyncio.to_thread(end)
                await asyncio.sleep(chance("away", round_).choice([0.0, 1.0, 7.0]))
                kafka.node.launch()
                await asyncio.to_thread(kafka.node.wait)
                began = time.monotonic()
                await stream.flows()
                took.append(round(time.monotonic() - began, 2))
        async with asyncio.timeout(60):
            while not set(stream.kept) <= set(load.settled):
                await asyncio.sleep(0.1)
        following.cancel()
        await asyncio.wait([following])
        for topic in TOPICS[:2]:
            assert set(stream.kept) <= set(values(await scanned(log, topic)))
    print({"begun": stream.begun, "kept": len(stream.kept), "flows_after_s": took})
    assert max(took) < 6


async def test_two_of_three_away_is_unavailable_and_passes(cluster: Cluster) -> None:
    backend = KafkaBackend(cluster)  # type: ignore[arg-type]  # it has an address
    config = backend.config(replication_factor=3)
    async with backend.opened(config=config, append_timeout_s=2.0) as log:
        await log.append([entry()])
        for node in cluster.nodes[1:]:
            node.freeze()
        with pytest.raises(LogError, match="too few are in sync"):
            await log.append([entry()])
        with pytest.raises(LogError):
            await asyncio.gather(*(log.append([entry()]) for _ in range(20)))
        for node in cluster.nodes[1:]:
            node.thaw()
        async with asyncio.timeout(60):
            while True:
                try:
                    await log.append([entry(value="after")])
                    break
                except LogError:
                    await asyncio.sleep(0.2)
        await until(lambda: log.waiting_bytes == 0)
        assert values(await scanned(log))[-1] == "after"
