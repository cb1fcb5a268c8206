"""How a group is joined, and what aiokafka wants to be told of a rebalance."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from gateway.log.kafka.marks import Group
from gateway.log.kafka.read import reading
from gateway.log.kafka.wire.borrowed import trouble_of
from gateway.log.kafka.wire.client import naming

HEARTBEAT_S = 2.0
REBALANCE_S = 20.0  # how long the others wait for a member that finishes its work
LOOK_S = 0.2  # how often a join looks for what refuses it
IDLE_S = 2_000_000.0  # aiokafka would leave a group that polls nothing: never


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Passes a rebalance on; ``revoked`` is awaited before the group is joined anew."""

    def __init__(
        self,
        revoked: Callable[[], Awaitable[None]],
        assigned: Callable[[Sequence[TopicPartition]], None],
    ) -> None:
        self._revoked, self._assigned = revoked, assigned

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Before the group is joined anew."""
        del revoked
        await self._revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """After; nothing may be awaited here, no heartbeat is sent meanwhile."""
        self._assigned(list(assigned))


def member(group: Group, listener: Listener) -> AIOKafkaConsumer:
    """A consumer that will be a member of the group once it is started."""
    consumer = reading(
        group.settings,
        group_id=group.topics.full(group.name),
        session_timeout_ms=int(group.session_s * 1000),
        heartbeat_interval_ms=int(min(HEARTBEAT_S, group.session_s / 3) * 1000),
        rebalance_timeout_ms=int(REBALANCE_S * 1000),
        max_poll_interval_ms=int(IDLE_S * 1000),
    )
    consumer.subscribe([group.topics.full(group.topic)], listener=listener)
    return consumer


async def join(
    consumer: AIOKafkaConsumer, ready: asyncio.Event, place: str, timeout_s: float
) -> None:
    """Return when the consumer is a member and ``ready``; LogError says why not.

    aiokafka tells what refuses it (a right that is missing) only to who waits for an
    assignment at that very moment, so it is asked.
    """
    joining = asyncio.create_task(_begin(consumer, ready))
    try:
        with naming(place):
            async with asyncio.timeout(timeout_s):
                while not joining.done():
                    await asyncio.wait([joining], timeout=LOOK_S)
                    trouble = None if joining.done() else trouble_of(consumer)
                    if trouble is not None:
                        raise trouble
                joining.result()
    finally:
        joining.cancel()
        await asyncio.wait([joining])


async def _begin(consumer: AIOKafkaConsumer, ready: asyncio.Event) -> None:
    await consumer.start()
    await ready.wait()
