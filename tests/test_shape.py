"""The shape of the code: the README's tree is the tree, and nothing grew large."""

import ast
import re
from pathlib import Path

import pytest

from gateway.cli import _parser

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "gateway").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FILE_LINES, FUNCTION_LINES = 400, 60
TREE = re.compile(r"<!-- tree -->\n```\n(.*?)```", re.DOTALL)
FORBIDDEN = {"utils", "helpers", "common", "base", "types", "models", "services"}


@pytest.mark.parametrize(
    "file", [pytest.param(f, id=str(f.relative_to(ROOT))) for f in MODULES + TESTS]
)
def test_files_and_functions_are_short(file):
    text = file.read_text()
    assert text.count("\n") <= FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name}: {lines} lines"
    assert file.stem not in FORBIDDEN


def test_the_readme_s_tree_is_the_tree():
    match = TREE.search((ROOT / "README.md").read_text())
    assert match is not None
    named: list[str] = []
    folders: list[str] = []
    for line in match[1].splitlines():
        words = line.split()
        folders = folders[: (len(line) - len(line.lstrip())) // 2]
        if words[0].endswith("/"):
            folders.append(words[0])
        named += ["".join(folders) + word for word in words if word.endswith(".py")]
    modules = {str(f.relative_to(ROOT)) for f in MODULES if f.name != "__init__.py"}
    assert sorted(named) == sorted(modules)


def test_every_command_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    found = [action.choices for action in _parser()._actions if action.nargs == "A..."]
    (commands,) = found
    assert commands
    for command in commands:
        assert f"gateway {command}" in readme
