"""What waits to be appended, by partition. No network here, and no clock.

    Lane     one partition: the parts that wait, the parts in flight (one batch at most)
    Broker   a leader: its lanes that wait, and whether a request to it is out

Nobody stands in a line that nobody comes for. A lane is idle, in one line or in flight,
and only one that is idle joins a line. Who joins the line of a broker that is not busy
wakes the appender, and so does a broker that lands while somebody stands in its line.
Lanes whose leader is not known stand in the line of ``nobody``, which is busy for as
long as they pause before they are tried again.

A key's partition is ``crc32(key) % partitions``: fast, stable, and the same number in
every topic, as all have the same count. (Kafka's murmur2 in Python costs more than all
the rest; who produces to these topics with another client must use crc32 too.)
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any
from zlib import crc32

from aiokafka import TopicPartition

from gateway.errors import LogError
from gateway.log.contract import Entry
from gateway.log.kafka.callers import Part, Ticket
from gateway.log.kafka.wire.record import RECORD_BYTES, Packer, Sealed

NOBODY = -1  # Kafka's number of a leader that is not known
BATCH_BYTES = 524_288  # a request has one batch for each partition of its broker
ENTRY_BYTES = 100  # what an entry takes beside its value and key: an estimate
ROOM_BYTES = 2_048  # of a record's limit, for its key, headers and batch
BAD_ENTRY = (TypeError, ValueError, AttributeError, OverflowError)


class UnfitError(LogError):
    """The log is well: it is these entries that it cannot take."""


class At(Enum):
    """Where a lane is."""

    IDLE = "idle"
    LINE = "in the line of its broker"
    FLIGHT = "in a request to its broker"


IDLE, LINE, FLIGHT = At  # looking them up in there costs more than all of a lane's way


class Broker:
    """The leader of some lanes: who stands in its line, and whether it is busy."""

    __slots__ = ("flying", "node", "waiting", "wake")

    def __init__(self, node: int, wake: Callable[[], None]) -> None:
        self.node = node
        self.wake = wake
        self.flying = False  # a request is out; of nobody: a pause lasts
        self.waiting: list[Lane] = []

    def land(self) -> None:
        """Its request is answered, its pause over: it is asked for at once."""
        self.flying = False
        if self.waiting:
            self.wake()

    def call(self) -> "list[Lane]":
        """All who stand in its line, in no line any more."""
        lanes, self.waiting = self.waiting, []
        for lane in lanes:
            lane.at = IDLE
        return lanes


class Lane:
    """One partition of one topic.

    ``flight`` is what is in ``sealed``, the batch that was numbered: sent and not yet
    answered, or to be sent again before anything else.
    """

    __slots__ = (
        *("at", "broker", "flight", "limit", "place"),
        *("queue", "records", "sealed", "topic"),
    )

    def __init__(
        self, topic: str, place: TopicPartition, broker: Broker, *, limit: int
    ) -> None:
        self.topic = topic  # without the prefix
        self.place = place
        self.limit = limit  # bytes of the largest value
        self.at = IDLE
        self.broker = broker  # whose line it is in, who it flies to, or did last
        self.queue: deque[Part] = deque()
        self.flight: list[Part] = []
        self.sealed: Sealed | None = None
        self.records = 0  # in the sealed batch

    def join(self, broker: Broker) -> None:
        """Stand in this line, if anything waits here and it is not cared for yet."""
        if self.at is IDLE and (self.sealed or self.queue):
            self.at, self.broker = LINE, broker
            broker.waiting.append(self)
            if not broker.flying:
                broker.wake()

    def fly(self, broker: Broker) -> None:
        """Its sealed batch is in a request to this broker."""
        self.at, self.broker = FLIGHT, broker

    def back(self) -> None:
        """The batch did not arrive: it is sent again before anything else."""
        self.at = IDLE

    def land(self) -> list[Part]:
        """Nothing of it is in flight any more; returns what was."""
        flight, self.flight, self.sealed = self.flight, [], None
        self.at = IDLE
        return flight

    def sweep(self) -> None:
        """Drop the parts of callers who are gone."""
        if any(part.ticket.future.done() for part in self.queue):
            kept = [part for part in self.queue if not part.ticket.future.done()]
            self.queue = deque(kept)


class Leaders:
    """Who leads what at one moment."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._counts: dict[str, int] = {}

    def count(self, topic: str) -> int:
        """How many partitions a topic has; 0 when it is deleted or not known yet."""
        if topic not in self._counts:
            found = self._cluster.partitions_for_topic(topic)
            self._counts[topic] = len(found or ())
        return self._counts[topic]

    def of(self, lane: Lane) -> int:
        """The broker's number, or nobody's."""
        node: int | None = self._cluster.leader_for_partition(lane.place)
        return NOBODY if node is None else node


class Lanes:
    """Every lane, by topic, and every broker that leads some."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake  # look soon who may be sent
        self.by_topic: dict[str, list[Lane]] = {}
        self.nobody = Broker(NOBODY, wake)
        self.brokers: dict[int, Broker] = {NOBODY: self.nobody}

    def __iter__(self) -> Iterator[Lane]:
        return (lane for lanes in self.by_topic.values() for lane in lanes)

    def add(self, topic: str, full: str, *, count: int, limit: int) -> None:
        """The lanes of a topic; who leads them is found when they are sent."""
        if topic in self.by_topic:
            return
        lanes = [
            Lane(topic, TopicPartition(full, n), self.nobody, limit=limit - ROOM_BYTES)
            for n in range(count)
        ]
        self.by_topic[topic] = lanes

    def broker(self, node: int) -> Broker:
        """The broker of this number, new or known."""
        if node not in self.brokers:
            self.brokers[node] = Broker(node, self._wake)
        return self.brokers[node]

    def unknown(self, entries: Sequence[Entry]) -> set[str]:
        """The topics of these that have no lanes yet."""
        known = self.by_topic
        return {entry[0] for entry in entries if entry[0] not in known}

    def put(self, ticket: Ticket, entries: Sequence[Entry]) -> None:
        """Every entry into its lane.

        UnfitError for what is no entry, or too large: its ticket fails, no other does.
        """
        by_topic, packer = self.by_topic, Packer()
        one: Entry | None = None
        number, record, size = 0, b"", 0
        for entry in entries:
            topic, key, value, headers = entry
            # The entries of an event share these: a record is packed for all of them.
            if (
                one is None
                or headers is not one[3]
                or value is not one[2]
                or key is not one[1]
            ):
                one, record, number = entry, _packed(packer, entry), crc32(key)
                size = len(record) + RECORD_BYTES
            lanes = by_topic[topic]
            lane = lanes[number % len(lanes)]
            if len(value) > lane.limit:
                raise too_large(entry, lane)
            queue = lane.queue
            if queue and (part := queue[-1]).ticket is ticket:
                part.records.append(record)
                part.size += size
                continue
            queue.append(Part(ticket, [record], size))
            ticket.left += 1
            if lane.at is IDLE:
                lane.join(lane.broker)

    def ground(self) -> list[Part]:
        """Nothing is in flight any more; returns what was."""
        parts: list[Part] = []
        for broker in self.brokers.values():
            broker.flying, broker.waiting = False, []
        for lane in self:
            parts += lane.land()
            lane.join(lane.broker)
        return parts


def fill(lane: Lane) -> list[bytes]:
    """Move what fits in a batch from the queue to the flight; its records, in order.

    At least one, of any size, if anybody waits.
    """
    flight, queue, records = lane.flight, lane.queue, list[bytes]()
    room = BATCH_BYTES
    while queue:
        part = queue[0]
        if part.ticket.future.done():
            queue.popleft()
            continue
        if not records:
            room = max(room, len(part.records[0]) + RECORD_BYTES)
        if part.size > room:  # the rest of it is in the next batch
            if (first := part.split(room)) is not None:
                records += first.records
                flight.append(first)
            break
        room -= part.size
        records += part.records
        flight.append(queue.popleft())
    return records


def _packed(packer: Packer, entry: Entry) -> bytes:
    try:
        return packer.pack(entry[1], entry[2], entry[3])
    except BAD_ENTRY as error:
        raise UnfitError(f"kafka: not an entry: {error}") from error


def weigh(entries: Sequence[Entry]) -> int:
    """The bytes that waiting entries hold, a shared value counted once."""
    total, last = ENTRY_BYTES * len(entries), None
    for _, key, value, _ in entries:
        if value is not last:
            last = value
            total += len(value) + len(key)
    return total


def too_large(entry: Entry, lane: Lane) -> UnfitError:
    """Named, because the broker's own answer would name neither topic nor size."""
    return UnfitError(
        f"kafka: a record of {len(entry.value)} bytes for {lane.place.topic}, which "
        f"takes {lane.limit}: raise its max.message.bytes"
    )
