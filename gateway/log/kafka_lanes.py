"""What waits to be appended, by partition. No network here, and no clock.

    Ticket   one caller: its future, its bytes, its deadline
    Part     what one ticket has in one partition
    Lane     one partition: the parts that wait, the parts in flight (one batch at most)
    Broker   a leader: its lanes that wait, how many of its batches are in flight

A key's partition is ``crc32(key) % partitions``: fast, stable, and the same number in
every topic, as all have the same count. (Kafka's murmur2 in Python costs more than all
the rest; who produces to these topics with another client must use crc32 too.)
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from zlib import crc32

from aiokafka import TopicPartition

from gateway.errors import LogError
from gateway.log.contract import Entry

ENTRY_BYTES = 100  # what an entry takes beside its value and key: an estimate
ROOM_BYTES = 2_048  # of a record's limit, for its key, headers and batch
BAD_ENTRY = (TypeError, ValueError, AttributeError, OverflowError)


class Ticket:
    """One caller that waits."""

    __slots__ = ("deadline", "flying", "future", "left", "size")

    def __init__(
        self, future: "asyncio.Future[str | None]", size: int, deadline: float
    ) -> None:
        self.future = future
        self.size = size
        self.deadline = deadline
        self.left = 0  # parts not yet durable
        self.flying = 0  # parts in flight


class Part:
    """What one caller has in one partition."""

    __slots__ = ("entries", "ticket")

    def __init__(self, ticket: Ticket, entries: Sequence[Entry]) -> None:
        self.ticket = ticket
        self.entries = entries


class Broker:
    """The leader of some lanes."""

    __slots__ = ("flying", "since", "waiting")

    def __init__(self) -> None:
        self.flying = 0
        self.since = 0.0  # when the last batch was handed over
        self.waiting: list[Lane] = []


class Lane:
    """One partition of one topic."""

    __slots__ = ("broker", "flight", "limit", "place", "queue", "queued", "topic")

    def __init__(self, topic: str, place: TopicPartition, *, limit: int) -> None:
        self.topic = topic  # without the prefix
        self.place = place
        self.limit = limit  # bytes of the largest value
        self.broker = Broker()
        self.queue: deque[Part] = deque()
        self.queued = False  # among its broker's waiting
        self.flight: list[Part] | None = None

    def wait(self, broker: Broker) -> None:
        """Stand in the line of ``broker``, if anything waits here."""
        self.broker = broker
        if self.queue and not self.queued and self.flight is None:
            self.queued = True
            broker.waiting.append(self)

    def sweep(self) -> None:
        """Drop the parts of callers who are gone."""
        if any(part.ticket.future.done() for part in self.queue):
            kept = [part for part in self.queue if not part.ticket.future.done()]
            self.queue = deque(kept)


class Lanes:
    """Every lane, by topic, and every broker that leads some."""

    def __init__(self) -> None:
        self.by_topic: dict[str, list[Lane]] = {}
        self.nobody = Broker()
        self.brokers: dict[int | None, Broker] = {None: self.nobody}

    def __iter__(self) -> Iterator[Lane]:
        return (lane for lanes in self.by_topic.values() for lane in lanes)

    def add(self, topic: str, full: str, *, count: int, limit: int) -> None:
        """The lanes of a topic; who leads them is found when they are sent."""
        if topic in self.by_topic:
            return
        lanes = [
            Lane(topic, TopicPartition(full, number), limit=limit - ROOM_BYTES)
            for number in range(count)
        ]
        for lane in lanes:
            lane.broker = self.nobody
        self.by_topic[topic] = lanes

    def broker(self, leader: int | None) -> Broker:
        """The broker of this number, new or known."""
        if leader not in self.brokers:
            self.brokers[leader] = Broker()
        return self.brokers[leader]

    def put(self, ticket: Ticket, entries: Sequence[Entry]) -> bool:
        """Every entry into its lane; True when a broker that is idle has work now."""
        by_topic, last, number, news = self.by_topic, None, 0, False
        for entry in entries:
            key = entry[1]
            if key is not last:  # the entries of an event share it
                number, last = crc32(key), key
            lanes = by_topic[entry[0]]
            lane = lanes[number % len(lanes)]
            if len(entry[2]) > lane.limit:
                raise too_large(entry, lane)
            queue = lane.queue
            if queue and (part := queue[-1]).ticket is ticket:
                part.entries.append(entry)  # type: ignore[attr-defined]  # made below: a list
                continue
            queue.append(Part(ticket, [entry]))
            ticket.left += 1
            if not lane.queued and lane.flight is None:
                lane.wait(lane.broker)
                news = news or not lane.broker.flying
        return news

    def ground(self) -> list[Part]:
        """Nothing is in flight any more; returns what was."""
        parts: list[Part] = []
        for broker in self.brokers.values():
            broker.flying, broker.waiting = 0, []
        for lane in self:
            parts += lane.flight or ()
            lane.flight, lane.queued = None, False
            lane.wait(lane.broker)
        return parts


class BadEntryError(Exception):
    """An entry that is none: its ticket fails, the others do not."""

    def __init__(self, ticket: Ticket, cause: Exception) -> None:
        super().__init__(str(cause))
        self.ticket = ticket


def batch_of(lane: Lane, make: Callable[[], Any]) -> tuple[Any, list[Part]]:
    """A batch of what fits, in order, and the parts in it, taken from the queue.

    BadEntryError leaves the queue as it was: the batch is made anew without it.
    """
    batch, flight, queue = make(), list[Part](), lane.queue
    append, last = batch.append, None
    listed: list[tuple[str, bytes]] = []
    while queue:
        part = queue[0]
        if part.ticket.future.done():
            queue.popleft()
            continue
        taken = 0
        try:
            for _, key, value, headers in part.entries:
                if headers is not last:  # aiokafka wants a list
                    last, listed = headers, list(headers)
                if not append(timestamp=None, key=key, value=value, headers=listed):
                    break
                taken += 1
        except BAD_ENTRY as error:
            queue.extendleft(reversed(flight))
            raise BadEntryError(part.ticket, error) from error
        if taken < len(part.entries):
            if taken:  # the batch is full: the rest of this part is in the next
                flight.append(Part(part.ticket, part.entries[:taken]))
                part.entries = part.entries[taken:]
                part.ticket.left += 1
            break
        flight.append(queue.popleft())
    return batch, flight


def weigh(entries: Sequence[Entry]) -> int:
    """The bytes that waiting entries hold, a shared value counted once."""
    total, last = 0, None
    for entry in entries:
        total += ENTRY_BYTES
        if entry[2] is not last:
            last = entry[2]
            total += len(last) + len(entry[1])
    return total


def too_large(entry: Entry, lane: Lane) -> LogError:
    """Named, because the broker's own answer would name neither topic nor size."""
    return LogError(
        f"kafka: a record of {len(entry.value)} bytes for {lane.place.topic}, which "
        f"takes {lane.limit}: raise its max.message.bytes"
    )
