"""What aiokafka wants to be told of a rebalance: an object of a class of its own."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from gateway.log.kafka.marks import Group
from gateway.log.kafka.read import reading

HEARTBEAT_S = 2.0
REBALANCE_S = 20.0  # how long the others wait for a member that finishes its work
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
