"""How a topic is made, and what makes an existing one weaker. Pure.

What comes in: ``[log]`` and what a topic's owner declares. What goes out: the number of
partitions, the settings of a new topic, and words for /readyz about an old one.
"""

from collections.abc import Mapping

from gateway.config import LogConfig
from gateway.topics import Declared

SAFE_REPLICAS = 3  # from here on two of them must confirm (DESIGN §6)
FOR_EVER = "-1"
MESSAGE_BYTES = 2_097_152  # of a batch: two of our largest refused messages


def count_of(config: LogConfig, declared: Declared) -> int:
    """How many partitions it has: declared, else as configured for all."""
    return declared.partitions or config.partitions


def configs_of(config: LogConfig, declared: Declared) -> dict[str, str]:
    """How a topic is made: what is kept, for how long, and how safely.

    Budgets are for a topic, Kafka's ``retention.bytes`` is for one partition. A time
    of append is the broker's, so that spans are exact whatever the clocks of intakes.
    """
    configs = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(MESSAGE_BYTES),
        "min.insync.replicas": str(_in_sync(config)),
        **_kept(config, declared),
    }
    budget = declared.budget_bytes
    if budget is not None:
        configs["retention.bytes"] = str(max(budget // count_of(config, declared), 1))
    return configs


def weakness_of(
    config: LogConfig, declared: Declared, replicas: int, configs: Mapping[str, str]
) -> str:
    """What an existing topic promises less of than configured; empty if nothing."""
    if replicas < config.replication_factor:
        wanted = config.replication_factor
        return f"{replicas} replicas, log.replication_factor is {wanted}"
    found, wanted = int(configs["min.insync.replicas"]), _in_sync(config)
    if found < wanted:
        return f"min.insync.replicas is {found}, should be {wanted}"
    if declared.kept != "retention":
        for name, value in _kept(config, declared).items():
            if configs[name] != value:
                return f"{name} is {configs[name]}, should be {value}"
    return ""


def _kept(config: LogConfig, declared: Declared) -> dict[str, str]:
    match declared.kept:
        case "newest":
            return {"cleanup.policy": "compact"}
        case "for_ever":
            return {
                "cleanup.policy": "delete",
                "retention.ms": FOR_EVER,
                "retention.bytes": FOR_EVER,
            }
        case "retention":
            return {
                "cleanup.policy": "delete",
                "retention.ms": str(int(config.retention_s * 1000)),
            }


def _in_sync(config: LogConfig) -> int:
    return SAFE_REPLICAS - 1 if config.replication_factor >= SAFE_REPLICAS else 1
