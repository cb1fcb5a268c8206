"""What aiokafka wants to be told of a rebalance: an object of a class of its own."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiokafka import ConsumerRebalanceListener, TopicPartition


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
