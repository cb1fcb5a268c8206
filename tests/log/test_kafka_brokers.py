"""Brokers that die, freeze and refuse: what was acknowledged stays, memory is flat."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RequestTimedOutError

from gateway.errors import LogError
from gateway.log.kafka import log as kafka_log
from gateway.log.kafka.log import KafkaLog
from tests.log.backends import (
    PATIENCE_S,
    KafkaBackend,
    Stream,
    configure,
    entry,
    numbered,
    scanned,
    taken,
    until,
    values,
)
from tests.log.broker.kafka import Node

pytestmark = pytest.mark.service
RESTARTS = 3


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
            await until(lambda: len(kept) >= goal)  # noqa: B023 -- waited for here
            kafka.node.kill()
            with pytest.raises(LogError):
                await log.append([entry("events")])
            with pytest.raises(LogError):
                await log.ping()
            kafka.node.launch()
            await asyncio.to_thread(kafka.node.wait)
        goal = len(kept) + 200
        await until(lambda: len(kept) >= goal)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await until(lambda: log.waiting_bytes == 0)
        await taken(log.ping)
        for topic in ("events", "to.crm"):
            found = values(await scanned(log, topic))
            assert set(kept) <= set(found)
            for name in {value.split("-")[0] for value in kept}:
                mine = [int(v.split("-")[1]) for v in found if v.startswith(f"{name}-")]
                assert mine == sorted(set(mine))  # in order, and nothing twice
    codes = [code for code, _ in kafka.told]
    assert codes.count("log_write_failed") == codes.count("log_write_recovered")


@pytest.mark.parametrize("end", [Node.kill, Node.stop])
async def test_a_lone_broker_may_be_restarted_again_and_again(
    kafka: KafkaBackend, end: Callable[[Node], None]
) -> None:
    topics = ("events", "to.crm", "to.inbox")
    async with kafka.opened(topics=topics) as log:
        async with Stream(log, topics) as stream:
            await stream.flows()
            for _ in range(RESTARTS):
                await asyncio.to_thread(end, kafka.node)
                kafka.node.launch()
                await asyncio.to_thread(kafka.node.wait)
                await stream.flows()
            await taken(log.ping)
        await until(lambda: log.waiting_bytes == 0)
        for topic in topics:
            assert set(stream.kept) <= set(values(await scanned(log, topic)))


async def test_it_is_not_ready_for_as_long_as_what_failed_is_tried_in_vain(
    kafka: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it is ready every ten seconds, and is sent requests that it cannot take."""

    async def fail(*_: object) -> None:
        raise RequestTimedOutError

    monkeypatch.setattr(kafka_log, "FAILED_S", 0.0)
    async with kafka.opened(append_timeout_s=0.5) as log:
        await log.ping()
        with monkeypatch.context() as patch:
            patch.setattr(log._appender._producer, "send", fail)
            with pytest.raises(LogError, match="not durable within"):
                await log.append(numbered(1))
            with pytest.raises(LogError, match="not durable within"):
                await log.ping()
        await taken(log.ping)  # without another append
        assert values(await scanned(log)) == ["0"]


async def test_it_is_ready_though_an_entry_was_too_large(kafka: KafkaBackend) -> None:
    async with kafka.opened() as log:
        with pytest.raises(LogError, match=r"raise its max\.message\.bytes"):
            await log.append([entry(value="x" * 20_000_000)])
        await log.ping()


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
        await taken(lambda: log.append(numbered(1)))
        assert not log._appender._callers.waiting


async def refuses(kafka: KafkaBackend, topic: str, size: int) -> None:
    """Until the broker follows its own change: it takes no record of this size."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.node.address)
    await producer.start()
    full = kafka.prefix + topic
    async with asyncio.timeout(PATIENCE_S):
        with suppress(MessageSizeTooLargeError):
            while True:
                await producer.send_and_wait(full, b"", headers=[("x", b"x" * size)])
    await producer.stop()


async def test_a_batch_that_fails_for_good_ends_its_producer(
    kafka: KafkaBackend,
) -> None:
    async with kafka.opened() as log:
        await log.append(numbered(1))
        first = log._appender._producer
        await configure(kafka.node, f"{kafka.prefix}to.crm", max_message_bytes="1000")
        await refuses(kafka, "to.crm", 5_000)
        results = await asyncio.gather(
            log.append([entry(value="x" * 5_000)]),
            *(log.append([entry("to.crm", value=str(n))]) for n in range(3)),
            return_exceptions=True,
        )
        assert all(isinstance(result, LogError) for result in results)
        assert "max.message.bytes" in str(results[0])
        await log.append([entry("to.crm", value="next"), entry("events")])
        assert log._appender._producer not in (None, first)
        assert [v for v in values(await scanned(log)) if v] == ["0", "next"]
        assert log.waiting_bytes == 0


async def test_close_is_bounded_while_the_broker_is_away(kafka: KafkaBackend) -> None:
    log = await kafka.open(append_timeout_s=0.5)
    async with log.subscribe("to.crm", group="crm"):
        with kafka.stuck(log) as stuck:
            append = asyncio.create_task(log.append(numbered(1)))
            await until(stuck)
            async with asyncio.timeout(PATIENCE_S):
                await log.close()
            with pytest.raises(LogError):
                await append
