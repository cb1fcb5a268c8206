"""The operator's own function in the gate: what it may do, and what becomes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.config import DestinationConfig, parse
from gateway.errors import ConfigError
from gateway.notices import Notice
from gateway.outbound.contract import Delivery, Outcome, Rejected, Takes
from gateway.outbound.gate import Ended, Gate
from gateway.outbound.suppressed import Suppressed
from gateway.parts import check
from tests.outbound.conftest import ALL, make_body

Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(text: str) -> Path:
        (tmp_path / "shop.py").write_text(text)
        return tmp_path / "shop.py:clean"

    return write


def gate(where: Path, told: list[Notice] | None = None, **more: Any) -> Gate:
    heard: list[Notice] = [] if told is None else told
    return Gate(
        DestinationConfig(name="crm", type="webhook", transform=where, **more),
        Takes(types=ALL),
        source_kinds={},
        suppressed=Suppressed(),
        tell=heard.append,
    )


VALUE = orjson.dumps(make_body(1, "u1"))


def ended(where: Path, value: bytes = VALUE) -> Outcome | Rejected:
    found = gate(where).prepare(value)
    assert isinstance(found, Ended)
    assert found.step == "transform"
    return found.end


def test_what_it_gives_is_what_goes_on(written: Written) -> None:
    where = written("""
def clean(event):
    event["traits"]["plan"] = "pro"
    del event["traits"]["email"]
    return event
""")
    going = gate(where, spelling="snake_case").prepare(VALUE, "r1")
    assert isinstance(going, Delivery)
    assert going.event.body["traits"] == {"first_name": "Jane", "plan": "pro"}
    assert orjson.loads(going.value) == going.event.body
    assert going.replay == "r1"


def test_none_leaves_the_event_out(written: Written) -> None:
    where = written("def clean(event): return None")
    assert ended(where) == Outcome(kind="filtered", reason="transform")


def test_each_attempt_gives_it_the_event_as_the_log_has_it(written: Written) -> None:
    where = written("""
def clean(event):
    event["traits"]["seen"] = event["traits"].get("seen", 0) + 1
    return event
""")
    standing = gate(where)
    for _ in range(2):
        going = standing.prepare(VALUE)
        assert isinstance(going, Delivery)
        assert going.event.body["traits"]["seen"] == 1


def test_what_tells_an_event_apart_stays_and_its_new_type_is_used(
    written: Written,
) -> None:
    where = written("""
def clean(event):
    return {"type": "track", "messageId": "other", "userId": "other"}
""")
    going = gate(where).prepare(VALUE)
    assert isinstance(going, Delivery)
    event = going.event
    assert (event.message_id, event.key, event.type) == ("m1", "u1", "track")


def test_a_type_that_the_destination_does_not_take_is_left_out(
    written: Written,
) -> None:
    where = written("def clean(event): return {'type': 'person'}")
    assert ended(where) == Outcome(kind="filtered", reason="type")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("event['traits']['email'] + 1", "transform: TypeError in shop.py:3"),
        ("event['secret']", "transform: KeyError in shop.py:3"),
        ("exec('import sys; sys.exit(1)')", "transform: SystemExit in shop.py:3"),
        ("[event].index('x')", "transform: ValueError in shop.py:3"),
        ("[event]", "transform: shop.py:clean gives neither an event nor None"),
        ("{1: event}", "transform: shop.py:clean gives what is no JSON"),
        ("{'x': {event['userId']}}", "transform: shop.py:clean gives what is no JSON"),
    ],
)
def test_its_error_is_a_dead_letter_with_file_and_line_and_no_value(
    written: Written, body: str, detail: str
) -> None:
    end = ended(written(f"def clean(event):\n\n    return {body}\n"))
    assert end == Rejected("bug", detail, unsent=True)


def test_a_slow_one_is_told_and_a_fast_one_is_not(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = written("def clean(event): return event")
    told: list[Notice] = []
    times = iter([0.0, 0.049, 1.0, 1.051])
    monkeypatch.setattr("gateway.outbound.transform.perf_counter", lambda: next(times))
    standing = gate(where, told)
    standing.prepare(VALUE)
    assert told == []
    standing.prepare(VALUE)
    assert told == [Notice("transform_slow", "shop.py:clean")]


def test_the_file_is_run_once_and_is_a_module_of_its_own(
    written: Written, tmp_path: Path
) -> None:
    where = written("""
from __future__ import annotations
import dataclasses, pathlib, sys

@dataclasses.dataclass
class Kept:
    count: int = 0

ran = pathlib.Path(__file__).with_name("ran")
ran.write_text(ran.read_text() + "x" if ran.exists() else "x")
path = list(sys.path)

def clean(event):
    assert sys.path == path
    return event
""")
    for _ in range(3):
        assert isinstance(gate(where).prepare(VALUE), Delivery)
    assert (tmp_path / "ran").read_text() == "x"
    assert str(tmp_path) not in __import__("sys").path


CONFIG = """
[sources.web]
write_keys = ["dev"]
[destinations.crm]
type = "webhook"
settings = { url = "https://crm.example/hook" }
"""


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        (None, "shop.py:clean", r"shop\.py: cannot be read: No such file"),
        ("", "shop.py", r"is not FILE\.py:FUNCTION"),
        ("", "shop:clean", r"is not FILE\.py:FUNCTION"),
        ("", "shop.py:clean", r"shop\.py: clean is not there"),
        ("def cleans(e): pass", "shop.py:clean", r"did you mean cleans\?"),
        ("clean = 5", "shop.py:clean", "clean is no function"),
        ("async def clean(e): pass", "shop.py:clean", "clean is async"),
        ("def clean(): pass", "shop.py:clean", "does not take one argument"),
        ("def clean(a, b): pass", "shop.py:clean", "does not take one argument"),
        ("\ndef clean(:", "shop.py:clean", r"shop\.py:2: invalid syntax"),
        ("\nimport nowhere", "shop.py:clean", r"shop\.py:2: ModuleNotFoundError"),
        ("exit(3)", "shop.py:clean", r"shop\.py:1: SystemExit: 3"),
    ],
)
def test_what_is_wrong_with_it_is_found_by_the_check(
    tmp_path: Path, text: str | None, where: str, words: str
) -> None:
    if text is not None:
        (tmp_path / "shop.py").write_text(text)
    config = parse(f'{CONFIG}transform = "{where}"', folder=tmp_path)
    with pytest.raises(ConfigError, match=rf"destinations\.crm\.transform: .*{words}"):
        check(config)


def test_what_it_makes_is_asked_of_the_tables_whatever_type_was_sent(
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.py").write_text(
        "def clean(event): return {**event, 'type': 'identify'}"
    )
    text = f"""{CONFIG}
transform = "shop.py:clean"
actions = [{{ types = ["identify"] }}]
"""
    parts = check(parse(text, folder=tmp_path))
    assert parts.rules.routes.usual("track").to == ("crm",)
