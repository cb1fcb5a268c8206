"""The catalogue as JSON: each kind of event, its fields, and what its source promised.

Shapes: ``{"kinds": [{"source", "type", "name", "events", "first", "last", "known",
"looked", "fields": [{"path", "events", "first", "last", "types": {TYPE: events},
"example", "known"}]}], "whole"}``. ``name`` is null where a kind has none, ``known``
where no plan says anything; ``whole`` is false where there was more than is told.
"""

from collections.abc import Mapping
from typing import NamedTuple

from gateway.event import Json, iso
from gateway.inbound.plan import Plan
from gateway.ledger.fields import Field, Found, Looked
from gateway.ledger.names import KINDS_MAX, OTHERS, Kind, Sent
from gateway.ledger.queries import Queries

Plans = Mapping[str, Plan]


class Asked(NamedTuple):
    """What of it: kinds in whole hours, fields in whole days of [from, until)."""

    from_ms: int
    until_ms: int
    source: str = ""
    name: str = ""
    fields: bool = True


def catalogue(queries: Queries, asked: Asked, plans: Plans) -> dict[str, Json]:
    """What was sent, by source, the most frequent kinds and fields first."""
    span = asked.from_ms, asked.until_ms
    sent = queries.catalogue(*span, asked.source)
    found = queries.fields(*span, asked.source) if asked.fields else None
    kinds = [
        _kind(each, plans.get(each.kind.source))
        | ({} if found is None else _looked(each.kind, found, plans))
        for each in sent
        if not asked.name or each.kind.name == asked.name
    ]
    whole = len(sent) < KINDS_MAX and (found is None or found.whole)
    return {"kinds": kinds, "whole": whole}


def _kind(sent: Sent, plan: Plan | None) -> dict[str, Json]:
    kind, events, first, last = sent
    named = {"source": kind.source, "type": kind.type, "name": kind.name or None}
    counted = {"events": events, "first": iso(first), "last": iso(last)}
    return {**named, **counted, "known": _known(plan, kind)}


def _looked(kind: Kind, found: Found, plans: Plans) -> dict[str, Json]:
    """How many were looked at, and the fields of these, the most frequent first."""
    looked, plan = found.kinds.get(kind, Looked()), plans.get(kind.source)
    order = sorted(looked.fields.items(), key=lambda each: (-each[1].events, each[0]))
    fields = [_field(path, each, plan, kind) for path, each in order]
    return {"looked": looked.events, "fields": fields}


def _known(plan: Plan | None, kind: Kind) -> bool | None:
    """Null for names that count as one: some may be known."""
    if plan is None or kind.name == OTHERS:
        return None
    return plan.knows(kind.type, kind.name)


def _field(path: str, field: Field, plan: Plan | None, kind: Kind) -> dict[str, Json]:
    known = None
    if plan is not None and OTHERS not in (kind.name, path.partition(".")[2]):
        known = plan.knows_field(kind.type, kind.name, path)
    return {
        "path": path,
        "events": field.events,
        "first": iso(field.first),
        "last": iso(field.last),
        "types": field.types,
        "example": field.example,
        "known": known,
    }
