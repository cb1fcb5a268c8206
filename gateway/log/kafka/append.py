"""Appending: requests that arrive while a broker works share its next request.

In: entries, one future a request. Out: one request a broker at a time, with a batch for
each of its partitions that has something waiting. Nothing is made for an entry but its
place in a queue (kafka/lanes.py). What is not confirmed is sent again as it was.
"""

import asyncio
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
from gateway.log.kafka.callers import Callers, Ticket
from gateway.log.kafka.lanes import (
    NOBODY,
    Broker,
    Lane,
    Lanes,
    Leaders,
    fill,
    weigh,
)
from gateway.log.kafka.topics import Topics
from gateway.log.kafka.wire.client import BACKOFF_MS, log_error
from gateway.log.kafka.wire.produce import Producer
from gateway.log.kafka.wire.record import Joined, Sealed
from gateway.notices import Say

REQUEST_BYTES = 8_388_608  # of one request: what is more waits for the next
NO_ANSWER = RequestTimedOutError.errno  # for a partition that no answer names
DURABLE = (0, DuplicateSequenceNumber.errno)  # the latter: written by an earlier try
RENEWING, ENDING, LEARNING = "kafka producer", "kafka producer's end", "kafka topics"
RENEW_S = 0.5  # between attempts to make a new producer
HEAR_S = 1.0  # for who leads a new topic; whoever is not known by then is asked for


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
        self._lanes = Lanes(self._wake)
        self._callers = Callers(timeout_s, self._late)
        self._woken = False
        self._closing = False
        self._requests: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()  # a producer's beginning, its end
        self._pause: asyncio.TimerHandle | None = None
        self._failing: str | None = None
        self._sweeping = False
        self.ends: dict[TopicPartition, int] = {}
        """Above the highest offset that was written from here: lag is exact at once."""

    @property
    def waiting_bytes(self) -> int:
        """Handed over, and not yet durable or given up."""
        return self._callers.bytes

    async def start(self) -> None:
        """Make the producer; raises when no broker answers."""
        producer = Producer(self._settings)
        await producer.start(())
        self._producer = producer

    async def append(self, entries: Sequence[Entry], *, capped: bool = True) -> None:
        """Return when all are durable; LogError at the deadline, or when refused.

        ``capped`` False: for settling, which drains the log, so it is never refused.
        """
        size, waiting = weigh(entries), self._callers.bytes
        if capped and waiting and waiting + size > self._bytes_max:
            raise LogError(f"kafka: {waiting} bytes wait to be written", "overloaded")
        ticket = self._callers.admit(size)
        try:
            if unknown := self._lanes.unknown(entries):
                learning = self._learn_until(ticket.deadline, unknown)
                await self._own(learning, LEARNING)
            self._lanes.put(ticket, entries)
            # A value: an exception would hold this frame, which holds the future, and
            # such a ring keeps the entries until the collector comes.
            problem = await ticket.future
        except TimeoutError as error:
            self._give_up(ticket)
            raise self._too_late() from error
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
        if names and self._producer is not None:
            client = self._producer.client
            heard = [client.add_topic(self._topics.full(name)) for name in names]
            await asyncio.wait(heard, timeout=HEAR_S)  # one that is ended never answers
        for name in names:
            self._lanes.add(
                name,
                self._topics.full(name),
                count=self._topics.counts[name],
                limit=self._topics.record_bytes[name],
            )

    # Sending

    def _wake(self) -> None:
        """Look soon: what comes until then goes in the same request."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._woken = False
        if (producer := self._producer) is None:
            return  # the next one wakes
        try:
            self._send_all(producer)
        except Exception as error:  # noqa: BLE001 -- a lane taken out of its line and not sent would be lost: the end makes an order again
            self._end(producer, error)

    def _send_all(self, producer: Producer) -> None:
        """A request to each broker that is not busy and has something waiting."""
        ready: dict[Broker, list[Lane]] = {}
        leaders, unknown = Leaders(producer.client.cluster), list[Lane]()
        for broker in list(self._lanes.brokers.values()):
            if broker.flying:
                continue
            for lane in broker.call():
                leader = self._lanes.broker(self._leader(lane, leaders))
                if leader.node == NOBODY:
                    unknown.append(lane)
                elif leader.flying:
                    lane.join(leader)
                else:
                    ready.setdefault(leader, []).append(lane)
        if unknown:
            self._ask(producer, unknown)
        for broker, lanes in ready.items():
            self._send(producer, broker, lanes)

    def _leader(self, lane: Lane, leaders: Leaders) -> int:
        """Nobody's number when the lane cannot be sent now, or must not."""
        count = leaders.count(lane.place.topic)
        expected = len(self._lanes.by_topic[lane.topic])
        if count and count != expected:
            error = self._topics.changed(lane.topic, count, expected)
            self._fail([part.ticket for part in (*lane.flight, *lane.queue)], error)
            return NOBODY
        return leaders.of(lane)

    def _ask(self, producer: Producer, lanes: Sequence[Lane]) -> None:
        """Ask who leads these by now; they are tried again after a pause."""
        nobody = self._lanes.nobody
        if not nobody.flying:
            nobody.flying = True
            self._pause = self._loop.call_later(BACKOFF_MS / 1000, nobody.land)
        for lane in lanes:
            # Learnt while there was no producer, its topic is news to this one.
            producer.client.add_topic(lane.place.topic)
            lane.join(nobody)
        producer.client.force_metadata_update()

    def _send(self, producer: Producer, broker: Broker, lanes: Sequence[Lane]) -> None:
        """One request of what these lanes have; what is too much stays in line."""
        size, batches = 0, dict[TopicPartition, Sealed]()
        flying: list[Lane] = []
        joined = Joined()
        broker.flying = True
        for lane in lanes:
            if size >= REQUEST_BYTES:
                lane.join(broker)
            elif sealed := lane.sealed or self._seal(lane, producer, joined):
                size += sealed.size
                batches[lane.place] = sealed
                lane.fly(broker)
                flying.append(lane)
        if not flying:
            broker.land()
            return
        work = self._deliver(producer, broker, flying, batches)
        task = self._loop.create_task(work, name="kafka produce")
        self._requests.add(task)
        task.add_done_callback(partial(self._requested, producer))

    def _seal(self, lane: Lane, producer: Producer, joined: Joined) -> Sealed | None:
        """Make its next batch; None when nobody waits for one any more."""
        if not (packed := fill(lane)):
            return None
        for part in lane.flight:
            part.ticket.flying += 1
        records = joined.of(lane.place.partition, packed)
        lane.sealed = producer.seal(lane.place, records, len(packed))
        lane.records = len(packed)
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
        fatal: KafkaError | None = None
        again: list[Lane] = []
        for lane in lanes:
            code, offset = results.get(lane.place, (NO_ANSWER, -1))
            if code in DURABLE:
                self._landed(lane, offset)
                continue
            problem = failed or for_code(code)(lane.place.topic)
            if problem.retriable:
                lane.back()
                again.append(lane)
            else:
                fatal = problem
        if fatal is not None:
            self._end(producer, fatal)
            return
        if again:
            self._ask(producer, again)
        broker.land()

    def _requested(self, producer: Producer, task: "asyncio.Task[None]") -> None:
        """It ended without an answer or an error of Kafka's: nobody knows of it."""
        self._requests.discard(task)
        if task.cancelled():
            self._end(producer, None)
        elif (error := task.exception()) is not None:
            self._end(producer, error)

    def _landed(self, lane: Lane, offset: int) -> None:
        """A batch is durable."""
        flight = lane.land()
        lane.join(lane.broker)
        if offset >= 0:  # -1: written by an earlier try
            self.ends[lane.place] = offset + lane.records
        self._callers.landed(flight)
        if self._failing is not None:
            self._failing = None
            self._tell("log_write_recovered", kafka=self._topics.place)

    # Failing

    @property
    def problem(self) -> str | None:
        """Why nothing can be written, for as long as what failed is being tried again.

        None, too, when all who waited have given up: only the next append can know.
        """
        trying = self._producer is None or any(lane.sealed for lane in self._lanes)
        return self._failing if trying else None

    def _end(self, producer: Producer, cause: BaseException | None) -> None:
        """A batch failed for good: all who wait are told, a new producer is made."""
        if producer is not self._producer:
            return
        self._producer = None
        if self._pause is not None:
            self._pause.cancel()
        self._callers.grounded(self._lanes.ground())
        told = [ticket for ticket in self._callers.waiting if ticket.left]
        self._fail(told, log_error(self._topics.place, cause))
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
            except Exception as error:  # noqa: BLE001 -- whatever it is: without a producer nothing is ever written again
                self._tell_failing(log_error(self._topics.place, error))
                await asyncio.sleep(RENEW_S)
            else:
                self._producer = producer
        self._wake()

    def _fail(self, tickets: Iterable[Ticket], error: LogError) -> None:
        self._callers.fail(tickets, str(error))
        self._sweep()
        self._tell_failing(error)

    def _give_up(self, ticket: Ticket) -> None:
        """Its caller is gone, or has its error: what is not in flight is dropped."""
        self._callers.leave(ticket)
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_soon(self._sweep)

    def _sweep(self) -> None:
        """Memory is flat while brokers are away: nothing waits for nobody."""
        self._sweeping = False
        for lane in self._lanes:
            lane.sweep()

    def _tell_failing(self, error: LogError) -> None:
        if self._failing is None:
            self._failing = str(error)
            self._tell("log_write_failed", error=str(error))

    def _late(self, tickets: Iterable[Ticket]) -> None:
        self._fail(tickets, self._too_late())
        self._wake()  # whoever should wait for nothing does so no longer than this

    def _too_late(self) -> LogError:
        return LogError(
            f"kafka: {self._topics.place}: not durable within {self._timeout_s:g} s: "
            "the brokers are away, slow, or too few are in sync"
        )

    async def close(self) -> None:
        """Finish what waits within the deadline, then end the producer."""
        if waiting := [ticket.future for ticket in self._callers.waiting]:
            await asyncio.wait(waiting, timeout=self._timeout_s)
        self._closing = True
        for task in [t for t in self._tasks if t.get_name() != ENDING]:
            task.cancel()
        self._failing = ""  # a close is nothing to tell of
        self._fail(self._callers.waiting, LogError("kafka: the log is closed"))
        if self._producer is not None:
            self._end(self._producer, LogError("kafka: the log is closed"))
        self._callers.close()
        if ending := {*self._tasks, *self._requests}:
            await asyncio.wait(ending)
