"""Who waits for an append: each is told once, and at its deadline at the latest.

What comes in: what landed, what failed. What goes out: a ticket's future, set; and how
many bytes are held for callers, those who gave up while theirs were in flight included.

    Ticket   one caller: its future, its bytes, its deadline
    Part     what one caller has in one partition
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from gateway.log.kafka.wire.record import RECORD_BYTES

TICK_S = 0.02  # deadlines are looked at this often at most


class Ticket:
    """One caller that waits."""

    __slots__ = ("deadline", "flying", "future", "left", "size")

    def __init__(
        self, future: "asyncio.Future[str | None]", size: int, deadline: float
    ) -> None:
        self.future = future  # a value for a problem: an exception would hold frames
        self.size = size
        self.deadline = deadline
        self.left = 0  # parts not yet durable
        self.flying = 0  # parts in flight


class Part:
    """What one caller has in one partition: its records, packed but for the frame."""

    __slots__ = ("records", "size", "ticket")

    def __init__(self, ticket: Ticket, records: list[bytes], size: int) -> None:
        self.ticket = ticket
        self.records = records
        self.size = size  # bytes in a batch, at most

    def split(self, room: int) -> "Part | None":
        """Take what fits in ``room`` bytes out of it; None when nothing does."""
        size = count = 0
        for record in self.records:
            if size + len(record) + RECORD_BYTES > room:
                break
            size += len(record) + RECORD_BYTES
            count += 1
        if not count:
            return None
        taken, self.records = self.records[:count], self.records[count:]
        self.size -= size
        self.ticket.left += 1
        return Part(self.ticket, taken, size)


class Callers:
    """The tickets, in the order of their deadlines, and the timer for the next."""

    def __init__(
        self, timeout_s: float, on_late: Callable[[list[Ticket]], None]
    ) -> None:
        self._timeout_s = timeout_s
        self._on_late = on_late
        self._loop = asyncio.get_running_loop()
        self._tickets: deque[Ticket] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.bytes = 0

    def admit(self, size: int) -> Ticket:
        """Somebody new, with so many bytes."""
        deadline = self._loop.time() + self._timeout_s
        ticket = Ticket(self._loop.create_future(), size, deadline)
        self.bytes += size
        self._tickets.append(ticket)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._expire)
        return ticket

    @property
    def waiting(self) -> Sequence[Ticket]:
        """Those who have not been told."""
        return [t for t in self._tickets if not t.future.done()]

    def landed(self, parts: Iterable[Part]) -> None:
        """These are durable."""
        for part in parts:
            ticket = part.ticket
            ticket.flying -= 1
            ticket.left -= 1
            if ticket.future.done():  # it was late, or its caller is gone
                if not ticket.flying:
                    self._release(ticket)
            elif not ticket.left:
                self._release(ticket)
                ticket.future.set_result(None)
        waiting = self._tickets
        while waiting and waiting[0].future.done():
            waiting.popleft()

    def grounded(self, parts: Iterable[Part]) -> None:
        """These were in flight, and never will be durable."""
        for part in parts:
            ticket = part.ticket
            ticket.flying -= 1
            if ticket.future.done() and not ticket.flying:
                self._release(ticket)

    def fail(self, tickets: Iterable[Ticket], problem: str) -> None:
        """Tell them; what is in flight is held until it has landed."""
        for ticket in tickets:
            if not ticket.future.done():
                ticket.future.set_result(problem)
            if not ticket.flying:
                self._release(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Its caller is gone, or has its error."""
        ticket.future.cancel()
        if not ticket.flying:
            self._release(ticket)

    def _release(self, ticket: Ticket) -> None:
        self.bytes -= ticket.size
        ticket.size = 0

    def _expire(self) -> None:
        """One timer for all callers: they expire in the order in which they came."""
        self._timer, now = None, self._loop.time()
        late = []
        while self._tickets and self._tickets[0].deadline <= now:
            late.append(self._tickets.popleft())
        if any(not ticket.future.done() for ticket in late):
            self._on_late(late)
        if self._tickets and self._timer is None:
            at = max(self._tickets[0].deadline, now + TICK_S)
            self._timer = self._loop.call_at(at, self._expire)

    def close(self) -> None:
        """No deadline is looked at any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
