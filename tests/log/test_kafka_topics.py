"""Topics on a real Kafka: made as configured, judged, scanned."""

import asyncio
import io
import json
from zlib import crc32

import pytest
from aiokafka.admin import NewPartitions, NewTopic

from gateway.config import Limits, LogConfig
from gateway.errors import ConfigError, LogError
from gateway.log import open_log
from gateway.log.contract import Span
from gateway.notices import Notices
from tests.log.backends import (
    KafkaBackend,
    administrating,
    entry,
    numbered,
    scanned,
    spread,
    values,
)
from tests.log.broker.kafka import free_ports

pytestmark = pytest.mark.service


async def test_topics_are_made_as_configured(kafka: KafkaBackend) -> None:
    names = ["events", "to.crm", "refused", "outcomes", "dead.crm", "suppressed"]
    config = kafka.config(
        partitions=4, retention_s=3600.0, refused_size=4_000_000, dead_size=8_000_000
    )
    async with kafka.opened(config=config, topics=names) as log:
        assert [topic.name for topic in await log.topics()] == sorted(names)
        configs = await log._topics._configs(names)
    assert {c["message.timestamp.type"] for c in configs.values()} == {"LogAppendTime"}
    assert configs["suppressed"]["cleanup.policy"] == "compact"
    assert configs["events"]["retention.ms"] == "3600000"
    assert configs["events"]["retention.bytes"] == "-1"
    assert configs["refused"]["retention.bytes"] == "1000000"
    assert configs["dead.crm"]["retention.bytes"] == "2000000"
    assert configs["outcomes"]["retention.bytes"] == "250000000"


async def test_a_key_has_one_partition_number_everywhere(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        keys = [f"key{n}" for n in range(40)]
        await log.append([entry(t, key=k) for k in keys for t in ("events", "to.crm")])
        for topic in ("events", "to.crm"):
            for record in await scanned(log, topic):
                assert record.partition == crc32(record.key) % 3


async def test_a_changed_count_of_partitions_is_an_error(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        await log.append(spread(10))
        async with administrating(kafka.node) as admin:
            full = f"{kafka.prefix}to.crm"
            await admin.create_partitions({full: NewPartitions(5)})
        with pytest.raises(LogError, match=r"had 3 partitions and now has 5"):
            await log.ping()
        assert log._appender._producer
        await log._appender._producer.client.force_metadata_update()
        with pytest.raises(LogError, match=r"to\.crm had 3 partitions and now has 5"):
            await log.append(spread(10))
        await log.append([entry("events")])
        assert log.waiting_bytes == 0
    with pytest.raises(ConfigError, match=r"log\.partitions: 3, .* set .* = 5"):
        await kafka.open()


async def test_weak_topics_are_named(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        assert log.weaknesses == []
    stronger = kafka.config(replication_factor=3)
    async with kafka.opened(config=stronger) as log:
        (weakness,) = log.weaknesses
        assert "to.crm: 1 replicas, log.replication_factor is 3" in weakness
        with pytest.raises(LogError, match="1 replicas are in sync, 2 are needed"):
            await log.ping()
        with pytest.raises(LogError, match=r"events cannot be made: .*replic"):
            await log.append([entry("events")])
    assert "log_weak_topic" in dict(kafka.told)


async def test_a_topic_that_takes_too_little_is_refused(kafka: KafkaBackend) -> None:
    async with administrating(kafka.node) as admin:
        small = {"max.message.bytes": "10000"}
        name = f"{kafka.prefix}to.crm"
        await admin.create_topics([NewTopic(name, 3, 1, topic_configs=small)])
    with pytest.raises(ConfigError, match=r"takes 10000 bytes.*raise its max\.message"):
        await kafka.open()
    async with kafka.opened(event_bytes=5_000) as log:
        with pytest.raises(LogError, match=r"record of 20000 bytes for .*to\.crm"):
            await log.append([entry(value="x" * 20_000)])
        await log.append(numbered(1))
        assert (log.waiting_bytes, values(await scanned(log))) == (0, ["0"])


async def test_nobody_at_the_address_is_named() -> None:
    (port,) = free_ports(1)
    config = LogConfig(kind="kafka", bootstrap_servers=f"127.0.0.1:{port}")
    stream = io.StringIO()
    notices = Notices(stream)
    with pytest.raises(LogError, match=f"no broker answers at 127.0.0.1:{port}"):
        await open_log(config, Limits(), notices=notices)
    notices.flush()
    (line,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert line["notice"] == "kafka_client"  # the library's log, without values
    assert line["name"] == 'aiokafka: Unable connect to "%s:%s": %s'


async def test_a_scan_merges_partitions_by_time(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        for number in range(12):
            await log.append(spread(1, number))
            await asyncio.sleep(0.002)
        records = await scanned(log)
        assert values(records) == [str(n) for n in range(12)]
        at_ms = records[4].appended_at_ms
        assert values(await scanned(log, from_ms=at_ms)) == values(records[4:])


async def test_a_scan_of_a_missing_topic_makes_none(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        assert [r async for r in log.scan("to.nobody", Span())] == []
        assert [topic.name for topic in await log.topics()] == ["to.crm"]
