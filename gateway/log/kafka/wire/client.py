"""Reaching Kafka: settings, errors in the operator's words, the library's own log.

What comes in: ``[log]``. What goes out: the keyword arguments that every aiokafka
client takes, and LogErrors that name the address and the remedy. aiokafka is imported
by this folder and by the destination of that type, and only where one is used.
"""

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import errors
from aiokafka.errors import KafkaError

from gateway.config import LogConfig
from gateway.errors import ConfigError, LogError
from gateway.log.kafka.wire.borrowed import LIBRARY
from gateway.notices import Notice

METADATA_AGE_MS = 30_000  # how soon a changed cluster is seen when nothing fails
BACKOFF_MS = 100

REMEDIES: dict[type[BaseException], str] = {
    errors.TopicAuthorizationFailedError: "allow this user Describe, DescribeConfigs, "
    "Create, Read and Write on the topics that start with log.prefix",
    errors.GroupAuthorizationFailedError: "allow this user Describe and Read on the "
    "groups that start with log.prefix",
    errors.ClusterAuthorizationFailedError: "allow this user IdempotentWrite, Create",
    errors.UnknownTopicOrPartitionError: "the topic is missing: `gateway topics`",
    errors.MessageSizeTooLargeError: "raise max.message.bytes of the topic",
    errors.NotEnoughReplicasError: "too few replicas are in sync: start the brokers",
    errors.OutOfOrderSequenceNumber: "the broker lost or forgot what was in flight",
}


def settings(config: LogConfig) -> dict[str, Any]:
    """What every client is made with; ConfigError when the CA cannot be read."""
    secure = config.security_protocol in ("SSL", "SASL_SSL")
    return {
        "bootstrap_servers": config.bootstrap_servers,
        "metadata_max_age_ms": METADATA_AGE_MS,
        "retry_backoff_ms": BACKOFF_MS,
        "security_protocol": config.security_protocol,
        "ssl_context": _trust(config) if secure else None,
        "sasl_mechanism": config.sasl_mechanism,
        **_credentials(config),
    }


def _credentials(config: LogConfig) -> dict[str, Any]:
    if not config.security_protocol.startswith("SASL"):
        return {}
    if config.sasl_username is None or config.sasl_password is None:
        raise ConfigError(
            f"log.security_protocol: {config.security_protocol} needs "
            "log.sasl_username and log.sasl_password"
        )
    return {
        "sasl_plain_username": config.sasl_username,
        "sasl_plain_password": config.sasl_password,
    }


def _trust(config: LogConfig) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=config.ssl_ca)
    except OSError as error:
        raise ConfigError(f"log.ssl_ca: {config.ssl_ca}: {error}") from error


def log_error(place: str, error: BaseException | None) -> LogError:
    """The error as the operator reads it: where, what, and what helps."""
    if isinstance(error, LogError):
        return error
    if isinstance(error, TimeoutError) or error is None:
        return LogError(f"kafka: {place}: no answer in time")
    text = (str(error) or type(error).__name__)[:300]
    remedy = next((r for kind, r in REMEDIES.items() if isinstance(error, kind)), "")
    return LogError(f"kafka: {place}: {text}" + (f"; {remedy}" if remedy else ""))


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Whatever aiokafka raises inside is a LogError outside."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise log_error(place, error) from error


class LibraryLog(logging.Handler):
    """Counts what aiokafka logs as notices: its templates, never their values.

    Values could be payloads, and an unreachable broker would fill the disk.
    """

    def __init__(self, post: Callable[[str, Notice], None]) -> None:
        super().__init__(logging.WARNING)
        self._post = post

    def emit(self, record: logging.LogRecord) -> None:
        """Post the template under the name of the module."""
        module = record.name.removeprefix("aiokafka.")
        self._post("kafka", Notice("kafka_client", f"{module}: {record.msg!s:.120}"))

    def attach(self) -> None:
        """From now on aiokafka's log goes here, and nowhere else."""
        LIBRARY.addHandler(self)
        LIBRARY.setLevel(logging.WARNING)
        LIBRARY.propagate = False

    def detach(self) -> None:
        """Let go of it; another log of this process may still listen."""
        LIBRARY.removeHandler(self)
        if not LIBRARY.handlers:
            LIBRARY.propagate = True
