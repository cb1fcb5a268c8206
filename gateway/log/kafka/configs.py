"""How a topic is made. Pure.

What comes in: ``[log]`` and what a topic's owner declares. What goes out: the number of
partitions and the settings of a new topic; flaws.py judges an old one by them.
"""

from gateway.config import LogConfig
from gateway.topics import Declared

SAFE_REPLICAS = 3  # from here on two of them must confirm (DESIGN §6)
FOR_EVER = "-1"
MESSAGE_BYTES = 2_097_152  # of a batch: two of our largest records (topics.py)


def count_of(config: LogConfig, declared: Declared) -> int:
    """How many partitions it has: declared, else as configured for all."""
    return declared.partitions or config.partitions


def configs_of(config: LogConfig, declared: Declared) -> dict[str, str]:
    """How a topic is made: what is kept, for how long, and how safely.

    Budgets are for a topic, Kafka's ``retention.bytes`` is for one partition. A time
    of append is the broker's, so that spans are exact whatever the clocks of intakes.
    """
    return {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(MESSAGE_BYTES),
        "min.insync.replicas": str(in_sync(config)),
        **_kept(config, declared),
    }


def _kept(config: LogConfig, declared: Declared) -> dict[str, str]:
    """Nothing is left to the brokers' own settings that could delete what is unread."""
    if declared.kept == "newest":
        return {"cleanup.policy": "compact"}
    for_ever = declared.kept == "for_ever"
    budget, size = declared.budget_bytes, FOR_EVER
    if budget is not None and not for_ever:
        size = str(max(budget // count_of(config, declared), 1))
    return {
        "cleanup.policy": "delete",
        "retention.ms": FOR_EVER if for_ever else str(int(config.retention_s * 1000)),
        "retention.bytes": size,
    }


def in_sync(config: LogConfig) -> int:
    """How many replicas must confirm a record."""
    return SAFE_REPLICAS - 1 if config.replication_factor >= SAFE_REPLICAS else 1
