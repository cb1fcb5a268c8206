"""Topics: spelt in one file, and what each needs of the log."""

import re
from pathlib import Path

import pytest

from gateway import topics
from gateway.config import LogConfig
from gateway.topics import Declared, declaring

ROOT = Path(__file__).parents[1]
SPELT = re.compile(r'f?"(?:to|dead)\.\{|Entry\(\s*"|subscribe\(\s*"|scan\(\s*"')


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("events", Declared(holds_unread=True)),
        ("to.crm", Declared(holds_unread=True, reader="crm")),
        ("to.dead.x", Declared(holds_unread=True, reader="dead.x")),
        ("dead.crm", Declared(budget_bytes=3, shares="dead.", record_bytes=1_000_000)),
        ("outcomes", Declared(budget_bytes=2)),
        ("refused", Declared(budget_bytes=1, record_bytes=700_000)),
        ("suppressed", Declared(kept="newest")),
        ("elsewhere", Declared()),
        ("eventsx", Declared()),
    ],
)
def test_what_each_topic_needs(name: str, wanted: Declared) -> None:
    config = LogConfig(refused_size=1, outcomes_size=2, dead_size=3)
    assert declaring(config)(name) == wanted


def test_a_wing_declares_its_own() -> None:
    own = {"ledger.jobs": topics.one_queue("ledger"), "to.crm": Declared(partitions=2)}
    declared = declaring(LogConfig(), own)
    assert declared("ledger.jobs").partitions == 1
    assert declared("to.crm") == Declared(partitions=2)
    assert declared("to.other").reader == "other"


def test_the_topics_of_a_gateway() -> None:
    assert topics.of(["a", "b"], ["suppressed"]) == [
        "events",
        "refused",
        "outcomes",
        "to.a",
        "to.b",
        "dead.a",
        "dead.b",
        "suppressed",
    ]


def test_nothing_else_spells_a_topic() -> None:
    for file in (ROOT / "gateway").rglob("*.py"):
        if file.name != "topics.py":
            assert not SPELT.findall(file.read_text()), file
