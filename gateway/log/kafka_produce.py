"""One idempotent producer's life: started in bounded time, ended without hanging.

aiokafka retries a batch of an idempotent producer for ever, in order, and numbers it so
that a repeat is written once; that is what keeps the order of a key while brokers come
and go. So nothing here gives up a batch: the appender gives up its callers, and ends
the producer when a batch has failed for good, because the next number would be refused.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from gateway.log.kafka_client import steady

START_S = 10.0
STOP_S = 1.0
REQUEST_S = 5.0  # a broker that does not answer for so long is connected to anew
BATCH_BYTES = 524_288  # a request carries one batch for each partition of its broker


class Producer:
    """An idempotent ``AIOKafkaProducer`` that can be ended at any time.

    aiokafka 0.14 cannot end one that cannot send: its ``stop`` waits for every batch to
    be delivered, which is for ever while the brokers are away. So its requests are
    known here and ended first. This is the one place that reaches into its sender.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._producer = AIOKafkaProducer(
            **settings,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=int(REQUEST_S * 1000),
        )
        self.create_batch = self._producer.create_batch
        self.send_batch = self._producer.send_batch
        self.client = steady(self._producer.client)
        self._requests: set[asyncio.Task[None]] = set()
        self._sender = self._producer._sender  # noqa: SLF001 -- see above
        self._request = self._sender._send_produce_req  # noqa: SLF001 -- see above
        self._sender._send_produce_req = self._tracked  # noqa: SLF001 -- see above

    async def start(self, topics: Iterable[str]) -> None:
        """Connect and learn of ``topics``; raises when no broker answers in time."""
        try:
            async with asyncio.timeout(START_S):
                await self._producer.start()
                if wanted := set(topics):
                    await self.client.set_topics(wanted)
        except BaseException:
            await self.stop()
            raise

    async def _tracked(self, node: int, batches: Any) -> None:
        task = asyncio.current_task()
        assert task
        self._requests.add(task)
        try:
            await self._request(node, batches)
        finally:
            self._requests.discard(task)

    async def stop(self) -> None:
        """End it and drop what it holds, in bounded time whoever is away."""
        if (sender := self._sender.sender_task) is not None:
            ending = {sender, *self._requests}
            for task in ending:
                task.cancel()
            await asyncio.wait(ending)
            for task in ending:
                if not task.cancelled():
                    task.exception()
            _drop(self._producer._message_accumulator)  # noqa: SLF001 -- see above
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self._producer.stop()


def _drop(held: Any) -> None:
    """Cancel what is queued and what is pending; aiokafka's callback wants both there.

    (A batch that was retried is queued only; ending it would be a KeyError.)
    """
    for batches in held._batches.values():  # noqa: SLF001 -- see Producer
        held._pending_batches.update(batches)  # noqa: SLF001 -- see Producer
    for batch in list(held._pending_batches):  # noqa: SLF001 -- see Producer
        batch.future.cancel()
