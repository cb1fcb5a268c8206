"""Which settings of a topic lose records in silence, which are only weaker."""

from typing import Any

import pytest

from gateway.config import LogConfig
from gateway.log.kafka.configs import configs_of
from gateway.log.kafka.flaws import age_s, flaws_of, told
from gateway.topics import SUPPRESSED, Declared, declaring, one_queue

DAY_MS = 86_400_000
CONFIG = LogConfig(kind="kafka", bootstrap_servers="k:1", partitions=4)
DECLARED = declaring(
    CONFIG, {SUPPRESSED: Declared(kept="newest"), "to.people": one_queue("people")}
)
EVERY = ("events", "to.crm", "dead.crm", "refused", "outcomes", "elsewhere")
COMPACTING = ("compact", "compact,delete", "delete,compact", " compact , delete")


def judged(name: str, **changes: Any) -> list[Any]:
    """The flaws of a topic as the gateway makes it, but for these settings."""
    made = configs_of(CONFIG, DECLARED(name))
    replicas = changes.pop("replicas", 3)
    changed = {key.replace("_", "."): value for key, value in changes.items()}
    return flaws_of(CONFIG, DECLARED(name), replicas, made | changed)


@pytest.mark.parametrize("name", [*EVERY, "to.people", "suppressed"])
def test_a_topic_as_the_gateway_makes_it_has_no_flaw(name: str) -> None:
    assert judged(name) == []


@pytest.mark.parametrize(
    ("names", "changes", "loses"),
    [
        *[
            ((*EVERY, "to.people"), {"cleanup_policy": policy}, True)
            for policy in COMPACTING
        ],
        *[
            (["suppressed"], {"cleanup_policy": policy}, True)
            for policy in ("delete", "compact,delete", "delete,compact")
        ],
        (EVERY, {"cleanup_policy": ""}, False),  # keeps more than it should
        (["suppressed"], {"cleanup_policy": ""}, False),
        (("events", "to.crm"), {"retention_ms": "1000"}, True),
        (("events", "to.crm"), {"retention_ms": str(3 * DAY_MS)}, True),
        (("events", "to.crm"), {"retention_ms": str(6 * DAY_MS)}, False),
        (("dead.crm", "refused", "outcomes"), {"retention_ms": "1000"}, False),
        (["to.people"], {"retention_ms": str(3650 * DAY_MS)}, True),
        (("events", "to.crm"), {"retention_bytes": "2400000000"}, True),
        (("events", "to.crm"), {"retention_bytes": "2500000000"}, False),
        (["to.people"], {"retention_bytes": "1000000000000"}, True),
        (("dead.crm", "refused", "outcomes"), {"retention_bytes": "1000"}, False),
        ((*EVERY, "suppressed"), {"message_timestamp_type": "CreateTime"}, False),
        ((*EVERY, "suppressed"), {"min_insync_replicas": "1"}, False),
        (EVERY, {"unclean_leader_election_enable": "true"}, False),
    ],
)
def test_what_loses_records_in_silence_is_told_from_what_is_weaker(
    *, names: list[str], changes: dict[str, str], loses: bool
) -> None:
    ((setting, value),) = changes.items()
    for name in names:
        (flaw,) = judged(name, **changes)
        assert flaw.loses is loses
        assert f"{setting.replace('_', '.')} is {value}" in flaw.text
        wanted = flaw.setting.partition("=")[2]
        assert judged(name, **{setting: wanted}) == []  # the remedy is one


@pytest.mark.parametrize(
    "changes",
    [
        {"retention_ms": "-1"},
        {"retention_ms": str(30 * DAY_MS)},
        {"retention_bytes": "-1"},
        {"min_insync_replicas": "3"},
    ],
)
def test_what_is_safer_than_configured_is_no_flaw(changes: dict[str, str]) -> None:
    for name in EVERY:
        assert judged(name, **changes) == []


def test_too_few_replicas_have_no_setting_as_a_remedy() -> None:
    (flaw,) = judged("events", replicas=1)
    assert flaw.text.startswith("1 replicas, log.replication_factor is 3")
    assert (flaw.setting, flaw.loses) == ("", False)


def test_the_remedy_is_one_command() -> None:
    flaws = judged("events", cleanup_policy="compact", retention_ms="1000")
    said = told(CONFIG, "gateway.events", flaws)
    assert said.startswith("topic gateway.events: cleanup.policy is compact, should be")
    assert said.endswith(
        ": kafka-configs --bootstrap-server k:1 --alter --entity-type topics "
        "--entity-name gateway.events "
        f"--add-config cleanup.policy=delete,retention.ms={7 * DAY_MS}"
    )


def test_a_cluster_that_does_not_tell_a_setting_is_not_accused_of_it() -> None:
    for name in EVERY:
        assert flaws_of(CONFIG, DECLARED(name), 3, {}) == []


def test_how_old_records_get_is_what_the_topic_says() -> None:
    assert age_s({"cleanup.policy": "delete", "retention.ms": "2000"}) == 2.0
    assert age_s({"cleanup.policy": "delete", "retention.ms": "-1"}) is None
    assert age_s({"cleanup.policy": "compact", "retention.ms": "2000"}) is None
    assert age_s({"cleanup.policy": "compact,delete", "retention.ms": "2000"}) == 2.0
