"""What only Kafka has: brokers that die, groups that rebalance, topics others made."""

import asyncio
import io
import itertools
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.config import Limits, LogConfig
from gateway.errors import ConfigError, LogError
from gateway.log import kafka_follow, open_log
from gateway.log.contract import Entry, Record, Span
from gateway.log.kafka_follow import KafkaSubscription
from gateway.log.kafka_log import KafkaLog
from gateway.log.kafka_marks import fitting
from gateway.log.marks import Marks
from gateway.notices import Notices
from tests.log.broker.kafka import Node, free_ports
from tests.log.conftest import KafkaBackend, entry, numbered, scanned, until, values

# In soak until they have passed long enough on a busy machine; the conformance suite
# and the model test run on Kafka in CI.
pytestmark = [pytest.mark.service, pytest.mark.soak]


@asynccontextmanager
async def administrating(node: Node) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=node.address)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def configure(node: Node, topic: str, **configs: str) -> None:
    named = {name.replace("_", "."): value for name, value in configs.items()}
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, named)
    async with administrating(node) as admin:
        await admin.alter_configs([resource])


def spread(count: int, start: int = 0, topic: str = "to.crm") -> list[Entry]:
    """Entries with as many keys, so that every partition has some."""
    return [
        entry(topic, key=f"k{n}", value=str(n)) for n in range(start, start + count)
    ]


async def polled(subscription: Any, count: int, timeout_s: float = 15) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(timeout_s):
        while len(records) < count:
            records += await subscription.poll(limit=count, timeout_s=0.5)
    return records


# Topics


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


# Brokers that die


async def append_for_ever(log: KafkaLog, name: str, kept: list[str]) -> None:
    for number in itertools.count():
        value = f"{name}-{number}"
        try:
            await log.append(
                [entry(t, key=name, value=value) for t in ("events", "to.crm")]
            )
        except LogError:
            await asyncio.sleep(0.05)
        else:
            kept.append(value)


async def test_a_killed_broker_loses_nothing_acknowledged(kafka: KafkaBackend) -> None:
    kept: list[str] = []
    async with kafka.opened(append_timeout_s=1.0) as log:
        tasks = [
            asyncio.create_task(append_for_ever(log, f"k{n}", kept)) for n in range(16)
        ]
        for _ in range(2):
            goal = len(kept) + 500
            async with asyncio.timeout(30):
                while len(kept) < goal:
                    await asyncio.sleep(0.01)
            kafka.node.kill()
            started = time.monotonic()
            with pytest.raises(LogError):
                await log.append([entry("events")])
            assert time.monotonic() - started < 2
            with pytest.raises(LogError):
                await log.ping()
            kafka.node.launch()
            await asyncio.to_thread(kafka.node.wait)
        goal = len(kept) + 200
        async with asyncio.timeout(30):
            while len(kept) < goal:
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await until(lambda: log.waiting_bytes == 0)
        await log.ping()
        for topic in ("events", "to.crm"):
            found = values(await scanned(log, topic))
            assert set(kept) <= set(found)
            for name in {value.split("-")[0] for value in kept}:
                mine = [int(v.split("-")[1]) for v in found if v.startswith(f"{name}-")]
                assert mine == sorted(set(mine))  # in order, and nothing twice
    codes = [code for code, _ in kafka.told]
    assert codes.count("log_write_failed") == codes.count("log_write_recovered")


async def test_memory_is_flat_while_the_broker_is_away(kafka: KafkaBackend) -> None:
    async with kafka.opened(append_timeout_s=0.5, waiting_bytes=1_000_000) as log:
        with kafka.stuck(log):
            refused = 0
            for _ in range(5):
                appends = [log.append([entry(value="x" * 10_000)]) for _ in range(300)]
                for result in await asyncio.gather(*appends, return_exceptions=True):
                    assert isinstance(result, LogError)
                    refused += result.code == "overloaded"
                assert log.waiting_bytes <= 1_000_000
                assert not any(lane.queue for lane in log._appender._lanes)
            assert refused >= 1_000
        await until(lambda: log.waiting_bytes == 0)
        await log.append(numbered(1))
        assert not log._appender._tickets


async def test_a_batch_that_fails_for_good_ends_its_producer(
    kafka: KafkaBackend,
) -> None:
    async with kafka.opened() as log:
        await log.append(numbered(1))
        first = log._appender._producer
        await configure(kafka.node, f"{kafka.prefix}to.crm", max_message_bytes="1000")
        await asyncio.sleep(0.5)  # the broker follows its own change a little later
        results = await asyncio.gather(
            log.append([entry(value="x" * 5_000)]),
            *(log.append([entry("to.crm", value=str(n))]) for n in range(3)),
            return_exceptions=True,
        )
        assert all(isinstance(result, LogError) for result in results)
        assert "max.message.bytes" in str(results[0])
        await log.append([entry("to.crm", value="next"), entry("events")])
        assert log._appender._producer not in (None, first)
        assert values(await scanned(log)) == ["0", "next"]
        assert log.waiting_bytes == 0


async def test_close_is_bounded_while_the_broker_is_away(kafka: KafkaBackend) -> None:
    log = await kafka.open(append_timeout_s=0.5)
    async with log.subscribe("to.crm", group="crm"):
        with kafka.stuck(log):
            append = asyncio.create_task(log.append(numbered(1)))
            await asyncio.sleep(0.1)
            async with asyncio.timeout(12):
                await log.close()
            with pytest.raises(LogError):
                await append


# Groups


async def test_marks_are_in_the_commit(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        await log.append(numbered(10))
        async with log.subscribe("to.crm", group="crm") as subscription:
            records = await polled(subscription, 10)
            await subscription.settle([records[n] for n in (0, 1, 4, 5, 8)])
        tp = TopicPartition(f"{kafka.prefix}to.crm", records[0].partition)
        stored = await log._topics.committed("crm", [tp])
    assert (stored[tp].offset, stored[tp].metadata) == (2, "2.2,2")


def test_what_fits_no_commit_is_left_out_from_the_end() -> None:
    marks = Marks(10)
    marks.settle_all(range(12, 10_000, 2))
    text = fitting(marks)
    assert 3_900 < len(text) <= 4_000
    assert Marks.decode(10, text).top < marks.top


async def test_a_new_group_commits_where_it_starts(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        async with log.subscribe("to.crm", group="crm"):
            pass
        (topic,) = await log.topics()
        (group,) = topic.groups
        assert (group.name, group.committed, group.lag) == ("crm", 0, 0)
        await log.append(numbered(3))
        (topic,) = await log.topics()
        assert topic.groups[0].lag == 3


async def take(
    subscription: KafkaSubscription, done: list[tuple[int, int]], values_: list[str]
) -> None:
    while True:
        records = await subscription.poll(limit=10, timeout_s=0.2)
        await asyncio.sleep(0.01)
        while True:
            try:
                await subscription.settle(records)
                break
            except LogError:
                await asyncio.sleep(0.05)
        done += [(record.partition, record.offset) for record in records]
        values_ += values(records)


async def test_two_share_and_the_second_goes(kafka: KafkaBackend) -> None:
    done: list[tuple[int, int]] = []
    seen: list[str] = []
    async with kafka.opened() as one, kafka.opened() as two:
        await one.append(spread(300))
        async with one.subscribe("to.crm", group="crm") as first:
            task = asyncio.create_task(take(first, done, seen))
            async with two.subscribe("to.crm", group="crm") as second:
                await until(lambda: len(first._marks) + len(second._marks) == 3)
                assert 0 < len(first._marks) < 3
                other = asyncio.create_task(take(second, done, seen))
                await one.append(spread(300, 300))
                async with asyncio.timeout(20):
                    while len(set(seen)) < 600:
                        await asyncio.sleep(0.01)
                other.cancel()
                await asyncio.wait([other])
            async with asyncio.timeout(20):
                while len(first._marks) < 3:
                    await asyncio.sleep(0.01)
            await one.append(spread(100, 600))
            async with asyncio.timeout(20):
                while len(set(seen)) < 700:
                    await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])
            assert first.lag == 0
    # What came twice is what somebody had polled and not settled in a rebalance.
    assert sum(count - 1 for count in Counter(done).values()) <= 40
    assert len(set(done)) == 700


async def test_partitions_that_come_back_go_on_where_they_were(
    kafka: KafkaBackend,
) -> None:
    lost: list[frozenset[int]] = []
    finished = 0

    async def finish() -> None:
        nonlocal finished
        finished += 1

    def note(gone: frozenset[int], new: frozenset[int]) -> None:
        lost.append(gone)
        assert not gone & new

    async with kafka.opened() as one, kafka.opened() as two:
        await one.append(spread(60))
        async with one.subscribe("to.crm", group="crm") as first:
            first.on_assign, first.on_revoke = note, finish
            held = await polled(first, 60)
            async with two.subscribe("to.crm", group="crm") as second:
                await until(lambda: len(first._marks) + len(second._marks) == 3)
                await until(lambda: bool(lost))
                mine = set(first._marks)
                assert lost == [frozenset(range(3)) - mine]
                assert finished == 1
                # What we still have is not polled again, what we lost is theirs.
                assert list(await first.poll(limit=100, timeout_s=0.5)) == []
                theirs = [r for r in held if r.partition not in mine]
                assert len(await polled(second, len(theirs))) == len(theirs)
                await first.settle(held)  # late for some: ignored
                assert (first.lag, second.lag) == (0, len(theirs))
                await second.settle(theirs)
                assert second.lag == 0


async def test_a_frozen_worker_breaks_nothing(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        await log.append(spread(200))
        child = kafka.spawn("follow")
        with child:
            assert child.stdout
            assert child.stdout.readline() == "joined\n"
            head = [child.stdout.readline().strip() for _ in range(20)]
            child.send_signal(signal.SIGSTOP)
            try:
                seen: list[str] = []
                done: list[tuple[int, int]] = []
                async with log.subscribe("to.crm", group="crm") as subscription:
                    task = asyncio.create_task(take(subscription, done, seen))
                    await log.append(spread(100, 200))
                    async with asyncio.timeout(20):
                        while len(set(seen) | set(head)) < 300:
                            await asyncio.sleep(0.01)
                    marks = {n: m.mark for n, m in subscription._marks.items()}
                    assert len(marks) == 3
                    child.send_signal(signal.SIGCONT)  # it still has old records
                    async with asyncio.timeout(20):
                        while len(subscription._marks) == 3:
                            await asyncio.sleep(0.01)
                    task.cancel()
                    await asyncio.wait([task])
            finally:
                child.send_signal(signal.SIGCONT)
                child.kill()
            tail = [line.strip() for line in child.stdout]
        # It went on with at most what it held; it did not move a mark back.
        assert len(tail) <= 10
        async with log.subscribe("to.crm", group="crm") as subscription:
            assert {n: m.mark for n, m in subscription._marks.items()} == marks
            assert subscription.lag == 0


async def test_gaps_of_transactions_stall_no_mark(kafka: KafkaBackend) -> None:
    full = f"{kafka.prefix}to.crm"
    async with kafka.opened() as log:
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka.node.address, transactional_id=kafka.prefix
        )
        await producer.start()
        for number in range(3):  # each leaves a marker that is no record
            async with producer.transaction():
                for _ in range(2):
                    await producer.send(full, b"%d" % number, partition=0)
        await producer.stop()
        async with log.subscribe("to.crm", group="crm") as subscription:
            assert subscription.lag == 9
            records = await polled(subscription, 6)
            assert [record.offset for record in records] == [0, 1, 3, 4, 6, 7]
            await subscription.settle(records)
            async with asyncio.timeout(10):
                while subscription.lag:  # the last marker is seen with the next poll
                    assert not await subscription.poll(limit=10, timeout_s=0.3)
            assert subscription.runs == 0
            assert subscription._marks[0].mark == 9


async def test_records_deleted_unread_are_a_loud_gap(kafka: KafkaBackend) -> None:
    tp = TopicPartition(f"{kafka.prefix}to.crm", crc32(b"ann") % 3)
    async with kafka.opened() as log, administrating(kafka.node) as admin:
        await log.append(numbered(10))
        async with log.subscribe("to.crm", group="crm") as subscription:
            records = await polled(subscription, 3)
            await subscription.settle(records[:2])
        await admin.delete_records({tp: RecordsToDelete(5)})
        async with log.subscribe("to.crm", group="crm") as subscription:
            assert subscription.lag == 5
            (gap,) = [fields for code, fields in kafka.told if code == "log_gap"]
            assert (gap["offset"], gap["oldest"], gap["records"]) == (2, 5, 3)
            assert (gap["topic"], gap["partition"]) == ("to.crm", tp.partition)
            records = await polled(subscription, 5)
            assert values(records) == ["5", "6", "7", "8", "9"]
            # And while it runs: nothing is fetched ahead of a position this far back.
            subscription._consumer.seek(tp, 1)
            subscription._places[tp.partition] = 1
            kafka.told.clear()
            await log.append(numbered(1, start=10))
            again = await polled(subscription, 6)
            assert values(again) == ["5", "6", "7", "8", "9", "10"]
            assert [code for code, _ in kafka.told] == ["log_gap"]
            await subscription.settle(again)
            assert subscription.lag == 0


async def test_a_topic_made_anew_is_a_loud_gap(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        await log.append(numbered(10))
        async with log.subscribe("to.crm", group="crm") as subscription:
            await subscription.settle(await polled(subscription, 10))
        tp = TopicPartition(f"{kafka.prefix}to.crm", 0)
    async with administrating(kafka.node) as admin:
        await admin.delete_topics([tp.topic])
    async with asyncio.timeout(10):
        while not kafka.told:
            try:
                async with (
                    kafka.opened() as log,
                    log.subscribe("to.crm", group="crm") as subscription,
                ):
                    await log.append(numbered(2))
                    assert values(await polled(subscription, 2)) == ["0", "1"]
                    break
            except LogError:
                await asyncio.sleep(0.1)


async def test_a_group_about_to_lose_records_is_not_ready(
    kafka: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_follow, "ENDS_S", 0.1)
    async with kafka.opened(config=kafka.config(retention_s=2.0)) as log:
        await log.append(numbered(2))
        async with log.subscribe("to.crm", group="crm") as subscription:
            records = await polled(subscription, 2)
            await log.ping()
            await subscription.settle(records[1:])
            await until(lambda: subscription.overdue)
            with pytest.raises(LogError, match=r"crm is so far behind in to\.crm"):
                await log.ping()
            await subscription.settle(records[:1])
            await until(lambda: not subscription.overdue)
            await log.ping()


async def test_a_membership_that_broke_is_made_anew(kafka: KafkaBackend) -> None:
    lost: list[frozenset[int]] = []
    async with kafka.opened() as log:
        await log.append(numbered(4))
        async with log.subscribe("to.crm", group="crm") as subscription:
            subscription.on_assign = lambda gone, _: lost.append(gone)
            records = await polled(subscription, 4)
            await subscription.settle(records[:1])
            coordinator = subscription._consumer._coordinator

            def fail(*_: object) -> None:
                raise RuntimeError("a bug")

            coordinator.ensure_active_group = fail
            coordinator.request_rejoin()
            await until(coordinator._coordination_task.done)
            with pytest.raises(LogError, match="a bug"):
                await subscription.poll(limit=1, timeout_s=1)
            again = await polled(subscription, 3)
            assert values(again) == ["1", "2", "3"]
            assert lost == [frozenset(range(3))]
            await subscription.settle(again)
            assert subscription.lag == 0
    assert "log_follow_failed" in dict(kafka.told)


async def test_before_committed_takes_from_every_partition(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        await log.append(spread(90))
        async with log.subscribe("to.crm", group="crm") as subscription:
            await subscription.settle(await polled(subscription, 90))
            before = [r async for r in subscription.before_committed(30)]
            assert len(before) == 30
            assert {record.partition for record in before} == {0, 1, 2}
            for number in range(3):
                offsets = [r.offset for r in before if r.partition == number]
                end = subscription._marks[number].mark
                assert offsets == list(range(end - len(offsets), end))


async def test_a_scan_merges_partitions_by_time(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        for number in range(12):
            await log.append(spread(1, number))
            await asyncio.sleep(0.002)
        records = await scanned(log)
        assert values(records) == [str(n) for n in range(12)]
        at_ms = records[4].appended_at_ms
        assert values(await scanned(log, from_ms=at_ms)) == values(records[4:])


# Who may


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("sasl"), users={"gateway": "secret"})
    node.format()
    node.start()
    yield node
    node.kill()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_sasl(guarded: Node, mechanism: str) -> None:
    backend = KafkaBackend(guarded)
    login = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_username": "gateway",
        "sasl_password": "secret",
    }
    async with backend.opened(config=backend.config(**login)) as log:
        await log.append(numbered(2))
        async with log.subscribe("to.crm", group="crm") as subscription:
            assert len(await polled(subscription, 2)) == 2
        assert len(await scanned(log)) == 2
    with pytest.raises(LogError, match="no broker answers"):
        await backend.open(config=backend.config(**login | {"sasl_password": "wrong"}))
    with pytest.raises(ConfigError, match=r"needs log\.sasl_username"):
        await backend.open(config=backend.config(**login | {"sasl_username": None}))


async def test_a_ca_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    config = LogConfig(
        kind="kafka", security_protocol="SSL", ssl_ca=tmp_path / "none.pem"
    )
    with pytest.raises(ConfigError, match=r"log\.ssl_ca: .*none\.pem"):
        await open_log(config, Limits(), notices=Notices(io.StringIO()))


async def test_a_scan_of_a_missing_topic_makes_none(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        assert [r async for r in log.scan("to.nobody", Span())] == []
        assert [topic.name for topic in await log.topics()] == ["to.crm"]
