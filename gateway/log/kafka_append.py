"""Appending: requests that arrive while a broker works share its next request.

What comes in: entries, one future a request. What goes out: one batch for each
partition and broker request, made when the broker's last one has ended. Nothing is
made for an entry but its place in a queue (kafka_lanes.py).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from gateway.errors import LogError
from gateway.log.contract import Entry
from gateway.log.kafka_client import log_error
from gateway.log.kafka_lanes import (
    BadEntryError,
    Lane,
    Lanes,
    Part,
    Ticket,
    batch_of,
    weigh,
)
from gateway.log.kafka_produce import Producer
from gateway.log.kafka_topics import Topics

PATIENCE_S = 0.1  # a batch in flight for longer no longer holds its broker's others
TICK_S = 0.02  # deadlines are looked at this often at most
RENEW_S = 0.5  # between attempts to make a new producer


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
        self._lanes = Lanes()
        self._tickets: deque[Ticket] = deque()  # in the order of their deadlines
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

    async def start(self) -> None:
        """Make the producer; raises when no broker answers."""
        producer = Producer(self._settings)
        await producer.start(())
        self._producer = producer
        self._task = asyncio.create_task(self._run(), name="kafka append")

    async def append(self, entries: Sequence[Entry], *, capped: bool = True) -> None:
        """Return when all are durable; LogError at the deadline, or when refused.

        ``capped`` False: for settling, which drains the log, so it is never refused.
        """
        size, waiting = weigh(entries), self.waiting_bytes
        if capped and waiting and waiting + size > self._bytes_max:
            raise LogError(f"kafka: {waiting} bytes wait to be written", "overloaded")
        deadline = self._loop.time() + self._timeout_s
        ticket = Ticket(self._loop.create_future(), size, deadline)
        self.waiting_bytes += size
        try:
            known = self._lanes.by_topic
            if unknown := {e.topic for e in entries if e.topic not in known}:
                async with asyncio.timeout_at(deadline):
                    await self.learn(unknown)
            self._put(ticket, entries)
            # A value: an exception would hold this frame, which holds the future, and
            # such a ring keeps the entries until the collector comes.
            problem = await ticket.future
        except TimeoutError as error:
            self._give_up(ticket)
            raise self._late() from error
        except BaseException:
            self._give_up(ticket)
            raise
        if problem is not None:
            self._give_up(ticket)
            raise LogError(problem)

    async def learn(self, names: Iterable[str]) -> None:
        """Make or find topics, and their lanes."""
        names = [name for name in names if name not in self._lanes.by_topic]
        await self._topics.ensure(names)
        for name in names:
            full = self._topics.full(name)
            if self._producer is not None:
                await self._producer.client.add_topic(full)
            self._lanes.add(
                name,
                full,
                count=self._topics.counts[name],
                limit=self._topics.record_bytes[name],
            )

    def _put(self, ticket: Ticket, entries: Sequence[Entry]) -> None:
        if self._lanes.put(ticket, entries):
            self._news.set()
        self._tickets.append(ticket)
        if self._timer is None:
            self._timer = self._loop.call_at(ticket.deadline, self._on_deadline)

    # Sending

    async def _run(self) -> None:
        """Send what waits whenever a broker is idle, and renew a producer that ended.

        The look after PATIENCE_S is for lanes whose broker has a batch that is retried.
        """
        while True:
            blocked = any(broker.waiting for broker in self._lanes.brokers.values())
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S if blocked else None):
                    await self._news.wait()
            self._news.clear()
            if self._producer is None:
                await self._renew()
            if self._producer is not None:
                await self._flush(self._producer)

    async def _flush(self, producer: Producer) -> None:
        now = self._loop.time()
        for broker in [b for b in self._lanes.brokers.values() if b.waiting]:
            if broker.flying and now - broker.since < PATIENCE_S:
                continue
            lanes, broker.waiting = broker.waiting, []
            for lane in lanes:
                lane.queued = False
                if self._find_leader(lane, producer):
                    await self._send(lane, producer)
                if producer is not self._producer:
                    return  # it has ended: all lanes stand in line again

    def _find_leader(self, lane: Lane, producer: Producer) -> bool:
        """False when the lane cannot be sent now, or must not."""
        cluster, topic = producer.client.cluster, lane.place.topic
        partitions = cluster.partitions_for_topic(topic)
        if partitions is None:  # deleted, or the brokers are starting
            producer.client.force_metadata_update()
            lane.wait(self._lanes.nobody)
            return False
        count = len(self._lanes.by_topic[lane.topic])
        if len(partitions) != count:
            error = self._topics.changed(lane.topic, len(partitions), count)
            self._fail([part.ticket for part in lane.queue], error)
            return False
        lane.broker = self._lanes.broker(cluster.leader_for_partition(lane.place))
        return True

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
        else:
            sent.add_done_callback(partial(self._landed, lane, flight, producer))

    def _batch(self, lane: Lane, producer: Producer) -> tuple[Any, list[Part]]:
        while True:
            try:
                return batch_of(lane, producer.create_batch)
            except BadEntryError as error:
                self._fail([error.ticket], LogError(f"kafka: not an entry: {error}"))

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
        lane.wait(broker)
        if not broker.flying and broker.waiting:
            self._news.set()
        if (offset := sent.result().offset) >= 0:  # -1: written by an earlier try
            self.ends[lane.place] = offset + sum(len(part.entries) for part in flight)
        self._confirm(flight)

    def _confirm(self, flight: Iterable[Part]) -> None:
        for part in flight:
            ticket = part.ticket
            ticket.flying -= 1
            ticket.left -= 1
            if ticket.future.done():  # it was late, or its caller is gone
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

    # Failing

    def _end(self, producer: Producer, cause: BaseException | None) -> None:
        """A batch failed for good: all who wait are told, a new producer is made."""
        if producer is not self._producer:
            return
        self._producer = None
        self.flying = 0
        for part in self._lanes.ground():
            ticket = part.ticket
            ticket.flying -= 1
            if ticket.future.done() and not ticket.flying:
                self._release(ticket)
        self._fail(list(self._tickets), log_error(self._topics.place, cause))
        task = asyncio.create_task(producer.stop())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        self._news.set()

    async def _renew(self) -> None:
        producer = Producer(self._settings)
        try:
            await producer.start(map(self._topics.full, self._lanes.by_topic))
        except (KafkaError, OSError, TimeoutError) as error:
            self._tell_failing(log_error(self._topics.place, error))
            await asyncio.sleep(RENEW_S)
            self._news.set()
        else:
            self._producer = producer

    def _fail(self, tickets: Iterable[Ticket], error: LogError) -> None:
        for ticket in tickets:
            if not ticket.future.done():
                ticket.future.set_result(str(error))
            if not ticket.flying:
                self._release(ticket)
        self._sweep()
        self._tell_failing(error)

    def _give_up(self, ticket: Ticket) -> None:
        """Its caller is gone, or has its error: what is not in flight is dropped."""
        ticket.future.cancel()
        if not ticket.flying:
            self._release(ticket)
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_soon(self._sweep)

    def _release(self, ticket: Ticket) -> None:
        self.waiting_bytes -= ticket.size
        ticket.size = 0

    def _sweep(self) -> None:
        """Memory is flat while brokers are away: nothing waits for nobody."""
        self._sweeping = False
        for lane in self._lanes:
            lane.sweep()

    def _tell_failing(self, error: LogError) -> None:
        if not self._failing:
            self._failing = True
            self._tell("log_write_failed", error=str(error))

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

    async def close(self) -> None:
        """Finish what waits within the deadline, then end the producer."""
        waiting = [t.future for t in self._tickets if not t.future.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=self._timeout_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._failing = True  # a close is nothing to tell of
        self._fail(list(self._tickets), LogError("kafka: the log is closed"))
        if self._producer is not None:
            self._end(self._producer, LogError("kafka: the log is closed"))
        if self._timer is not None:
            self._timer.cancel()
        if self._ending:
            await asyncio.wait(self._ending)
