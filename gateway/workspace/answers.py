"""Rows -> what the look-up API answers: Customer.io's App API shapes (INTERFACE). Pure.

Attribute values are texts: JSON text where they are neither texts nor null.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row

from gateway.event import Json, iso
from gateway.traits import read_date
from gateway.workspace.elsewhere import Found
from gateway.workspace.known import as_shown
from gateway.workspace.people import Device, Person

PAGES = ("page", "screen")


def as_text(value: Json) -> str:
    """A value as the API shows every value."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def attributes(person: Person) -> dict[str, str]:
    """Everything known of a person, the identifiers included; created_at in seconds."""
    shown = {name: as_text(value) for name, value in as_shown(person).items()}
    if "created_at" in shown:
        shown["created_at"] = _seconds(person.attributes["created_at"])
    return shown


def _seconds(value: Json) -> str:
    read = read_date(value)
    if not isinstance(read, str):
        return as_text(value)
    return str(int(datetime.fromisoformat(read).timestamp()))


def identifiers(person: Person) -> dict[str, str | None]:
    """The three, null where there is none."""
    return {"email": person.email, "id": person.id, "cio_id": person.cio_id}


def customer(person: Person, devices: Iterable[Device]) -> dict[str, Json]:
    """One person, as every look-up of one answers it; ``last_seen`` is ours."""
    return {
        "id": person.id or "",
        "identifiers": identifiers(person),
        "attributes": attributes(person),
        "timestamps": {"cio_id": person.created_at},
        "unsubscribed": as_text(person.attributes.get("unsubscribed")) == "true",
        "devices": [device(each) for each in devices],
        "last_seen": person.last_seen,
    }


def device(device: Device) -> dict[str, Json]:
    """A device; its last status stands among its attributes (F013)."""
    return {
        "id": device.token,
        "platform": device.platform,
        "last_used": device.last_used,
        "attributes": {**device.attributes, "_last_status": device.last_status},
    }


def activity(row: Row[Any], person: Person) -> dict[str, Json]:
    """One activity; ``messageId`` and ``reason`` say where it comes from, and why."""
    data: Mapping[str, Json] = orjson.loads(row.data)
    shown: dict[str, Json] = {
        "customer_id": person.id,
        "customer_identifiers": identifiers(person),
        "id": str(row.seq),
        "type": row.type,
        "timestamp": row.at,
        "data": data,
        "messageId": row.message_id,
    }
    if row.type == "attribute_change":
        shown["data"] = {
            name: {
                side: None if v is None else as_text(v) for side, v in change.items()
            }
            for name, change in data.items()
        }
    if "reason" in data and row.type == "failed_attribute_change":
        shown["reason"] = data["reason"]
    if row.name is not None:
        shown["name"] = row.name
    if row.type in PAGES:
        shown["url"] = data.get("url", row.name)
    if "deliveryId" in data:
        shown["delivery_id"] = data["deliveryId"]
    return shown


def decision(row: Row[Any]) -> dict[str, Json]:
    """What was decided on an event."""
    return {
        "decision": row.decision,
        "failed_attribute_changes": orjson.loads(row.failed),
        "reason": row.reason,
        "cio_id": row.cio_id,
        "source": row.source,
        "at": iso(row.at * 1_000),
    }


def undecided(found: Found) -> dict[str, Json]:
    """Of a message that was not applied; ``errors`` are those of a refused one."""
    shown: dict[str, Json] = {
        "decision": found.decision,
        "failed_attribute_changes": [],
        "reason": found.reason,
        "cio_id": None,
        "source": found.source,
        "at": found.at,
    }
    return {**shown, "errors": list(found.errors)} if found.errors else shown


def suppressed(row: Row[Any]) -> dict[str, Json]:
    """A blocked identifier: since when, and by which message."""
    return {
        "identifier": f"{row.kind}:{row.value}",
        "at": iso(row.at * 1_000),
        "messageId": row.message_id,
    }


def page(name: str, items: Sequence[Json], following: str | None) -> dict[str, Json]:
    """One page: ``next`` is there when there is another."""
    return {name: list(items), **({} if following is None else {"next": following})}
