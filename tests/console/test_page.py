"""The templates: nothing in them or around them marks a text as safe."""

import re
from pathlib import Path

from gateway.console import page
from gateway.console.page import ASSETS, JSON_CHARS, pretty

ROOM = Path(page.__file__).parent
ATTRIBUTE = re.compile(r"\s(?:style|on[a-z]+)\s*=", re.IGNORECASE)
UNQUOTED = re.compile(r"\s[\w-]+=\{\{")


def test_no_text_is_called_safe():
    files = [*ROOM.rglob("*.py"), *ROOM.rglob("*.html")]
    assert len(files) > 30
    for file in files:
        text = file.read_text()
        for way_out in ("|safe", "| safe", "Markup", "autoescape false"):
            assert way_out not in text, file


def test_no_template_has_a_script_or_a_style_inside_or_an_unquoted_attribute():
    for file in ROOM.rglob("*.html"):
        text = file.read_text()
        assert not ATTRIBUTE.search(text), file
        assert not UNQUOTED.search(text), file
        assert "<style" not in text
        assert re.findall(r"<script(?! src=\"/static/)", text) == [], file


def test_the_script_never_reads_a_text_as_html():
    text = (ROOM / "static/console.js").read_text()
    for way_in in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
    ):
        assert way_in not in text


def test_nothing_names_another_host():
    for file in [*ROOM.rglob("*.html"), *(ROOM / "static").iterdir()]:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file
        assert "https://" not in text, file


def test_the_assets_are_known_by_their_content():
    assert set(ASSETS) == {"console.css", "console.js", "icon.svg"}
    assert all(len(digest) == 12 for _, digest in ASSETS.values())


def test_a_long_value_is_cut():
    assert pretty({"a": 1}) == '{\n  "a": 1\n}'
    assert pretty("text") == "text"
    cut = pretty("x" * (JSON_CHARS + 5))
    assert cut.endswith("and 5 characters more")
