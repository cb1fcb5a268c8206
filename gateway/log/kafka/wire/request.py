"""A produce request and its answer on the wire, packed by hand.

aiokafka's general codec takes longer for the frame around a batch than the batch
itself takes to be written, and copies a request of megabytes four times. The format is
Kafka's Produce v7, which every broker from 2.1 to 4.x speaks.
"""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Self

from aiokafka import TopicPartition
from aiokafka.conn import CloseReason
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7

from gateway.log.kafka.wire.borrowed import line_of, next_number
from gateway.log.kafka.wire.record import Sealed

API_KEY, API_VERSION = 0, 7
START = struct.Struct(">ihhih")  # size, api, version, number, bytes of the client's id
HEAD = struct.Struct(">hhii")  # no transaction, acks, time-out (ms), topics
ALL_IN_SYNC = -1
TOPIC = struct.Struct(">h")  # bytes of its name
COUNT = struct.Struct(">i")  # partitions
PART = struct.Struct(">ii")  # partition, bytes of its batch
PRODUCED = struct.Struct(">ihqqq")  # partition, error, offset, time, start of the log
JOINED_MAX = 65_536  # bytes: up to here one copy is cheaper than many parts


class Produced(Response):  # type: ignore[misc]  # aiokafka is untyped
    """By partition: Kafka's error code (0: durable) and the offset of the batch."""

    API_KEY = API_KEY
    API_VERSION = API_VERSION
    SCHEMA = ProduceResponse_v7.SCHEMA

    def __init__(self, results: Mapping[TopicPartition, tuple[int, int]]) -> None:
        self.results = results

    @classmethod
    def decode(cls, data: BytesIO | bytes) -> Self:
        """Read the answer's body."""
        view = memoryview(data if isinstance(data, bytes) else data.read())
        results: dict[TopicPartition, tuple[int, int]] = {}
        (topics,), at = COUNT.unpack_from(view), COUNT.size
        for _ in range(topics):
            (size,), at = TOPIC.unpack_from(view, at), at + TOPIC.size
            topic, at = str(view[at : at + size], "utf-8"), at + size
            (count,), at = COUNT.unpack_from(view, at), at + COUNT.size
            end = at + count * PRODUCED.size
            for number, code, offset, _, _ in PRODUCED.iter_unpack(view[at:end]):
                results[TopicPartition(topic, number)] = code, offset
            at = end
        return cls(results)


class Produce(RequestStruct):  # type: ignore[misc]  # as above
    """What a connection knows of a request that is out: how its answer is read."""

    API_KEY = API_KEY
    API_VERSION = API_VERSION
    RESPONSE_TYPE = Produced
    SCHEMA = ProduceRequest_v7.SCHEMA


def request(
    batches: Mapping[TopicPartition, Sealed], *, timeout_ms: int
) -> Sequence[bytes]:
    """A batch for each partition, durable in all replicas in sync when answered.

    In parts: everything after the request's header, the batches not copied.
    """
    by_topic: dict[str, list[tuple[int, Sealed]]] = {}
    for (topic, number), sealed in batches.items():
        by_topic.setdefault(topic, []).append((number, sealed))
    parts: list[bytes] = []
    head = HEAD.pack(-1, ALL_IN_SYNC, timeout_ms, len(by_topic))
    for topic, numbered in by_topic.items():
        name = topic.encode()
        head += TOPIC.pack(len(name)) + name + COUNT.pack(len(numbered))
        for number, (frame, body) in numbered:
            size = len(frame) + len(body)
            parts += (head + PART.pack(number, size) + frame, body)
            head = b""
    return parts


def post(connection: Any, parts: Sequence[bytes]) -> "asyncio.Future[Produced]":
    """Write a request to aiokafka's connection; it sets the future from the answer.

    KafkaConnectionError when it is lost, IncompatibleBrokerVersion when it is to a
    broker that does not speak this version.
    """
    (oldest, newest), writer, requests, client = line_of(connection, API_KEY)
    if not oldest <= API_VERSION <= newest:
        text = f"a broker takes Produce {oldest} to {newest}, not {API_VERSION}"
        raise IncompatibleBrokerVersion(text)
    if writer is None:
        raise KafkaConnectionError("the connection is lost")
    number = next_number(connection)
    size = START.size - COUNT.size + len(client) + sum(map(len, parts))
    start = START.pack(size, API_KEY, API_VERSION, number, len(client)) + client
    try:
        if size < JOINED_MAX:
            writer.write(b"".join((start, *parts)))
        else:
            writer.writelines((start, *parts))
    except OSError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"the connection broke: {error}") from error
    answer: asyncio.Future[Produced] = asyncio.get_running_loop().create_future()
    requests.append((number, Produce(), answer))
    return answer
