"""What an existing topic cannot keep of the promises, and the remedy. Pure.

What comes in: ``[log]``, what a topic's owner declares, what the cluster says of it.
What goes out: flaws. One that loses records in silence keeps the gateway from starting,
or from being ready; the others are weaknesses, which /readyz names.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.config import LogConfig
from gateway.log.kafka.configs import FOR_EVER, configs_of, count_of, in_sync
from gateway.topics import Declared

FAR = 2  # a retention shorter than log.retention by this factor leaves no time to act


class Flaw(NamedTuple):
    """What is wrong, and the setting that mends it, as kafka-configs takes it."""

    text: str
    setting: str = ""
    loses: bool = False


def flaws_of(
    config: LogConfig, declared: Declared, replicas: int, configs: Mapping[str, str]
) -> list[Flaw]:
    """Everything that is wrong with a topic; a setting that nobody told is passed."""
    return [
        *_replication(config, replicas, configs),
        *_policy(config, declared, configs),
        *_ages(config, declared, configs),
        *_sizes(config, declared, configs),
        *_times(configs),
    ]


def told(config: LogConfig, full: str, flaws: Sequence[Flaw]) -> str:
    """The flaws of one topic and the command that mends what a command can mend."""
    text = f"topic {full}: {'; '.join(flaw.text for flaw in flaws)}"
    settings = ",".join(flaw.setting for flaw in flaws if flaw.setting)
    if not settings:
        return text
    return (
        f"{text}: kafka-configs --bootstrap-server {config.bootstrap_servers} --alter "
        f"--entity-type topics --entity-name {full} --add-config {settings}"
    )


def age_s(configs: Mapping[str, str]) -> float | None:
    """How old a record gets in this topic before it is deleted; None: as old as it may.

    A topic that only compacts deletes nothing by its age.
    """
    age_ms = int(configs.get("retention.ms", FOR_EVER))
    return age_ms / 1000 if "delete" in _policies(configs) and age_ms >= 0 else None


def _policies(configs: Mapping[str, str]) -> set[str]:
    policies = configs.get("cleanup.policy", "delete").split(",")
    return {policy.strip() for policy in policies} - {""}


def _replication(
    config: LogConfig, replicas: int, configs: Mapping[str, str]
) -> Iterator[Flaw]:
    if replicas < config.replication_factor:
        yield Flaw(
            f"{replicas} replicas, log.replication_factor is "
            f"{config.replication_factor}: add some with kafka-reassign-partitions"
        )
    wanted = in_sync(config)
    if int(configs.get("min.insync.replicas", wanted)) < wanted:
        yield _named(configs, "min.insync.replicas", str(wanted))
    if configs.get("unclean.leader.election.enable") == "true":
        why = "a replica that lacks what was answered 200 may become the leader"
        yield _named(configs, "unclean.leader.election.enable", "false", why)


def _policy(
    config: LogConfig, declared: Declared, configs: Mapping[str, str]
) -> Iterator[Flaw]:
    policies = _policies(configs)
    wanted = configs_of(config, declared)["cleanup.policy"]
    if wanted == "compact":
        why = "what is old would be forgotten, though it is the newest of its key"
        loses = "delete" in policies
    else:
        why = "of each key only the newest record would be kept, read or not"
        loses = "compact" in policies
    if loses:
        yield _named(configs, "cleanup.policy", wanted, why, loses=True)
    elif wanted not in policies and declared.kept != "for_ever":
        why = "nothing in it is ever deleted"
        yield _named(configs, "cleanup.policy", wanted, why)


def _ages(
    config: LogConfig, declared: Declared, configs: Mapping[str, str]
) -> Iterator[Flaw]:
    """Shorter than configured: /readyz warns in time, unless it is far shorter."""
    name = "retention.ms"
    wanted = configs_of(config, declared).get(name)
    found = int(configs.get(name, FOR_EVER))
    if wanted is None or found < 0:
        return
    if wanted == FOR_EVER:
        why = "nothing in it may be deleted by its age"
        yield _named(configs, name, wanted, why, loses=True)
    elif found < int(wanted):
        far = declared.holds_unread and found * FAR < int(wanted)
        why = "records would be deleted unread" if far else "log.retention is longer"
        yield _named(configs, name, wanted, why, loses=far)


def _sizes(
    config: LogConfig, declared: Declared, configs: Mapping[str, str]
) -> Iterator[Flaw]:
    """A size deletes what is unread too; only a budget that is declared may."""
    name = "retention.bytes"
    wanted = configs_of(config, declared).get(name)
    found = int(configs.get(name, FOR_EVER))
    if wanted is None or found < 0:
        return
    if wanted != FOR_EVER:
        if found < int(wanted):
            yield _named(configs, name, wanted, "its part of the budget is larger")
        return
    whole = found * count_of(config, declared)
    loses = declared.kept == "for_ever" or whole < config.size
    why = f"beyond {whole} bytes the oldest are deleted, read or not"
    yield _named(configs, name, wanted, why, loses=loses)


def _times(configs: Mapping[str, str]) -> Iterator[Flaw]:
    name, wanted = "message.timestamp.type", "LogAppendTime"
    if configs.get(name, wanted) != wanted:
        why = "an intake whose clock is wrong has its records deleted early, or late"
        yield _named(configs, name, wanted, why)


def _named(
    configs: Mapping[str, str],
    name: str,
    wanted: str,
    why: str = "",
    *,
    loses: bool = False,
) -> Flaw:
    text = f"{name} is {configs.get(name)}, should be {wanted}"
    return Flaw(f"{text} ({why})" if why else text, f"{name}={wanted}", loses)
