"""What is sent: names of events and traits, their types, how often, how lately.

``/catalogue``: of the newest events of the log, so that it costs the same however much
is sent. Examples keep their form and lose their content.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from gateway import topics
from gateway.console.eyes import Eyes
from gateway.console.newest import newest
from gateway.console.page import Pages
from gateway.event import Json
from gateway.log.contract import Record
from gateway.outbound.mapping.coerce import kind_of

READ = 2_000
NAMES_MAX = 200  # of a source; senders choose them
FIELDS_MAX = 60  # of one name
EXAMPLE_CHARS = 28
LETTER, DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
INSIDE = ("traits", "properties")


@dataclass(slots=True)
class Field:
    """One trait or property: in how many events, of which types, what it looks like."""

    count: int = 0
    types: Counter[str] = field(default_factory=Counter)
    example: str = ""


@dataclass(slots=True)
class Named:
    """One kind of event of one source: a type, and a name where it has one."""

    source: str
    type: str
    name: str
    count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    fields: dict[str, Field] = field(default_factory=dict)


class Catalogue:
    """``/catalogue``."""

    def __init__(self, eyes: Eyes, pages: Pages) -> None:
        self._eyes = eyes
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        """The page."""
        return [web.get("/catalogue", self._show)]

    async def _show(self, request: web.Request) -> web.Response:
        records = await newest(self._eyes.shared.log, topics.EVENTS, READ)
        found = catalogue_of(records)
        sources = {
            name: [e for e in found if e.source == name] for name in _names(found)
        }
        return self._pages.render(
            "catalogue.html",
            request=request,
            sources=sources,
            read=len(records),
            whole=len(records) < READ,
        )


def _names(found: Sequence[Named]) -> list[str]:
    return list(dict.fromkeys(each.source for each in found))


def catalogue_of(records: Sequence[Record]) -> list[Named]:
    """What these events are, the most frequent first; records of other makes not."""
    found: dict[tuple[str, str, str], Named] = {}
    for record in records:
        event = _event(record.value)
        if event is None:
            continue
        key = str(event.get("source")), str(event.get("type")), _name(event)
        if key not in found and len(found) >= NAMES_MAX:
            continue
        named = found.setdefault(key, Named(*key))
        named.count += 1
        at_ms = record.appended_at_ms
        named.first_ms = min(named.first_ms or at_ms, at_ms)
        named.last_ms = max(named.last_ms, at_ms)
        for path, value in _fields(event):
            _add(named.fields, path, value)
    return sorted(found.values(), key=lambda each: (each.source, -each.count))


def _add(fields: dict[str, Field], path: str, value: Json) -> None:
    if path not in fields and len(fields) >= FIELDS_MAX:
        return
    seen = fields.setdefault(path, Field())
    seen.count += 1
    seen.types[kind_of(value)] += 1
    seen.example = seen.example or masked(value)


def _event(value: bytes) -> Mapping[str, Json] | None:
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def _name(event: Mapping[str, Json]) -> str:
    name = event.get("event") or event.get("name") or ""
    return name if isinstance(name, str) else ""


def _fields(event: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    for inside in INSIDE:
        values = event.get(inside)
        if isinstance(values, dict):
            for name, value in values.items():
                yield f"{inside}.{name}", value


def masked(value: Json) -> str:
    """What a value looks like, without what it says: ``xxx.99@xxxxxxx.xxx``."""
    if isinstance(value, bool) or value is None:
        return orjson.dumps(value).decode()
    if isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    text = DIGIT.sub("9", LETTER.sub("x", str(value)))
    return text if len(text) <= EXAMPLE_CHARS else f"{text[:EXAMPLE_CHARS]}…"
