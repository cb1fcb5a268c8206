"""The page of the code: every file with the first line of its docstring."""

import ast
from collections.abc import Iterator
from pathlib import Path

from reference.table import code, table

GATEWAY = Path(__file__).parents[1] / "gateway"
HEAD = """\
# The code, file by file

The durable log is the only door between two halves: **inbound** (before the 200) and
**outbound** (after it). They never import each other. Modules that do are verbs,
modules that are are nouns. I/O lives at the edges, everything between is a pure
function of values. The import contracts in `pyproject.toml` are checked by `make
check`.

```text
POST -> accept -> admit { check -> normalize -> resolve -> route } -> log.append -> 200
to.NAME -> poll -> deliver -> destination -> outcome -> settle | dead letter
```

`schemas/` has the JSON Schemas that decide, `tests/` mirrors the folders, `tests/path/`
runs the whole program with real SDKs and real faults. Why it is so is [the
design](../explanation/design.md).
"""


def page() -> str:
    """Every folder with its files."""
    parts = [HEAD]
    for folder in _folders(GATEWAY):
        modules = sorted(folder.glob("*.py"))
        rows = [
            (code(file.name), _first_line(file))
            for file in modules
            if file.name != "__init__.py"
        ]
        if not rows:
            continue
        parts.append(f"## {folder.relative_to(GATEWAY.parent)}/\n")
        package = folder / "__init__.py"
        if package.exists():
            parts.append(_first_line(package) + "\n")
        parts.append(table(("file", "what it is"), rows) + "\n")
    return "\n".join(parts)


def _folders(folder: Path) -> Iterator[Path]:
    yield folder
    for each in sorted(folder.iterdir()):
        if each.is_dir() and each.name != "__pycache__":
            yield from _folders(each)


def _first_line(file: Path) -> str:
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(doc.partition("\n\n")[0].split()).replace("``", "`")
