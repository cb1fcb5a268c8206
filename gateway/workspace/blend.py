"""Joins values of people: updates, merges, and what counts as a change. Pure.

A person has a size (D31): each request about somebody reads and writes all of them, and
whoever has a browser's key may send attributes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import orjson

from gateway.event import Json
from gateway.workspace.people import Activity, Failed, Identifier, Person

EMPTY: tuple[Json, ...] = (None, "")
ATTRIBUTES_MAX = 300  # of a person or a device, as at Customer.io
BYTES_MAX = 100_000  # of all of them as JSON, as there
FAILED_MAX = 10  # that are told one by one: the others are counted
OTHERS = "(others)"


class Blend(NamedTuple):
    """Attributes joined, and those of them for which there was no room."""

    attributes: Mapping[str, Json]
    failed: tuple[Failed, ...] = ()


def updated(old: Mapping[str, Json], new: Mapping[str, Json]) -> Blend:
    """A partial update (F010): what is named changes, null unsets, the rest stays."""
    attributes = {**old, **new}
    if None in new.values():
        attributes = {k: v for k, v in attributes.items() if v is not None}
    small = len(attributes) <= ATTRIBUTES_MAX
    if small and len(orjson.dumps(attributes)) <= BYTES_MAX:
        return Blend(attributes)
    return _fitted(old, new)


def _fitted(old: Mapping[str, Json], new: Mapping[str, Json]) -> Blend:
    """As many as there is room for, in their order; what shrinks always fits."""
    kept = {k: v for k, v in old.items() if new.get(k, v) is not None}
    size, failed = len(orjson.dumps(kept)), []
    for name, value in new.items():
        if value is None:
            continue
        grows = _size(name, value)
        if name in kept:
            grows -= _size(name, kept[name])
        elif len(kept) >= ATTRIBUTES_MAX:
            failed.append(Failed(name, value, "too_many_attributes"))
            continue
        if grows > 0 and size + grows > BYTES_MAX:
            failed.append(Failed(name, value, "attributes_too_large"))
            continue
        kept[name] = value
        size += grows
    return Blend(kept, _told(failed))


def _size(name: str, value: Json) -> int:
    return len(orjson.dumps({name: value})) - 1  # two braces, one comma


def _told(failed: list[Failed]) -> tuple[Failed, ...]:
    """The first of them; and of each reason how many more there are."""
    first, others = failed[:FAILED_MAX], failed[FAILED_MAX:]
    reasons = [each.reason for each in others]
    counted = [
        Failed(OTHERS, reasons.count(reason), reason)
        for reason in dict.fromkeys(reasons)
    ]
    return *first, *counted


def filled(old: Mapping[str, Json], more: Mapping[str, Json]) -> Blend:
    """What is there stays; what is missing or empty is filled from ``more``."""
    gaps = {
        name: value
        for name, value in more.items()
        if value not in EMPTY and old.get(name) in EMPTY
    }
    return updated(old, gaps)


def joined(primary: Person, secondary: Person) -> tuple[Person, tuple[Failed, ...]]:
    """One person of two (D07): the primary's values win, its gaps are filled.

    And which of the secondary's attributes find no room.
    """
    seen = [at for at in (primary.last_seen, secondary.last_seen) if at is not None]
    blended = filled(primary.attributes, secondary.attributes)
    person = replace(
        primary,
        id=primary.id if primary.id is not None else secondary.id,
        email=primary.email if primary.email is not None else secondary.email,
        attributes=blended.attributes,
        last_seen=max(seen, default=None),
    )
    return person, blended.failed


def seen(person: Person, at: int | None) -> Person:
    """The person, last seen then, unless seen later already (P030)."""
    if at is None or (person.last_seen is not None and person.last_seen >= at):
        return person
    return replace(person, last_seen=at)


def change(
    old: Person | None, new: Person, names: Iterable[str] | None = None
) -> Activity | None:
    """The activity that tells how a person changed; None when nothing did.

    ``names``: the attributes that may have changed; None: any.
    """
    before: Mapping[str, Json] = {} if old is None else old.attributes
    data = {
        name: {"from": before.get(name), "to": new.attributes.get(name)}
        for name in ({**before, **new.attributes} if names is None else names)
        if before.get(name) != new.attributes.get(name)
    }
    for kind in ("id", "email"):
        was = None if old is None else old.value(kind)
        if was != new.value(kind):
            data[kind] = {"from": was, "to": new.value(kind)}
    return Activity("attribute_change", data, owner=new.cio_id) if data else None


def failures(failed: Iterable[Failed], owner: str) -> list[Activity]:
    """The activities that tell what a person did not get (D20)."""
    kind = "failed_attribute_change"
    return [Activity(kind, each._asdict(), owner=owner) for each in failed]


def given(*identifiers: Identifier | None) -> list[Identifier]:
    """Those that are given and can be shared, looked up or blocked: no cio_id."""
    return [each for each in identifiers if each is not None and each.kind != "cio_id"]
