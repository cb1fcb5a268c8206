"""Every destination type, found by its name: documented settings and golden requests.

``tests/golden/destinations/TYPE/`` holds ``settings.json`` and a folder for each case
with ``event.json`` and ``request.json``, what ``gateway explain`` shows: the request, a
list where there are several, the reason where there is none. ``note.md`` says where and
why it is not what others would send. ACCEPT=1 in the environment writes the requests
anew; the diff is the review.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest

from gateway.config import DestinationConfig
from gateway.errors import ConfigError
from gateway.event import EVENT_TYPES
from gateway.outbound import destinations
from gateway.outbound.contract import Delivery, Takes
from gateway.outbound.gate import Gate
from gateway.outbound.http import Request
from gateway.outbound.kind import Kind, Schema, setting
from gateway.outbound.suppressed import Suppressed
from gateway.outbound.talk import one_request
from gateway.parts import known_kinds

GOLDEN = Path(__file__).parents[1] / "golden" / "destinations"
KINDS = known_kinds()
CASES = sorted(each.parent for each in GOLDEN.glob("*/*/event.json"))


@pytest.mark.parametrize("name", KINDS)
def test_a_type_is_documented_and_has_golden_cases(name: str) -> None:
    kind = KINDS[name]
    assert kind.doc
    assert kind.doc.strip()
    for each in kind.settings.settings:
        assert each.doc, each.name
        assert each.example, each.name
    assert [case for case in CASES if case.parent.name == name], f"{GOLDEN / name}"


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}"
)
async def test_golden(case: Path) -> None:
    given = json.loads((case.parent / "settings.json").read_text())
    config = DestinationConfig(name=case.parent.name, type=case.parent.name, **given)
    made = KINDS[config.type].configured(
        config.settings, name=config.name, folder=Path("/srv/gateway")
    )
    assert made.takes.types <= set(EVENT_TYPES)
    gate = Gate(config, made.takes, source_kinds={}, suppressed=Suppressed())
    event = json.loads((case / "event.json").read_text())
    delivery = gate.prepare(orjson.dumps(event))
    assert isinstance(delivery, Delivery), delivery
    async with made.showing() as show:
        told = await show(delivery)
    requests = [readable(each) for each in told.requests] or [{"reason": told.reason}]
    shown = requests[0] if len(requests) == 1 else requests
    wanted = case / "request.json"
    if os.environ.get("ACCEPT"):
        wanted.write_text(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
    assert shown == json.loads(wanted.read_text())


def readable(shown: Any) -> Any:
    """Bodies and lines as the JSON they are, so that a diff can be read."""
    found = dict(shown)
    form = "urlencoded" in found.get("headers", {}).get("Content-Type", "")
    for key in ("body", "line", "value"):
        if key in found:
            text = found[key] or "null"  # a GET has none
            found[key] = fields(text) if form else orjson.loads(text)
    return found


def fields(form: str) -> dict[str, Any]:
    """A form's fields; those that hold JSON as what it is."""
    return {
        name: orjson.loads(each) if each[:1] in ("[", "{") else each
        for name, each in parse_qsl(form, strict_parsing=True)
    }


@pytest.mark.parametrize("name", ["nope", "", "../webhook", "__init__"])
def test_an_unknown_type_lists_the_known(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        destinations.load(name)
    for known in destinations.names():
        assert known in str(caught.value)


def test_a_misspelt_type_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean webhook"):
        destinations.load("webhok")


def private(**parts: Any) -> ModuleType:
    module = ModuleType("my_package.my_module", "Mine.")
    for name, value in parts.items():
        setattr(module, name, value)
    return module


def test_a_module_of_one_s_own(monkeypatch: pytest.MonkeyPatch, delivery: Any) -> None:
    @dataclasses.dataclass(frozen=True)
    class Mine:
        where: str = setting(doc="Where", example='"here"', default="here")

    def request(deliveries: Sequence[Delivery], settings: Mine) -> Request:
        return Request(url=settings.where, body=deliveries[0].value)

    kind = Kind(
        doc="Mine.",
        settings=Schema.of(Mine),
        takes=Takes(types=frozenset({"identify"})),
        talk=one_request(request),
    )
    module = private(KIND=kind)
    monkeypatch.setitem(sys.modules, "my_package", ModuleType("my_package"))
    monkeypatch.setitem(sys.modules, "my_package.my_module", module)
    assert destinations.load("my_package.my_module") is kind
    made = kind.configured({"where": "there"}, name="mine", folder=Path())
    assert made.settings == Mine(where="there")
    assert made.preview(delivery(1))["url"] == "there"


def test_a_module_that_is_no_destination_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "my_package", ModuleType("my_package"))
    monkeypatch.setitem(sys.modules, "my_package.half", private(Settings=object))
    with pytest.raises(ConfigError, match=r"has no KIND = Kind\(...\)"):
        destinations.load("my_package.half")


def test_a_module_that_cannot_be_imported_says_why() -> None:
    with pytest.raises(ConfigError, match="No module named 'nowhere'"):
        destinations.load("nowhere.at_all")
