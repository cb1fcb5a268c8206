"""What the Track API speaks of -> messages in the gateway's own form. Pure.

The form is that of events from outside pipelines (DESIGN 4.5; the table in
``gateway/workspace/request.py``): ``origin: "track"``, explicit ``identifiers``, the
first of which says whom the request is about; names and values are as sent. What comes
in was found good by ``schemas/track-api.json``; every function is total on that.
"""

from collections.abc import Mapping
from typing import TypeAlias

from gateway.email import is_email
from gateway.event import Json, Raw
from gateway.traits import read_date, read_text

Named: TypeAlias = Mapping[str, str]
Values: TypeAlias = Mapping[str, Json]
CIO_PREFIX = "cio_"
KINDS = ("id", "email", "cio_id")
NOBODY: Named = {}
# Of a payload: not attributes, but what is to be done with them.
INSTRUCTIONS = ("anonymous_id", "_update", "_timestamp", "cio_relationships")
DEVICE = frozenset({"id", "token", "platform", "last_used", "attributes"})


def text(value: Json) -> str:
    """A number as its string; nothing as no text."""
    read = read_text(value)
    return read if isinstance(read, str) else ""


def path_identifier(value: str) -> dict[str, str]:
    """Which kind of identifier a path holds (D14)."""
    if value.startswith(CIO_PREFIX):
        return {"cio_id": value.removeprefix(CIO_PREFIX)}
    return {"email" if is_email(value) else "id": value}


def explicit(given: Values | None) -> dict[str, str]:
    """``{"id" | "email" | "cio_id": value}`` as identifiers; anonymous ids are none."""
    named = {
        kind: text(value).removeprefix(CIO_PREFIX if kind == "cio_id" else "")
        for kind, value in (given or {}).items()
        if kind in KINDS
    }
    return {kind: value for kind, value in named.items() if value}


def message(
    kind: str,
    named: Named,
    *,
    at: Json = None,
    anonymous_id: Json = None,
    message_id: Json = None,
    **fields: Json,
) -> Raw:
    """A message of a type, about somebody; ``at`` is unix seconds or ISO 8601."""
    user_id = named.get("id") or named.get("email")
    optional = {
        "messageId": text(message_id),
        "userId": user_id,
        "anonymousId": text(anonymous_id),
        "timestamp": read_date(at) if at is not None else None,
    }
    return Raw(
        {
            "type": kind,
            "origin": "track",
            "identifiers": dict(named),
            **{name: value for name, value in optional.items() if value},
            **fields,
        }
    )


def identify(
    named: Named, attributes: Values | None, *, at: Json = None, **fields: Json
) -> Raw:
    """Add or update: the payload's identifiers join the named one's (D08, D13).

    A kind that is named already, or a value that identifies nobody, stays an attribute:
    the workspace says what becomes of it.
    """
    given = attributes or {}
    identifiers = dict(named)
    traits = {name: value for name, value in given.items() if name not in INSTRUCTIONS}
    for kind in KINDS:
        if kind not in identifiers and (found := explicit({kind: given.get(kind)})):
            identifiers |= found
            del traits[kind]
    if given.get("_update") is True:
        fields["updateOnly"] = True
    return message(
        "identify",
        identifiers,
        at=given.get("_timestamp") if at is None else at,
        anonymous_id=given.get("anonymous_id"),
        traits=traits,
        **fields,
    )


def happened(named: Named, given: Values, data: Values | None) -> Raw:
    """An event, or a page or screen; ``given`` has its name, id and time."""
    kind = given.get("type") or "event"
    name = "event" if kind == "event" else "name"
    return message(
        "track" if kind == "event" else kind,
        named,
        at=given.get("timestamp"),
        anonymous_id=given.get("anonymous_id"),
        message_id=given.get("id"),
        properties=dict(data or {}),
        **{name: given["name"]},
    )


def put_device(named: Named, device: Values, *, at: Json = None) -> Raw:
    """A device added or updated; its attributes may stand in it or under a name."""
    known = {"token": device.get("token") or device.get("id")}
    known["type"] = device["platform"]
    used = device.get("last_used")
    if used is not None and used != "":
        known["lastUsed"] = int(used)
    own = {name: value for name, value in device.items() if name not in DEVICE}
    return message(
        "track",
        named,
        at=at,
        event="Device Created or Updated",
        context={"device": known},
        properties={**own, **(device.get("attributes") or {})},
    )


def delete_device(named: Named, token: str, *, at: Json = None) -> Raw:
    """A device that is the person's no more."""
    return message(
        "track",
        named,
        at=at,
        event="Device Deleted",
        context={"device": {"token": token}},
        properties={},
    )


def report(metric: str, given: Values, **more: Json) -> Raw:
    """What became of a delivery; the rest of what was told stays beside it."""
    rest = {
        name: value
        for name, value in given.items()
        if name not in ("delivery_id", "metric", "event", "timestamp", "device_id")
    }
    told = {"metric": metric, "deliveryId": given["delivery_id"], **rest, **more}
    return message(
        "track",
        NOBODY,
        at=given.get("timestamp"),
        event="Report Delivery Event",
        properties={name: value for name, value in told.items() if value is not None},
    )


def person(named: Named, action: str, *, at: Json = None, **fields: Json) -> Raw:
    """What is to be done with a person: delete, suppress, merge and so on."""
    return message("person", named, at=at, action=action, **fields)


def group(
    thing: Values,
    action: str,
    *,
    whom: Values | None = None,
    attributes: Values | None = None,
    relationship: Values | None = None,
    at: Json = None,
) -> Raw:
    """An object, and whom it belongs to: as pipelines spell a group's traits."""
    traits = dict(attributes or {})
    if thing.get("object_type_id") is not None:
        traits["object_type_id"] = text(thing["object_type_id"])
    if relationship:
        traits["relationshipAttributes"] = dict(relationship)
    return message(
        "group",
        explicit(whom),
        at=at,
        anonymous_id=(whom or {}).get("anonymous_id"),
        groupId=text(thing.get("cio_object_id") or thing.get("object_id")),
        action=action,
        traits=traits,
    )


def groups(
    named: Named, relationships: Json, action: str, *, at: Json = None
) -> list[Raw]:
    """One message for each object that a person is related to."""
    whom = dict(list(named.items())[:1])
    return [
        group(
            each["identifiers"],
            action,
            whom=whom,
            relationship=each.get("relationship_attributes"),
            at=at,
        )
        for each in relationships or ()
    ]
