"""Notices: the list of codes is closed, and each is told somewhere."""

import ast
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from gateway import notices
from gateway.notices import CODES, Notice, NoticeCode, Notices

GATEWAY = Path(notices.__file__).parent


def texts() -> Iterator[str]:
    """Every text constant of the program but those of the list itself."""
    for file in GATEWAY.rglob("*.py"):
        if file == Path(notices.__file__):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_code_has_a_sentence_that_an_operator_can_read() -> None:
    assert tuple(CODES) == get_args(NoticeCode)
    for code, sentence in CODES.items():
        assert sentence.endswith("."), code
        assert "  " not in sentence, code


def test_every_code_is_told_somewhere() -> None:
    assert set(CODES) - set(texts()) == set()


def test_a_notice_that_repeats_is_one_line_with_its_count() -> None:
    stream = io.StringIO()
    told = Notices(stream)
    told.post("web", Notice("refused", "type"), times=2)
    told.post("web", Notice("refused", "type"))
    assert stream.getvalue() == ""
    told.flush()
    line = json.loads(stream.getvalue())
    assert (line["notice"], line["where"], line["name"], line["count"]) == (
        "refused",
        "web",
        "type",
        3,
    )
    assert told.counts["refused"] == 3


def test_what_is_said_is_a_line_at_once_with_its_fields() -> None:
    stream = io.StringIO()
    Notices(stream).say("breaker_open", destination="crm", cause="auth")
    line = json.loads(stream.getvalue())
    assert line["notice"] == "breaker_open"
    assert (line["destination"], line["cause"]) == ("crm", "auth")


def test_s15_of_names_that_senders_choose_ten_are_told_and_all_are_counted() -> None:
    stream = io.StringIO()
    told = Notices(stream)
    for _ in range(2):  # a minute each
        for number in range(5_000):
            told.post("web", Notice("unknown_integration", f"n{number}"), times=2)
            told.post("app", Notice("plan_violation", f"/properties/{number}"))
            told.post("web", Notice("unknown_integration", "n1"))
        told.flush()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 2 * (11 + 11)
    named = [line for line in lines[:22] if line["where"] == "web"]
    assert {each["name"] for each in named} == {
        "(others)",
        *(f"n{number}" for number in range(10)),
    }
    counts = {each["name"]: each["count"] for each in named}
    assert (counts["n0"], counts["n1"], counts["(others)"]) == (2, 5_002, 9_980)
    assert told.counts["unknown_integration"] == 2 * 15_000
