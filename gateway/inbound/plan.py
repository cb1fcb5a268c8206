"""A tracking plan: what a source promises, read and checked from its file.

``check.py`` judges messages with it. Here is, too, what of it a catalogue asks: whether
it knows an event, and a field of one.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import jsonschema_rs

from gateway.errors import ConfigError
from gateway.event import Json, OnUnplanned
from gateway.inbound.refusal import escaped, pointer

PARTS_MAX = 1_000  # of a schema that are looked through for the names of its fields
LISTS = ("allOf", "anyOf", "oneOf")
SINGLE = ("if", "then", "else")


class Promise(NamedTuple):
    """A schema of a tracking plan, compiled, and its text to explain with."""

    validator: jsonschema_rs.Draft202012Validator
    schema: Json

    def names(self, key: str) -> bool:
        """Whether it says something of a property of this name."""
        return any(_names(part, key) for part in _parts(self.schema))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a source promises: its identify traits, and properties by event name.

    Traits are judged under their canonical names and types, so that one plan fits
    senders of both spellings. ``on_unplanned`` is for a track whose name is not in
    ``events``.
    """

    violation: Literal["reject", "flag"] = "reject"
    on_unplanned: OnUnplanned = "allow"
    traits: Promise | None = None
    events: Mapping[str, Promise] = field(default_factory=dict)

    def knows(self, kind: str, name: str) -> bool | None:
        """Whether it has the event; None for what a plan says nothing of."""
        if kind == "track":
            return name in self.events
        return True if kind == "identify" and self.traits is not None else None

    def knows_field(self, kind: str, name: str, path: str) -> bool | None:
        """The same for a field of it, ``traits.plan`` or ``properties.total``."""
        inside, _, key = path.partition(".")
        if kind == "identify" and inside == "traits" and self.traits is not None:
            return self.traits.names(key)
        if kind != "track" or inside != "properties":
            return None
        promise = self.events.get(name)
        return promise is not None and promise.names(key)


def load_plan(
    path: Path,
    violation: Literal["reject", "flag"] = "reject",
    on_unplanned: OnUnplanned = "allow",
) -> Plan:
    """``{"traits": SCHEMA, "events": {NAME: SCHEMA}}``; ConfigError names the place."""
    plan = _read(path)
    if on_unplanned != "allow" and "events" not in plan:
        text = 'has no "events", so that every track would be one outside the plan'
        raise ConfigError(f"{path}: {text}: add them, or remove on_unplanned")
    traits = _promise(plan["traits"], f"{path}: /traits") if "traits" in plan else None
    events = {
        name: _promise(schema, f"{path}: /events/{escaped(name)}")
        for name, schema in plan.get("events", {}).items()
    }
    return Plan(
        violation=violation, on_unplanned=on_unplanned, traits=traits, events=events
    )


def _read(path: Path) -> Mapping[str, Json]:
    try:
        plan: Json = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is not JSON: {error}") from error
    events = plan.get("events", {}) if isinstance(plan, dict) else None
    if not isinstance(events, dict) or plan.keys() - {"traits", "events", "$schema"}:
        text = 'expected {"traits": SCHEMA, "events": {"Event name": SCHEMA, ...}}'
        raise ConfigError(f"{path}: {text}")
    return dict(plan)


def _promise(schema: Json, place: str) -> Promise:
    import jsonschema  # noqa: PLC0415 -- slow to import and only needed with a plan

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        inner = pointer(error.absolute_path)
        raise ConfigError(f"{place}{inner}: {error.message}") from None
    try:
        validator = jsonschema_rs.Draft202012Validator(
            schema, validate_formats=True, offline=True
        )
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{place}: cannot be used: {reason}") from None
    return Promise(validator, schema)


def _parts(schema: Json) -> Iterator[Mapping[str, Json]]:
    """The schema, and those in it that are about the same object."""
    waiting, seen = [schema], set[int]()
    while waiting and len(seen) < PARTS_MAX:
        part = waiting.pop()
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        waiting += [each for name in LISTS for each in part.get(name, ())]
        waiting += [part.get(name) for name in SINGLE]
        waiting += part.get("dependentSchemas", {}).values()
        waiting.append(_referred(schema, part.get("$ref")))


def _referred(document: Json, reference: Json) -> Json:
    """What a reference within the schema means; None for any other."""
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return document if reference == "#" else None
    for part in reference[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _names(part: Mapping[str, Json], key: str) -> bool:
    if part.get("properties", {}).get(key, False) is not False:
        return True
    return any(_fits(each, key) for each in part.get("patternProperties", ()))


@lru_cache(maxsize=1_024)
def _matcher(pattern: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"pattern": pattern}, offline=True)


def _fits(pattern: str, key: str) -> bool:
    return _matcher(pattern).is_valid(key)
