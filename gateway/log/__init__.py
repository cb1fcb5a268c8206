"""The log: events in, durably; records out, in order. The only door between halves.

``contract.py`` has the words and promises. Only this file knows the backends.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.config import Limits, LogConfig
from gateway.log.contract import (
    Entry,
    EventLog,
    GroupState,
    Headers,
    Record,
    Span,
    Subscription,
    TopicState,
)
from gateway.log.sqlite import lock as sqlite_lock
from gateway.log.sqlite.log import SqliteLog, open_sqlite
from gateway.log.sqlite.retention import Keeping
from gateway.notices import Notices
from gateway.topics import Declare, declaring

__all__ = [
    "Entry",
    "EventLog",
    "GroupState",
    "Headers",
    "Record",
    "Span",
    "Subscription",
    "TopicState",
    "announce",
    "open_log",
    "read_owner",
]


async def open_log(
    config: LogConfig,
    limits: Limits,
    *,
    topics: Sequence[str] = (),
    notices: Notices,
    declared: Declare | None = None,
) -> EventLog:
    """Open the configured log and make the ``topics`` that are missing.

    ``declared`` says what each topic needs (``topics.declaring``; None: what the
    gateway's own ones do); one that exists otherwise is a ConfigError or a weakness.
    LogError when the log cannot be opened: another process holds it (its pid is named),
    the disk refuses, no broker answers. ConfigError when a topic cannot keep the
    promises: the remedy is named.
    """
    declared = declared or declaring(config)
    if config.kind == "kafka":
        from gateway.log.kafka.log import open_kafka  # noqa: PLC0415 -- costs start-up time

        return await open_kafka(
            config,
            topics=topics,
            declared=declared,
            event_bytes=limits.event_bytes,
            append_timeout_s=limits.append_timeout_s,
            waiting_bytes=limits.waiting_bytes,
            tell=notices.say,
            post=notices.post,
        )
    return await open_sqlite(
        config.path,
        Keeping(retention_s=config.retention_s, size=config.size, declared=declared),
        topics=topics,
        append_timeout_s=limits.append_timeout_s,
        waiting_bytes=limits.waiting_bytes,
        tell=notices.say,
    )


def announce(log: EventLog, *, admin: str, token: str) -> None:
    """Say beside the log's file where its process can be reached.

    Called once the admin port is bound; a log that many may open has nothing to say.
    """
    if isinstance(log, SqliteLog):
        log.announce(admin=admin, token=token)


def read_owner(path: Path) -> dict[str, Any] | None:
    """Who has the log file open: ``{"pid", "admin", "token"}``; None if nobody has.

    ``admin`` and ``token`` are missing until its process has called ``announce``.
    """
    return sqlite_lock.read_owner(path)
