"""Sends people, events, companies and merges to Customer.io's Track API.

An identify updates the person: by the email if the `userId` is one, by the `cio_id`
after `cio_`, else by the id; without a `userId` by the email trait. Traits keep their
names (set `spelling = "snake_case"` if your attributes are called so); `createdAt` is
`created_at`, and dates among the reserved traits are unix seconds. The `anonymousId`
goes along, so that Customer.io joins what was done before. A track, page or screen is
an event with the time it happened; its `id` is made of the message id, so that a
repeated one is ignored. `Device Created or Updated` and `Device Deleted`, with a
`context.device.token`, change the person's devices instead; `User Deleted` and the like
are events as any, for whoever has a public write key could send them. A person without
`userId` and email can have events, but no attributes: such an identify is skipped. A
group is an object (type `1`, or the trait `objectTypeId`) and the person's relationship
to it; an alias merges two people.

Up to 50 events are one batch (`/api/v2/batch`), one alone is `/api/v2/entity`.
Customer.io answers 207 when it refuses some of a batch: those are dead letters, the
others are delivered. 429 and 5xx: it is sent again.

What Customer.io would cut or drop in silence is left out, and named in the outcome's
`detail`: attributes over 1,000 bytes, names over 150 bytes, more than 300 attributes,
and an id or email other than the one by which the person is known. An event over 32 KB,
or an id over 150 bytes, is a dead letter; nothing is sent.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from gateway.email import is_email
from gateway.errors import ConfigError
from gateway.event import PIPELINE_TYPES, Json
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Skipped,
    Takes,
    Verdict,
    laid_over,
)
from gateway.outbound.endpoints import Endpoint, Made, by_endpoint, object_of, words
from gateway.outbound.http import NoResponse, Request, Response, by_status
from gateway.outbound.kind import Context, Kind, Schema, setting
from gateway.outbound.reserved import Field, at_ms, placed, unix_s
from gateway.outbound.shape import Mapped

HOSTS = {"US": "https://track.customer.io", "EU": "https://track-eu.customer.io"}
BATCH, BATCH_BYTES, ITEM_BYTES = 50, 500_000, 32_000
FRAME_BYTES = 100  # around a batch
ANSWER_BYTES = 262_144  # of a batch: a verdict for each
ID_BYTES, NAME_BYTES, VALUE_BYTES, ATTRIBUTES = 150, 150, 1_000, 300
EVENT_NAME_BYTES = 100
OBJECT_TYPE = "1"  # what Customer.io calls the first type of objects
PARTIAL = 207
RESERVED: Mapping[str, Field] = {
    "createdAt": Field("created_at", unix_s),
    "birthday": Field("birthday", unix_s),
}
UNNAMED = {"page": "Loaded a Page", "screen": "Viewed a Screen"}
DEVICES = {
    "Device Created or Updated": "add_device",
    "Application Installed": "add_device",
    "Application Opened": "add_device",
    "Device Deleted": "delete_device",
    "Application Uninstalled": "delete_device",
}
PLATFORMS = ("ios", "android")
ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``settings = {...}`` of a customerio."""

    site_id: str = setting(
        doc="The site id of the workspace's Track API", example='"${CIO_SITE_ID}"'
    )
    api_key: str = setting(doc="Its API key", example='"${CIO_API_KEY}"', secret=True)
    region: Literal["US", "EU"] = setting(
        doc="Where the workspace is", example='"EU"', default="US"
    )


def check(settings: Settings, place: str) -> None:
    """Raise ConfigError for a value that cannot work."""
    for name in ("site_id", "api_key"):
        if not getattr(settings, name).strip():
            raise ConfigError(f"{place}.{name}: is empty")


def made(delivery: Delivery, settings: Settings) -> Made:
    """What an event becomes: one operation on a person or an object, or an event."""
    del settings
    body = delivery.event.body
    person = person_of(body)
    for said in [*person.values(), body.get("groupId") or "", body.get("previousId")]:
        if len(str(said or "").encode()) > ID_BYTES:
            detail = f"an identifier over {ID_BYTES} bytes"
            return Made(end=Rejected("rejected", detail, unsent=True))
    match body["type"]:
        case "identify":
            return _identified(delivery, person)
        case "group":
            return _grouped(delivery, person)
        case "alias":
            return _merged(body)
        case _:
            return _happened(delivery, person)


def person_of(body: Mapping[str, Json]) -> dict[str, str]:
    """The one identifier that Customer.io knows the person by; empty: it has none."""
    known = body.get("identifiers")
    if isinstance(known, dict):  # of the Track API: explicit
        for name in ("cio_id", "id", "email"):
            if isinstance(known.get(name), str) and known[name]:
                return {name: known[name]}
    if user_id := body.get("userId"):
        return _named(user_id)
    traits = body.get("traits") if body["type"] == "identify" else None
    context = body.get("context")
    within = context.get("traits") if isinstance(context, dict) else None
    for each in (traits, within):
        email = each.get("email") if isinstance(each, dict) else None
        if isinstance(email, str) and is_email(email):
            return {"email": email}
    return {}


def _named(user_id: str) -> dict[str, str]:
    if is_email(user_id):
        return {"email": user_id}
    if user_id.startswith("cio_") and len(user_id) > len("cio_"):
        return {"cio_id": user_id.removeprefix("cio_")}
    return {"id": user_id}


def _identified(delivery: Delivery, person: Mapping[str, str]) -> Made:
    body = delivery.event.body
    if not person:
        return Made(end=Skipped("Customer.io knows no person without userId or email"))
    attributes, lost = _attributes(delivery, body.get("traits"))
    for name, value in person.items():  # another would give the person that one
        if str(attributes.pop(name, value)).lower() != value.lower():
            lost.append(f"traits.{name} (the person is known by another)")
    if body.get("anonymousId"):
        attributes["anonymous_id"] = body["anonymousId"]
    entity: dict[str, Json] = {"type": "person", "identifiers": person}
    entity |= {"action": "identify", "timestamp": at_ms(body) // 1_000}
    return Made([("people", {**entity, "attributes": attributes})], lost=lost)


def _attributes(delivery: Delivery, traits: Json) -> tuple[dict[str, Json], list[str]]:
    """What Customer.io can keep, the configured ones laid over; and what it cannot."""
    fields, own, lost = placed(traits, RESERVED)
    kept: dict[str, Json] = {}
    for name, value in laid_over({**own, **fields}, delivery.fields).items():
        if not name or len(name.encode()) > NAME_BYTES:
            lost.append(f"traits.{name[:40]} (a name over {NAME_BYTES} bytes, or none)")
        elif _bytes(value) > VALUE_BYTES:
            lost.append(f"traits.{name} (over {VALUE_BYTES} bytes)")
        elif len(kept) >= ATTRIBUTES:
            lost.append(f"traits.{name} (beyond {ATTRIBUTES} attributes)")
        else:
            kept[name] = value
    return kept, lost


def _bytes(value: Json) -> int:
    return len(value.encode() if isinstance(value, str) else orjson.dumps(value))


def _happened(delivery: Delivery, person: Mapping[str, str]) -> Made:
    body = delivery.event.body
    if person and (meant := _meant(body)):
        entity = {"type": "person", "identifiers": person}
        return Made([("people", {**entity, **meant})])
    kind = "event" if body["type"] == "track" else body["type"]
    own = body.get("properties")
    data = dict(laid_over(own if isinstance(own, dict) else {}, delivery.fields))
    name, lost = _event_name(body), []
    if len(name.encode()) > EVENT_NAME_BYTES:
        name = name.encode()[:EVENT_NAME_BYTES].decode(errors="ignore")
        lost = [f"the event's name beyond {EVENT_NAME_BYTES} bytes"]
    when = at_ms(body)
    said: dict[str, Json] = {"name": name}
    said["id"] = ulid(delivery.event.message_id, when)
    said["timestamp"] = when // 1_000
    if person:
        entity = {"type": "person", "identifiers": person, "action": kind, **said}
        return Made([("people", {**entity, "attributes": data})], lost=lost)
    if not body.get("anonymousId"):
        return Made(end=Skipped("nobody: neither userId nor anonymousId"))
    event = {**said, "type": kind, "anonymous_id": body["anonymousId"], "data": data}
    return Made([("anonymous", event)], lost=lost)


def _meant(body: Mapping[str, Json]) -> dict[str, Json] | None:
    """What a track is, if it is no event: a device that came, or went."""
    event = body.get("event") if body["type"] == "track" else None
    context = body.get("context")
    said = context.get("device") if isinstance(context, dict) else None
    if event not in DEVICES or not isinstance(said, dict):
        return None
    token, platform = said.get("token"), str(said.get("type")).lower()
    if not isinstance(token, str) or not token or platform not in PLATFORMS:
        return None
    device: dict[str, Json] = {"token": token}
    if DEVICES[event] == "add_device":
        device |= {"platform": platform, "last_used": at_ms(body) // 1_000}
    return {"action": DEVICES[event], "device": device}


def _event_name(body: Mapping[str, Json]) -> str:
    """Customer.io knows a page by its address, and needs a name of each."""
    if body["type"] == "track":
        return str(body.get("event") or "Unnamed")
    properties = body.get("properties")
    own = properties if isinstance(properties, dict) else {}
    url = own.get("url") if body["type"] == "page" else None
    found = url or body.get("name") or own.get("url") or own.get("path")
    return str(found or UNNAMED[body["type"]])


def ulid(message_id: str, when_ms: int) -> str:
    """The same for the same message: its time, then 80 bits of its id's digest."""
    digest = hashlib.sha256(message_id.encode()).digest()[:10]
    number = (max(when_ms, 0) % (1 << 48)) << 80 | int.from_bytes(digest, "big")
    return "".join(ULID[number >> shift & 31] for shift in range(125, -1, -5))


def _grouped(delivery: Delivery, person: Mapping[str, str]) -> Made:
    body = delivery.event.body
    own = body.get("traits")
    traits = dict(own) if isinstance(own, dict) else {}
    types = [traits.pop(name, None) for name in ("objectTypeId", "object_type_id")]
    attributes, lost = _attributes(delivery, traits)
    group = {"object_type_id": str(next(filter(None, types), OBJECT_TYPE))}
    group["object_id"] = str(body.get("groupId") or "")
    if not group["object_id"]:
        return Made(end=Skipped("no groupId"))
    entity: dict[str, Json] = {"type": "object", "identifiers": group}
    entity |= {"action": "identify", "attributes": attributes}
    if person:
        entity["cio_relationships"] = [{"identifiers": person}]
    elif body.get("anonymousId"):
        anonymous = {"anonymous_id": body["anonymousId"]}
        entity["action"] = "identify_anonymous"
        entity["cio_relationships"] = [{"identifiers": anonymous}]
    return Made([("people", entity)], lost=lost)


def _merged(body: Mapping[str, Json]) -> Made:
    """The previous person becomes part of this one."""
    now, before = body.get("userId"), body.get("previousId")
    if not now or not before or now == before:
        return Made(end=Skipped("nobody to merge"))
    entity = {"type": "person", "action": "merge"}
    people = {"primary": _named(now), "secondary": _named(before)}
    return Made([("people", {**entity, **people})])


def people(items: Sequence[bytes], settings: Settings) -> Request:
    """One operation, or a batch of them."""
    if len(items) == 1:
        return _request("/api/v2/entity", items[0], settings)
    return _request("/api/v2/batch", b'{"batch":[%b]}' % b",".join(items), settings)


def anonymous(items: Sequence[bytes], settings: Settings) -> Request:
    """An event of somebody unknown: v2 has no way to say it."""
    return _request("/api/v1/events", items[0], settings)


def _request(path: str, body: bytes, settings: Settings) -> Request:
    login = b64encode(f"{settings.site_id}:{settings.api_key}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    url = HOSTS[settings.region] + path
    return Request(url=url, headers=headers, body=body, answer_bytes=ANSWER_BYTES)


def judge(answer: Response, count: int) -> Verdict | Sequence[Verdict]:
    """207 names what it refused, by index; 400 of one operation says why."""
    errors = object_of(answer).get("errors")
    named = [each for each in errors or () if isinstance(each, dict)]
    if answer.status == PARTIAL:
        refused = {each.get("batch_index"): each for each in named}
        if not refused.keys() & set(range(count)):  # cut, or none that we know
            return Rejected("rejected", "207 without an index", PARTIAL)
        return [
            _refused(PARTIAL, refused[index])
            if index in refused
            else Delivered(PARTIAL)
            for index in range(count)
        ]
    verdict = by_status(answer)
    if isinstance(verdict, Rejected) and named:
        return _refused(answer.status, named[0])
    return verdict


def _refused(status: int, error: Mapping[str, Json]) -> Rejected:
    said = words(status, error.get("field"), error.get("reason"))
    return Rejected("rejected", said, status)


async def asks(settings: Settings, context: Context) -> str | None:
    """Ask which region the account is in: any key may."""
    request = _request("/api/v1/accounts/region", b"", settings)
    answer = await context.send(
        Request(method="GET", url=request.url, headers=request.headers)
    )
    if isinstance(answer, NoResponse):
        return answer.reason
    verdict = by_status(answer)
    return None if isinstance(verdict, Delivered) else str(answer.status)


SIZE = BATCH_BYTES - FRAME_BYTES
KIND = Kind(
    doc=__doc__,
    settings=Schema.of(Settings),
    mapped=Mapped(),
    takes=Takes(
        types=frozenset(PIPELINE_TYPES),
        batch_events=BATCH,
        batch_bytes=BATCH_BYTES,
        linger_s=0.05,
        attempt_requests=BATCH,
        names=("Customer.io", "Customer.io (Actions)"),
    ),
    check=check,
    talk=by_endpoint(
        made,
        {
            "people": Endpoint(
                request=people, judge=judge, count=BATCH, size=SIZE, item=ITEM_BYTES
            ),
            "anonymous": Endpoint(request=anonymous, judge=judge, item=ITEM_BYTES),
        },
    ),
    foreseen=True,
    reserved=RESERVED,
    asks=asks,
)
