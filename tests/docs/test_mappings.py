"""The page of triggers and mappings says what is so: every row of it is tried."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.outbound.mapping import build, parse
from gateway.outbound.mapping.lint import CHECKS

PAGE = Path(__file__).parents[2].joinpath("docs/reference/mappings.md").read_text()
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
EVENT: dict[str, Any] = json.loads(BLOCKS["json"])


def rows(head: str) -> list[list[str]]:
    """The cells of the table that has this head."""
    table = PAGE.partition(f"| {head} |\n")[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]


def bare(cell: str) -> str:
    return cell.strip().removeprefix("`").removesuffix("`")


@pytest.mark.parametrize(
    ("trigger", "holds", "_why"), rows("trigger | holds | because")
)
def test_a_trigger_of_the_page_holds_as_it_says(
    trigger: str, holds: str, _why: str
) -> None:
    assert parse(bare(trigger))(EVENT) is {"yes": True, "no": False}[holds]


@pytest.mark.parametrize(("trigger", "says"), rows("trigger | refused, since"))
def test_a_trigger_of_the_page_is_refused_as_it_says(trigger: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        parse(bare(trigger))


@pytest.mark.parametrize(("value", "gives"), rows("value | gives"))
def test_a_value_of_the_page_gives_what_it_says(value: str, gives: str) -> None:
    made = build(tomllib.loads(f"field = {bare(value)}"))(EVENT)
    assert made == ({"field": json.loads(bare(gives))} if gives else {})


def test_every_directive_is_on_the_page() -> None:
    values = " ".join(value for value, _ in rows("value | gives"))
    assert {name for name in CHECKS if f'"{name}"' not in values} == {"@liquid"}


def test_the_action_of_the_page_is_sound() -> None:
    (action,) = tomllib.loads(BLOCKS["toml"])["destinations"]["crm"]["actions"]
    assert parse(action["trigger"])(EVENT)
    mapped = {"mail": "Cool.Person@example.com", "name": "Cool Person"}
    assert build(action["mapping"])(EVENT) == mapped
