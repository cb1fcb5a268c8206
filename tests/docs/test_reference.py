"""The pages that are made from the code are as it is now."""

import ast
import dataclasses
from pathlib import Path

import pytest

from gateway import notices
from reference import commands, configuration, errors, made
from reference.table import table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("file", "text"), [pytest.param(*each, id=each[0].name) for each in made().items()]
)
def test_a_page_is_as_the_code_is(file: Path, text: str) -> None:
    assert file.read_text(encoding="utf-8") == text, "run `make reference`"


def test_every_option_of_every_command_says_what_it_is() -> None:
    for line in commands.page().splitlines():
        if line.startswith("| `"):
            assert line.split(" | ")[1].strip(), line


def test_every_key_of_the_configuration_has_a_comment_in_the_example() -> None:
    told = configuration.explained(configuration.EXAMPLE.read_text(encoding="utf-8"))
    for section, cls in configuration.SECTIONS.items():
        for field in dataclasses.fields(cls):
            is_table = dataclasses.is_dataclass(field.type)
            if field.metadata.get("unit") == "name" or is_table:
                continue
            key = field.metadata.get("key", field.name)
            assert told[cls, key].about, f"{section}.{key}"


def test_every_error_code_of_a_message_is_on_its_page() -> None:
    known = errors.FAULTS.keys() | errors.ANSWERS.keys() | errors.KEYWORDS.keys()
    found = set()
    for file in (Path(notices.__file__).parent / "inbound").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Fault":
                found |= {e.value for e in node.args[2:] if isinstance(e, ast.Constant)}
    assert found
    assert found <= known


def test_every_error_code_of_an_answer_has_a_sentence_and_none_has_two() -> None:
    page = errors.page()
    for code in errors.ANSWERS:
        head, _, _ = page.partition("## Of a place")
        assert head.count(f"| `{code}` |") == 1, code


def test_a_pipe_or_a_line_break_does_not_end_a_cell() -> None:
    assert table(("a",), [("b | c\nd",)]).splitlines()[2] == "| b \\| c d |"
