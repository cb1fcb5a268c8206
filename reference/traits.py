"""The matrix: reserved trait x destination -> the field that it is sent in.

Nothing of it is written down: each trait is given to each destination type, alone, and
what that changes in the requests is the cell.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson

from gateway.event import Event, Json
from gateway.outbound.contract import Delivered, Delivery
from gateway.outbound.http import Request
from gateway.outbound.kind import Configured
from gateway.outbound.talk import NO_ACCESS, foreseen
from gateway.parts import known_kinds
from gateway.traits import spell
from reference.destinations import exemplary
from reference.table import code, table

SCHEMA = Path(__file__).parents[1] / "schemas" / "common.json"
DATE = "2024-03-11T08:15:30.000Z"
FORMS: Mapping[Json, str] = {
    DATE: "ISO 8601",
    1_710_144_930: "unix seconds",
    1_710_144_930_000: "unix milliseconds",
}
OTHERS = "yourOwn"
HEAD = """\
# Where traits go

What becomes of each reserved trait of an identify at the destinations that know traits
by names of their own, found by sending each alone. It does not matter in which spelling
it came. `yourOwn` stands for every other trait. A date says its form. Where a trait is
not sent, the outcome's `detail` names it.
"""


def page() -> str:
    """The table."""
    made = {name: exemplary(kind) for name, kind in known_kinds().items()}
    made = {name: each for name, each in made.items() if each.kind.reserved}
    rows = [
        (code(trait), *(cell(each, trait) for each in made.values()))
        for trait in ["userId", "anonymousId", *reserved(), OTHERS]
    ]
    return f"{HEAD}\n{table(('trait', *made), rows)}"


def reserved() -> Iterator[str]:
    """Their paths in canonical spelling, as the schemas have them."""
    known = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]
    for name in known["traits"]["properties"]:
        if name in known and "properties" in known[name]:
            inner = known[name]["properties"]
            yield from (f"{name}.{each}" for each in inner if each not in TWINS)
        elif name not in TWINS:
            yield name


TWINS = {"created_at", "first_name", "last_name", "postal_code", "employeeCount"}


def cell(made: Configured[Any], trait: str) -> str:
    """Where one trait's value turns up that is not there without it."""
    company = {"id": "c-1"} if trait.startswith("company.") else None
    without, _ = _sent(made, {"userId": "u-1", "traits": {"company": company}})
    changed, lost = _sent(made, _with(trait))
    new = [each for each in changed if each not in without]
    if trait.endswith("Id"):  # an id brings more with it
        new = [each for each in new if each[1] == f"{trait}-2"]
    said = []
    for path, value in new:
        form = FORMS.get(value) if isinstance(value, (int, str)) else None
        said.append(code(path) + (f" ({form})" if form else ""))
    return ", ".join(dict.fromkeys(said)) or lost or "not sent"


def _with(trait: str) -> dict[str, Json]:
    """An identify that has it and nothing else."""
    if trait in ("userId", "anonymousId"):
        return {"userId": "u-1", trait: f"{trait}-2"}
    value: Json = DATE if trait in ("birthday", "createdAt") else f"of {trait}"
    if trait in ("age", "company.employee_count"):
        value = 34
    outer, _, inner = trait.partition(".")
    traits: dict[str, Json] = {outer: {inner: value} if inner else value}
    if outer == "company":  # nobody knows a company by its plan alone
        traits["company"] = {"id": "c-1", **traits["company"]}
    return {"userId": "u-1", "traits": traits}


def _sent(
    made: Configured[Any], said: Mapping[str, Json]
) -> tuple[list[tuple[str, Json]], str]:
    """Every field of every request that changes something; what was left out."""
    body = {
        "type": "identify",
        "messageId": "m1",
        "receivedAt": "2026-01-15T10:12:14.100Z",
        "source": "web",
        "version": 1,
        **said,
    }
    value = orjson.dumps(spell(body, "camelCase"))
    delivery = Delivery(event=Event.from_bytes(value), value=value)
    assert made.kind.talk is not None  # of a type with a table
    requests, end = foreseen(made.kind.talk([delivery], made.settings, NO_ACCESS))
    told = end if not isinstance(end, list) else end[0]
    lost = told.detail if isinstance(told, Delivered) else ""
    return [each for request in requests for each in _fields(request)], lost


def _fields(request: Request) -> Iterator[tuple[str, Json]]:
    if request.url.endswith("/search") or not request.body:
        return
    if "urlencoded" in request.headers["Content-Type"]:
        form = dict(parse_qsl(request.body.decode()))
        yield from _leaves(orjson.loads(form["identification"]), "")
    else:
        of = "company" if request.url.endswith("/companies") else ""
        yield from _leaves(orjson.loads(request.body), of)


def _leaves(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    match value:
        case dict() if value:
            for name, each in value.items():
                yield from _leaves(each, f"{path}.{name}".lstrip("."))
        case list() if value:
            for each in value:
                yield from _leaves(each, path)
        case dict() | list():
            return
        case _:
            yield path, value
