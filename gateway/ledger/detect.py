"""A tracking plan out of what was seen: pure, and never narrower than that.

What it admits: every event that was looked at. Types are those that were met, so that a
plan is as exact as its senders; a field is required where all of at least 100 events
had it. Contents are not looked at: no enum, no format, and nothing is said of fields
that it does not name.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.event import Json
from gateway.ledger.facts import NAME_CHARS
from gateway.ledger.names import OTHERS

DRAFT = "https://json-schema.org/draft/2020-12/schema"
REQUIRED_FROM = 100  # events that were looked at
FILLED_IN = frozenset({"email", "name"})
"""Traits that the gateway completes in an identify: a sender may leave them out."""


class Detected(NamedTuple):
    """The plan; and what was left out of it, or should be looked at, in sentences."""

    plan: Mapping[str, Json]
    remarks: Sequence[str]


def detect(kinds: Sequence[Mapping[str, Json]]) -> Detected:
    """A plan of the kinds of one source, as ``catalogue`` has them."""
    plan: dict[str, Json] = {"$schema": DRAFT}
    remarks: list[str] = []
    events: dict[str, Json] = {}
    for kind in sorted(kinds, key=lambda each: (each["type"], each["name"] or "")):
        if (why := _left_out(kind)) is not None:
            remarks.append(f"left out: {_called(kind)}: {why}")
            continue
        schema = _schema(kind)
        if kind["type"] == "identify":
            plan["traits"] = schema
        else:
            events[kind["name"]] = schema
        remarks += _doubts(kind)
    plan["events"] = events
    return Detected(plan, remarks)


def _called(kind: Mapping[str, Json]) -> str:
    return f"{kind['type']} {kind['name'] or ''}".strip()


def _left_out(kind: Mapping[str, Json]) -> str | None:
    """Why the plan can say nothing of it."""
    name = kind["name"]
    if kind["type"] == "identify":
        return None
    if kind["type"] != "track":
        return "a plan has identify traits and track events"
    if name == OTHERS:
        return "more names than the ledger tells apart"
    if name is None:
        return "it has no name"
    if len(name) >= NAME_CHARS:
        return "its name is longer than the ledger keeps"
    return None


def _doubts(kind: Mapping[str, Json]) -> Iterator[str]:
    name, looked, events = _called(kind), kind["looked"], kind["events"]
    if looked < REQUIRED_FROM:
        few = f"only {looked} looked at: no field is required; is it meant at all?"
        yield f"{name}: {few}"
    elif looked < events:
        yield f"{name}: {looked} of {events} looked at: others may have more"
    if any(_is_rest(each["path"]) for each in kind["fields"]):
        yield f"{name}: has more fields than the ledger tells apart: left out"


def _is_rest(path: str) -> bool:
    return path.partition(".")[2] == OTHERS


def _schema(kind: Mapping[str, Json]) -> Json:
    inside = "traits" if kind["type"] == "identify" else "properties"
    properties: dict[str, Json] = {}
    required: list[str] = []
    for field in sorted(kind["fields"], key=lambda each: str(each["path"])):
        place, _, name = field["path"].partition(".")
        if place != inside or _is_rest(field["path"]):
            continue
        filled = kind["type"] == "identify" and name in FILLED_IN
        properties[name] = {"type": _type(field["types"], or_null=filled)}
        enough = field["events"] == kind["looked"] >= REQUIRED_FROM
        if enough and not filled:
            required.append(name)
    schema: dict[str, Json] = {"type": "object", "properties": properties}
    return {**schema, "required": required} if required else schema


def _type(types: Mapping[str, int], *, or_null: bool) -> str | list[str]:
    """Those that were met; a number may be whole."""
    met = {*types, "null"} if or_null else {*types}
    if "number" in met:
        met.discard("integer")
    found = sorted(met, key=lambda each: (each == "null", each))
    return found[0] if len(found) == 1 else found
