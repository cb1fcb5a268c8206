"""The shape of the code: nothing grew large, and no folder is for everything."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    [*(ROOT / "gateway").rglob("*.py"), *(ROOT / "reference").rglob("*.py")]
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FILE_LINES, FUNCTION_LINES = 400, 60
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
