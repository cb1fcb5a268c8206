"""The log on Kafka: what the rest of the gateway sees of topics, appender and groups.

What comes in: the calls of contract.py. What goes out: requests to the brokers. All of
it runs on one loop; nothing here has a thread.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from gateway.config import LogConfig
from gateway.errors import LogError
from gateway.log.contract import (
    Entry,
    GroupState,
    Record,
    Span,
    TopicState,
)
from gateway.log.kafka.append import Appender
from gateway.log.kafka.follow import SESSION_S, KafkaSubscription
from gateway.log.kafka.lanes import UnfitError
from gateway.log.kafka.marks import Group, decoded
from gateway.log.kafka.read import bounds, read_span, reader
from gateway.log.kafka.topics import Topics
from gateway.log.kafka.wire.client import LibraryLog, naming, settings
from gateway.log.marks import Marks
from gateway.log.trouble import Trouble
from gateway.notices import Notice, Say, untold
from gateway.topics import Declare, declaring

FAILED_S = 10.0  # how long an append that failed is told by /readyz
LOOK_S = 30.0  # how often the settings of the topics are looked at
KNOWN_S = 0.5  # how often a scan that follows looks for a topic nobody has made


class KafkaLog:
    """``contract.EventLog`` on one cluster and prefix. Made by ``open_kafka``."""

    def __init__(
        self,
        config: LogConfig,
        *,
        event_bytes: int,
        declared: Declare,
        append_timeout_s: float,
        waiting_bytes: int,
        session_s: float,
        tell: Say,
        post: Callable[[str, Notice], None],
    ) -> None:
        self._settings = settings(config)
        self._topics = Topics(config, event_bytes=event_bytes, declared=declared)
        self._appender = Appender(
            self._topics,
            self._settings,
            timeout_s=append_timeout_s,
            bytes_max=waiting_bytes,
            tell=tell,
        )
        self._waiting_bytes_max = waiting_bytes
        self._timeout_s = append_timeout_s
        self._session_s = session_s
        self._tell = tell
        self._library = LibraryLog(post)
        self._subscriptions: dict[tuple[str, str], KafkaSubscription | None] = {}
        self._joining: dict[tuple[str, str], Trouble] = {}
        self._failed: tuple[float, str] | None = None
        """When an append failed and why, if none has succeeded since."""
        self._cause = Trouble(tell, "log_check_failed", "log_check_recovered")
        self._looking: asyncio.Task[None] | None = None
        self._unseen = Trouble(tell, "log_check_failed", "log_check_recovered")
        self._watching: asyncio.Task[None] | None = None
        self._named: dict[str, str] = {}
        self._closed = False

    async def open(self, topics: Iterable[str]) -> None:
        """Connect, make the topics that are missing, check the others."""
        self._library.attach()
        try:
            await self._topics.start()
            with naming(self._topics.place):
                await self._appender.start()
                await self._appender.learn(sorted(set(topics)))
        except LogError as error:
            cause = await self._topics.why_not() if _unclear(error) else ""
            await self.close()
            if cause:
                raise LogError(f"kafka: {cause}") from error
            raise
        except BaseException:
            await self.close()
            raise
        self._tell_flaws()
        self._watching = asyncio.create_task(self._watch_topics())

    async def _watch_topics(self) -> None:
        """Now and then: what an operator has changed in a topic since the start."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._topics.look_again()
            except LogError as error:
                cause = error.__cause__
                if isinstance(cause, KafkaError) and not cause.retriable:
                    self._unseen.failed(error)  # else brokers are away: others say so
            else:
                self._unseen.passed()
                self._tell_flaws()

    def _tell_flaws(self) -> None:
        """Each once, and again when it has changed."""
        topics = self._topics
        now = {
            name: "; ".join(filter(None, (topics.losses.get(name), weakness)))
            for name, weakness in (
                dict.fromkeys(topics.losses, "") | topics.weaknesses
            ).items()
        }
        for name, weakness in now.items():
            if self._named.get(name) != weakness:
                self._tell("log_weak_topic", topic=name, weakness=weakness)
        self._named = now

    @property
    def weaknesses(self) -> Sequence[str]:
        """Topics that are less safe than configured, for /readyz to name."""
        found = (self._topics.weaknesses, self._topics.gaps)
        return sorted(text for each in found for text in each.values())

    async def append(self, entries: Sequence[Entry]) -> None:
        """One future a call; one batch a partition, shared with whoever else waits."""
        self._refuse_when_closed()
        if not entries:
            return
        try:
            await self._appender.append(entries)
        except UnfitError as error:
            raise LogError(str(error)) from error
        except LogError as error:
            if error.code != "overloaded":
                self._failed = (time.monotonic(), str(error))
                if self._looking is None or self._looking.done():
                    self._looking = asyncio.create_task(self._look_for_the_cause())
            raise
        if self._failed is not None:
            self._failed = None
            self._cause.passed()

    async def _look_for_the_cause(self) -> None:
        """An append that is late does not know why; the cluster may."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._topics.check_running()
        except TimeoutError:
            pass  # the append has said that nobody answers
        except LogError as error:
            self._cause.failed(error)

    def has_room(self) -> bool:
        """False while as many bytes wait as may."""
        return self._appender.waiting_bytes < self._waiting_bytes_max

    @property
    def waiting_bytes(self) -> int:
        """Handed to ``append`` or ``settle`` and not yet durable or given up."""
        return self._appender.waiting_bytes

    @asynccontextmanager
    async def subscribe(
        self, topic: str, *, group: str, holds: bool = True
    ) -> AsyncIterator[KafkaSubscription]:
        """Join the group PREFIX + ``group``: once a process, in any number of them."""
        del holds  # here no reader ever does
        self._refuse_when_closed()
        key = (topic, group)
        if key in self._subscriptions:
            raise LogError(f"kafka: group {group} of {topic} is already subscribed")
        self._subscriptions[key] = None
        try:
            await self._appender.learn([topic])
            subscription = await self._joined(topic, group)
            self._subscriptions[key] = subscription
            try:
                yield subscription
            finally:
                await subscription.stop()
        finally:
            del self._subscriptions[key]

    async def _joined(self, topic: str, name: str) -> KafkaSubscription:
        """A member; of a worker that cannot join the log and /readyz say why."""
        group = Group(
            topic,
            name,
            self._topics,
            self._appender,
            self._settings,
            self._timeout_s,
            self._session_s,
            self._tell,
        )
        subscription = KafkaSubscription(group)
        trouble = self._joining.setdefault(
            (topic, name), Trouble(group.say, "log_read_failed", "log_read_recovered")
        )
        try:
            await subscription.start()
        except LogError as error:
            if self._topics.declared(topic).reader == name:  # else nobody tries again
                trouble.failed(error)
            raise
        trouble.passed()
        return subscription

    async def scan(
        self, topic: str, span: Span, *, follow: bool = False, late_s: float = 0.0
    ) -> AsyncIterator[Record]:
        """Each partition in its order; a topic that nobody has made is empty."""
        self._refuse_when_closed()
        with naming(self._topics.place):
            while not (found := await self._topics.describe([topic])):
                if not follow:
                    return
                await asyncio.sleep(KNOWN_S)
        full = self._topics.full(topic)
        partitions = [TopicPartition(full, n) for n in found[topic].leaders]
        late = late_s if follow else None
        records = read_span(self._settings, topic, partitions, span, late_s=late)
        async with aclosing(records):
            async for record in records:
                yield record

    async def topics(self) -> Sequence[TopicState]:
        """Asked of the brokers: partitions, offsets, sizes on disk, groups."""
        self._refuse_when_closed()
        with naming(self._topics.place):
            found = await self._topics.describe()
            if not found:
                return []
            partitions = {
                name: [
                    TopicPartition(self._topics.full(name), n) for n in topic.leaders
                ]
                for name, topic in found.items()
            }
            every = [tp for parts in partitions.values() for tp in parts]
            async with reader(self._settings, every) as consumer:
                spans = await bounds(consumer, every, Span())
            groups = await self._topics.groups()
            sizes = await self._topics.sizes(found)
        return [
            TopicState(
                name=name,
                partitions=len(parts),
                records=sum(spans[tp][1] - spans[tp][0] for tp in parts),
                bytes=sizes.get(name, 0),
                groups=_states(groups, {tp: spans[tp] for tp in parts}),
            )
            for name, parts in sorted(partitions.items())
        ]

    async def ping(self) -> None:
        """LogError when a topic could not be written, or is about to lose records.

        An append that failed counts until one succeeds while it is still being tried;
        else for a while only: who is not ready gets no traffic, and would never hear
        that the trouble has passed.
        """
        self._refuse_when_closed()
        with naming(self._topics.place):
            async with asyncio.timeout(self._timeout_s):
                await self._topics.check_running()
        for loss in self._topics.losses.values():
            raise LogError(f"kafka: {loss}")
        if (problem := self._appender.problem) is not None:
            raise LogError(problem)
        if self._failed is not None and time.monotonic() - self._failed[0] < FAILED_S:
            raise LogError(self._failed[1])
        for trouble in self._joining.values():
            if trouble.error is not None:
                raise LogError(trouble.error)
        for (topic, group), subscription in self._subscriptions.items():
            if subscription is None:
                continue
            if subscription.problem is not None:
                raise LogError(subscription.problem)
            if subscription.overdue:
                raise LogError(
                    f"kafka: group {group} is so far behind in {topic} that 80 % of "
                    "its retention are over: raise retention.ms of the topic (and "
                    "log.retention), or deliver faster"
                )

    async def close(self) -> None:
        """Refuse what is new, write what waits, leave the groups, let go."""
        if self._closed:
            return
        self._closed = True
        for subscription in list(self._subscriptions.values()):
            if subscription is not None:
                await subscription.stop()
        for task in (self._looking, self._watching):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self._appender.close()
        await self._topics.close()
        self._library.detach()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise LogError("kafka: the log is closed")


def _unclear(error: LogError) -> bool:
    """It says that nobody answers, and not why."""
    cause = error.__cause__
    return isinstance(cause, OSError) or getattr(cause, "retriable", False)


def _states(
    groups: dict[str, Any], spans: dict[TopicPartition, tuple[int, int]]
) -> tuple[GroupState, ...]:
    """The groups that have committed in this topic; offsets are sums of partitions."""
    states = []
    for name, offsets in groups.items():
        mine = {tp: at for tp, at in offsets.items() if tp in spans and at.offset >= 0}
        if not mine:
            continue
        lag = 0
        for tp, (first, end) in spans.items():
            at = mine.get(tp)
            marks = (at and decoded(at)) or Marks(at.offset if at else first)
            lag += max(end - max(marks.mark, first) - marks.above, 0)
        committed = sum(at.offset for at in mine.values())
        states.append(GroupState(name=name, committed=committed, lag=lag))
    return tuple(states)


async def open_kafka(
    config: LogConfig,
    *,
    topics: Iterable[str] = (),
    declared: Declare | None = None,
    event_bytes: int = 65_536,
    append_timeout_s: float = 5.0,
    waiting_bytes: int = 67_108_864,
    session_s: float = SESSION_S,
    tell: Say = untold,
    post: Callable[[str, Notice], None] = lambda _where, _notice: None,
) -> KafkaLog:
    """Open the log on the configured cluster; LogError when nobody answers."""
    log = KafkaLog(
        config,
        event_bytes=event_bytes,
        declared=declared or declaring(config),
        append_timeout_s=append_timeout_s,
        waiting_bytes=waiting_bytes,
        session_s=session_s,
        tell=tell,
        post=post,
    )
    await log.open(topics)
    return log
