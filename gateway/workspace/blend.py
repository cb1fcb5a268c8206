"""Joins values of people: updates, merges, and what counts as a change. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.event import Json
from gateway.workspace.people import Activity, Identifier, Person

EMPTY: tuple[Json, ...] = (None, "")


def updated(old: Mapping[str, Json], new: Mapping[str, Json]) -> dict[str, Json]:
    """A partial update (F010): what is named changes, null unsets, the rest stays."""
    attributes = {**old, **new}
    if None in new.values():
        attributes = {k: v for k, v in attributes.items() if v is not None}
    return attributes


def filled(old: Mapping[str, Json], more: Mapping[str, Json]) -> dict[str, Json]:
    """What is there stays; what is missing or empty is filled from ``more``."""
    gaps = {
        name: value
        for name, value in more.items()
        if value not in EMPTY and old.get(name) in EMPTY
    }
    return {**old, **gaps}


def joined(primary: Person, secondary: Person) -> Person:
    """One person of two (D07): the primary's values win, its gaps are filled."""
    seen = [at for at in (primary.last_seen, secondary.last_seen) if at is not None]
    return replace(
        primary,
        id=primary.id if primary.id is not None else secondary.id,
        email=primary.email if primary.email is not None else secondary.email,
        attributes=filled(primary.attributes, secondary.attributes),
        last_seen=max(seen, default=None),
    )


def seen(person: Person, at: int | None) -> Person:
    """The person, last seen then, unless seen later already (P030)."""
    if at is None or (person.last_seen is not None and person.last_seen >= at):
        return person
    return replace(person, last_seen=at)


def change(old: Person | None, new: Person) -> Activity | None:
    """The activity that tells how a person changed; None when nothing did."""
    before: Mapping[str, Json] = {} if old is None else old.attributes
    data = {
        name: {"from": before.get(name), "to": new.attributes.get(name)}
        for name in {**before, **new.attributes}
        if before.get(name) != new.attributes.get(name)
    }
    for kind in ("id", "email"):
        was = None if old is None else old.value(kind)
        if was != new.value(kind):
            data[kind] = {"from": was, "to": new.value(kind)}
    return Activity("attribute_change", data, owner=new.cio_id) if data else None


def given(*identifiers: Identifier | None) -> list[Identifier]:
    """Those that are given and can be shared, looked up or blocked: no cio_id."""
    return [each for each in identifiers if each is not None and each.kind != "cio_id"]
