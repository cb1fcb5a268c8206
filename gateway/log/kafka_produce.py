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
from aiokafka.errors import KafkaError, ProducerClosed

START_S = 10.0
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
    try:
        async with asyncio.timeout(START_S):
            await producer.start()
            if wanted := set(topics):
                await producer.client.set_topics(wanted)
    except BaseException:
        await stop_producer(producer)
        raise
    return producer


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """End it and drop what it holds; takes a few request time-outs at most.

    Its own ``stop`` first waits for every batch to be delivered, which is for ever
    while the brokers are away. The sender is therefore ended before, and the batches
    are failed after, so that nobody waits for them.
    """
    # Both are private: aiokafka 0.14 has no way to end a producer that cannot send.
    sender, batches = producer._sender.sender_task, producer._message_accumulator  # noqa: SLF001 -- see above
    if sender is not None:
        sender.cancel()
        await asyncio.wait([sender])
        with suppress(asyncio.CancelledError):
            sender.exception()
    with suppress(KafkaError, OSError):
        await producer.stop()
    batches.fail_all(ProducerClosed())
    await asyncio.sleep(0)
