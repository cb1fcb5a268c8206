"""Brokers that do what a test has written down, on a clock that waits for nobody.

The appender, its lanes and the batches are the real ones; only what goes over a network
is played here. A broker takes each batch of a producer once and in its turn, as Kafka
does, and what it is asked to do against that is a fault of the appender.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError
from aiokafka.record.memory_records import MemoryRecords

from gateway.errors import LogError
from gateway.log.kafka.wire.produce import Producer
from gateway.log.kafka.wire.record import Sealed

NOT_LEADER, TOO_LARGE, OUT_OF_ORDER, DUPLICATE = 6, 10, 45, 46
METADATA_S, START_S, ENSURE_S, ANSWER_S = 0.02, 0.01, 0.01, 0.001
FAULTS = {
    "lost": KafkaConnectionError("the connection is lost"),
    "late": RequestTimedOutError(),  # it was written
    "bug": RuntimeError("a bug"),
    "cancelled": asyncio.CancelledError(),
}
STARTS = {"away": KafkaConnectionError("nobody answers"), "bug": RuntimeError("a bug")}


class Skipping(selectors.DefaultSelector):
    """Skips the time in which nothing happens."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everything waits, and nothing will ever happen"
        self.now += timeout
        return super().select(0)


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes at once."""

    def __init__(self) -> None:
        self._skipping = Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


class Brokers:
    """What is written where, who leads what, and what goes wrong next."""

    def __init__(self, topics: Iterable[str], nodes: int, partitions: int = 3) -> None:
        self.nodes = range(1, nodes + 1)
        self.partitions = partitions
        self.logs: dict[TopicPartition, list[str]] = {}
        self.leaders: dict[TopicPartition, int] = {}
        self.shown: dict[str, int] = {}  # partitions of a topic, as metadata has it
        self.faults: deque[tuple[float, str]] = deque()  # of the next requests
        self.starts: deque[str] = deque()  # of the next producers
        self.well = False
        self.deaf = False  # nobody answers what is asked of topics
        self.producers = 0
        self.wrong: list[str] = []  # what the appender has done wrong
        self._taken: dict[tuple[int, TopicPartition], list[int]] = {}
        for name in topics:
            self.make(f"t.{name}")

    def make(self, full: str) -> None:
        self.shown.setdefault(full, self.partitions)
        for number in range(self.partitions):
            place = TopicPartition(full, number)
            self.leaders.setdefault(place, self._leader(number))
            self.logs.setdefault(place, [])

    def _leader(self, number: int) -> int:
        return self.nodes[number % len(self.nodes)]

    def heal(self) -> None:
        """Everything works from now on, what is under way included."""
        self.well = True
        self.deaf = False
        for place, node in self.leaders.items():
            if node not in self.nodes:
                self.leaders[place] = self._leader(place.partition)
        self.shown = dict.fromkeys(self.shown, self.partitions)

    def write(
        self, place: TopicPartition, node: int, sealed: Sealed
    ) -> tuple[int, int]:
        """Code and offset of one batch."""
        if self.leaders[place] != node:
            return NOT_LEADER, -1
        batch = MemoryRecords(sealed.frame + sealed.body).next_batch()
        assert batch.validate_crc()
        values = [record.value.decode() for record in batch]
        taken = self._taken.setdefault((batch.producer_id, place), [0])
        if batch.base_sequence in taken[:-1]:
            return DUPLICATE, -1
        if batch.base_sequence != taken[-1]:
            self.wrong.append(f"{place}: {batch.base_sequence} after {taken}")
            return OUT_OF_ORDER, -1
        taken.append(batch.base_sequence + len(values))
        log = self.logs[place]
        log += values
        return 0, len(log) - len(values)


class Client:
    """What one producer has heard of the cluster: mostly not the newest."""

    def __init__(self, brokers: Brokers) -> None:
        self.cluster = self
        self._brokers = brokers
        self._topics: set[str] = set()
        self._leaders: dict[TopicPartition, int] = {}
        self._shown: dict[str, int] = {}
        self._asked: asyncio.Future[bool] | None = None

    def partitions_for_topic(self, full: str) -> set[int] | None:
        return set(range(self._shown[full])) if full in self._shown else None

    def leader_for_partition(self, place: TopicPartition) -> int | None:
        return self._leaders.get(place)

    def force_metadata_update(self) -> "asyncio.Future[bool]":
        if self._asked is None:
            loop = asyncio.get_running_loop()
            self._asked = loop.create_future()
            loop.call_later(METADATA_S, self._hear)
        return asyncio.shield(self._asked)

    def add_topic(self, full: str) -> "asyncio.Future[bool]":
        if full not in self._topics:
            self._topics.add(full)
            return self.force_metadata_update()
        known: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        known.set_result(True)
        return known

    def set_topics(self, topics: set[str]) -> "asyncio.Future[bool]":
        self._topics = topics
        return self.force_metadata_update()

    def _hear(self) -> None:
        brokers = self._brokers
        if not brokers.deaf:
            leaders = brokers.leaders.items()
            self._leaders = {p: n for p, n in leaders if p.topic in self._topics}
            self._shown = {
                full: count
                for full, count in brokers.shown.items()
                if full in self._topics
            }
        assert self._asked is not None
        self._asked.set_result(not brokers.deaf)
        self._asked = None


class Scripted(Producer):
    """The real one's numbers and batches; its network is ``Brokers``."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._brokers: Brokers = settings["brokers"]
        self._brokers.producers += 1
        self.client = Client(self._brokers)
        self._id, self._epoch, self._sequences = self._brokers.producers, 0, {}
        self._out: dict[int, Mapping[TopicPartition, Sealed]] = {}

    async def start(self, topics: Iterable[str]) -> None:
        await asyncio.sleep(START_S)
        if self._brokers.starts and not self._brokers.well:
            raise STARTS[self._brokers.starts.popleft()]
        await self.client.set_topics(set(topics))

    async def stop(self) -> None:
        await asyncio.sleep(ANSWER_S)

    async def send(
        self, node: int, batches: Mapping[TopicPartition, Sealed]
    ) -> Mapping[TopicPartition, tuple[int, int]]:
        brokers = self._brokers
        if node in self._out:
            brokers.wrong.append(f"two requests at once to {node}")
        for out in self._out.values():
            if twice := out.keys() & batches.keys():
                brokers.wrong.append(f"two batches at once of {twice}")
        self._out[node] = batches
        delay, fault = ANSWER_S, ""
        if brokers.faults and not brokers.well:
            delay, fault = brokers.faults.popleft()
        try:
            await asyncio.sleep(delay)
        finally:
            del self._out[node]
        fault = "" if brokers.well else fault
        places = list(batches)
        if fault == "lost":
            places = []
        elif fault == "half":
            places = places[:1]
        elif fault == "fatal":
            places = places[1:]
        answer = {p: brokers.write(p, node, batches[p]) for p in places}
        if fault == "fatal":
            answer[next(iter(batches))] = TOO_LARGE, -1
        if fault in FAULTS:
            raise FAULTS[fault]
        return {} if fault == "unnamed" else answer


class Made:
    """Topics, as far as the appender asks of them."""

    place = "scripted:9092"

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self.counts: dict[str, int] = {}
        self.record_bytes: dict[str, int] = {}

    def full(self, name: str) -> str:
        return f"t.{name}"

    async def ensure(self, names: Iterable[str]) -> None:
        await asyncio.sleep(ENSURE_S)
        if self._brokers.deaf:
            raise LogError("nobody answers")
        for name in names:
            self._brokers.make(self.full(name))
            self.counts[name] = self._brokers.partitions
            self.record_bytes[name] = 100_000

    def changed(self, name: str, now: int, before: int) -> LogError:
        return LogError(f"{name} had {before} partitions and now has {now}")
