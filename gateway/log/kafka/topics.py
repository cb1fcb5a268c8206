"""Topics on the cluster: made as configured, checked, counted.

What comes in: names without the prefix. What goes out: partition counts for the
appender, LogErrors that name topic and remedy, weaknesses for /readyz. Every topic has
``log.partitions`` partitions, so that a key has the same partition number in all of
them, or as many as its owner declares; a count that changed would tear a person's
events apart, so it is an error and never followed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    NodeNotReadyError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from gateway.config import LogConfig
from gateway.errors import ConfigError, LogError
from gateway.log.kafka.configs import MESSAGE_BYTES, configs_of, count_of, in_sync
from gateway.log.kafka.flaws import Flaw, age_s, flaws_of, told
from gateway.log.kafka.sizes import sizes_request
from gateway.log.kafka.wire.borrowed import ask, brokers_of, close_client
from gateway.log.kafka.wire.client import log_error, naming, settings
from gateway.log.kafka.wire.reach import Address, why_not
from gateway.topics import Declare

NODE_TRIES, RETRY_S = 10, 0.1
ABSENT = UnknownTopicOrPartitionError.errno  # there is no such topic
REQUEST_S = 10.0
TOPIC_EXISTS = 36
BATCH_OVERHEAD = 4_096  # of a record in its batch: header, key, headers


class Topic(NamedTuple):
    """What the cluster says of a topic: each partition's leader and replicas."""

    name: str
    leaders: Mapping[int, int]
    replicas: int
    in_sync: int


class Topics:
    """The topics of one prefix, over one admin connection."""

    def __init__(
        self, config: LogConfig, *, event_bytes: int, declared: Declare
    ) -> None:
        self._config = config
        self.declared = declared
        """What the owner of a topic needs of it."""
        self._event_bytes = event_bytes
        self._admin = AIOKafkaAdminClient(
            **settings(config), request_timeout_ms=int(REQUEST_S * 1000)
        )
        self._lock = asyncio.Lock()
        self.counts: dict[str, int] = {}
        """Partitions of every topic that was made or found by ``ensure``."""
        self.record_bytes: dict[str, int] = {}
        """The largest batch each of them takes."""
        self.weaknesses: dict[str, str] = {}
        """What makes a topic weaker than configured, for /readyz."""
        self.losses: dict[str, str] = {}
        """What makes a topic lose records in silence: nothing is ready then."""
        self.gaps: dict[str, str] = {}
        """Records that were deleted before they were read."""
        self._retention_s: dict[str, float | None] = {}

    @property
    def place(self) -> str:
        """Where the cluster is, for errors."""
        return self._config.bootstrap_servers

    def full(self, topic: str) -> str:
        """The name on the cluster."""
        return self._config.prefix + topic

    async def start(self) -> None:
        """Connect; LogError naming the addresses when nobody answers."""
        with naming(f"no broker answers at {self.place}"):
            try:
                async with asyncio.timeout(REQUEST_S):
                    await self._admin.start()
            except BaseException:
                await close_client(self._admin)
                raise

    async def why_not(self) -> str:
        """What keeps us from the brokers, asked of each address; empty if nothing."""
        known = [Address(*each) for each in brokers_of(self._admin)]
        return await why_not(settings(self._config), known)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._admin.close()

    async def ensure(self, names: Iterable[str]) -> None:
        """Make the topics that are missing, check the others; then they are known."""
        async with self._lock:
            wanted = [name for name in names if name not in self.counts]
            if not wanted:
                return
            with naming(self.place):
                async with asyncio.timeout(REQUEST_S):
                    found = await self.describe(wanted)
                    missing = [name for name in wanted if name not in found]
                    if missing:
                        await self._create(missing)
                        found |= await self._created(missing)
                    await self._check(found)
            self.counts |= {name: len(topic.leaders) for name, topic in found.items()}

    async def describe(self, names: Iterable[str] | None = None) -> dict[str, Topic]:
        """The topics of our prefix that exist; all of them for None."""
        asked = None if names is None else [self.full(name) for name in names]
        request = MetadataRequest(asked, allow_auto_topic_creation=False)
        answer = (await self._ask(request)).to_object()
        found = {}
        for topic in answer["topics"]:
            name = topic["topic"].removeprefix(self._config.prefix)
            if topic["error_code"] == 0 and name != topic["topic"]:
                found[name] = _topic(name, topic["partitions"])
            elif topic["error_code"] not in (0, ABSENT):
                raise for_code(topic["error_code"])(topic["topic"])
        return found

    async def _ask(self, request: Any) -> Any:
        """Ask any node; a connection that is new may not know of one at once.

        (The admin's public call would create topics.)
        """
        for _ in range(NODE_TRIES):
            try:
                return await ask(self._admin, request)
            except NodeNotReadyError:
                await asyncio.sleep(RETRY_S)
        return await ask(self._admin, request)

    async def _create(self, names: Sequence[str]) -> None:
        config = self._config
        answer = await self._admin.create_topics(
            [
                NewTopic(
                    self.full(name),
                    count_of(config, self.declared(name)),
                    config.replication_factor,
                    topic_configs=configs_of(config, self.declared(name)),
                )
                for name in names
            ]
        )
        for topic, code, *reason in answer.topic_errors:
            if code not in (0, TOPIC_EXISTS):
                error = for_code(code)(*reason[:1])
                raise log_error(f"topic {topic} cannot be made", error)

    async def _created(self, names: Sequence[str]) -> dict[str, Topic]:
        """Wait until every partition has a leader: the deadline is the caller's."""
        while True:
            found = await self.describe(names)
            ready = [t for t in found.values() if t.leaders and _led(t)]
            if len(ready) == len(names):
                return found
            await asyncio.sleep(0.02)

    async def _check(self, found: Mapping[str, Topic]) -> None:
        """Existing topics are used as they are, if they can keep the promises.

        ConfigError with a text for each that cannot.
        """
        for name, topic in found.items():
            self._check_count(name, len(topic.leaders))
        configs = await self._configs(found)
        for name, topic in found.items():
            self._judge(topic, configs[name])
            self.record_bytes[name] = int(configs[name]["max.message.bytes"])
        if losses := [
            self.losses[name] for name in sorted(found) if name in self.losses
        ]:
            raise ConfigError(*(f"log: {loss}" for loss in losses))

    async def look_again(self) -> None:
        """Judge the topics anew: an operator may have changed one meanwhile."""
        if not self.counts:
            return
        with naming(self.place):
            async with asyncio.timeout(REQUEST_S):
                found = await self.describe(self.counts)
                configs = await self._configs(found)
        for name, topic in found.items():
            self._judge(topic, configs[name])

    def _judge(self, topic: Topic, configs: Mapping[str, str]) -> None:
        """Keep what is wrong with a topic, and how long its records are kept."""
        name, full = topic.name, self.full(topic.name)
        declared = self.declared(name)
        flaws = flaws_of(self._config, declared, topic.replicas, configs)
        largest = max(self._event_bytes, declared.record_bytes or 0) + BATCH_OVERHEAD
        limit = int(configs["max.message.bytes"])
        if limit < largest:
            what = "a record" if declared.record_bytes else "an event"
            text = (
                f"takes {limit} bytes, {what} may have {largest}: raise its "
                "max.message.bytes (or message.max.bytes of the brokers)"
            )
            if not declared.record_bytes:
                text += " or lower limits.event_bytes"
            flaws.append(Flaw(text, f"max.message.bytes={MESSAGE_BYTES}", loses=True))
        self._retention_s[name] = age_s(configs)
        for kept, those in (
            (self.losses, [flaw for flaw in flaws if flaw.loses]),
            (self.weaknesses, [flaw for flaw in flaws if not flaw.loses]),
        ):
            if those:
                kept[name] = told(self._config, full, those)
            else:
                kept.pop(name, None)

    def retention_s(self, name: str) -> float | None:
        """How old a record of this topic gets, as it stands; None: as old as it may."""
        return self._retention_s.get(name)

    def _check_count(self, name: str, count: int) -> None:
        wanted = count_of(self._config, self.declared(name))
        if count == wanted:
            return
        if self.declared(name).partitions is not None:
            raise ConfigError(
                f"log: topic {self.full(name)} has {count} partitions and needs "
                f"{wanted}: make it anew"
            )
        raise ConfigError(
            f"log.partitions: {wanted}, but topic "
            f"{self.full(name)} has {count}: set log.partitions = {count} "
            "(all topics must have the same number), or make it anew"
        )

    async def _configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, self.full(name)) for name in names
        ]
        found = {}
        for answer in await self._admin.describe_configs(resources):
            for code, message, _, full, entries in answer.resources:
                if code:
                    raise for_code(code)(message or full)
                name = full.removeprefix(self._config.prefix)
                found[name] = {entry[0]: entry[1] for entry in entries}
        return found

    async def check_running(self) -> None:
        """LogError if an append would now fail, or must not be made, and why."""
        with naming(self.place):
            found = await self.describe(self.counts) if self.counts else {}
            if not self.counts:
                await self._admin.describe_cluster()
        for name, count in self.counts.items():
            topic = found.get(name)
            if topic is None:
                raise LogError(
                    f"kafka: topic {self.full(name)} is gone: `gateway topics` makes "
                    "it anew, what it held is lost"
                )
            if len(topic.leaders) != count:
                raise self.changed(name, len(topic.leaders), count)
            if not _led(topic):
                raise LogError(f"kafka: topic {self.full(name)} has no leader")
            if topic.in_sync < (needed := in_sync(self._config)):
                raise LogError(
                    f"kafka: topic {self.full(name)}: {topic.in_sync} replicas are in "
                    f"sync, {needed} are needed: start the brokers"
                )

    def changed(self, name: str, now: int, before: int) -> LogError:
        """The error of a topic whose number of partitions is no longer what it was."""
        return LogError(
            f"kafka: topic {self.full(name)} had {before} partitions and now has "
            f"{now}: the keys of its records no longer fit; make a new topic "
            "(log.prefix) with the number wanted"
        )

    async def groups(self) -> dict[str, dict[TopicPartition, OffsetAndMetadata]]:
        """What each group of our prefix has committed."""
        names = [
            name
            for name, *_ in await self._admin.list_consumer_groups()
            if name.startswith(self._config.prefix)
        ]
        return {
            name.removeprefix(self._config.prefix): await self._offsets(name, None)
            for name in sorted(names)
        }

    async def committed(
        self, group: str, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """The place and marks of a group; a partition without any has offset -1.

        Asks again while the group's coordinator is moving: the caller has the deadline.
        """
        topics: defaultdict[str, list[int]] = defaultdict(list)
        for tp in partitions:
            topics[tp.topic].append(tp.partition)
        while True:
            try:
                found = await self._offsets(self.full(group), list(topics.items()))
                if found.keys() >= set(partitions):
                    return found
            except KafkaError as error:
                if not error.retriable:
                    raise log_error(f"group {self.full(group)}", error) from error
            await asyncio.sleep(RETRY_S)

    async def _offsets(
        self, group: str, topics: list[tuple[str, list[int]]] | None
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """What a group has committed, or the coordinator's error.

        aiokafka 0.14 does not look at the error of the whole answer, which then lists
        no partition: a coordinator that is loading would pass for a group that has
        never committed, and the group would start at the oldest record again.
        """
        coordinator = await self._admin.find_coordinator(group)
        request = OffsetFetchRequest(group, topics)
        answer = await ask(self._admin, request, coordinator)
        found = {}
        codes = {getattr(answer, "error_code", 0)}  # of the whole: since version 2
        for topic, partitions in answer.topics:
            for number, offset, metadata, code in partitions:
                codes.add(code)
                found[TopicPartition(topic, number)] = OffsetAndMetadata(
                    offset, metadata
                )
        for code in codes - {0}:
            raise for_code(code)(group)
        return found

    async def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Bytes on the disks of all brokers, divided by the replicas."""
        topics = await self.describe(names)
        parts = {self.full(t.name): list(t.leaders) for t in topics.values()}
        total: defaultdict[str, int] = defaultdict(int)
        cluster = await self._admin.describe_cluster()
        for broker in cluster["brokers"]:
            request = sizes_request(parts)
            answer = await ask(self._admin, request, broker["node_id"])
            for _, _, listed in answer.log_dirs:
                for full, partitions in listed:
                    total[full] += sum(size for _, size, _, _ in partitions)
        return {
            name: total[self.full(name)] // max(topic.replicas, 1)
            for name, topic in topics.items()
        }


def _topic(name: str, partitions: Sequence[Mapping[str, Any]]) -> Topic:
    return Topic(
        name,
        {part["partition"]: part["leader"] for part in partitions},
        min((len(part["replicas"]) for part in partitions), default=0),
        min((len(part["isr"]) for part in partitions), default=0),
    )


def _led(topic: Topic) -> bool:
    return all(leader >= 0 for leader in topic.leaders.values())
