"""Every destination of the package that loads, at events of every shape.

Each says a request, or why there is none; ``snapshot.json`` has how many and to whom.
A new version changes it; the change is read and explained before it is taken
(``ACCEPT=1`` in the environment writes it anew).
"""

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.actions import node
from gateway.actions.definitions import Definition
from gateway.actions.known import known
from gateway.outbound.kind import Shown
from tests.actions import kit
from tests.actions.dry import Dry, dry
from tests.actions.shapes import SHAPES

pytestmark = pytest.mark.service
SNAPSHOT = Path(__file__).parent / "snapshot.json"
AT_ONCE = 3
HUNG_S = 60.0
OURS = re.compile(r"the process died|sidecar: |refresh: |\w+: (Type|Range|Syntax)Error")
"""What no event may come to: our own faults, and bugs of theirs that we might cause."""


@pytest.fixture(scope="module")
def found() -> Mapping[str, Dry]:
    """Directory -> what it would do; each in a process of its own, a few at a time."""
    package, program = kit.package(), node.find()
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(definition: Definition) -> tuple[str, Dry]:
        async with turn, asyncio.timeout(HUNG_S):
            return definition.directory, await dry(definition, package, program, SHAPES)

    async def every() -> Mapping[str, Dry]:
        loaded = [each for each in package if each.fails is None]
        return dict(await asyncio.gather(*map(one, loaded)))

    return asyncio.run(every())


def test_each_event_becomes_a_request_or_a_reason(found: Mapping[str, Dry]) -> None:
    assert len(found) == 205
    for directory, each in found.items():
        for shape, shown in each.shown.items():
            if shown is not None:
                assert shown.requests or shown.reason, (directory, shape)
                assert not OURS.search(shown.reason), (directory, shape, shown.reason)


def test_nobody_asks_a_host_that_is_not_known(found: Mapping[str, Dry]) -> None:
    told = {name: each.notices for name, each in found.items() if each.notices}
    assert told == {}


def test_the_counts_and_hosts_are_those_of_the_snapshot(
    found: Mapping[str, Dry],
) -> None:
    now = {name: counted(each) for name, each in sorted(found.items())}
    if os.environ.get("ACCEPT"):
        lines = [f'"{name}": {json.dumps(each)}' for name, each in now.items()]
        SNAPSHOT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    assert now == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def counted(each: Dry) -> dict[str, Any]:
    """Requests by shape, where there are some, or one was refused; and to whom."""
    counts = {shape: count(shown) for shape, shown in each.shown.items()}
    lacks = {"needs a mapping": len(each.needs)} if each.needs else {}
    kept = {shape: count for shape, count in counts.items() if count != 0}
    return {**lacks, **kept, "hosts": each.hosts}


def count(shown: Shown | None) -> int | str:
    """How many requests; "refused" where an action wanted the event, but could not."""
    if shown is None:
        return 0
    reasons = shown.reason.split("; ") if shown.reason else []
    refused = [each for each in reasons if not re.search(": (trigger|types): ", each)]
    return len(shown.requests) or ("refused" if refused else 0)


def test_what_is_told_of_an_identify_is_what_is_seen(found: Mapping[str, Dry]) -> None:
    counts: Counter[str] = Counter()
    for directory, each in found.items():
        shown = each.shown["identify, all traits"]
        asks = shown is not None and bool(shown.requests)
        line = known()[directory]
        assert asks == (line.identify == "works"), (directory, shown, each.needs)
        counts[line.identify] += 1
    assert counts["works"] == 87


def test_what_is_told_of_the_other_types_is_what_is_seen(
    found: Mapping[str, Dry],
) -> None:
    for directory, each in found.items():
        asks = [
            shape for shape, shown in each.shown.items() if shown and shown.requests
        ]
        types = {SHAPES[shape]["type"] for shape in asks} - {"identify"}
        assert types == {*known()[directory].types}, directory
