"""Our evaluators say what Segment's own packages say, for triggers and mappings."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.outbound.mapping import Trigger, Unmappable, build, lint, parse
from tests.chance import examples
from tests.outbound.mapping.happenings import events as happenings
from tests.outbound.mapping.mappings import mappings
from tests.outbound.mapping.oracle import Oracle
from tests.outbound.mapping.triggers import edited, triggers

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    oracle = Oracle()
    yield oracle
    oracle.close()


def plain(value: Any) -> Any:
    """A value so that 1 equals 1.0 and not True."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return (type(value), value)


events = st.lists(happenings, min_size=1, max_size=4)


@settings(max_examples=examples(500))
@given(text=triggers, events=events)
def test_a_trigger_says_what_segments_evaluator_says(
    oracle: Oracle, text: str, events: list[Any]
) -> None:
    trigger = parse(text)
    said = oracle.ask(events, trigger=text)
    assert [{"value": trigger(event)} for event in events] == said
    for event in events:
        if trigger(event):
            assert trigger.types is None or event["type"] in trigger.types
            assert trigger.because(event) is None


def read(text: str) -> Trigger | None:
    """The trigger, unless it is refused or Segment's parser is known to lose its end.

    It ends parentheses with the first closing one, be it that of a function in them.
    """
    inner = re.search(r"\([^()]*(?:contains|match) ?\([^()]*\)\s*[^\s)]", text)
    try:
        return None if inner else parse(text)
    except ConfigError:
        return None


@settings(max_examples=examples(150))
@given(texts=st.lists(edited, min_size=10, max_size=15), events=events)
def test_what_is_read_at_all_means_the_same_at_segment(
    oracle: Oracle, texts: list[str], events: list[Any]
) -> None:
    for text in texts:
        if (trigger := read(text)) is not None:
            said = oracle.ask(events, trigger=text)
            assert [{"value": trigger(event)} for event in events] == said, text


def mapped(mapping: Any, event: Any) -> Any:
    try:
        return {"value": plain(build(mapping)(event))}
    except Unmappable:
        return "error"


@settings(max_examples=examples(800))
@given(mapping=mappings(), events=events)
def test_a_mapping_makes_what_segments_makes(
    oracle: Oracle, mapping: Any, events: list[Any]
) -> None:
    assume(not lint(mapping))
    said = oracle.ask(events, mapping=mapping)
    wanted = [
        "error" if "error" in each else {"value": plain(each["value"])} for each in said
    ]
    assert [mapped(mapping, event) for event in events] == wanted
