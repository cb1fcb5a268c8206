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

START_S = 10.0
STOP_S = 1.0
REQUEST_S = 5.0  # a broker that does not answer for so long is connected to anew
BATCH_BYTES = 524_288  # a request carries one batch for each partition of its broker


async def start_producer(
    settings: dict[str, Any], topics: Iterable[str]
) -> AIOKafkaProducer:
    """A producer that knows ``topics``; raises when no broker answers in time."""
    producer = AIOKafkaProducer(
        **settings,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
        request_timeout_ms=int(REQUEST_S * 1000),
    )
    producer.sending = Sending(producer)
    try:
        async with asyncio.timeout(START_S):
            await producer.start()
            if wanted := set(topics):
                await producer.client.set_topics(wanted)
    except BaseException:
        await stop_producer(producer)
        raise
    return producer


class Sending:
    """The requests a producer has at the brokers, so that they can be ended.

    aiokafka 0.14 has no way to end a producer that cannot send: its ``stop`` waits for
    every batch to be delivered, which is for ever while the brokers are away.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        sender = producer._sender  # noqa: SLF001 -- the only place where requests are made
        self._send = sender._send_produce_req  # noqa: SLF001 -- see above
        sender._send_produce_req = self._tracked  # noqa: SLF001 -- see above

    async def _tracked(self, node: int, batches: Any) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            await self._send(node, batches)
        finally:
            self._tasks.discard(task)

    def cancel(self) -> set[asyncio.Task[None]]:
        """Cancel them all; returns what is to be waited for."""
        for task in self._tasks:
            task.cancel()
        return self._tasks.copy()


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """End it at once and drop what it holds, whoever is away."""
    if (sender := producer._sender.sender_task) is not None:  # noqa: SLF001 -- see Sending
        ending = {sender} | producer.sending.cancel()
        sender.cancel()
        await asyncio.wait(ending)
        for task in ending:
            if not task.cancelled():
                task.exception()
        _drop_batches(producer._message_accumulator)  # noqa: SLF001 -- see Sending
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(STOP_S):
            await producer.stop()


def _drop_batches(held: Any) -> None:
    """Nobody waits for them any more. Those that were retried are no longer pending,
    which aiokafka's own callback does not expect.
    """
    for batches in held._batches.values():  # noqa: SLF001 -- see Sending
        held._pending_batches.update(batches)  # noqa: SLF001 -- see Sending
    for batch in list(held._pending_batches):  # noqa: SLF001 -- see Sending
        batch.future.cancel()
