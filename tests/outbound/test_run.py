"""The parts of a run keep their own state: each of its rules stands in one file."""

import ast
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[2] / "gateway" / "outbound"
HOOKS = {
    "subscription.on_revoke",
    "subscription.on_overdue",
    "subscription.on_assign",
}
LANES = {"lanes.py"}  # its lanes are its own, and nobody else gets one


def assigned(file: Path) -> list[str]:
    """Every attribute that a file assigns, as it is written."""
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                several = targets
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                several = [target]
            case _:
                continue
        for each in several:
            found += map(
                ast.unparse, each.elts if isinstance(each, ast.Tuple) else [each]
            )
    return [name for name in found if "." in name and "[" not in name]


@pytest.mark.parametrize(
    "file",
    [each for each in sorted(ROOM.glob("*.py")) if each.name not in LANES],
    ids=lambda file: file.stem,
)
def test_nobody_assigns_the_attribute_of_another_object(file: Path) -> None:
    own = {
        name for name in assigned(file) if name.count(".") == 1 and name[:5] == "self."
    }
    assert {*assigned(file)} - own <= HOOKS


def test_an_assignment_to_another_object_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text("held.flying += 1\nrun.held.halted, x = True, 0\nself.mine = 1\n")
    assert assigned(file) == ["held.flying", "run.held.halted", "self.mine"]
