"""Topics whose owner needs more than ``[log]`` says: one order, another keeping."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from gateway.config import Limits, LogConfig
from gateway.errors import ConfigError
from gateway.log import open_log
from gateway.log.contract import EventLog
from gateway.notices import Notices
from gateway.topics import Declared, declaring, keep_all, one_queue
from tests.log.backends import (
    PATIENCE_S,
    Backend,
    KafkaBackend,
    administrating,
    configure,
    entry,
    scanned,
    values,
)

QUEUE = one_queue("people")
TOPICS = ["outcomes", "to.people", "suppressed"]


@asynccontextmanager
async def declared(
    backend: Backend,
    topics: Sequence[str] = TOPICS,
    queues: Mapping[str, Declared] = {"to.people": QUEUE},
    **changes: Any,
) -> AsyncIterator[EventLog]:
    """The log as the gateway opens it."""
    if isinstance(backend, KafkaBackend):
        config = backend.config(**changes)
    else:
        config = LogConfig(path=backend.path, **changes)
    log = await open_log(
        config,
        Limits(),
        topics=topics,
        declared=declaring(config, queues),
        notices=Notices(io.StringIO()),
    )
    try:
        yield log
    finally:
        await log.close()


async def test_one_partition_is_one_order(backend: Backend) -> None:
    async with declared(backend) as log:
        people = [entry("to.people", key=f"p{n}", value=str(n)) for n in range(50)]
        for one in people:
            await log.append([one, entry("outcomes", key=one.key.decode())])
        topics = {topic.name: topic.partitions for topic in await log.topics()}
        assert topics["to.people"] == 1
        async with log.subscribe("to.people", group="people") as subscription:
            records = await subscription.poll(limit=50, timeout_s=30)
            assert values(records) == [str(n) for n in range(len(records))]
            await subscription.settle(records)
        assert values(await scanned(log, "to.people")) == [str(n) for n in range(50)]
        assert not log.weaknesses


async def test_what_is_kept_for_ever_outlives_the_retention(backend: Backend) -> None:
    async with declared(backend, retention_s=0.5) as log:
        await log.append([entry(topic, value="old") for topic in TOPICS])
        async with log.subscribe("to.people", group="people") as subscription:
            await subscription.settle(await subscription.poll(limit=1, timeout_s=30))
        async with asyncio.timeout(PATIENCE_S):
            while await scanned(log, "outcomes"):
                await asyncio.sleep(0.05)
        for topic in ("to.people", "suppressed"):
            assert values(await scanned(log, topic)) == ["old"]
        await log.ping()


@pytest.mark.service
async def test_kafka_is_told_how_to_keep(kafka: KafkaBackend) -> None:
    async with declared(kafka) as log:
        configs = await log._topics._configs(TOPICS)  # type: ignore[attr-defined]
    assert configs["suppressed"]["cleanup.policy"] == "compact"
    people = configs["to.people"]
    assert people["cleanup.policy"] == "delete"
    assert people["retention.ms"] == people["retention.bytes"] == "-1"
    assert configs["outcomes"]["retention.ms"] == "604800000"


@pytest.mark.service
async def test_kafka_names_a_topic_that_breaks_its_declaration(
    kafka: KafkaBackend,
) -> None:
    async with declared(kafka, queues={}):
        pass
    with pytest.raises(
        ConfigError, match=r"to\.people has 3 partitions and needs 1: make it anew"
    ):
        async with declared(kafka):
            pass
    async with administrating(kafka.node) as admin:
        await admin.delete_topics([f"{kafka.prefix}to.people"])
    assert await said_once(kafka, lambda said: not said) == ""
    await configure(kafka.node, f"{kafka.prefix}to.people", retention_ms="1000")
    said = await said_once(kafka, bool)
    assert "to.people: retention.ms is 1000, should be -1" in said
    assert f"--entity-name {kafka.prefix}to.people --add-config retention.ms=-1" in said


async def said_once(kafka: KafkaBackend, heard: Callable[[str], bool]) -> str:
    """What a start says of a change: brokers take a moment to hear of it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            said = ""
            try:
                async with declared(kafka):
                    pass
            except ConfigError as error:
                said = str(error)
            if heard(said):
                return said
            await asyncio.sleep(0.05)


async def test_an_empty_value_is_a_tombstone(backend: Backend) -> None:
    """What frees a key again: Kafka's compaction drops only what has no value."""
    async with declared(backend) as log:
        await log.append([entry("suppressed", key="id:ann", value="{}")])
        await log.append([entry("suppressed", key="id:ann", value="")])
        assert values(await scanned(log, "suppressed")) == ["{}", ""]
    if isinstance(backend, KafkaBackend):
        full = f"{backend.prefix}suppressed"
        consumer = AIOKafkaConsumer(
            full,
            bootstrap_servers=backend.node.address,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = [(await consumer.getone()).value for _ in range(2)]
        finally:
            await consumer.stop()
        assert found == [b"{}", None]


async def test_who_only_looks_into_a_log_deletes_nothing(sqlite: Backend) -> None:
    """``gateway read`` opens the file when no gateway runs, whatever its age."""
    async with declared(sqlite) as log:
        await log.append([entry(topic, value="old") for topic in TOPICS])
        async with log.subscribe("to.people", group="people") as subscription:
            await subscription.settle(await subscription.poll(limit=1, timeout_s=30))
    config = LogConfig(path=sqlite.path, retention_s=0.001)  # type: ignore[union-attr]  # it is SQLite's
    looking = await open_log(
        config, Limits(), declared=keep_all, notices=Notices(io.StringIO())
    )
    try:
        await asyncio.sleep(1.2)  # upkeep has looked
        for topic in TOPICS:
            assert values(await scanned(looking, topic)) == ["old"]
    finally:
        await looking.close()
