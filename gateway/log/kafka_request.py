"""A produce request and its answer on the wire, packed by hand.

aiokafka's general codec takes longer for the frame around a batch than the batch
itself takes to be written; a request has dozens. The format is Kafka's Produce v7,
which every broker from 2.1 to 4.x speaks.
"""

import struct
from collections.abc import Mapping
from io import BytesIO
from typing import ClassVar, Self

from aiokafka import TopicPartition
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7

API_KEY, API_VERSION = 0, 7
HEAD = struct.Struct(">hhii")  # no transaction, acks, time-out (ms), topics
ALL_IN_SYNC = -1
TOPIC = struct.Struct(">h")  # bytes of its name
COUNT = struct.Struct(">i")  # partitions
PART = struct.Struct(">ii")  # partition, bytes of its batch
PRODUCED = struct.Struct(">ihqqq")  # partition, error, offset, time, start of the log


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


class _Packed(RequestStruct):  # type: ignore[misc]  # as above
    """What the connection writes."""

    API_KEY = API_KEY
    API_VERSION = API_VERSION
    RESPONSE_TYPE = Produced
    SCHEMA = ProduceRequest_v7.SCHEMA

    def __init__(self, body: bytes) -> None:
        self._body = body

    def encode(self) -> bytes:
        """Everything after the request's header."""
        return self._body


class Produce(Request[_Packed]):  # type: ignore[misc]  # as above
    """A batch for each partition, durable in all replicas in sync when answered."""

    API_KEY: ClassVar[int] = API_KEY

    def __init__(
        self, batches: Mapping[TopicPartition, bytes], *, timeout_ms: int
    ) -> None:
        by_topic: dict[str, list[bytes]] = {}
        for (topic, number), batch in batches.items():
            by_topic.setdefault(topic, []).extend(
                (PART.pack(number, len(batch)), batch)
            )
        parts: list[bytes] = [HEAD.pack(-1, ALL_IN_SYNC, timeout_ms, len(by_topic))]
        for topic, packed in by_topic.items():
            name = topic.encode()
            parts += (TOPIC.pack(len(name)), name, COUNT.pack(len(packed) // 2))
            parts += packed
        self._body = b"".join(parts)

    def build(self, request_struct_class: type[_Packed]) -> _Packed:
        """The request in the one version there is."""
        return request_struct_class(self._body)
