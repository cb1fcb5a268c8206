"""What a Segment workspace says of itself: answers of the Public API, in any order.

What comes in: JSON documents, one after the other or in lists; pages of the same list
are put together. What goes out: destinations with what belongs to each. Nothing is
translated here.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import ConfigError

Answer = Mapping[str, Any]
FORM = "expected answers of Segment's Public API: destinations, subscriptions"


@dataclass(slots=True)
class Exported:
    """Everything that was found; what belongs to a destination is by its id."""

    destinations: dict[str, Answer] = field(default_factory=dict)
    subscriptions: dict[str, list[Answer]] = field(
        default_factory=lambda: defaultdict(list)
    )
    filters: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    functions: dict[str, list[Answer]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Insert functions."""
    sources: dict[str, str] = field(default_factory=dict)
    """Id -> slug."""


def read(text: str, place: str) -> Exported:
    """All of a file; ConfigError when it is no JSON, or nothing in it is of use."""
    found = Exported()
    for document in _documents(text, place):
        _collect(document, found)
    if not found.destinations:
        raise ConfigError(f"{place}: no destinations in it; {FORM}")
    return found


def _documents(text: str, place: str) -> Iterator[Any]:
    """JSON texts that follow each other; a list is its items."""
    decoder, at = json.JSONDecoder(), 0
    text = text.removeprefix("\ufeff")
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            document, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, getattr(error, "pos", at)) + 1
            raise ConfigError(f"{place}:{line}: no JSON; {FORM}") from error
        yield from document if isinstance(document, list) else [document]


def _collect(document: Any, found: Exported) -> None:
    """Put each object where it belongs; an answer is known by its keys."""
    if not isinstance(document, Mapping):
        return
    data = document.get("data", document)
    if not isinstance(data, Mapping):
        return
    for key, add in ADD.items():
        for each in _objects(data, key):
            add(found, each)
    if isinstance(data.get("metadata"), Mapping):
        _destination(found, data)
    elif "destinationId" in data:
        _belonging(found.subscriptions, "destinationId", data)


def _objects(data: Answer, key: str) -> Sequence[Answer]:
    """``{"things": [...]}`` of a list, ``{"thing": {...}}`` of one."""
    given = data.get(key)
    if not isinstance(given, list):
        given = [data.get(key.removesuffix("s"))]
    return [each for each in given if isinstance(each, Mapping)]


def _destination(found: Exported, each: Answer) -> None:
    """Under its id; a later page, or the answer about one, says the same again."""
    if isinstance(each.get("metadata"), Mapping):
        found.destinations[str(each.get("id"))] = each


def _belonging(by: dict[str, list[Answer]], key: str, each: Answer) -> None:
    """To its destination, once."""
    kept = by[str(each.get(key))]
    if not any(
        each.get("id") is not None and each["id"] == old.get("id") for old in kept
    ):
        kept.append(each)


def _source(found: Exported, each: Answer) -> None:
    slug = each.get("slug") or each.get("name")
    if slug:
        found.sources[str(each.get("id"))] = str(slug)


ADD: Mapping[str, Callable[[Exported, Answer], None]] = {
    "destinations": _destination,
    "subscriptions": lambda found, each: _belonging(
        found.subscriptions, "destinationId", each
    ),
    "filters": lambda found, each: _belonging(found.filters, "destinationId", each),
    "insertFunctionInstances": lambda found, each: _belonging(
        found.functions, "integrationId", each
    ),
    "sources": _source,
}
"""Key of an answer's list -> where its objects go."""
