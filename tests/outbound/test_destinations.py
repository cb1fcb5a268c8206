"""Every destination type, found by its name: documented settings and golden requests.

``tests/golden/destinations/TYPE/`` holds ``settings.json`` and a folder for each case
with ``event.json`` and ``request.json``, what ``gateway explain`` shows. ACCEPT=1 in
the environment writes the requests anew; the diff is the review.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from gateway.config import DestinationConfig
from gateway.errors import ConfigError
from gateway.event import EVENT_TYPES
from gateway.outbound import destinations
from gateway.outbound.attempt import Gate
from gateway.outbound.contract import Delivered, Delivery, Traits
from gateway.outbound.suppressed import Suppressed

GOLDEN = Path(__file__).parents[1] / "golden" / "destinations"
CASES = sorted(each.parent for each in GOLDEN.glob("*/*/event.json"))


@pytest.mark.parametrize("name", destinations.names())
def test_a_type_is_documented_and_has_golden_cases(name: str) -> None:
    kind = destinations.load(name)
    assert kind.doc.strip()
    assert kind.traits.types <= set(EVENT_TYPES)
    for field in dataclasses.fields(kind.module.Settings):
        assert field.metadata.get("doc"), field.name
        assert field.metadata.get("example"), field.name
    assert [case for case in CASES if case.parent.name == name], f"{GOLDEN / name}"


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}"
)
def test_golden(case: Path) -> None:
    given = json.loads((case.parent / "settings.json").read_text())
    config = DestinationConfig(name=case.parent.name, type=case.parent.name, **given)
    kind = destinations.load(config.type)
    gate = Gate(config, kind.traits, source_kinds={}, suppressed=Suppressed())
    event = json.loads((case / "event.json").read_text())
    delivery = gate.prepare(orjson.dumps(event))
    assert isinstance(delivery, Delivery), delivery
    shown = readable(kind.preview(config, delivery, folder=Path("/srv/gateway")))
    wanted = case / "request.json"
    if os.environ.get("ACCEPT"):
        wanted.write_text(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
    assert shown == json.loads(wanted.read_text())


def readable(shown: Any) -> Any:
    """Bodies and lines as the JSON they are, so that a diff can be read."""
    found = dict(shown)
    for key in ("body", "line"):
        if key in found:
            found[key] = orjson.loads(found[key])
    return found


@pytest.mark.parametrize("name", ["nope", "", "../webhook", "__init__"])
def test_an_unknown_type_lists_the_known(name: str) -> None:
    known = ", ".join(destinations.names())
    assert "file" in known
    with pytest.raises(ConfigError, match=f"known are: {known}"):
        destinations.load(name)


class Settings:
    pass


def private(**parts: Any) -> ModuleType:
    module = ModuleType("my_package.my_module", "Mine.")
    for name, value in parts.items():
        setattr(module, name, value)
    return module


def test_a_module_of_one_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass(frozen=True)
    class Mine:
        where: str = "here"

    class Remote:
        traits = Traits(types=frozenset({"identify"}))

        async def deliver(self, deliveries: Any) -> Any:
            return [Delivered()] * len(deliveries)

        async def close(self) -> None: ...

    module = private(
        Settings=Mine,
        TRAITS=Remote.traits,
        check=lambda settings, place: None,
        build=lambda settings, **_: Remote(),
    )
    monkeypatch.setitem(sys.modules, "my_package", ModuleType("my_package"))
    monkeypatch.setitem(sys.modules, "my_package.my_module", module)
    kind = destinations.load("my_package.my_module")
    config = DestinationConfig(name="mine", type="my_package.my_module")
    made = kind.build(config, folder=Path(), send=destinations._refuse)
    assert made.traits is Remote.traits
    assert kind.doc == "Mine."


def test_a_module_that_is_no_destination_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "my_package", ModuleType("my_package"))
    monkeypatch.setitem(sys.modules, "my_package.half", private(Settings=Settings))
    with pytest.raises(ConfigError, match="has no TRAITS, check, build"):
        destinations.load("my_package.half")


def test_a_module_that_cannot_be_imported_says_why() -> None:
    with pytest.raises(ConfigError, match="No module named 'nowhere'"):
        destinations.load("nowhere.at_all")
