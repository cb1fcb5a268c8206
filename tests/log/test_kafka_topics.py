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
from gateway.log.kafka import ends as kafka_ends
from gateway.log.kafka import log as kafka_log
from gateway.notices import Notices
from tests.log.backends import (
    PATIENCE_S,
    KafkaBackend,
    administrating,
    configure,
    entry,
    numbered,
    polled,
    scanned,
    spread,
    until,
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
    assert configs["to.crm"]["retention.bytes"] == "-1"  # whatever the brokers' own is
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


async def test_a_topic_that_takes_no_dead_letter_is_refused(
    kafka: KafkaBackend,
) -> None:
    """Else a destination stands still at the first large one, in the middle of it."""
    async with administrating(kafka.node) as admin:
        small = {"max.message.bytes": "100000"}  # enough for an event
        names = [f"{kafka.prefix}{name}" for name in ("dead.crm", "to.crm", "refused")]
        await admin.create_topics(
            [NewTopic(name, 3, 1, topic_configs=small) for name in names]
        )
    async with kafka.opened(topics=["to.crm"]):
        pass
    for topic, largest in (("dead.crm", "1004096"), ("refused", "704096")):
        with pytest.raises(ConfigError) as refused:
            await kafka.open(topics=["to.crm", topic])
        (said,) = refused.value.args
        assert f"{topic}: takes 100000 bytes, a record may have {largest}" in said
        assert "--add-config max.message.bytes=2097152" in said


COMPACTED = {"cleanup.policy": "compact"}


async def test_topics_that_lose_what_was_answered_200_keep_it_from_starting(
    kafka: KafkaBackend,
) -> None:
    names = ["events", "to.crm", "dead.crm", "refused", "outcomes"]
    async with administrating(kafka.node) as admin:
        await admin.create_topics(
            [NewTopic(kafka.prefix + n, 3, 1, topic_configs=COMPACTED) for n in names]
        )
    with pytest.raises(ConfigError) as refused:
        await kafka.open(topics=names)
    assert len(refused.value.args) == len(names)  # all of them at once
    for name, said in zip(sorted(names), refused.value.args, strict=True):
        full = kafka.prefix + name
        assert f"topic {full}: cleanup.policy is compact, should be delete" in said
        assert f"--entity-name {full} --add-config cleanup.policy=delete" in said
        await configure(kafka.node, full, cleanup_policy="delete")
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with kafka.opened(topics=names) as log:
                    await log.ping()
                    break
            except ConfigError:  # the change takes a moment to arrive
                await asyncio.sleep(0.05)


async def test_a_topic_that_is_made_worse_while_it_runs_is_named(
    kafka: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_log, "LOOK_S", 0.1)
    full = f"{kafka.prefix}to.crm"
    async with kafka.opened() as log:
        await log.ping()
        await configure(kafka.node, full, message_timestamp_type="CreateTime")
        await until(lambda: bool(log.weaknesses))
        await log.ping()  # nothing is lost by it
        await configure(kafka.node, full, cleanup_policy="compact,delete")
        await until(lambda: bool(log._topics.losses))
        with pytest.raises(LogError, match=r"to\.crm: cleanup\.policy is compact,del"):
            await log.ping()
        told = [f["weakness"] for code, f in kafka.told if code == "log_weak_topic"]
        assert "message.timestamp.type" in told[0]
        assert "cleanup.policy=delete" in told[-1]
        await configure(kafka.node, full, message_timestamp_type="LogAppendTime")
        await until(lambda: not log._topics.losses and not log.weaknesses)
        await log.ping()


async def test_the_warning_counts_from_the_topics_own_retention(
    kafka: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_ends, "ENDS_S", 0.1)
    monkeypatch.setattr(kafka_log, "LOOK_S", 0.1)
    async with kafka.opened() as log, log.subscribe("to.crm", group="crm") as crm:
        await log.append(numbered(1))
        (record,) = await polled(crm, 1)
        await configure(kafka.node, f"{kafka.prefix}to.crm", retention_ms="2000")
        await until(lambda: crm.overdue)  # log.retention is a week
        await crm.settle([record])
        await until(lambda: not crm.overdue)


async def test_nobody_at_the_address_is_named() -> None:
    (port,) = free_ports(1)
    config = LogConfig(kind="kafka", bootstrap_servers=f"127.0.0.1:{port}")
    stream = io.StringIO()
    notices = Notices(stream)
    with pytest.raises(LogError, match=f"127.0.0.1:{port}: nobody listens there"):
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
