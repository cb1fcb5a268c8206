"""What is borrowed of aiokafka's inside exists, and is borrowed in one file."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from gateway.log.kafka.wire import borrowed

GATEWAY = Path(borrowed.__file__).parents[3]
NAMES = [(cls, name) for cls, names in borrowed.BORROWED.items() for name in names]


@pytest.mark.parametrize(("cls", "name"), NAMES)
def test_the_installed_aiokafka_has_it(cls: str, name: str) -> None:
    module, _, attribute = cls.rpartition(".")
    found = getattr(import_module(module), attribute)
    sources = [
        inspect.getsource(each) for each in found.__mro__ if each.__module__ == module
    ]
    set_in_init = any(f"self.{name} = " in source for source in sources)
    typed = any(f"self.{name}: " in source for source in sources)
    assert hasattr(found, name) or set_in_init or typed


def test_every_name_is_listed_and_used_nowhere_else() -> None:
    text = Path(borrowed.__file__).read_text()
    used = set(re.findall(r"\w\.(_[a-z_]+)\b", text))
    assert used == {name for _, name in NAMES}
    for file in (GATEWAY / "log").rglob("*.py"):
        if file != Path(borrowed.__file__):
            assert "SLF001" not in file.read_text(), file
