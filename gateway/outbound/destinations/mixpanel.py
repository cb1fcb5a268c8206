"""Sends profiles, events, groups and identities to Mixpanel.

An identify sets the profile's properties (`/engage`): the `userId` is the distinct id,
else the `anonymousId`. Reserved traits are Mixpanel's own (`$email`, `$name`,
`$created`, ...), whichever spelling they came in; all others keep their names. With
both ids a `$identify` joins them, and every event carries `$user_id` and `$device_id`,
so that projects with either kind of ID merge know the person. An alias is a
`$create_alias`. A group is a group profile with the key `$group_id`, and the person's
profile lists it. A page or screen is the event `Viewed NAME`.

With `api_secret` events are imported (`/import`, strict): up to 2,000 a request, each
judged, of the last five years. Without it they go to `/track`, one by one, for there
one bad event of many would be lost in silence; Mixpanel drops what is older than five
days there, so such an event is a dead letter that says so. `$insert_id` is the message
id, or is made of it, so that a repeated event counts once.

Of a batch that Mixpanel refuses in part (400) only the bad events are dead letters. 429
and 5xx: it is sent again. Properties beyond 255, and an event's own `time`,
`distinct_id` and the like, are left out and named in the outcome's `detail`.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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
from gateway.outbound.http import Request, Response, by_status
from gateway.outbound.kind import Kind, Schema, setting
from gateway.outbound.reserved import (
    Field,
    at_ms,
    event_name,
    from_context,
    full_name,
    iso_date,
    placed,
    text,
    unix_ms,
)
from gateway.outbound.shape import Mapped

HOSTS = {
    "US": "https://api.mixpanel.com",
    "EU": "https://api-eu.mixpanel.com",
    "IN": "https://api-in.mixpanel.com",
}
IMPORT_EVENTS, PROFILES, GROUPS, ALONE = 2_000, 2_000, 200, 50
REQUEST_BYTES, ITEM_BYTES = 2_000_000, 1_000_000
ANSWER_BYTES = 1_000_000  # a record that failed is told in some 200 bytes
PROPERTIES = 255
TRACK_MS = 5 * 86_400_000  # older events are dropped by /track
INSERT_ID = re.compile(r"[A-Za-z0-9-]{1,36}")
GROUP_KEY = "$group_id"
RESERVED: Mapping[str, Field] = {
    "email": Field("$email"),
    "name": Field("$name"),
    "firstName": Field("$first_name"),
    "lastName": Field("$last_name"),
    "phone": Field("$phone", text),
    "avatar": Field("$avatar"),
    "username": Field("$username"),
    "createdAt": Field("$created", iso_date),
    "address.city": Field("$city"),
    "address.country": Field("$country_code"),
    "address.state": Field("$region"),
}
GROUP: Mapping[str, Field] = {
    "name": Field("$name"),
    "createdAt": Field("$created", iso_date),
}
CONTEXT: Mapping[tuple[str, ...], str] = {
    ("ip",): "ip",
    ("page", "url"): "$current_url",
    ("page", "referrer"): "$referrer",
    ("os", "name"): "$os",
    ("os", "version"): "$os_version",
    ("device", "manufacturer"): "$manufacturer",
    ("device", "model"): "$model",
    ("app", "version"): "$app_version_string",
    ("app", "build"): "$app_build_number",
    ("screen", "width"): "$screen_width",
    ("screen", "height"): "$screen_height",
    ("network", "carrier"): "$carrier",
    ("library", "name"): "mp_lib",
    ("library", "version"): "$lib_version",
    ("campaign", "source"): "utm_source",
    ("campaign", "medium"): "utm_medium",
    ("campaign", "name"): "utm_campaign",
    ("campaign", "term"): "utm_term",
    ("campaign", "content"): "utm_content",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``settings = {...}`` of a mixpanel."""

    project_token: str = setting(
        doc="The project's token", example='"${MIXPANEL_TOKEN}"', secret=True
    )
    region: Literal["US", "EU", "IN"] = setting(
        doc="Where the project's data is kept", example='"EU"', default="US"
    )
    api_secret: str = setting(
        doc="The project's API secret: events are imported in batches, and may be old",
        example='"${MIXPANEL_SECRET}"',
        secret=True,
        default="",
    )


def check(settings: Settings, place: str) -> None:
    """Raise ConfigError for a value that cannot work."""
    if not settings.project_token.strip():
        raise ConfigError(f"{place}.project_token: is empty")


def made(delivery: Delivery, settings: Settings) -> Made:
    """What an event becomes."""
    body = delivery.event.body
    who: str = body.get("userId") or body.get("anonymousId") or ""
    if not who and body["type"] != "group":
        return Made(end=Skipped("nobody: neither userId nor anonymousId"))
    match body["type"]:
        case "identify":
            return _identified(delivery, settings, who)
        case "group":
            return _grouped(delivery, settings, who)
        case "alias":
            return _aliased(body, settings)
        case _:
            return _happened(delivery, settings, who)


def _identified(delivery: Delivery, settings: Settings, who: str) -> Made:
    body, token = delivery.event.body, settings.project_token
    fields, own, lost = placed(body.get("traits"), RESERVED)
    if name := full_name(body.get("traits") or {}):
        fields["$name"] = name
    if is_email(who):
        fields.setdefault("$email", who)
    values = laid_over({**own, **fields}, delivery.fields)
    profile: dict[str, Json] = {"$token": token, "$distinct_id": who}
    profile |= _of_context(body)
    profile["$set"] = _limited(values, lost, "traits")
    items: list[tuple[str, Json]] = [("profiles", profile)]
    if body.get("userId") and body.get("anonymousId"):
        joined = {"$identified_id": who, "$anon_id": body["anonymousId"]}
        event = {"event": "$identify", "properties": {**joined, "token": token}}
        items.append(("identities", event))
    return Made(items, lost=lost)


def _of_context(body: Mapping[str, Json]) -> dict[str, Json]:
    """Where the person is; and whether it did anything, or was only written of."""
    context = body.get("context")
    said: dict[str, Json] = {}
    if isinstance(context, dict):
        if isinstance(context.get("ip"), str) and context["ip"]:
            said["$ip"] = context["ip"]
        if context.get("active") is False:
            said["$ignore_time"] = True
    return said


def _limited(
    values: Mapping[str, Json], lost: list[str], place: str
) -> dict[str, Json]:
    """As many properties as Mixpanel takes."""
    named = {name: each for name, each in values.items() if name}
    lost += [f"{place}.{name} (beyond {PROPERTIES})" for name in [*named][PROPERTIES:]]
    return {name: named[name] for name in [*named][:PROPERTIES]}


def _grouped(delivery: Delivery, settings: Settings, who: str) -> Made:
    body, token = delivery.event.body, settings.project_token
    group = str(body.get("groupId") or "")
    if not group:
        return Made(end=Skipped("no groupId"))
    fields, own, lost = placed(body.get("traits"), GROUP)
    values = laid_over({**own, **fields}, delivery.fields)
    profile: dict[str, Json] = {"$token": token, "$group_key": GROUP_KEY}
    profile |= {"$group_id": group, "$set": _limited(values, lost, "traits")}
    items: list[tuple[str, Json]] = [("groups", profile)]
    if who:
        member = {"$token": token, "$distinct_id": who, "$union": {GROUP_KEY: [group]}}
        items.insert(0, ("members", member))
    return Made(items, lost=lost)


def _aliased(body: Mapping[str, Json], settings: Settings) -> Made:
    now, before = body.get("userId"), body.get("previousId")
    if not now or not before or now == before:
        return Made(end=Skipped("nobody to join"))
    joined = {"distinct_id": before, "alias": now, "token": settings.project_token}
    return Made([("identities", {"event": "$create_alias", "properties": joined})])


def _happened(delivery: Delivery, settings: Settings, who: str) -> Made:
    body, when = delivery.event.body, at_ms(delivery.event.body)
    ours: dict[str, Json] = {"distinct_id": who, "time": when}
    ours["$insert_id"] = insert_id(delivery.event.message_id)
    for name, key in (("$user_id", "userId"), ("$device_id", "anonymousId")):
        if body.get(key):
            ours[name] = body[key]
    if not settings.api_secret:
        ours["token"] = settings.project_token
        if when < _now_ms(delivery) - TRACK_MS:
            detail = "older than five days: Mixpanel takes it only with api_secret"
            return Made(end=Rejected("rejected", detail, unsent=True))
    own = body.get("properties")
    values = {**_context(body), **(own if isinstance(own, dict) else {})}
    values = {**laid_over(values, delivery.fields)}
    lost = [f"properties.{name} (Mixpanel's own)" for name in ours if name in values]
    values = {name: each for name, each in values.items() if name not in ours}
    event = {
        "event": event_name(body),
        "properties": {**ours, **_limited(values, lost, "properties")},
    }
    return Made([("imported" if settings.api_secret else "tracked", event)], lost=lost)


def _now_ms(delivery: Delivery) -> int:
    """When it is sent, nearly: it was received, or replayed, just now."""
    received = unix_ms(delivery.event.received_at) or 0
    return received if delivery.place is None else delivery.place.appended_at_ms


def insert_id(message_id: str) -> str:
    """The message id where Mixpanel can take it; else always the same of it."""
    if INSERT_ID.fullmatch(message_id):
        return message_id
    return hashlib.sha256(message_id.encode()).hexdigest()[:36]


def _context(body: Mapping[str, Json]) -> dict[str, Json]:
    """What of the context has a property of Mixpanel's: texts and numbers."""
    said = from_context(body, CONTEXT)
    return {n: each for n, each in said if isinstance(each, (str, int, float)) and each}


def to(path: str) -> Callable[[Sequence[bytes], Settings], Request]:
    """A request with an array of items; those of `/import` log in."""

    def request(items: Sequence[bytes], settings: Settings) -> Request:
        headers = {"Content-Type": "application/json"}
        if path.startswith("/import"):
            login = b64encode(f"{settings.api_secret}:".encode()).decode()
            headers["Authorization"] = f"Basic {login}"
        return Request(
            url=HOSTS[settings.region] + path,
            headers=headers,
            body=b"[%b]" % b",".join(items),
            answer_bytes=ANSWER_BYTES,
        )

    return request


def judge(answer: Response, count: int) -> Verdict | Sequence[Verdict]:
    """400 names what failed, and has kept the rest; 200 with a 0 has kept nothing."""
    found = object_of(answer)
    failed = [each for each in found.get("failed_records") or () if _is_told(each)]
    if failed:
        by_index = {int(each["index"]): each for each in failed}
        return [
            _failed(answer.status, by_index[index])
            if index in by_index
            else Delivered(answer.status)
            for index in range(count)
        ]
    refused = answer.body.strip() == b"0" or found.get("status") == 0
    if refused and isinstance(by_status(answer), Delivered):
        return Rejected("rejected", f"{answer.status} not valid", answer.status)
    return by_status(answer)


def _is_told(record: Json) -> bool:
    return isinstance(record, dict) and isinstance(record.get("index"), (int, float))


def _failed(status: int, record: Mapping[str, Json]) -> Rejected:
    return Rejected("rejected", words(status, record.get("field")), status)


def takes(settings: Settings) -> Takes:
    """Without a secret each event is a request of its own: fewer at once."""
    return Takes(
        types=frozenset(PIPELINE_TYPES),
        batch_events=IMPORT_EVENTS if settings.api_secret else ALONE,
        batch_bytes=REQUEST_BYTES,
        linger_s=0.05,
        attempt_requests=6 if settings.api_secret else ALONE,
        spelling="camelCase",
        names=("Mixpanel (Actions)",),
    )


STRICT = "?ip=0&strict=1"
KIND = Kind(
    doc=__doc__,
    settings=Schema.of(Settings),
    mapped=Mapped(),
    takes=takes,
    check=check,
    talk=by_endpoint(
        made,
        {
            name: Endpoint(
                request=to(path),
                judge=judge,
                count=count,
                size=REQUEST_BYTES,
                item=ITEM_BYTES,
            )
            for name, path, count in (
                ("profiles", f"/engage{STRICT}", PROFILES),
                ("members", f"/engage{STRICT}", PROFILES),
                ("groups", f"/groups{STRICT}", GROUPS),
                ("identities", "/track?verbose=1", IMPORT_EVENTS),
                ("imported", "/import?strict=1", IMPORT_EVENTS),
                ("tracked", "/track?verbose=1", 1),
            )
        },
    ),
    foreseen=True,
    reserved=RESERVED,
)
