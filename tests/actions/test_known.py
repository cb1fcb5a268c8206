"""Our own facts about each destination: whole, in known words, true of the package."""

from collections import Counter

import pytest

from gateway.actions import known
from tests.actions import kit

EVERY = known.known()


def test_there_is_a_line_for_each_of_the_214() -> None:
    assert len(EVERY) == 214
    assert Counter(each.identify for each in EVERY.values()) == {
        "works": 87,
        "no identify by default": 77,
        "needs an audience": 20,
        "not outside of Segment": 16,
        "needs a mapping": 12,
        "breaks": 2,
    }


@pytest.mark.parametrize("directory", EVERY)
def test_a_line_is_in_known_words(directory: str) -> None:
    each = EVERY[directory]
    assert each.identify in known.IDENTIFY
    assert each.kind in known.KINDS
    assert {*each.oauth} <= known.OAUTH.keys()
    assert bool(each.oauth) == each.scheme.startswith("oauth")
    assert {*each.types} <= {"track", "page", "screen", "group", "alias"}
    assert each.batch in {"", "per item", "all or nothing"}
    assert len(each.id) == 24
    assert all(each.env)


def test_what_does_not_run_here_says_why() -> None:
    for each in EVERY.values():
        inside = each.kind == "Segment-internal" or each.transport != "HTTP"
        assert (known.cannot(each.directory) is not None) == inside, each.directory
    assert known.cannot("kafka") == "it speaks Kafka's protocol, not HTTP"
    assert known.cannot("mixpanel") is None
    assert known.cannot("nobody-knows") is None


@pytest.mark.parametrize(
    "name",
    ["amplitude", "actions-AMPLITUDE", "5f7dd6d21ad74f3842b1fc47", "Actions Amplitude"],
)
def test_it_is_found_by_the_names_of_the_package(name: str) -> None:
    assert known.directory_of(name) == "amplitude"


@pytest.mark.service
def test_names_ids_and_what_does_not_load_are_those_of_the_package() -> None:
    package = kit.package()
    assert package.definitions.keys() == EVERY.keys()
    for each in package:
        line = EVERY[each.directory]
        assert (line.id, line.transport == "HTTP") == (each.id, each.fails is None)
        if each.fails is None:
            named = (each.name, each.slug, each.scheme)
            assert (line.name, line.slug, line.scheme) == named
            assert bool(line.batch) == any(a.batch for a in each.actions.values())
