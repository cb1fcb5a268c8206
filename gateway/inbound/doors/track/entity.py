"""Track API v2: an entity -> messages. Pure.

``type`` and ``action`` decide which definition of ``schemas/track-api.json`` an entity
has to fit, and what it becomes; an entity of an unknown pair is refused with the list.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from gateway.event import Json, Raw
from gateway.inbound.check import check_part, read_part
from gateway.inbound.doors.track import translate
from gateway.inbound.doors.track.translate import Values
from gateway.inbound.refusal import Fault, Refusal
from gateway.traits import read_date

Become: TypeAlias = Callable[[Values], list[Raw]]


class Act(NamedTuple):
    """What an action needs, and what it becomes."""

    schema: str
    become: Become


def messages(given: Json) -> list[Raw] | Refusal:
    """The messages of one entity, the first of them its own; or why there are none."""
    if (refused := check_part(given, "entity")) is not None:
        return refused
    acts = ACTS[given["type"]]
    act = acts.get(given["action"])
    if act is None:
        text = f"must be one of {', '.join(acts)} for type {given['type']}"
        return Refusal((Fault("/action", text, "enum"),))
    given = read_part(given, act.schema)
    if isinstance(given, Refusal):
        return given
    for pointer, at in (
        ("/timestamp", given.get("timestamp")),
        ("/attributes/_timestamp", _instructions(given).get("_timestamp")),
    ):
        if at is not None and read_date(at) is None:
            return Refusal((Fault(pointer, UNREAD, "format"),))
    return act.become(given)


UNREAD = "must be unix seconds (or ISO 8601) that can be read as a date"


def _instructions(given: Values) -> Values:
    """The attributes of a person: elsewhere ``_timestamp`` is nothing special."""
    special = given["type"] == "person" and given["action"] == "identify"
    return (given.get("attributes") if special else None) or {}


def _identify(given: Values) -> list[Raw]:
    named, at = translate.explicit(given["identifiers"]), given.get("timestamp")
    related = given.get("cio_relationships")
    return [
        translate.identify(named, given.get("attributes"), at=at),
        *translate.groups(named, related, "add_relationships", at=at),
    ]


def _happened(given: Values) -> list[Raw]:
    whom = given.get("identifiers") or {}
    event = {"anonymous_id": whom.get("anonymous_id"), **given}
    event["type"] = given["action"]
    named = translate.explicit(whom)
    return [translate.happened(named, event, given.get("attributes"))]


def _act(given: Values) -> list[Raw]:
    named = translate.explicit(given["identifiers"])
    return [translate.person(named, given["action"], at=given.get("timestamp"))]


def _merge(given: Values) -> list[Raw]:
    return [merge(given)]


def merge(given: Values) -> Raw:
    """Two people into one: ``primary`` stays."""
    return translate.person(
        translate.explicit(given["primary"]),
        "merge",
        at=given.get("timestamp"),
        secondary=translate.explicit(given["secondary"]),
    )


def _put_device(given: Values) -> list[Raw]:
    named, at = translate.explicit(given["identifiers"]), given.get("timestamp")
    return [translate.put_device(named, given["device"], at=at)]


def _delete_device(given: Values) -> list[Raw]:
    named, device = translate.explicit(given["identifiers"]), given["device"]
    token = device.get("token") or device["id"]
    return [translate.delete_device(named, token, at=given.get("timestamp"))]


def _relate(given: Values) -> list[Raw]:
    named, at = translate.explicit(given["identifiers"]), given.get("timestamp")
    related = given["cio_relationships"]
    return translate.groups(named, related, given["action"], at=at)


def _object(given: Values) -> list[Raw]:
    """One message a person it is related to; one about nobody when there are none."""
    related: list[Values] = given.get("cio_relationships") or [{}]
    return [
        translate.group(
            given["identifiers"],
            given["action"],
            whom=each.get("identifiers"),
            attributes=given.get("attributes"),
            relationship=each.get("relationship_attributes"),
            at=given.get("timestamp"),
        )
        for each in related
    ]


def _object_event(given: Values) -> list[Raw]:
    """What happened to an object: its name and data beside the object."""
    happened = {**given, "attributes": None}
    made = _object(happened)
    for each in made:
        each["event"] = given["name"]
        each["properties"] = dict(given.get("attributes") or {})
        if given.get("id") is not None:
            each["messageId"] = translate.text(given["id"])
    return made


ACTS: Mapping[str, Mapping[str, Act]] = {
    "person": {
        "identify": Act("person_identify", _identify),
        "delete": Act("person_action", _act),
        "event": Act("person_event", _happened),
        "screen": Act("person_event", _happened),
        "page": Act("person_event", _happened),
        "add_relationships": Act("person_relationships", _relate),
        "delete_relationships": Act("person_relationships", _relate),
        "add_device": Act("person_add_device", _put_device),
        "delete_device": Act("person_delete_device", _delete_device),
        "merge": Act("merge", _merge),
        "suppress": Act("person_action", _act),
        "unsuppress": Act("person_action", _act),
    },
    "object": {
        "identify": Act("object_identify", _object),
        "identify_anonymous": Act("object_identify", _object),
        "delete": Act("object_identify", _object),
        "event": Act("object_event", _object_event),
        "add_relationships": Act("object_relationships", _object),
        "delete_relationships": Act("object_relationships", _object),
    },
}
