"""Where events end: how many records a store has, and which processes are the store."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bench.processes import ROOT, listener

PARTITIONS = 8
NAMES = ("a", "b", "c")
ARCHIVE = "events"
OURS = (ARCHIVE, *(f"to.{name}" for name in NAMES))
T = TypeVar("T")


class Store(Protocol):
    """A log, seen from outside."""

    kind: str
    toml: str
    pids: Sequence[int]

    def records(self, config: Path) -> dict[str, int]:
        """By topic, the archive first: how many were ever written."""
        ...

    def archived(self, config: Path) -> int:
        """How many the archive has."""
        ...


class Sqlite:
    """A file; the gateway's own threads write it, so that no other process counts."""

    kind = "sqlite"
    pids: Sequence[int] = ()

    def __init__(self, folder: Path) -> None:
        self.toml = f'[log]\nkind = "sqlite"\npath = "{folder}/log.db"\n'

    def records(self, config: Path) -> dict[str, int]:
        found = self._found(config)
        return {name: found[name] for name in OURS}

    def archived(self, config: Path) -> int:
        return self._found(config).get(ARCHIVE, 0)

    def _found(self, config: Path) -> dict[str, int]:
        words = [sys.executable, "-m", "gateway", "--config", str(config), "topics"]
        done = subprocess.run(
            [*words, "--json"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return {each["name"]: each["records"] for each in json.loads(done.stdout)}


class Kafka:
    """A broker that is there already; our topics have a prefix and go again."""

    kind = "kafka"

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap, self.prefix = bootstrap, prefix
        self.topics = tuple(prefix + name for name in OURS)
        host, _, port = bootstrap.rpartition(":")
        local = host in ("localhost", "127.0.0.1")
        self.pids: Sequence[int] = listener(int(port)) if local else ()
        self.toml = (
            f'[log]\nkind = "kafka"\nbootstrap_servers = "{bootstrap}"\n'
            f'prefix = "{prefix}"\npartitions = {PARTITIONS}\nreplication_factor = 1\n'
        )

    def records(self, config: Path | None = None) -> dict[str, int]:
        """End offsets, asked of the broker itself."""
        del config
        return self.ends(self.topics)

    def archived(self, config: Path) -> int:
        del config
        (found,) = self.ends([self.prefix + ARCHIVE]).values()
        return found

    def ends(self, topics: Sequence[str]) -> dict[str, int]:
        """By topic: how many records were ever written."""
        return _run(self._ends(topics))

    async def _ends(self, topics: Sequence[str]) -> dict[str, int]:
        from aiokafka import AIOKafkaConsumer, TopicPartition  # noqa: PLC0415 -- Kafka only

        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as consumer:
            found = {}
            for topic in topics:
                places = [TopicPartition(topic, n) for n in range(PARTITIONS)]
                found[topic] = sum((await consumer.end_offsets(places)).values())
            return found

    def create(self, topics: Sequence[str]) -> None:
        """For the yardsticks, and as a destination; the gateway makes its own."""
        _run(self._create(topics))

    async def _create(self, topics: Sequence[str]) -> None:
        from aiokafka.admin import NewTopic  # noqa: PLC0415 -- Kafka only

        async with _admin(self.bootstrap) as admin:
            wanted = [NewTopic(topic, PARTITIONS, 1) for topic in topics]
            await admin.create_topics(wanted)

    def remove(self) -> None:
        """Every topic with our prefix."""
        _run(self._remove())

    async def _remove(self) -> None:
        async with _admin(self.bootstrap) as admin:
            mine = [n for n in await admin.list_topics() if n.startswith(self.prefix)]
            if mine:
                await admin.delete_topics(mine)


class _admin:  # noqa: N801 -- used as a function
    """aiokafka's admin client, closed at the end."""

    def __init__(self, bootstrap: str) -> None:
        from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415 -- Kafka only

        self.client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)

    async def __aenter__(self) -> Any:
        await self.client.start()
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)
