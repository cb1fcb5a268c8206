"""What people do, and the phones they do it on (F001-F024, E001-E016). Pure."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.event import Json
from gateway.workspace import blend
from gateway.workspace.people import Activity, Concerned, Decision, Device, Person
from gateway.workspace.request import (
    DeleteDevice,
    Happened,
    Identify,
    PutDevice,
    Report,
    Request,
    is_long,
)

PLATFORMS = frozenset({"ios", "android"})
LAST_STATUS: Mapping[str, str] = {
    **dict.fromkeys(("sent", "delivered", "opened", "clicked", "converted"), "sent"),
    "bounced": "bounced",
    "suppressed": "suppressed",
}
BY_EMAIL = frozenset(  # they are told of emails alone
    {"human_clicked", "human_opened", "machine_clicked", "prefetch_clicked"}
    | {"prefetch_opened", "spammed", "topic_unsubscribed"}
)
METRICS = BY_EMAIL.union(
    LAST_STATUS,
    ("attempted", "created", "deferred", "drafted", "dropped", "failed"),
    ("subscribed", "undeliverable", "unsubscribed"),
)
"""The vendor's words; the Track API refuses others (``schemas/track-api.json``)."""


def _who(request: Request, concerned: Concerned) -> Person | Decision | None:
    """Whom the request is about; None: nobody known, a Decision: it ends here."""
    if request.path is None:
        return None
    person = concerned.people.get(request.path.key)
    keys = [request.path.key]
    if request.path.kind == "cio_id" and person is not None:
        keys += person.identifiers()
    if any(key in concerned.suppressed for key in keys):
        return Decision(result="ignored", reason="suppressed")
    return person


def happen(request: Request, asks: Happened, concerned: Concerned) -> Decision:
    """Keep an activity: the person's, or the anonymousId's until it is known whose."""
    person = _who(request, concerned)
    if isinstance(person, Decision):
        return person
    if person is None:
        return _unowned(request, Activity(asks.type, asks.data, name=asks.name))
    seen = blend.seen(person, request.seen_at)
    activity = Activity(asks.type, asks.data, owner=person.cio_id, name=asks.name)
    return Decision(
        result="updated",
        person=person.cio_id,
        people=() if seen is person else (seen,),
        activities=(activity,),
    )


def _unowned(
    request: Request, activity: Activity, devices: tuple[Device, ...] = ()
) -> Decision:
    if request.anonymous_id is None:
        nobody = "no_identifier" if request.path is None else "unknown_person"
        return Decision(result="ignored", reason=nobody)
    return Decision(
        result="updated",
        reason="kept_anonymous",
        devices=devices,
        activities=(activity._replace(anonymous_id=request.anonymous_id),),
    )


def put_device(request: Request, asks: PutDevice, concerned: Concerned) -> Decision:
    """F012-F021: token and platform are required; the token has one owner."""
    known = concerned.devices.get(asks.token or "")
    platform = asks.platform or (None if known is None else known.platform)
    if asks.token is None:
        return Decision(result="ignored", reason="device_without_token")
    if is_long(asks.token):
        return Decision(result="ignored", reason="token_too_long")
    if platform not in PLATFORMS:
        return Decision(result="ignored", reason="device_without_platform")
    person = _who(request, concerned)
    if isinstance(person, Decision):
        return person
    if person is None and request.path is not None and request.anonymous_id is None:
        return Decision(result="ignored", reason="unknown_person")
    owner = None if person is None else person.cio_id
    if person is None and known is not None:
        owner = known.owner
    status, attributes = _attributes(asks.attributes)
    before = {} if known is None else known.attributes
    blended = blend.updated(before, attributes)
    device = Device(
        token=asks.token,
        owner=owner,
        platform=platform,
        last_used=request.received_at if asks.last_used is None else asks.last_used,
        last_status=status or ("" if known is None else known.last_status),
        attributes=blended.attributes,
    )
    activity = Activity("device_change", _told(device), owner=owner)
    if person is None:
        unowned = _unowned(request, activity, (device,))
        return replace(unowned, failed=blended.failed)
    seen = blend.seen(person, request.seen_at)
    return Decision(
        result="updated",
        person=person.cio_id,
        people=() if seen is person else (seen,),
        failed=blended.failed,
        devices=(device,),
        activities=(activity, *blend.failures(blended.failed, person.cio_id)),
    )


def _attributes(given: Mapping[str, Json]) -> tuple[str, dict[str, Json]]:
    """The status, if one is given (F013), and the attributes as kept (F014)."""
    attributes = {k: v for k, v in given.items() if k != "_last_status"}
    enabled = attributes.get("push_enabled")
    if isinstance(enabled, bool):
        attributes["push_enabled"] = "true" if enabled else "false"
    status = given.get("_last_status")
    return (status if status in ("sent", "bounced", "suppressed") else ""), attributes


def _told(device: Device) -> dict[str, Json]:
    return {"id": device.token, "platform": device.platform}


def attach_device(
    request: Request, asks: Identify, cio_id: str, concerned: Concerned
) -> tuple[Device | None, list[Activity]]:
    """The device that an identify carries, with its new owner (F004, F016)."""
    known = concerned.devices.get(asks.token or "")
    unusable = asks.token is None or is_long(asks.token)
    if unusable or (known is None and asks.platform not in PLATFORMS):
        return None, []
    if known is None:
        known = Device(
            token=asks.token or "",
            owner=None,
            platform=asks.platform or "",
            last_used=0,
        )
    device = replace(known, owner=cio_id, last_used=request.received_at)
    if known.owner == cio_id:
        return device, []
    return device, [Activity("device_change", _told(device), owner=cio_id)]


def delete_device(
    request: Request, asks: DeleteDevice, concerned: Concerned
) -> Decision:
    """The token is nobody's any more; another person's token is left alone."""
    person = _who(request, concerned)
    if isinstance(person, Decision):
        return person
    device = concerned.devices.get(asks.token or "")
    if device is None:
        return Decision(result="ignored", reason="unknown_device")
    if person is None and (request.path is not None or device.owner is not None):
        return Decision(result="ignored", reason="unknown_person")
    owner = None if person is None else person.cio_id
    if owner != device.owner:
        return Decision(result="ignored", reason="device_of_other_person")
    told = Activity("device_change", {**_told(device), "deleted": True}, owner=owner)
    return Decision(
        result="updated",
        person=owner,
        devices_gone=(device.token,),
        activities=() if owner is None else (told,),
    )


def report(request: Request, asks: Report, concerned: Concerned) -> Decision:
    """What became of a message: the device's last status, and an activity."""
    if asks.metric not in METRICS:
        return Decision(result="ignored", reason="unknown_metric")
    person = _who(request, concerned)
    if isinstance(person, Decision):
        return person
    if person is None and asks.email is not None:
        person = concerned.people.get(asks.email.key)
    device = concerned.devices.get(asks.recipient or "")
    owner = device.owner if person is None and device is not None else None
    owner = owner if person is None else person.cio_id
    status = LAST_STATUS.get(asks.metric)
    moved: tuple[Device, ...] = ()
    if device is not None and status is not None and device.last_status != status:
        moved = (replace(device, last_status=status),)
    if owner is None and not moved:
        return Decision(result="ignored", reason="unknown_person")
    way = "in_app" if asks.recipient is None else "push"
    if asks.email is not None or (device is None and asks.metric in BY_EMAIL):
        way = "email"
    activity = Activity(f"{asks.metric}_{way}", asks.data, owner=owner)
    return Decision(
        result="updated",
        person=owner,
        devices=moved,
        activities=() if owner is None else (activity,),
    )
