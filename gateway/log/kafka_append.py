"""Appending: requests that arrive while a broker works share its next request.

What comes in: entries, one future a request. What goes out: one batch for each
partition and broker request, made when the broker's last one has ended. Nothing is
made for an entry but its place in a queue.

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
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any
from zlib import crc32

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from gateway.errors import LogError
from gateway.log.contract import Entry
from gateway.log.kafka_client import log_error
from gateway.log.kafka_produce import Producer
from gateway.log.kafka_topics import Topics

ENTRY_BYTES = 100  # what an entry takes beside its value and key: an estimate
HEADER_BYTES = 64  # what headers add to a record at most, as a share of the limit
PATIENCE_S = 0.1  # a batch in flight for longer no longer holds its broker's others
TICK_S = 0.02  # deadlines are looked at this often at most
RENEW_S = 0.5  # between attempts to make a new producer


class Ticket:
    """One caller that waits."""

    __slots__ = ("deadline", "flying", "future", "left", "size")

    def __init__(
        self, future: asyncio.Future[None], size: int, deadline: float
    ) -> None:
        self.future = future
        self.size = size
        self.deadline = deadline
        self.left = 0  # parts not yet durable
        self.flying = 0  # parts in flight


class Part:
    """What one caller has in one partition."""

    __slots__ = ("entries", "ticket")

    def __init__(self, ticket: Ticket, entries: list[Entry]) -> None:
        self.ticket = ticket
        self.entries = entries


class Broker:
    """The leader of some lanes."""

    __slots__ = ("flying", "since", "waiting")

    def __init__(self) -> None:
        self.flying = 0
        self.since = 0.0
        self.waiting: list[Lane] = []


class Lane:
    """One partition of one topic."""

    __slots__ = ("broker", "flight", "limit", "place", "queue", "queued", "size")

    def __init__(
        self, place: TopicPartition, broker: Broker, *, limit: int, size: int
    ) -> None:
        self.place = place
        self.broker = broker
        self.limit = limit  # bytes of the largest record
        self.size = size  # lanes of the topic
        self.queue: deque[Part] = deque()
        self.queued = False  # among its broker's waiting
        self.flight: list[Part] | None = None


class Appender:
    """The queues, the deadlines and the producer. Used from one loop."""

    def __init__(
        self,
        topics: Topics,
        settings: dict[str, Any],
        *,
        timeout_s: float,
        bytes_max: int,
        tell: Callable[..., None],
    ) -> None:
        self._topics = topics
        self._settings = settings
        self._timeout_s = timeout_s
        self._bytes_max = bytes_max
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._producer: Producer | None = None
        self._lanes: dict[str, list[Lane]] = {}
        self._brokers: dict[int | None, Broker] = {None: Broker()}
        self._tickets: deque[Ticket] = deque()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._failing = False
        self._sweeping = False
        self.waiting_bytes = 0
        self.flying = 0
        """Batches handed to the producer and not yet confirmed."""
        self.ends: dict[TopicPartition, int] = {}
        """Above the highest offset that was written from here: lag is exact at once."""
        self.grown: Callable[[str], None] = lambda _topic: None

    async def start(self) -> None:
        """Make the producer; raises when no broker answers."""
        self._producer = await self._made(())
        self._task = asyncio.create_task(self._run(), name="kafka append")

    async def append(self, entries: Sequence[Entry], *, capped: bool = True) -> None:
        """Return when all are durable; LogError at the deadline, or when refused.

        ``capped`` False: for settling, which drains the log, so it is never refused.
        """
        size = weigh(entries)
        waiting = self.waiting_bytes
        if capped and waiting and waiting + size > self._bytes_max:
            raise LogError(f"kafka: {waiting} bytes wait to be written", "overloaded")
        deadline = self._loop.time() + self._timeout_s
        ticket = Ticket(self._loop.create_future(), size, deadline)
        self.waiting_bytes += size
        try:
            if unknown := {e.topic for e in entries if e.topic not in self._lanes}:
                async with asyncio.timeout_at(deadline):
                    await self.learn(unknown)
            self._enqueue(ticket, entries)
        except BaseException as error:
            self._give_up(ticket)
            if isinstance(error, TimeoutError):
                raise self._late() from error
            raise
        try:
            await ticket.future
        except asyncio.CancelledError:
            self._give_up(ticket)
            raise

    async def learn(self, names: Iterable[str]) -> None:
        """Make or find topics, and their lanes."""
        names = [name for name in names if name not in self._lanes]
        await self._topics.ensure(names)
        for name in names:
            if self._producer is not None:
                await self._producer.client.add_topic(self._topics.full(name))
            self._lanes.setdefault(name, self._made_lanes(name))

    def _made_lanes(self, name: str) -> list[Lane]:
        count, full = self._topics.counts[name], self._topics.full(name)
        limit, nobody = self._topics.record_bytes[name], self._brokers[None]
        return [
            Lane(
                TopicPartition(full, number),
                nobody,
                limit=limit - HEADER_BYTES,
                size=count,
            )
            for number in range(count)
        ]

    def _enqueue(self, ticket: Ticket, entries: Sequence[Entry]) -> None:
        """Every entry into its lane; wake the sender where a broker is idle."""
        all_lanes, last, number = self._lanes, None, 0
        for entry in entries:
            key = entry[1]
            if key is not last:
                number, last = crc32(key), key
            lanes = all_lanes[entry[0]]
            lane = lanes[number % len(lanes)]
            if len(entry[2]) > lane.limit:
                raise too_large(entry, lane)
            queue = lane.queue
            if queue and queue[-1].ticket is ticket:
                queue[-1].entries.append(entry)
                continue
            queue.append(Part(ticket, [entry]))
            ticket.left += 1
            if not lane.queued and lane.flight is None:
                lane.queued = True
                lane.broker.waiting.append(lane)
                if not lane.broker.flying:
                    self._news.set()
        self._tickets.append(ticket)
        if self._timer is None:
            self._timer = self._loop.call_at(ticket.deadline, self._on_deadline)

    async def _run(self) -> None:
        """Send what waits whenever a broker is idle, and renew a producer that ended.

        The look after PATIENCE_S is for lanes whose broker has a batch that is retried.
        """
        while True:
            blocked = any(broker.waiting for broker in self._brokers.values())
            try:
                async with asyncio.timeout(PATIENCE_S if blocked else None):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            if self._producer is None:
                await self._renew()
            if self._producer is not None:
                await self._flush(self._producer)

    async def _flush(self, producer: Producer) -> None:
        now = self._loop.time()
        for broker in [b for b in self._brokers.values() if b.waiting]:
            if broker.flying and now - broker.since < PATIENCE_S:
                continue
            lanes, broker.waiting = broker.waiting, []
            for lane in lanes:
                lane.queued = False
                if self._is_led(lane, producer):
                    await self._send(lane, producer)
                if producer is not self._producer:
                    self._queue_again()  # it ended meanwhile
                    return

    def _queue_again(self) -> None:
        for broker in self._brokers.values():
            broker.waiting = []
        for lanes in self._lanes.values():
            for lane in lanes:
                lane.queued = bool(lane.queue) and lane.flight is None
                if lane.queued:
                    lane.broker.waiting.append(lane)

    def _is_led(self, lane: Lane, producer: Producer) -> bool:
        """Find the lane's broker; False when it cannot be sent now, or must not."""
        cluster, (topic, number) = producer.client.cluster, lane.place
        partitions = cluster.partitions_for_topic(topic)
        if partitions is None:  # deleted, or the brokers are starting
            producer.client.force_metadata_update()
            self._wait_in(lane, self._brokers[None])
            return False
        if len(partitions) != lane.size:
            name = topic.removeprefix(self._topics.full(""))
            try:
                self._topics.refuse_changed(name, len(partitions), lane.size)
            except LogError as error:
                self._fail([part.ticket for part in lane.queue], error)
            return False
        leader = cluster.leader_for_partition(lane.place)
        broker = self._brokers.get(leader)
        if broker is None:
            broker = self._brokers[leader] = Broker()
        lane.broker = broker
        return True

    def _wait_in(self, lane: Lane, broker: Broker) -> None:
        lane.broker = broker
        if lane.queue and not lane.queued:
            lane.queued = True
            broker.waiting.append(lane)

    async def _send(self, lane: Lane, producer: Producer) -> None:
        """Hand one batch to the producer; its end is heard in ``_landed``."""
        batch, flight = self._batch(lane, producer)
        if not flight:
            return
        for part in flight:
            part.ticket.flying += 1
        lane.flight = flight
        lane.broker.flying += 1
        lane.broker.since = self._loop.time()
        self.flying += 1
        topic, number = lane.place
        try:
            sent = await producer.send_batch(batch, topic, partition=number)
        except (KafkaError, AssertionError) as error:
            self._end(producer, error)
            return
        sent.add_done_callback(partial(self._landed, lane, flight, producer))

    def _batch(
        self, lane: Lane, producer: Producer
    ) -> tuple[Any, list[Part]]:
        """What fits, in order; a caller whose entry cannot be written fails alone."""
        while True:
            batch, flight, queue = producer.create_batch(), list[Part](), lane.queue
            append, last, listed = batch.append, (), []
            try:
                while queue:
                    part = queue[0]
                    if part.ticket.future.done():
                        queue.popleft()
                        continue
                    taken = 0
                    for entry in part.entries:
                        _, key, value, headers = entry
                        if headers is not last:  # aiokafka wants a list
                            last, listed = headers, list(headers)
                        if not append(
                            timestamp=None, key=key, value=value, headers=listed
                        ):
                            break
                        taken += 1
                    if taken < len(part.entries):
                        self._split(part, taken, flight)
                        break
                    flight.append(queue.popleft())
            except (TypeError, ValueError, AttributeError, OverflowError) as error:
                queue.extendleft(reversed(flight))
                self._fail([part.ticket], LogError(f"not an entry: {error}"))
                continue
            return batch, flight

    def _split(self, part: Part, taken: int, flight: list[Part]) -> None:
        """The batch is full: the rest of this part waits for the next."""
        if taken:
            flight.append(Part(part.ticket, part.entries[:taken]))
            part.entries = part.entries[taken:]
            part.ticket.left += 1

    def _landed(
        self,
        lane: Lane,
        flight: list[Part],
        producer: Producer,
        sent: "asyncio.Future[Any]",
    ) -> None:
        """A batch has ended: durable, or failed for good."""
        error = None if sent.cancelled() else sent.exception()
        if lane.flight is not flight:
            return  # its producer was ended: the callers know
        if error is not None or sent.cancelled():
            self._end(producer, error)
            return
        lane.flight = None
        broker = lane.broker
        broker.flying -= 1
        self.flying -= 1
        if lane.queue:
            self._wait_in(lane, broker)
        if not broker.flying and broker.waiting:
            self._news.set()
        if (offset := sent.result().offset) >= 0:  # -1: written by an earlier try
            self.ends[lane.place] = offset + sum(len(part.entries) for part in flight)
        self._settle(flight)
        self.grown(lane.place.topic)

    def _settle(self, flight: Iterable[Part]) -> None:
        for part in flight:
            ticket = part.ticket
            ticket.flying -= 1
            ticket.left -= 1
            if ticket.future.done():
                if not ticket.flying:
                    self._release(ticket)
            elif not ticket.left:
                self._release(ticket)
                ticket.future.set_result(None)
        tickets = self._tickets
        while tickets and tickets[0].future.done():
            tickets.popleft()
        if self._failing:
            self._failing = False
            self._tell("log_write_recovered", kafka=self._topics.place)

    def _release(self, ticket: Ticket) -> None:
        self.waiting_bytes -= ticket.size
        ticket.size = 0

    def _end(self, producer: Producer, cause: BaseException | None) -> None:
        """A batch failed for good: all who wait are told, a new producer is made."""
        if producer is not self._producer:
            return
        self._producer = None
        error = log_error(self._topics.place, cause)
        for lanes in self._lanes.values():
            for lane in lanes:
                parts, lane.flight = lane.flight or (), None
                for part in parts:
                    part.ticket.flying -= 1
                    if part.ticket.future.done() and not part.ticket.flying:
                        self._release(part.ticket)
        for broker in self._brokers.values():
            broker.flying = 0
        self.flying = 0
        self._fail(list(self._tickets), error)
        self._background(producer.stop())
        self._news.set()

    async def _made(self, topics: Iterable[str]) -> Producer:
        producer = Producer(self._settings)
        await producer.start(topics)
        return producer

    async def _renew(self) -> None:
        try:
            full = [self._topics.full(name) for name in self._lanes]
            self._producer = await self._made(full)
        except (KafkaError, OSError, TimeoutError) as error:
            self._tell_failing(log_error(self._topics.place, error))
            await asyncio.sleep(RENEW_S)
            self._news.set()

    def _fail(self, tickets: Iterable[Ticket], error: LogError) -> None:
        for ticket in tickets:
            if not ticket.future.done():
                ticket.future.set_exception(LogError(str(error), error.code))
                ticket.future.exception()  # its caller may be gone
            if not ticket.flying:
                self._release(ticket)
        self._sweep()
        self._tell_failing(error)

    def _tell_failing(self, error: LogError) -> None:
        if not self._failing:
            self._failing = True
            self._tell("log_write_failed", error=str(error))

    def _sweep(self) -> None:
        """Drop the parts that wait for nobody: memory is flat while brokers are away."""
        self._sweeping = False
        for lanes in self._lanes.values():
            for lane in lanes:
                queue = lane.queue
                if queue and any(part.ticket.future.done() for part in queue):
                    kept = [part for part in queue if not part.ticket.future.done()]
                    lane.queue = deque(kept)

    def _give_up(self, ticket: Ticket) -> None:
        """Its caller is gone, or has its error: what is not in flight is dropped."""
        ticket.future.cancel()
        if not ticket.flying:
            self._release(ticket)
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_soon(self._sweep)

    def _on_deadline(self) -> None:
        """One timer for all callers: they expire in the order in which they came."""
        self._timer, now = None, self._loop.time()
        late = []
        while self._tickets and self._tickets[0].deadline <= now:
            late.append(self._tickets.popleft())
        if any(not ticket.future.done() for ticket in late):
            self._fail(late, self._late())
        if self._tickets:
            at = max(self._tickets[0].deadline, now + TICK_S)
            self._timer = self._loop.call_at(at, self._on_deadline)

    def _late(self) -> LogError:
        return LogError(
            f"kafka: {self._topics.place}: not durable within {self._timeout_s:g} s: "
            "the brokers are away, slow, or too few are in sync"
        )

    def _background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Finish what waits within the deadline, then end the producer."""
        waiting = [t.future for t in self._tickets if not t.future.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=self._timeout_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._producer is not None:
            self._end(self._producer, LogError("kafka: the log is closed"))
        if self._timer is not None:
            self._timer.cancel()
        if self._ending:
            await asyncio.wait(self._ending)


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
