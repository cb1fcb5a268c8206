"""Messages, origins, routes and recordings that the inbound tests start from."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.config import DestinationConfig, Limits
from gateway.event import EventType, Origin, Raw, iso
from gateway.inbound import decode
from gateway.inbound.admit import Admitted, admit
from gateway.inbound.check import check, reference_errors
from gateway.inbound.decode import NO_BATCH, Batch
from gateway.inbound.intake import Rules
from gateway.inbound.refusal import Fault, Refusal
from gateway.inbound.route import Routes

LIMITS = Limits()
RECEIVED_MS = 1_768_472_000_000
RECEIVED = "2026-01-15T10:13:20.000Z"
TYPES: tuple[EventType, ...] = ("identify", "track", "page", "screen", "group", "alias")
SIX = frozenset(TYPES)
CLIENTS = Path(__file__).parents[1] / "clients"
ENDPOINTS: dict[str, EventType | None] = {
    **{name: name for name in TYPES},
    **{name[0]: name for name in TYPES},
    "batch": None,
    "b": None,
}


def apart(value: Any, endpoint: EventType | None) -> tuple[list[Any], Batch]:
    """The messages of a body, and what it says for all of them."""
    if endpoint is not None:
        return [value], NO_BATCH
    return decode.messages_of(value, LIMITS), decode.shared(value, LIMITS)


def identify(**fields: Any) -> Raw:
    return Raw({"type": "identify", "userId": "user-1", **fields})


def message(kind: str, **fields: Any) -> Raw:
    """The smallest valid message of a type."""
    needed = {
        "track": {"event": "Song Played"},
        "group": {"groupId": "group-1"},
        "alias": {"previousId": "anon-1"},
    }
    return Raw({"type": kind, "userId": "user-1", **needed.get(kind, {}), **fields})


def origin(**fields: Any) -> Origin:
    return Origin(
        **{
            "source": "shop",
            "kind": "server",
            "received_at": iso(fields.get("received_at_ms", RECEIVED_MS)),
            "received_at_ms": RECEIVED_MS,
            "spare_message_id": "spare-1",
            **fields,
        }
    )


def rules(*names: str, limits: Limits = LIMITS) -> Rules:
    """Without plans, for destinations that take all six types."""
    return Rules(routes=routes(*names), plans={}, limits=limits)


def routes(*names: str, **more: DestinationConfig) -> Routes:
    """Destinations of one type each, called by their name, that take all six types."""
    configured = {
        name: DestinationConfig(name=name, type="webhook", display_name=(name.title(),))
        for name in names
    } | more
    return Routes(configured, dict.fromkeys(configured, SIX))


def admitted(
    raw: Any, endpoint: EventType | None = "identify", **fields: Any
) -> Admitted:
    """One message all the way; an AssertionError with the faults if it is refused."""
    prepared = decode.prepare(raw, endpoint, decode.Batch())
    assert not isinstance(prepared, Refusal), prepared
    result = admit(prepared, origin(**fields), routes("crm", "mail"))
    assert isinstance(result, Admitted), result
    return result


def faults(checked: object) -> tuple[Fault, ...]:
    """What a refusal says; an AssertionError if it is none."""
    assert isinstance(checked, Refusal), checked
    return checked.faults


def codes(refusal: Any) -> set[tuple[str, str]]:
    """(pointer, code) of a refusal; fails when it is none."""
    assert isinstance(refusal, Refusal), refusal
    return {(fault.pointer, fault.code) for fault in refusal.faults}


def verdict(raw):
    """(pointer, code) pairs, the same from both validators; empty when it is valid."""
    result = check(raw)
    told = codes(result) if isinstance(result, Refusal) else set()
    assert {(fault.pointer, fault.code) for fault in reference_errors(raw)} == told
    return told


def accepts(raw):
    assert verdict(raw) == set()


def recordings() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and request of everything the SDKs sent to a pipelines endpoint."""
    for file in sorted(CLIENTS.glob("*/*.json")):
        request = json.loads(file.read_text(encoding="utf-8"))["request"]
        if request["method"] == "POST":  # the others ask for their settings
            yield f"{file.parent.name}/{file.stem}", request
