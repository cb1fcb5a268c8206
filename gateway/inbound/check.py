"""Raw -> Checked: JSON Schema 2020-12 decides, and explains only when it refuses.

``jsonschema-rs`` judges every message with the files in ``schemas/``, and by its
source's plan; the reference implementation explains at leisure. A fault names what was
expected and the type that was found, never the value that was sent.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import jsonschema_rs

from gateway.event import Checked, InvalidTraits, Json, Raw
from gateway.inbound.decode import KINDS, TYPES
from gateway.inbound.excerpt import excerpt
from gateway.inbound.meant import (
    POINTER_MAX,
    Violation,
    is_of_a_trait,
    notice,
    put,
    timed,
    wants_object,
    with_objects,
)
from gateway.inbound.plan import Plan, Promise
from gateway.inbound.refusal import FAULTS_MAX, Fault, Refusal, pointer
from gateway.notices import Notice
from gateway.traits import canonical

BASE = "https://gateway.invalid/schemas/"  # only so that references have a place
FAULTS_SEEN = 50  # more than are told, since some say the same
IDENTIFIERS = frozenset({"/userId", "/anonymousId"})
TRACK_API = "track-api"
NAME_MAX = 100  # characters of an event's name in a notice or a fault
UNPLANNED = (
    "{} is not in the source's tracking plan: send a name of it, or add this one"
)

Checks: TypeAlias = tuple[Checked, tuple[Notice, ...]]


def _load() -> dict[str, Json]:
    """From the wheel, else from the checkout (an editable install has no copy)."""
    packaged = Path(__file__).parents[1] / "schemas"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "schemas"
    return {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(folder.glob("*.json"))
    }


SCHEMAS: dict[str, Json] = _load()


def _compiled(schema: Json, name: str) -> jsonschema_rs.Draft202012Validator:
    registry = jsonschema_rs.Registry(
        [(f"{BASE}{n}.json", s) for n, s in SCHEMAS.items()]
    )
    return jsonschema_rs.Draft202012Validator(
        schema,
        registry=registry,
        base_uri=f"{BASE}{name}.json",
        validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(),  # time linear in the text
        offline=True,
    )


VALIDATORS = {name: _compiled(SCHEMAS[name], name) for name in TYPES}


def check(
    raw: Raw, plan: Plan | None = None, invalid_traits: InvalidTraits = "reject"
) -> Checks | Refusal:
    """The message, found good; or what is wrong with it, ten faults at most."""
    if VALIDATORS[raw["type"]].is_valid(raw):
        return (Checked(raw), ()) if plan is None else planned(raw, plan)
    return _read_again(raw, plan, invalid_traits)


def _read_again(
    raw: Raw, plan: Plan | None, invalid_traits: InvalidTraits
) -> Checks | Refusal:
    """What the schemas refuse as it stands, judged as it is meant."""
    kind, read = raw["type"], timed(raw)
    validator = VALIDATORS[kind]
    if read is not raw and validator.is_valid(read):
        return (Checked(read), ()) if plan is None else planned(read, plan)
    found = list(islice(_violations(validator, read), FAULTS_SEEN))
    read, notices = with_objects(read, found)
    if notices:
        found = list(islice(_violations(validator, read), FAULTS_SEEN))
    if found and invalid_traits == "keep":
        traits = {tuple(each.path) for each in found if is_of_a_trait(each)}
        others = _without(read, traits)
        found = list(islice(_violations(validator, others), FAULTS_SEEN))
        notices += tuple(notice("invalid_trait", path) for path in sorted(traits))
    if found:
        return Refusal.of(_told(found, kind))
    if plan is None:
        return Checked(read), notices
    checked = planned(read, plan)
    if isinstance(checked, Refusal):
        return checked
    return checked[0], notices + checked[1]


def _without(raw: Raw, paths: Iterable[Sequence[str | int]]) -> Raw:
    """The rest of it must be good; null is what any trait may be."""
    value: Json = raw
    for path in paths:
        value = put(value, path, None)
    return Raw(value)


def planned(raw: Raw, plan: Plan) -> Checks | Refusal:
    """What the source's own plan says of a message that is good by the schemas."""
    if raw["type"] == "track" and raw["event"] not in plan.events:
        return _unplanned(raw, plan)
    faults = list(_against(plan, raw))
    if not faults:
        return Checked(raw), ()
    if plan.violation == "reject":
        return Refusal.of(faults)
    notices = (Notice("plan_violation", each.pointer[:POINTER_MAX]) for each in faults)
    return Checked(raw), tuple(notices)


def _unplanned(raw: Raw, plan: Plan) -> Checks | Refusal:
    """What becomes of a track whose name the plan does not have."""
    if plan.on_unplanned == "allow":
        return Checked(raw), ()
    name = raw["event"][:NAME_MAX]
    if plan.on_unplanned == "flag":
        return Checked(raw), (Notice("unplanned_event", name),)
    text = UNPLANNED.format(json.dumps(name, ensure_ascii=False))
    return Refusal.of([Fault("/event", text, "unplanned_event")])


def check_part(value: Json, name: str) -> Refusal | None:
    """What is wrong with a body, or a part of one, by ``track-api.json``'s definitions.

    None when it is good. Its faults point into ``value``.
    """
    validator = _part(name)
    if validator.is_valid(value):
        return None
    return Refusal.of(_told(_violations(validator, value), name))


def read_part(value: Json, name: str) -> Json | Refusal:
    """The same for a body that is to be read: with empty arrays as objects (PHP)."""
    refused = check_part(value, name)
    if refused is None:
        return value
    read = value
    for each in islice(_violations(_part(name), value), FAULTS_SEEN):
        if wants_object(each):
            read = put(read, each.path, {})
    return refused if read is value else check_part(read, name) or read


@cache
def _part(name: str) -> jsonschema_rs.Draft202012Validator:
    """Compiled when it is first asked for: a start has no time for all of them."""
    return _compiled({"$ref": f"{TRACK_API}.json#/$defs/{name}"}, "part")


def reference_errors(raw: Raw) -> list[Fault]:
    """The same by the reference implementation: slow, for explaining and for tests."""
    kind = raw["type"]
    raw = timed(raw)
    read, _ = with_objects(raw, _reference_violations(raw))
    return _told(_reference_violations(read), kind)


def _reference_violations(raw: Raw) -> Iterator[Violation]:
    for error in reference(raw["type"]).iter_errors(raw):
        path = list(error.absolute_path)
        yield Violation(str(error.validator), error.schema, path, error.instance)


def _against(plan: Plan, raw: Raw) -> Iterator[Fault]:
    if raw["type"] == "identify" and plan.traits is not None:
        traits = canonical(raw.get("traits") or {}).traits
        yield from _broken(plan.traits, traits, "/traits")
    elif raw["type"] == "track":
        promise = plan.events[raw["event"]]
        yield from _broken(promise, raw.get("properties") or {}, "/properties")


def _broken(promise: Promise, value: Json, place: str) -> Iterator[Fault]:
    if not promise.validator.is_valid(value):
        found = _violations(promise.validator, value, promise.schema)
        for violation in islice(found, FAULTS_MAX):
            fault = _fault(violation)
            yield fault._replace(pointer=place + fault.pointer)


def _violations(
    validator: jsonschema_rs.Draft202012Validator, value: Json, document: Json = None
) -> Iterator[Violation]:
    for error in _errors(validator, value):
        home = error.absolute_keyword_location
        schema = document
        if schema is None and home is not None:
            schema = SCHEMAS[home.removeprefix(BASE).partition(".json")[0]]
        path = list(error.schema_path)
        keyword = error.kind.name
        if keyword == "falseSchema" and path[-1:] == ["additionalProperties"]:
            keyword = "additionalProperties"
        parent = _at(schema, path[:-1])
        yield Violation(keyword, parent, error.instance_path, error.instance)


def _errors(
    validator: jsonschema_rs.Draft202012Validator, value: Json
) -> Iterable[jsonschema_rs.ValidationError]:
    """All errors; of a large value those of its excerpt, or else the very first one."""
    part = excerpt(value)
    if part is None:
        return validator.iter_errors(value)
    sure = [
        error
        for error in validator.iter_errors(part.value)
        if tuple(error.instance_path) not in part.doubtful
    ]
    if not sure:
        try:
            validator.validate(value)
        except jsonschema_rs.ValidationError as first:
            return [first]
    return sure


def _at(document: Json, path: Iterable[str | int]) -> Mapping[str, Json]:
    """The part of a schema; empty when it is elsewhere (a plan with its own ids)."""
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return {}
    return document if isinstance(document, dict) else {}


def _told(violations: Iterable[Violation], kind: str) -> list[Fault]:
    """The faults worth telling, by pointer: each once, no guess at what others say."""
    faults: dict[tuple[str, str], Fault] = {}
    for violation in islice(violations, FAULTS_SEEN):
        fault = _fault(violation)
        if fault.code == "anyOf" and not fault.pointer:
            fault = Fault("", _missing(kind), "missing_identifier")
        faults.setdefault((fault.pointer, fault.code), fault)
    if any(pointer in IDENTIFIERS for pointer, _ in faults):
        faults.pop(("", "missing_identifier"), None)
    return sorted(faults.values())


def _missing(kind: str) -> str:
    email = ", or an email in its traits" if kind == "identify" else ""
    return f"needs a userId or an anonymousId{email}"


def _fault(violation: Violation) -> Fault:
    keyword, schema = violation.keyword, violation.schema
    code = keyword
    if keyword == "pattern" and "format" in schema:
        code = "format"  # the pattern only spells the format out
    elif keyword == "pattern" and "number" in schema.get("type", ()):
        code = "type"  # and this one, which strings are numbers
    return Fault(pointer(violation.path), _text(violation), code)


LIMITS = {
    "maxLength": "must not be longer than {} characters",
    "minLength": "must not be shorter than {} character(s)",
    "maximum": "must not be above {}",
    "minimum": "must not be below {}",
    "maxItems": "must not have more than {} items",
    "minItems": "must not have fewer than {} item(s)",
    "format": "must have the format {}",
}


def _text(violation: Violation) -> str:
    """What was expected; of what was sent only the type."""
    keyword, schema, _, instance = violation
    value = schema.get(keyword)
    found = KINDS.get(type(instance), "a number")
    if keyword not in schema:
        return "does not fit the schema"
    match keyword:
        case "type" | "pattern" | "format" if "title" in schema:
            return f"must be {schema['title']}; this is {found}"
        case "type":
            return f"must be of type {_listed(value)}; this is {found}"
        case "enum" | "const":
            return f"must be {_listed(value)}"
        case "required" if isinstance(instance, dict) and isinstance(value, list):
            missing = [name for name in value if name not in instance]
            return f"needs {' and '.join(missing)}"
        case "not" if isinstance(value, dict) and "title" in value:
            return f"must not be {value['title']}"
        case "minProperties" | "maxProperties" | "anyOf" if "title" in schema:
            return f"must be {schema['title']}"
        case "additionalProperties" if "title" in schema:
            return f"must be {schema['title']}, and nothing else"
        case "additionalProperties":
            return "has a key that the schema does not allow"
        case _:
            text = LIMITS.get(keyword, "does not fit the schema")
            return text.format(value)


def _listed(value: Json) -> str:
    values = value if isinstance(value, list) else [value]
    return " or ".join(
        each if isinstance(each, str) else json.dumps(each) for each in values
    )


@cache
def reference(name: str) -> Any:
    """The reference implementation's validator of a type; made once."""
    import jsonschema  # noqa: PLC0415 -- slow to import and never on the way of an event
    import referencing.jsonschema  # noqa: PLC0415 -- the same

    formats = jsonschema.FormatChecker(formats=())
    formats.checks("date-time", raises=ValueError)(_is_date_time)
    registry: Any = referencing.Registry().with_resources(
        (f"{BASE}{n}.json", referencing.jsonschema.DRAFT202012.create_resource(s))
        for n, s in SCHEMAS.items()
    )
    return jsonschema.Draft202012Validator(
        {"$ref": f"{BASE}{name}.json"}, registry=registry, format_checker=formats
    )


def _is_date_time(value: object) -> bool:
    """What the pattern beside it cannot say: that there is such a day."""
    return not isinstance(value, str) or (
        "\n" not in value and datetime.fromisoformat(value) is not None
    )
