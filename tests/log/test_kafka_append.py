"""The appender among brokers that fail in any order: it never stands still for good."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LogError
from gateway.log.contract import Entry
from gateway.log.kafka import append as kafka_append
from gateway.log.kafka.append import Appender
from gateway.log.kafka.callers import TICK_S
from gateway.log.kafka.lanes import UnfitError
from gateway.notices import NoticeCode
from tests.chance import examples
from tests.log.scripted import ANSWER_S, FAULTS, STARTS, Brokers, Clock, Made, Scripted

TIMEOUT_S = 5.0
TOPICS = ("a", "b")
KEYS = [f"k{n}" for n in range(6)]  # every partition of three has some
LARGE = "x" * 200_000  # more than a record may have
SOON_S = 3.0  # a pause, a new producer and metadata: when all is well, it is in time


class Append:
    """One call, and what it was told."""

    def __init__(self, entries: Sequence[Entry], appender: Appender) -> None:
        self.values = [(e.topic, e.value.decode()) for e in entries]
        self.begun = asyncio.get_running_loop().time()
        self.took = 0.0
        self.error: LogError | None = None
        self.task = asyncio.create_task(self._run(entries, appender))

    async def _run(self, entries: Sequence[Entry], appender: Appender) -> None:
        try:
            await appender.append(entries)
        except LogError as error:
            self.error = error
        self.took = asyncio.get_running_loop().time() - self.begun

    @property
    def is_refused(self) -> bool:
        """At once, and not because somebody was away."""
        counted = "partitions and now has" in str(self.error)
        return isinstance(self.error, UnfitError) or counted


class House:
    """An appender, its brokers, and all that was appended."""

    def __init__(self, nodes: int) -> None:
        self.brokers = Brokers(TOPICS, nodes)
        self.told: list[str] = []
        self.appends: list[Append] = []
        self.count = 0
        made: Any = Made(self.brokers)
        self.appender = Appender(
            made,
            {"brokers": self.brokers},
            timeout_s=TIMEOUT_S,
            bytes_max=10**9,
            tell=self.tell,
        )

    def tell(self, code: NoticeCode, /, **_: Any) -> None:
        self.told.append(code)

    async def start(self) -> None:
        await self.appender.start()
        await self.appender.learn(TOPICS)

    def append(self, *pairs: tuple[str, str], large: bool = False) -> Append:
        """An entry for each topic and key; a last one that is too large."""
        entries = []
        for topic, key in pairs:
            self.count += 1
            entries.append(Entry(topic, key.encode(), b"%06d" % self.count))
        if large:
            entries.append(Entry("a", b"k0", LARGE.encode()))
        append = Append(entries, self.appender)
        self.appends.append(append)
        return append

    async def all_is_kept(self) -> None:
        """With the brokers well: all are told in time, nothing waits, all goes on."""
        brokers, now = self.brokers, asyncio.get_running_loop().time()
        brokers.heal()
        await asyncio.sleep(ANSWER_S)  # what has failed already is told
        live = [a for a in self.appends if not a.task.done()]
        await asyncio.sleep(TIMEOUT_S + SOON_S)
        assert all(append.task.done() for append in self.appends)
        for append in live:
            if append.begun + TIMEOUT_S > now + SOON_S:
                assert append.error is None or append.is_refused
        for append in self.appends:
            assert append.took <= TIMEOUT_S + TICK_S
        if (producer := self.appender._producer) is not None:
            await producer.client.force_metadata_update()  # it does so now and then
        fresh = [self.append((topic, key)) for topic in TOPICS for key in KEYS]
        await asyncio.sleep(SOON_S)
        assert [a for a in fresh if not a.task.done() or a.error] == []
        self._nothing_waits()
        self._is_in_order()

    def _nothing_waits(self) -> None:
        appender = self.appender
        assert appender.waiting_bytes == 0
        assert not appender._callers._tickets
        assert not any(lane.queue or lane.sealed for lane in appender._lanes)
        assert not any(b.flying or b.waiting for b in appender._lanes.brokers.values())

    def _is_in_order(self) -> None:
        assert self.brokers.wrong == []
        kept: dict[str, list[str]] = {}
        for place, values in self.brokers.logs.items():
            assert len(values) == len(set(values))
            if place.topic != "t.new":  # who learns a topic may be passed by others
                assert values == sorted(values)
            kept.setdefault(place.topic, []).extend(values)
        for append in self.appends:
            if append.error is None:
                assert all(v in kept[f"t.{topic}"] for topic, v in append.values)


def lived(story: Callable[[House], Awaitable[None]], *, nodes: int = 2) -> House:
    """The house after a story that ends well."""
    with (
        pytest.MonkeyPatch.context() as patch,
        asyncio.Runner(loop_factory=Clock) as runner,
    ):
        patch.setattr(kafka_append, "Producer", Scripted)

        async def live() -> House:
            house = House(nodes)
            await house.start()
            await story(house)
            await house.all_is_kept()
            await house.appender.close()
            return house

        return runner.run(live())


# Any story


def actions() -> st.SearchStrategy[tuple[Any, ...]]:
    delays = st.sampled_from([0.0, 0.001, 0.05, 0.1, 0.2, 1.0])
    topics, keys = st.sampled_from(TOPICS), st.sampled_from(KEYS)
    pairs = st.lists(st.tuples(topics, keys), min_size=1, max_size=4)
    numbers = st.integers(0, 2)
    nodes = st.sampled_from([1, 2, 3, -1])
    faults = st.sampled_from([*FAULTS, "", "half", "fatal", "unnamed"])
    return st.one_of(
        st.tuples(st.just("append"), pairs),
        st.tuples(st.just("append"), st.tuples(st.tuples(st.just("new"), keys))),
        st.tuples(st.just("too large"), pairs),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.001, 0.05, 0.11, 0.6, 6.0])),
        st.tuples(st.just("fault"), st.lists(st.tuples(delays, faults), max_size=4)),
        st.tuples(st.just("lead"), st.sampled_from(TOPICS), numbers, nodes),
        st.tuples(st.just("show"), st.sampled_from(TOPICS), st.integers(0, 4)),
        st.tuples(st.just("deaf"), st.booleans()),
        st.tuples(st.just("start"), st.sampled_from([*STARTS])),
        st.tuples(st.just("leave"), st.integers(0, 20)),
    )


async def act(house: House, action: tuple[Any, ...]) -> None:
    brokers = house.brokers
    match action:
        case "append", pairs:
            house.append(*pairs)
        case "too large", pairs:
            house.append(*pairs, large=True)
        case "wait", seconds:
            await asyncio.sleep(seconds)
        case "fault", faults:
            brokers.faults.extend(faults)
        case "lead", topic, number, node:
            brokers.leaders[TopicPartition(f"t.{topic}", number)] = node
        case "show", topic, count:
            brokers.shown[f"t.{topic}"] = count
        case "deaf", deaf:
            brokers.deaf = deaf
        case "start", fault:
            brokers.starts.append(fault)
        case "leave", number if number < len(house.appends):
            house.appends.pop(number).task.cancel()  # its client is gone


@settings(max_examples=examples(300))
@given(script=st.lists(actions(), max_size=30), nodes=st.integers(1, 2))
def test_whatever_failed_when_all_is_well_nothing_waits(
    script: list[tuple[Any, ...]], nodes: int
) -> None:
    async def story(house: House) -> None:
        for action in script:
            await act(house, action)

    lived(story, nodes=nodes)


# Stories that went wrong


def test_a_lane_that_was_sent_during_the_pause_of_another_is_not_forgotten() -> None:
    """A broker restarts: requests fail one after another, their pauses overlap."""

    async def story(house: House) -> None:
        house.brokers.faults.extend([(0.0, "lost"), (0.05, "lost"), (0.3, "")])
        house.append(("a", "k0"))
        for _ in range(40):
            await asyncio.sleep(0.01)
            house.append(*((topic, key) for topic in TOPICS for key in KEYS))

    house = lived(story, nodes=1)
    assert [a.error for a in house.appends if a.error] == []


def test_an_entry_that_is_too_large_leaves_nobody_waiting() -> None:
    """What came before it in the same call stands in line, and is gone."""

    async def story(house: House) -> None:
        refused = house.append(("b", "k0"), large=True)
        await asyncio.sleep(1)
        assert "a record of 200000 bytes for t.a" in str(refused.error)
        after = house.append(("b", "k0"))
        await asyncio.sleep(1)
        assert after.task.done()
        assert after.error is None

    lived(story)


def test_a_topic_that_was_learnt_while_there_was_no_producer_is_led() -> None:
    async def story(house: House) -> None:
        house.brokers.faults.append((0.0, "fatal"))
        house.brokers.starts.append("away")
        house.append(("a", "k0"))
        await asyncio.sleep(0.52)  # the next producer has its list of topics by now
        learnt = house.append(("new", "k0"))
        await asyncio.sleep(2)
        assert learnt.task.done()
        assert learnt.error is None

    lived(story)


@pytest.mark.parametrize("fault", ["bug", "away"])
def test_a_new_producer_is_tried_for_until_there_is_one(fault: str) -> None:
    async def story(house: House) -> None:
        house.brokers.faults.append((0.0, "fatal"))
        house.brokers.starts.extend([fault] * 3)
        first = house.append(("a", "k0"))
        await asyncio.sleep(3)
        assert first.error is not None

    assert lived(story).brokers.producers == 5


@pytest.mark.parametrize("fault", ["bug", "cancelled"])
def test_a_request_that_ends_in_no_answer_at_all_ends_its_producer(fault: str) -> None:
    async def story(house: House) -> None:
        house.brokers.faults.append((0.0, fault))
        first = house.append(("a", "k0"))
        await asyncio.sleep(0.1)
        assert first.error is not None

    assert lived(story).brokers.producers == 2


def test_a_count_that_changed_fails_those_of_its_topic_at_once() -> None:
    async def story(house: House) -> None:
        house.brokers.faults.append((0.0, "lost"))
        house.brokers.shown["t.a"] = 4
        sent, other = house.append(("a", "k0")), house.append(("b", "k0"))
        await asyncio.sleep(1)
        late = house.append(("a", "k0"))
        await asyncio.sleep(0.2)
        assert {"now has 4" in str(a.error) for a in (sent, late)} == {True}
        assert other.error is None

    lived(story)
