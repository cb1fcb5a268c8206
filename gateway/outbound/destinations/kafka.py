"""Writes each event to a topic of Kafka.

The value is the event as the log keeps it, traits in the destination's `spelling`; with
a `mapping`, the mapped object. The key is the person key (the `userId`, emails in lower
case, else the `anonymousId`, else the message id), so that one person's events stay in
order; or what the event has at the place that `key` names. The headers are those of the
gateway's own log: `messageId`, `source`, `type`, `receivedAt`, on a replay `replay`.

The topic must exist, or the brokers must make it. The producer is idempotent and waits
for all replicas in sync: a broker that goes away and comes back gets each event once.
An event can come twice after a crash of the gateway, or if its producer was given up in
between; its message id tells. What the brokers refuse for its size is a dead letter;
a login or a right that is missing concerns every event, and nothing is lost.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import orjson
from aiokafka import AIOKafkaProducer, errors

from gateway.errors import ConfigError
from gateway.event import PIPELINE_TYPES, Json
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Place,
    Rejected,
    Retry,
    Takes,
    Verdict,
    laid_over,
)
from gateway.outbound.kind import Context, Kind, Schema, setting
from gateway.outbound.reserved import text
from gateway.outbound.shape import Mapped

BATCH_EVENTS = 500
RECORD_BYTES = 2_097_152  # a mapped event may be larger than ours; topics have bounds
REQUEST_MS, BACKOFF_MS, METADATA_MS = 9_000, 100, 30_000
CLOSE_S = 5.0
STUCK_S = 120.0  # without an end of any record: its tasks have ended, perhaps
WRITTEN_MAX = 20_000  # records whose end nobody has asked for yet
LIBRARY = logging.getLogger("aiokafka")
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
SERVER = re.compile(r"[^\s:,]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
LOCKED_OUT = (
    errors.AuthenticationFailedError,
    errors.SaslAuthenticationFailed,
    errors.TopicAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
)
TOO_LARGE = (errors.MessageSizeTooLargeError, errors.InvalidMessageError)
TAKES = Takes(
    types=frozenset(PIPELINE_TYPES), batch_events=BATCH_EVENTS, attempt_requests=3
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``settings = {...}`` of a kafka."""

    bootstrap_servers: str = setting(
        doc="Brokers to begin with, `host:port`, with commas between",
        example='"kafka-1:9092,kafka-2:9092"',
    )
    topic: str = setting(doc="Where events are written", example='"customers"')
    key: str = setting(
        doc="The place in the event that is the record's key; else the person key",
        example='"properties.orderId"',
        default="",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = (
        setting(
            doc="How the brokers are spoken to",
            example='"SASL_SSL"',
            default="PLAINTEXT",
        )
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = setting(
        doc="How one logs in", example='"SCRAM-SHA-512"', default="PLAIN"
    )
    sasl_username: str = setting(doc="The user", example='"gateway"', default="")
    sasl_password: str = setting(
        doc="Its password", example='"${KAFKA_PASSWORD}"', secret=True, default=""
    )
    ssl_ca: str = setting(
        doc="A file with the authorities to trust, if not the system's",
        example='"ca.pem"',
        default="",
    )


def check(settings: Settings, place: str) -> None:
    """Raise ConfigError for a value that cannot work."""
    servers = [each.strip() for each in settings.bootstrap_servers.split(",")]
    if not all(map(SERVER.fullmatch, servers)):
        raise ConfigError(f"{place}.bootstrap_servers: not host:port, host:port")
    if not TOPIC.fullmatch(settings.topic) or settings.topic in (".", ".."):
        raise ConfigError(f"{place}.topic: {settings.topic!r} is no name of a topic")
    sasl = settings.security_protocol.startswith("SASL")
    if sasl and not (settings.sasl_username and settings.sasl_password):
        protocol = settings.security_protocol
        said = f"{protocol} needs sasl_username and sasl_password"
        raise ConfigError(f"{place}.security_protocol: {said}")


Written: TypeAlias = tuple[str, Place | None]
"""Which delivery a record is of: a replay of the same message is another."""


class KafkaDestination:
    """One producer for one topic; another after it could not keep a record.

    A record that has not ended when an attempt does is asked for again by the next
    attempt: it is never handed over twice.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._written: dict[Written, asyncio.Future[Any]] = {}
        self._late_from_s: float | None = None

    @property
    def takes(self) -> Takes:
        """The same for every topic."""
        return TAKES

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        """A verdict for each record, once all replicas in sync have it."""
        try:
            producer = await self.started()
        except (errors.KafkaError, OSError, ValueError) as error:
            return [_failed(error, away=True)] * len(deliveries)
        try:
            given = [await self._given(producer, each) for each in deliveries]
            futures = [each for each in given if isinstance(each, asyncio.Future)]
            if futures:
                await asyncio.wait(futures)  # a deadline ends the wait, no record
        except asyncio.CancelledError:
            if self._late_from_s is None:
                self._late_from_s = asyncio.get_running_loop().time()
            raise
        return [
            self._ended(producer, delivery, each)
            if isinstance(each, asyncio.Future)
            else each
            for delivery, each in zip(deliveries, given, strict=True)
        ]

    async def started(self) -> AIOKafkaProducer:
        """The producer, connected; one that ended nothing for long is replaced."""
        async with self._starting:
            now_s = asyncio.get_running_loop().time()
            if self._producer and now_s > (self._late_from_s or now_s) + STUCK_S:
                self._give_up(self._producer)
            if self._producer is None:
                producer = AIOKafkaProducer(**options(self._settings, self._folder))
                try:
                    await producer.start()
                except BaseException:
                    await _stopped(producer)
                    raise
                self._producer, self._late_from_s = producer, None
            return self._producer

    async def _given(
        self, producer: AIOKafkaProducer, delivery: Delivery
    ) -> "asyncio.Future[Any] | Verdict":
        """The record's future, or why there is none."""
        known = self._written.get(_which(delivery))
        if known is not None:
            return known
        record = record_of(delivery, self._settings)
        try:
            future: asyncio.Future[Any] = await producer.send(
                self._settings.topic,
                value=record.value,
                key=record.key,
                headers=record.headers,
            )
        except TOO_LARGE:
            return Rejected("too_large", f"{len(record.value)} bytes", unsent=True)
        except errors.KafkaError as error:
            self._give_up(producer)
            return _failed(error)
        future.add_done_callback(_heard)
        self._written[_which(delivery)] = future
        if len(self._written) > WRITTEN_MAX:  # of events given up while it was away
            del self._written[next(iter(self._written))]
        return future

    def _ended(
        self,
        producer: AIOKafkaProducer,
        delivery: Delivery,
        future: "asyncio.Future[Any]",
    ) -> Verdict:
        self._written.pop(_which(delivery), None)
        if future.cancelled():
            return Retry("cancelled")
        error = future.exception()
        if error is None:
            self._late_from_s = None
            return Delivered()
        self._give_up(producer)  # what follows a gap in its numbers would be refused
        if isinstance(error, TOO_LARGE):
            return Rejected("too_large", type(error).__name__)
        return _failed(error)

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        """Another is made for the next attempt; this one ends what it has."""
        if self._producer is producer:
            self._producer = None
            closing = asyncio.create_task(self._stop(producer))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _stop(self, producer: AIOKafkaProducer) -> None:
        mine = list(self._written.values())
        await _stopped(producer)
        for future in mine:
            future.cancel()  # of one that has ended: nothing

    async def close(self) -> None:
        """Wait a little for what was handed over, then let go."""
        if self._producer is not None:
            self._give_up(self._producer)
        if self._closing:
            await asyncio.wait(self._closing)


async def _stopped(producer: AIOKafkaProducer) -> None:
    """Flush and close; a broker that is away is not waited for."""
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.wait([stopping], timeout=CLOSE_S)
    if not stopping.done():
        stopping.cancel()
        await asyncio.wait([stopping])
        await producer._sender.close()  # noqa: SLF001 -- nothing else ends its task
        await producer.client.close()
    if not stopping.cancelled():
        stopping.exception()  # it is closed as far as it can be


def _heard(future: "asyncio.Future[Any]") -> None:
    """Nobody may ask any more: then it is no exception that was never retrieved."""
    if not future.cancelled():
        future.exception()


def _which(delivery: Delivery) -> Written:
    return delivery.message_id, delivery.place


def _failed(error: BaseException, *, away: bool = False) -> Retry:
    locked_out = isinstance(error, LOCKED_OUT)
    name = type(error).__name__
    return Retry(name, auth=locked_out, away=away and not locked_out)


@dataclass(frozen=True, slots=True)
class Record:
    """What one event becomes."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def record_of(delivery: Delivery, settings: Settings) -> Record:
    """The record of an event."""
    event, value = delivery.event, delivery.value
    if delivery.fields is not None:
        value = orjson.dumps(laid_over({}, delivery.fields))
    headers = [
        ("messageId", event.message_id.encode()),
        ("source", event.source.encode()),
        ("type", event.type.encode()),
        ("receivedAt", event.received_at.encode()),
    ]
    if delivery.replay is not None:
        headers.append(("replay", delivery.replay.encode()))
    key = text(_at(event.body, settings.key)) if settings.key else None
    return Record((key or event.key).encode(), value, headers)


def _at(value: Json, place: str) -> Json:
    for name in place.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def options(settings: Settings, folder: Path) -> dict[str, Any]:
    """What a producer is made with; OSError or ValueError for a bad file of CAs."""
    secure = settings.security_protocol in ("SSL", "SASL_SSL")
    ca = folder / settings.ssl_ca if settings.ssl_ca else None
    made: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": "gateway",
        "acks": "all",
        "enable_idempotence": True,
        "max_request_size": RECORD_BYTES,
        "request_timeout_ms": REQUEST_MS,
        "retry_backoff_ms": BACKOFF_MS,
        "metadata_max_age_ms": METADATA_MS,
        "security_protocol": settings.security_protocol,
        "sasl_mechanism": settings.sasl_mechanism,
        "ssl_context": ssl.create_default_context(cafile=ca) if secure else None,
    }
    if settings.security_protocol.startswith("SASL"):
        made["sasl_plain_username"] = settings.sasl_username
        made["sasl_plain_password"] = settings.sasl_password
    return made


def opened(settings: Settings, context: Context) -> KafkaDestination:
    """A producer is made at the first event.

    What the library has to say is what verdicts say: unheard, it would fill stderr.
    """
    if not LIBRARY.handlers:
        LIBRARY.addHandler(logging.NullHandler())
    return KafkaDestination(settings, context.folder)


def shown(
    delivery: Delivery, settings: Settings, context: Context
) -> Mapping[str, Json]:
    """The record that one event becomes."""
    del context
    record = record_of(delivery, settings)
    return {
        "topic": settings.topic,
        "key": record.key.decode(),
        "headers": {name: value.decode() for name, value in record.headers},
        "value": record.value.decode(),
    }


async def asks(settings: Settings, context: Context) -> str | None:
    """Connect, and let go again."""
    destination = KafkaDestination(settings, context.folder)
    try:
        await destination.started()
    except (errors.KafkaError, OSError, ValueError) as error:
        return type(error).__name__
    finally:
        await destination.close()
    return None


KIND = Kind(
    doc=__doc__,
    settings=Schema.of(Settings),
    mapped=Mapped(whole=True),
    takes=TAKES,
    check=check,
    opened=opened,
    shown=shown,
    asks=asks,
)
