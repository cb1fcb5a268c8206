"""Groups on a real Kafka: marks in commits, gaps that are loud, lag."""

import asyncio
from typing import Any
from zlib import crc32

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import GroupLoadInProgressError, NotCoordinatorForGroupError
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3

from gateway.errors import LogError
from gateway.log.kafka import ends as kafka_ends
from gateway.log.kafka.marks import fitting
from gateway.log.marks import Marks
from tests.log.backends import (
    PATIENCE_S,
    KafkaBackend,
    administrating,
    numbered,
    past,
    polled,
    spread,
    until,
    values,
)

pytestmark = pytest.mark.service


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


async def test_a_coordinator_that_moves_is_no_group_without_marks(
    kafka: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer lists no partition; taken for one, everything would come again."""
    codes = [NotCoordinatorForGroupError.errno, GroupLoadInProgressError.errno]
    async with kafka.opened() as log:
        await log.append(numbered(10))
        async with log.subscribe("to.crm", group="crm") as subscription:
            await subscription.settle(await polled(subscription, 10))
        send = log._topics._admin._send_request

        async def moving(request: Any, node: Any = None) -> Any:
            if isinstance(request, OffsetFetchRequest) and codes:
                return OffsetFetchResponse_v3(0, [], codes.pop())
            return await send(request, node)

        monkeypatch.setattr(log._topics._admin, "_send_request", moving)
        async with log.subscribe("to.crm", group="crm") as subscription:
            assert not codes
            assert subscription.lag == 0
            await log.append(numbered(1, start=10))
            assert values(await polled(subscription, 1)) == ["10"]


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
            async with asyncio.timeout(PATIENCE_S):
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
    async with asyncio.timeout(PATIENCE_S):
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
    monkeypatch.setattr(kafka_ends, "ENDS_S", 0.1)
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


async def test_before_committed_takes_from_every_partition(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        await log.append(spread(90))
        async with log.subscribe("to.crm", group="crm") as subscription:
            await subscription.settle(await polled(subscription, 90))
            before = await past(subscription, 30)
            assert len(before) == 30
            assert {record.partition for record in before} == {0, 1, 2}
            for number in range(3):
                offsets = [r.offset for r in before if r.partition == number]
                end = subscription._marks[number].mark
                assert offsets == list(range(end - len(offsets), end))
