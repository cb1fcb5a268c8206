"""Kafka: what a record is, that none is given twice, and a broker that is killed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from gateway.errors import ConfigError
from gateway.outbound.contract import Delivered, Place, Rejected, Retry, Verdict
from gateway.outbound.destinations import kafka
from gateway.outbound.destinations.kafka import (
    KafkaDestination,
    Settings,
    check,
    record_of,
)
from gateway.outbound.http import NoResponse, Request
from gateway.outbound.kind import Context
from tests.log.broker.kafka import Node
from tests.outbound.but import but
from tests.outbound.conftest import Bench, make_entry
from tests.outbound.vendors.talks import delivery

SETTINGS = Settings(bootstrap_servers="127.0.0.1:9", topic="customers")


class Scripted:
    """A producer that ends its records when, and as, it is told."""

    made: "ClassVar[list[Scripted]]"
    on_start: ClassVar[list[BaseException]]

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.sent: list[tuple[Any, asyncio.Future[Any]]] = []
        self.refused: BaseException | None = None
        self.stopped = False
        self.made.append(self)

    async def start(self) -> None:
        if self.on_start:
            raise self.on_start.pop(0)

    async def send(self, topic: str, **record: Any) -> asyncio.Future[Any]:
        if self.refused is not None:
            raise self.refused
        future = asyncio.get_running_loop().create_future()
        self.sent.append((record["value"], future))
        return future

    async def stop(self) -> None:
        self.stopped = True

    async def has(self, count: int) -> Self:
        while len(self.sent) < count:
            await asyncio.sleep(0)
        return self


@pytest.fixture
def producers(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    class Fresh(Scripted):
        made: ClassVar = []
        on_start: ClassVar = []

    monkeypatch.setattr(kafka, "AIOKafkaProducer", Fresh)
    return Fresh


@asynccontextmanager
async def opened() -> AsyncIterator[KafkaDestination]:
    destination = KafkaDestination(SETTINGS, Path())
    try:
        async with asyncio.timeout(10.0):  # what waits for ever fails
            yield destination
    finally:
        await destination.close()


def test_a_record_has_the_person_key_and_the_headers_of_the_log() -> None:
    event = but(delivery(7, userId="A@B.example"), replay="r1")
    record = record_of(event, SETTINGS)
    assert record.key == b"a@b.example"
    assert record.value == event.value
    assert dict(record.headers) == {
        "messageId": b"m7",
        "source": b"web",
        "type": b"identify",
        "receivedAt": b"2026-01-15T10:12:14.100Z",
        "replay": b"r1",
    }


@pytest.mark.parametrize(
    ("properties", "key"),
    [({"orderId": "o1"}, b"o1"), ({"orderId": 7}, b"7"), ({}, b"u1"), (None, b"u1")],
)
def test_the_key_is_what_the_event_has_there_or_the_person_key(
    properties: Any, key: bytes
) -> None:
    settings = Settings(bootstrap_servers="a:1", topic="t", key="properties.orderId")
    event = delivery(type="track", userId="u1", event="E", properties=properties)
    assert record_of(event, settings).key == key


def test_a_mapping_is_the_value() -> None:
    event = delivery(userId="u1", fields={"who": "u1", "gone": ""})
    assert record_of(event, SETTINGS).value == b'{"who":"u1"}'


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bootstrap_servers": "kafka"}, "bootstrap_servers: not host:port"),
        ({"bootstrap_servers": "a:1,,b:2"}, "bootstrap_servers: not host:port"),
        ({"topic": "a b"}, "topic: 'a b' is no name"),
        ({"topic": ".."}, "topic: '..' is no name"),
        ({"security_protocol": "SASL_SSL"}, "SASL_SSL needs sasl_username"),
    ],
)
def test_a_mistake_names_the_key(changes: Any, words: str) -> None:
    given = {"bootstrap_servers": "a:1", "topic": "t", **changes}
    with pytest.raises(ConfigError, match=words):
        check(Settings(**given), "destinations.k.settings")


async def test_a_record_is_written_to_all_replicas_once(producers: Any) -> None:
    async with opened() as destination:
        going = asyncio.create_task(destination.deliver([delivery(1, userId="u")]))
        producer = await (await started(producers)).has(1)
        producer.sent[0][1].set_result(None)
        assert await going == [Delivered()]
    assert producer.options["acks"] == "all"
    assert producer.options["enable_idempotence"] is True
    assert producer.stopped


def test_what_the_library_logs_fills_no_stderr(capfd: Any) -> None:
    logger = logging.getLogger("aiokafka")
    before, logger.handlers = logger.handlers, []
    root = logging.getLogger()
    roots, root.handlers = root.handlers, []
    try:
        kafka.opened(SETTINGS, Context("k", Path(), nobody))
        logger.error("Unable to connect")
        assert capfd.readouterr().err == ""
    finally:
        logger.handlers, root.handlers = before, roots


async def nobody(request: Request) -> NoResponse:
    return NoResponse(request.url)


async def started(producers: Any) -> Any:
    while not producers.made:
        await asyncio.sleep(0)
    return producers.made[-1]


async def test_what_has_not_ended_is_never_handed_over_twice(producers: Any) -> None:
    event = but(delivery(1, userId="u"), place=Place(0, 7, 0))
    async with opened() as destination:
        first = asyncio.create_task(destination.deliver([event]))
        producer = await (await started(producers)).has(1)
        first.cancel()  # as at the end of an attempt's time
        await asyncio.wait([first])
        second = asyncio.create_task(destination.deliver([event]))
        await asyncio.sleep(0)
        producer.sent[0][1].set_result(None)
        assert await second == [Delivered()]
        assert len(producer.sent) == 1
        again = but(event, place=Place(0, 8, 0))  # a replay is another record
        third = asyncio.create_task(destination.deliver([again]))
        (await producer.has(2)).sent[1][1].set_result(None)
        assert await third == [Delivered()]


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (errors.OutOfOrderSequenceNumber(), Retry("OutOfOrderSequenceNumber")),
        (
            errors.TopicAuthorizationFailedError(),
            Retry("TopicAuthorizationFailedError", auth=True),
        ),
        (
            errors.MessageSizeTooLargeError(),
            Rejected("too_large", "MessageSizeTooLargeError"),
        ),
    ],
)
async def test_after_a_record_that_failed_there_is_another_producer(
    producers: Any, error: Any, verdict: Verdict
) -> None:
    async with opened() as destination:
        both = [delivery(1, userId="u"), delivery(2, userId="v")]
        going = asyncio.create_task(destination.deliver(both))
        old = await (await started(producers)).has(2)
        old.sent[0][1].set_exception(error)
        old.sent[1][1].set_result(None)
        assert await going == [verdict, Delivered()]
        after = asyncio.create_task(destination.deliver(both[:1]))
        while len(producers.made) < 2:
            await asyncio.sleep(0)
        (await producers.made[1].has(1)).sent[0][1].set_result(None)
        assert await after == [Delivered()]
        assert old.stopped


async def test_what_is_too_large_for_any_topic_is_not_sent(producers: Any) -> None:
    async with opened() as destination:
        refusing: Any = await destination.started()
        refusing.refused = errors.MessageSizeTooLargeError()
        (verdict,) = await destination.deliver([delivery(1, userId="u")])
    assert isinstance(verdict, Rejected)
    assert (verdict.reason, verdict.unsent) == ("too_large", True)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (errors.KafkaConnectionError(), Retry("KafkaConnectionError", away=True)),
        (OSError(), Retry("OSError", away=True)),
        (
            errors.SaslAuthenticationFailed(),
            Retry("SaslAuthenticationFailed", auth=True),
        ),
    ],
)
async def test_a_cluster_that_lets_nobody_in_loses_nothing(
    producers: Any, error: Any, verdict: Verdict
) -> None:
    producers.on_start.append(error)
    async with opened() as destination:
        assert await destination.deliver([delivery(1, userId="u")]) == [verdict]
        assert producers.made[0].stopped


@pytest.mark.service
async def test_a_broker_that_is_killed_midway_gets_each_event_in_order(
    node: Node, bench: Bench
) -> None:
    topic, people, each = "kind.customers", 20, 30
    admin = AIOKafkaAdminClient(bootstrap_servers=node.address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 3, 1)])
    await admin.close()
    settings = Settings(bootstrap_servers=node.address, topic=topic)
    async with bench.open():
        entries = [
            make_entry(turn * people + person, f"u{person}")
            for turn in range(each)
            for person in range(people)
        ]
        await bench.log.append(entries[: len(entries) // 2])
        destination = KafkaDestination(settings, Path())
        async with bench.running(destination):
            await bench.settled(people)
            node.kill()
            await bench.log.append(entries[len(entries) // 2 :])
            await asyncio.to_thread(node.start)
            await bench.settled(len(entries), within_s=60.0)
        await destination.close()
        assert set((await bench.kinds()).values()) == {"delivered"}
    found = await read(node, topic, len(entries))
    by_person: dict[bytes, list[int]] = {}
    for record in found:
        number = int(orjson.loads(record.value)["messageId"][1:])
        by_person.setdefault(record.key, []).append(number)
    assert len(found) == len(entries)  # each once: the producer lived through it
    assert len(by_person) == people
    for numbers in by_person.values():
        assert numbers == sorted(numbers)
    assert dict(found[0].headers)["source"] == b"web"


async def read(node: Node, topic: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=node.address, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        assert sum(ends.values()) >= count
        found: list[Any] = []
        while len(found) < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                found += records
        return found
    finally:
        await consumer.stop()
