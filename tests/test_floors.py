"""What pyproject.toml promises to run on: the oldest of it is pinned, and tested."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = [Requirement(each) for each in PROJECT["dependencies"]]
PIN = re.compile(r"^([a-z0-9-]+)==([^ ]+)", re.MULTILINE)


def pinned(name: str) -> dict[str, Version]:
    text = (ROOT / "requirements" / name).read_text()
    return {package: Version(version) for package, version in PIN.findall(text)}


@pytest.mark.parametrize("needed", DEPENDENCIES, ids=lambda each: each.name)
def test_the_lowest_that_is_allowed_is_what_make_lowest_runs(needed: Requirement):
    (floor,) = [each.version for each in needed.specifier if each.operator == ">="]
    assert pinned("lowest.txt")[needed.name] == Version(floor)


@pytest.mark.parametrize("needed", DEPENDENCIES, ids=lambda each: each.name)
def test_what_is_locked_is_allowed(needed: Requirement):
    assert pinned("run.txt")[needed.name] in needed.specifier
