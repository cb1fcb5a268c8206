"""What code and tests cite by number is in the docs: DESIGN 5.5, P062, CLIENTS 4.8."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CITING = sorted(
    [
        *(ROOT / "gateway").rglob("*.py"),
        *(ROOT / "schemas").glob("*.json"),
        *(each for each in (ROOT / "tests").rglob("*.py") if each != Path(__file__)),
        *(ROOT / "tests" / "identity").glob("*.json"),
    ]
)
NOQA = re.compile(r"# noqa.*")  # names rules of a linter, which look the same
SECTION = re.compile(r"\b(DESIGN|CLIENTS) §?(\d+(?:\.\d+)?)")
HEADING = re.compile(r"\(INTERFACE, ([A-Z][\w ]*)\)|\bINTERFACE \(([^)]*)\)")
NUMBER = re.compile(r"\b([PFEN]\d{3}|[RD]\d\d)\b")
NAMED = re.compile(r"(?<=_)([pfen]\d{3}|[rd]\d\d)(?=_)")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def sections(text: str) -> set[str]:
    """``5`` and ``5.5`` of the headings; ``4.8`` of the items of a numbered list."""
    found, current = set(), ""
    for line in text.splitlines():
        if match := re.match(r"#{2,3} (\d+(?:\.\d+)?)\b", line):
            current = match[1]
            found.add(current)
        elif match := re.match(r"(\d+)\. ", line):
            found.add(f"{current}.{match[1]}")
    return found


def defined() -> set[str]:
    """Everything that can be cited."""
    statements = page("reference/statements.md")
    numbers = re.findall(r"^- \*\*(\w\d+)\*\*|^\| (R\d\d) \|", statements, re.MULTILINE)
    headings = re.findall(r"^## (.+)$", page("reference/interface.md"), re.MULTILINE)
    return {
        *(one or two for one, two in numbers),
        *(f"DESIGN {each}" for each in sections(page("explanation/design.md"))),
        *(f"CLIENTS {each}" for each in sections(page("reference/clients.md"))),
        *(f"INTERFACE {each}" for each in headings),
    }


def cited(text: str) -> set[str]:
    """Every citation in a text, in the words of ``defined``."""
    text = NOQA.sub("", text).replace("->", "to")
    return {
        *(f"{name} {number}" for name, number in SECTION.findall(text)),
        *(f"INTERFACE {one or two}" for one, two in HEADING.findall(text)),
        *NUMBER.findall(text),
        *(each.upper() for each in NAMED.findall(text)),
    }


DEFINED = defined()


@pytest.mark.parametrize("folder", ["gateway", "schemas", "tests"])
def test_every_citation_is_in_the_docs(folder: str) -> None:
    missing = {
        f"{file.relative_to(ROOT)}: {each}"
        for file in CITING
        if file.is_relative_to(ROOT / folder)
        for each in cited(file.read_text(encoding="utf-8")) - DEFINED
    }
    assert sorted(missing) == []


def test_citations_are_seen_in_every_form() -> None:
    text = "DESIGN 5.5, DESIGN §3, (CLIENTS §4.8), P050-P056, R01; # noqa: D102 -- no"
    assert cited(text) == {
        "DESIGN 5.5",
        "DESIGN 3",
        "CLIENTS 4.8",
        "P050",
        "P056",
        "R01",
    }
    assert cited("def test_p012_p013_a_number(): (INTERFACE, Metrics)") == {
        "P012",
        "P013",
        "INTERFACE Metrics",
    }
    assert cited("DESIGN 5.9, P999, R99") - DEFINED == {"DESIGN 5.9", "P999", "R99"}


def test_the_statements_are_numbered_once() -> None:
    text = page("reference/statements.md")
    numbers = re.findall(r"^- \*\*(\w\d+)\*\*", text, re.MULTILINE)
    assert len(numbers) == len(set(numbers)) > 140


def test_the_vectors_cite_rules() -> None:
    vectors = (ROOT / "tests" / "identity" / "vectors.json").read_text(encoding="utf-8")
    assert json.loads(vectors)
    assert cited(vectors) & DEFINED
