"""One idempotent producer's life: started in bounded time, ended without hanging.

Each batch has the producer's number and, within its partition, a number of its own, so
that a batch that is sent again is written once: that is what keeps the order of a key
while brokers come and go. So nothing here gives up a batch: the appender gives up its
callers, and ends the producer when a batch has failed for good, because the next number
would be refused.

aiokafka's client and its connections are used as they are; its producer is not. It
spends more on the futures, queues and frames around a small batch than on the batch
(DESIGN 4.7), and cannot be ended while the brokers are away.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import CloseReason
from aiokafka.errors import (
    KafkaError,
    NodeNotReadyError,
    RequestTimedOutError,
    for_code,
)
from aiokafka.protocol.transaction import InitProducerIdRequest

from gateway.log.kafka.wire.borrowed import connection_to, steady
from gateway.log.kafka.wire.client import BACKOFF_MS
from gateway.log.kafka.wire.record import Sealed, seal
from gateway.log.kafka.wire.request import post, request

START_S = 10.0
STOP_S = 1.0
REQUEST_S = 5.0  # a broker that does not answer for so long is connected to anew
NO_TRANSACTION_MS = 2**31 - 1
SEQUENCES = 2**31  # a partition's numbers start again at 0


class Producer:
    """A number from the brokers, a connection to each, and who was sent what."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.client = steady(
            AIOKafkaClient(**settings, request_timeout_ms=int(REQUEST_S * 1000))
        )
        self._id, self._epoch = -1, -1
        self._sequences: dict[TopicPartition, int] = {}

    async def start(self, topics: Iterable[str]) -> None:
        """Connect and learn of ``topics``; raises when no broker answers in time."""
        try:
            async with asyncio.timeout(START_S):
                await self.client.bootstrap()
                await self._identify()
                if wanted := set(topics):
                    await self.client.set_topics(wanted)
        except BaseException:
            await self.stop()
            raise

    async def _identify(self) -> None:
        """Get a number; brokers that are starting have none yet."""
        request = InitProducerIdRequest(
            transactional_id=None, transaction_timeout_ms=NO_TRANSACTION_MS
        )
        while self._id < 0:
            try:
                answer = await self.client.send(self.client.get_random_node(), request)
                error = for_code(answer.error_code)()
            except KafkaError as failed:
                error = failed
            else:
                if not answer.error_code:
                    self._id, self._epoch = answer.producer_id, answer.producer_epoch
                    return
            if not error.retriable:
                raise error
            await self.client.force_metadata_update()
            await asyncio.sleep(BACKOFF_MS / 1000)

    def seal(self, place: TopicPartition, records: bytes, count: int) -> Sealed:
        """The next batch of a partition, numbered; the one before it must have ended.

        It must be written before any other of its partition.
        """
        sequence = self._sequences.get(place, 0)
        self._sequences[place] = (sequence + count) % SEQUENCES
        return seal(
            records,
            count,
            producer_id=self._id,
            epoch=self._epoch,
            sequence=sequence,
            time_ms=time.time_ns() // 1_000_000,
        )

    async def send(
        self, node: int, batches: Mapping[TopicPartition, Sealed]
    ) -> Mapping[TopicPartition, tuple[int, int]]:
        """Kafka's error code and the offset for each; KafkaError for the request.

        In both cases the same bytes may be sent again, to whoever leads by then.
        """
        if not await self.client.ready(node):
            raise NodeNotReadyError(f"no connection to broker {node}")
        connection = connection_to(self.client, node)
        parts = request(batches, timeout_ms=int(REQUEST_S * 1000))
        try:
            async with asyncio.timeout(REQUEST_S):
                answer = await post(connection, parts)
        except TimeoutError as error:  # the next request connects anew
            connection.close(reason=CloseReason.CONNECTION_TIMEOUT)
            raise RequestTimedOutError from error
        return answer.results

    async def stop(self) -> None:
        """Close its connections, in bounded time whoever is away."""
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self.client.close()
