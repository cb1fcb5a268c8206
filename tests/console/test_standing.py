"""How a destination stands, and what needs somebody, the worst first."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import DestinationConfig, parse
from gateway.console.samples import Sample
from gateway.console.standing import BEHIND, concerns, standing, with_letters
from gateway.ledger.again import Standing as Letters

CONFIG = parse(
    """
[sources.web]
write_keys = ["dev"]
[destinations.crm]
type = "webhook"
settings = { url = "https://crm.example/" }
""",
    folder=Path(),
    environment={},
)
CRM: DestinationConfig = CONFIG.destinations["crm"]
UP = {
    "running": True,
    "paused": False,
    "breaker": None,
    "pending": 3,
    "lag": 7,
    "last_failure": None,
}


def sample(at_s: float = 0.0, **changed: object) -> Sample:
    return Sample(at_s, {}, {}, {}, (), {}, {}, {}, {})._replace(**changed)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("config", "state", "word", "tone"),
    [
        (CRM, UP, "up", "good"),
        (replace(CRM, enabled=False), None, "disabled", "off"),
        (CRM, None, "elsewhere", "off"),
        (replace(CRM, paused=True), UP, "paused", "warn"),
        (CRM, UP | {"breaker": "credentials"}, "down", "bad"),
        (CRM, UP | {"running": False, "lag": None}, "starting", "warn"),
        (CRM, UP | {"lag": BEHIND + 1}, "behind", "warn"),
        (CRM, UP | {"lag": None}, "up", "good"),
    ],
)
def test_it_stands_in_one_word(config, state, word, tone):
    stands = standing(config, state, None, None)
    assert (stands.word, stands.tone) == (word, tone)
    assert stands.why


def test_rates_are_of_the_minute_and_errors_of_the_hour():
    old, recent = sample(0), sample(3_540, outcomes={("crm", "delivered"): 100})
    last = sample(
        3_600,
        outcomes={("crm", "delivered"): 160, ("crm", "dead"): 2},
        attempts={
            ("crm", "delivered"): 160,
            ("crm", "retry"): 30,
            ("crm", "rejected"): 10,
        },
    )
    stands = standing(CRM, UP, (old, last), (recent, last))
    assert stands.rate == 1.0
    assert stands.errors == 0.2
    assert stands.dead == 2


def test_nothing_needs_anybody():
    stands = standing(CRM, UP, (sample(), sample(60)), None)
    assert concerns(CONFIG, [stands], (sample(), sample(60))) == []


def test_the_worst_comes_first_and_says_where_to_look():
    down = standing(
        CRM,
        UP | {"breaker": "credentials", "last_failure": {"at": "x", "reason": "401"}},
        None,
        None,
    )
    pair = (
        sample(),
        sample(
            60,
            messages={("web", "accepted"): 10, ("web", "refused"): 10},
            notices={"bug": 1, "refused": 10},
        ),
    )
    found = concerns(CONFIG, [down], pair, weaknesses=["one replica"], log="disk full")
    assert [each.tone for each in found] == ["bad", "bad", "bad", "warn", "warn"]
    assert found[0].title == "The log takes nothing"
    assert found[1].title == "crm is down"
    assert "401" in found[1].text
    assert found[1].link == "/destinations/crm"
    assert {each.title for each in found[3:]} == {
        "web sends much that is refused",
        "The log is weaker",
    }


def test_a_few_refusals_are_no_concern():
    pair = sample(), sample(60, messages={("web", "refused"): 3})
    assert concerns(CONFIG, [], pair) == []


@pytest.mark.parametrize(
    ("letters", "dead", "mended"),
    [
        (None, 3, 0),  # no ledger
        (Letters(3, 3), 3, 0),
        (Letters(3, 1), 1, 2),
        (Letters(2, 0), 1, 2),  # one that the ledger has not read yet
        (Letters(9, 5), 5, 4),  # of other processes, or from before a restart
        (Letters(3, 0), 0, 3),
    ],
)
def test_dead_letters_that_were_sent_again_need_nobody(letters, dead, mended):
    last = sample(60, outcomes={("crm", "dead"): 3})
    stands = with_letters(standing(CRM, UP, (sample(), last), None), letters)
    assert (stands.dead, stands.mended) == (dead, mended)
    told = [
        each for each in concerns(CONFIG, [stands], None) if each.link == "/dead/crm"
    ]
    assert len(told) == bool(dead)
