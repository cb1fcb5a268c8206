"""Handing partitions over: what a worker does before, during and after.

begin      start nothing, let what flies land and be settled
overdue    the group waits no more: end what still flies
end        others have what was lost; the past of what is new is to be remembered
"""

from collections.abc import Callable

from gateway.outbound.flights import Flights

LANDING_S = 0.02  # how often a rebalance looks whether all is settled


class Rebalance:
    """The rebalances of one run, as its subscription tells of them.

    ``settling`` says how many events have ended and are not durable; ``resume`` goes
    on without the partitions that were lost.
    """

    def __init__(
        self,
        flights: Flights,
        *,
        settling: Callable[[], int],
        resume: Callable[[frozenset[int]], None],
    ) -> None:
        self._flights = flights
        self._settling = settling
        self._resume = resume
        self._halted = False
        self._lost: set[int] = set()  # while polled records are on their way in
        self._unremembered: set[int] = set()  # their dedupe window is not rebuilt yet

    @property
    def halted(self) -> bool:
        """A rebalance is under way: nothing is started."""
        return self._halted

    @property
    def unremembered(self) -> frozenset[int]:
        """New partitions whose past is not known yet."""
        return frozenset(self._unremembered)

    async def begin(self) -> None:
        """Before a rebalance: return when nothing flies and all is settled."""
        self._halted = True
        while self._flights.count or self._settling():
            await self._flights.landing(LANDING_S)

    def overdue(self) -> None:
        """End all attempts: the group waits no more, and others get their events.

        A request that lands after another worker's would undo a person's order.
        """
        self._flights.cut()

    def end(self, lost: frozenset[int], new: frozenset[int]) -> None:
        """After a rebalance: what is pending of lost partitions is others' now."""
        self._lost |= lost
        self._unremembered |= new
        self._halted = False
        self._resume(lost)

    def polled(self) -> None:
        """A poll returned: its records are of partitions that were ours until now."""
        self._lost.clear()

    def is_lost(self, partition: int) -> bool:
        """Whether it was lost since the last poll returned."""
        return partition in self._lost

    def remembered(self, partitions: frozenset[int]) -> None:
        """The past of these is known."""
        self._unremembered -= partitions
