"""Appending: requests that arrive while a broker works share its next request.

In: entries, one future a request. Out: one request a broker at a time, with a batch for
each of its partitions that has something waiting. Nothing is made for an entry but its
place in a queue (kafka_lanes.py). What is not confirmed is sent again as it was.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    DuplicateSequenceNumber,
    KafkaError,
    RequestTimedOutError,
    for_code,
)

from gateway.errors import LogError
from gateway.log.contract import Entry
from gateway.log.kafka_client import BACKOFF_MS, log_error
from gateway.log.kafka_lanes import (
    Broker,
    Lane,
    Lanes,
    Leaders,
    Part,
    Ticket,
    fill,
    weigh,
)
from gateway.log.kafka_produce import Producer
from gateway.log.kafka_record import Joined, Sealed
from gateway.log.kafka_topics import Topics
from gateway.notices import Say

REQUEST_BYTES = 8_388_608  # of one request: what is more waits for the next
NO_ANSWER = RequestTimedOutError.errno  # for a partition that no answer names
DURABLE = (0, DuplicateSequenceNumber.errno)  # the latter: written by an earlier try
RENEWING, ENDING, LEARNING = "kafka producer", "kafka producer's end", "kafka topics"
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
        tell: Say,
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
        self._woken = False
        self._closing = False
        self._requests: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()  # a producer's beginning, its end
        self._timer: asyncio.TimerHandle | None = None
        self._failing = False
        self._sweeping = False
        self.waiting_bytes = 0
        self.ends: dict[TopicPartition, int] = {}
        """Above the highest offset that was written from here: lag is exact at once."""

    async def start(self) -> None:
        """Make the producer; raises when no broker answers."""
        producer = Producer(self._settings)
        await producer.start(())
        self._producer = producer

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
            if unknown := self._lanes.unknown(entries):
                await self._own(self._learn_until(deadline, unknown), LEARNING)
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

    async def _learn_until(self, deadline: float, names: Iterable[str]) -> None:
        """In a task: a caller may have none, and would need one for a time-out."""
        async with asyncio.timeout_at(deadline):
            await self.learn(names)

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
            self._wake()
        self._tickets.append(ticket)
        if self._timer is None:
            self._timer = self._loop.call_at(ticket.deadline, self._on_deadline)

    # Sending

    def _wake(self) -> None:
        """Look soon: what comes until then goes in the same request."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """A request to each broker that is idle and has something waiting."""
        self._woken = False
        producer, brokers = self._producer, self._lanes.brokers
        if producer is None:
            return
        ready: dict[int, list[Lane]] = {}
        leaders = Leaders(producer.client.cluster)
        for broker in list(brokers.values()):
            if broker.flying:
                continue
            lanes, broker.waiting = broker.waiting, []
            for lane in lanes:
                lane.queued = False
                if (leader := self._leader(lane, leaders)) is None:
                    continue
                if leader.flying:
                    lane.wait(leader)
                else:
                    lane.broker = leader
                    ready.setdefault(leader.node, []).append(lane)
        if leaders.unknown:
            self._ask_later(producer, leaders.unknown)
        for node, lanes in ready.items():
            self._send(producer, brokers[node], lanes)

    def _leader(self, lane: Lane, leaders: Leaders) -> Broker | None:
        """None when the lane cannot be sent now, or must not."""
        count = leaders.count(lane.place.topic)
        expected = len(self._lanes.by_topic[lane.topic])
        if count and count != expected:
            error = self._topics.changed(lane.topic, count, expected)
            self._fail([part.ticket for part in lane.queue], error)
            return None
        node = leaders.of(lane)
        return None if node is None else self._lanes.broker(node)

    def _ask_later(self, producer: Producer, lanes: Sequence[Lane]) -> None:
        """Ask who leads these by now, and try again after a pause."""
        producer.client.force_metadata_update()
        self._loop.call_later(BACKOFF_MS / 1000, self._again, producer, lanes)

    def _again(self, producer: Producer, lanes: Sequence[Lane]) -> None:
        if producer is self._producer:
            for lane in lanes:
                lane.wait(self._lanes.nobody)
            self._wake()

    def _send(self, producer: Producer, broker: Broker, lanes: Sequence[Lane]) -> None:
        """One request of what these lanes have; what is too much stays in line."""
        size, batches = 0, dict[TopicPartition, Sealed]()
        flying: list[Lane] = []
        joined = Joined()
        for lane in lanes:
            if size >= REQUEST_BYTES:
                lane.wait(broker)
            elif sealed := lane.sealed or self._seal(lane, producer, joined):
                size += sealed.size
                batches[lane.place] = sealed
                lane.flying = True
                flying.append(lane)
        if flying:
            broker.flying = True
            work = self._deliver(producer, broker, flying, batches)
            task = self._loop.create_task(work, name="kafka produce")
            self._requests.add(task)
            task.add_done_callback(partial(self._requested, producer))

    def _seal(self, lane: Lane, producer: Producer, joined: Joined) -> Sealed | None:
        """Make its next batch; None when nobody waits for one any more."""
        if not (packed := fill(lane)):
            return None
        records = joined.of(lane.place.partition, packed)
        lane.sealed = producer.seal(lane.place, records, len(packed))
        lane.records = len(packed)
        for part in lane.flight:
            part.ticket.flying += 1
        return lane.sealed

    async def _deliver(
        self,
        producer: Producer,
        broker: Broker,
        lanes: Sequence[Lane],
        batches: Mapping[TopicPartition, Sealed],
    ) -> None:
        """One request and what its answer says of each lane."""
        failed: KafkaError | None = None
        results: Mapping[TopicPartition, tuple[int, int]] = {}
        try:
            results = await producer.send(broker.node, batches)
        except KafkaError as error:
            failed = error.with_traceback(None)  # it holds this frame
        if producer is not self._producer:
            return  # it was ended: the callers know
        broker.flying = False
        again: list[Lane] = []
        for lane in lanes:
            code, offset = results.get(lane.place, (NO_ANSWER, -1))
            if code in DURABLE:
                self._landed(lane, offset)
                continue
            problem = failed or for_code(code)(lane.place.topic)
            if not problem.retriable:
                self._end(producer, problem)
                return
            lane.flying = False
            again.append(lane)
        if again:
            self._ask_later(producer, again)
        if broker.waiting:
            self._wake()

    def _requested(self, producer: Producer, task: "asyncio.Task[None]") -> None:
        self._requests.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(producer, error)

    def _landed(self, lane: Lane, offset: int) -> None:
        """A batch is durable."""
        flight = lane.land()
        lane.wait(lane.broker)
        if offset >= 0:  # -1: written by an earlier try
            self.ends[lane.place] = offset + lane.records
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
        for part in self._lanes.ground():
            ticket = part.ticket
            ticket.flying -= 1
            if ticket.future.done() and not ticket.flying:
                self._release(ticket)
        self._fail(list(self._tickets), log_error(self._topics.place, cause))
        for request in self._requests:
            request.cancel()
        self._own(producer.stop(), ENDING)
        if not self._closing:
            self._own(self._renew(), RENEWING)

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _renew(self) -> None:
        """A new producer, however long it takes."""
        while self._producer is None:
            producer = Producer(self._settings)
            try:
                await producer.start(map(self._topics.full, self._lanes.by_topic))
            except (KafkaError, OSError, TimeoutError) as error:
                self._tell_failing(log_error(self._topics.place, error))
                await asyncio.sleep(RENEW_S)
            else:
                self._producer = producer
        self._wake()

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
        self._closing = True
        for task in [t for t in self._tasks if t.get_name() != ENDING]:
            task.cancel()
        self._failing = True  # a close is nothing to tell of
        self._fail(list(self._tickets), LogError("kafka: the log is closed"))
        if self._producer is not None:
            self._end(self._producer, LogError("kafka: the log is closed"))
        if self._timer is not None:
            self._timer.cancel()
        if ending := {*self._tasks, *self._requests}:
            await asyncio.wait(ending)
