"""What aiokafka wants to be told of a rebalance: an object of a class of its own.

And what it does not tell: the generation of the group that it belongs to.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition


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


def generation_of(consumer: AIOKafkaConsumer) -> int:
    """The generation of the group, one more with each rebalance; -1: no member now."""
    generation: int = consumer._coordinator.generation  # noqa: SLF001 -- there is no public way to it
    return generation
