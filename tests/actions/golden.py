"""Twenty vendors as they are configured, three events, and what each vendor is to get.

``tests/golden/actions/VENDOR/`` has ``destination.toml`` and, for each event that it
takes, ``EVENT.requests.json``; the events stand beside the folders. What was found
wrong with a vendor, and is not ours to mend, is in its ``notes.md``.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson

from gateway.actions.kind import kind
from gateway.actions.node import Node
from gateway.config import DestinationConfig, parse
from gateway.event import Json
from gateway.outbound.contract import Delivery
from gateway.outbound.gate import Gate
from gateway.outbound.kind import Configured, Shown, Tables
from gateway.outbound.suppressed import Suppressed
from tests.actions import kit

GOLDEN = Path(__file__).parents[1] / "golden" / "actions"
VENDORS = tuple(sorted(each.parent.name for each in GOLDEN.glob("*/destination.toml")))
EVENTS = ("identify", "track", "order")
"""What every vendor is sent; a vendor may have ``CASE.event.json`` of its own."""
SOURCE = '[sources.web]\nkind = "server"\nwrite_keys = ["dev"]\n'
OF_EACH = frozenset(
    {"user-agent", "accept", "content-length", "host", "accept-encoding"}
)
"""Headers that every request has alike, and those of a connection."""


def table(vendor: str) -> str:
    """The TOML of one vendor's destination."""
    return (GOLDEN / vendor / "destination.toml").read_text(encoding="utf-8")


def cases(vendor: str) -> tuple[str, ...]:
    """The events that one vendor is tried with."""
    own = (GOLDEN / vendor).glob("*.event.json")
    return (*EVENTS, *sorted(each.name.partition(".")[0] for each in own))


def event(vendor: str, name: str) -> dict[str, Any]:
    """An event as it stands in the log; one of a vendor's own differs in some keys."""
    if name in EVENTS:
        found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_bytes())
        return found
    own = json.loads((GOLDEN / vendor / f"{name}.event.json").read_bytes())
    return {**event(vendor, own["event"]), **own["with"]}


def wanted(vendor: str, name: str) -> Sequence[Mapping[str, Json]]:
    """What the vendor is to get of an event; nothing where no file says."""
    file = expected(vendor, name)
    return json.loads(file.read_bytes()) if file.exists() else []


def expected(vendor: str, name: str) -> Path:
    """The file that says what the vendor is to get of an event."""
    return GOLDEN / vendor / f"{name}.requests.json"


def configured(vendor: str, node: Node) -> tuple[DestinationConfig, Configured[Any]]:
    """The vendor's destination as the gateway has it."""
    package = kit.package()
    (config,) = parse(SOURCE + table(vendor), folder=GOLDEN).destinations.values()
    made = kind(package.look_up(vendor), package, node).configured(
        config.settings,
        name=config.name,
        folder=GOLDEN,
        tables=Tables(config.actions, config.oauth, config.env),
    )
    return config, made


@asynccontextmanager
async def showing(
    vendor: str, node: Node
) -> AsyncIterator[Callable[[str], Awaitable[Shown]]]:
    """What shows what an event, by its name, becomes at one vendor."""
    config, made = configured(vendor, node)
    gate = Gate(config, made.takes, source_kinds={}, suppressed=Suppressed())
    async with made.showing() as show:

        async def prepared(name: str) -> Shown:
            body = event(vendor, name)
            if body["type"] not in made.takes.types:
                return Shown([])
            delivery = gate.prepare(orjson.dumps(body))
            assert isinstance(delivery, Delivery), delivery
            return await show(delivery)

        yield prepared


def readable(request: Mapping[str, Json]) -> dict[str, Json]:
    """A request so that a diff can be read: its body as what it is."""
    headers: Any = request["headers"]
    kept = {key: each for key, each in headers.items() if key not in OF_EACH}
    body = decoded(str(request["body"]), str(headers.get("content-type", "")))
    return {**request, "headers": kept, "body": body}


def decoded(body: str, content_type: str) -> Json:
    """JSON as it is; a form as its fields, with the JSON that may stand in those."""
    if "x-www-form-urlencoded" in content_type or re.match(r"[a-z_]+=", body):
        fields = parse_qsl(body, keep_blank_values=True, strict_parsing=True)
        return {key: _json(each) for key, each in fields}
    return _json(body)


def _json(text: str) -> Json:
    if not text.startswith(("{", "[")):
        return text
    found: Json = json.loads(text)
    return found
