"""Every relative link of the pages leads somewhere, and to a heading that is there."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").glob("*.md"),
        *(ROOT / "bench").glob("*.md"),
    ]
)
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def links(text: str) -> list[str]:
    """The targets within the repository; code has none."""
    found = LINK.findall(CODE.sub("", FENCE.sub("", text)))
    return [each for each in found if "://" not in each and "mailto:" not in each]


@cache
def anchors(page: Path) -> set[str]:
    """What headings are linked by: their words in lower case, with hyphens."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found: set[str] = set()
    for heading in HEADING.findall(text):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        number, free = 0, slug
        while free in found:
            number += 1
            free = f"{slug}-{number}"
        found.add(free)
    return found


def broken(page: Path, target: str) -> str | None:
    """What is wrong with a link of a page; None if nothing is."""
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return f"{target}: there is no {file}"
    if not file.is_relative_to(ROOT):
        return f"{target}: leads out of the repository"
    if anchor and anchor not in anchors(file):
        return f"{target}: no such heading; there are {sorted(anchors(file))}"
    return None


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in PAGES]
)
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = links(page.read_text(encoding="utf-8"))
    assert [why for each in targets if (why := broken(page, each))] == []


def test_a_broken_link_would_be_found(tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    assert broken(readme, "docs/nowhere.md") is not None
    assert broken(readme, "docs/index.md#nowhere") is not None
    assert broken(readme, "../elsewhere.md") is not None
    assert broken(readme, "docs/explanation/design.md#55-commit") is None
    assert links("`[a](b)` [c](d.md#e) [f](https://g.example)\n```\n[h](i)\n```") == [
        "d.md#e"
    ]


def test_every_page_of_the_docs_is_reached_from_the_index() -> None:
    docs = ROOT / "docs"
    index = (docs / "index.md").read_text(encoding="utf-8")
    reached = {docs / each.partition("#")[0] for each in links(index)}
    assert set(docs.rglob("*.md")) - {docs / "index.md"} == reached


def test_the_readme_is_a_screen_and_a_half() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_tests_that_a_page_names_are_there() -> None:
    page = ROOT / "docs/explanation/tests.md"
    named = re.findall(r"`(tests/[\w./]+)`", page.read_text(encoding="utf-8"))
    assert len(named) > 30
    assert not [each for each in named if not (ROOT / each).exists()]
