"""Sends user properties, events and groups to Amplitude.

An identify sets user properties (`/identify`, which counts no event); `address.city`,
`address.state` and `address.country` are Amplitude's own `city`, `region` and
`country`, all other traits keep their names. The `userId` is `user_id`, the
`anonymousId` is `device_id`. A track, page or screen is an event: one alone goes to
`/2/httpapi`, several to `/batch`, up to 500 in 10 MB. `insert_id` is the message id, so
that a repeated event counts once in seven days; a campaign and a referrer are kept with
the user, the first and the last. A group sets group properties, and the
person's membership; the trait `groupType` names the type of group, else it is `group`.

Amplitude refuses a whole request for one bad event, and names it: the others are sent
again at once, only the bad one is a dead letter. So it is with the users it throttles
(429): they wait 30 s, the others do not. A wrong key is 400 there, and concerns every
event: nothing is lost, events wait.

Ids shorter than five characters are sent, too (`min_id_length`). Ids that Amplitude
refuses (`null`, `0`, `unknown`, ...) are left out; an event without another one is a
dead letter. Texts over 1,024 characters are cut, as Amplitude would, and named in the
outcome's `detail`, as is what is nested deeper than 40 levels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

import orjson

from gateway.errors import ConfigError
from gateway.event import Json
from gateway.outbound.contract import (
    Delivery,
    Rejected,
    Retry,
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
    placed,
    text,
)
from gateway.outbound.shape import Mapped

HOSTS = {"US": "https://api2.amplitude.com", "EU": "https://api.eu.amplitude.com"}
EVENTS, EVENTS_BYTES, ALONE_BYTES = 500, 10_000_000, 1_000_000
IDENTITIES, FORM_BYTES = 100, 300_000  # a form may take three times as many bytes
FRAME_BYTES = 1_000
ANSWER_BYTES = 262_144
TEXT_CHARS, LEVELS = 1_024, 40
GROUP_TYPE = "group"
THROTTLED_S, THROTTLED_IDENTIFY_S = 30.0, 15.0
REFUSED_IDS = frozenset(
    {
        *("anonymous", "nil", "none", "null", "n/a", "na", "undefined", "unknown"),
        *("", "{}", "0", "-1", "lmy47d", "00000000-0000-0000-0000-000000000000"),
    }
)
KEY_ERRORS = ("api key", "api_key")
BAD, THROTTLED = 400, 429
RESERVED: Mapping[str, Field] = {
    "address.city": Field("city", text),
    "address.state": Field("region", text),
    "address.country": Field("country", text),
}
CONTEXT: Mapping[tuple[str, ...], str] = {
    ("ip",): "ip",
    ("locale",): "language",
    ("userAgent",): "user_agent",
    ("app", "version"): "app_version",
    ("os", "name"): "os_name",
    ("os", "version"): "os_version",
    ("device", "type"): "platform",
    ("device", "brand"): "device_brand",
    ("device", "manufacturer"): "device_manufacturer",
    ("device", "model"): "device_model",
    ("device", "advertisingId"): "adid",
    ("network", "carrier"): "carrier",
    ("location", "city"): "city",
    ("location", "region"): "region",
    ("location", "country"): "country",
}
MONEY: Mapping[str, tuple[str, type]] = {
    "revenue": ("revenue", float),
    "price": ("price", float),
    "quantity": ("quantity", int),
    "productId": ("productId", str),
    "revenueType": ("revenueType", str),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``settings = {...}`` of an amplitude."""

    api_key: str = setting(
        doc="The project's API key", example='"${AMPLITUDE_KEY}"', secret=True
    )
    region: Literal["US", "EU"] = setting(
        doc="Where the project's data is kept", example='"EU"', default="US"
    )


def check(settings: Settings, place: str) -> None:
    """Raise ConfigError for a value that cannot work."""
    if not settings.api_key.strip():
        raise ConfigError(f"{place}.api_key: is empty")


def made(delivery: Delivery, settings: Settings) -> Made:
    """What an event becomes."""
    del settings
    body = delivery.event.body
    lost: list[str] = []
    ids = _ids(body, lost)
    if not ids and lost:
        detail = f"no id that Amplitude takes: {', '.join(lost)}"
        return Made(end=Rejected("rejected", detail, unsent=True))
    if not ids and body["type"] != "group":
        return Made(end=Skipped("nobody: neither userId nor anonymousId"))
    match body["type"]:
        case "identify":
            return _identified(delivery, ids, lost)
        case "group":
            return _grouped(delivery, ids, lost)
        case _:
            return _happened(delivery, ids, lost)


def _ids(body: Mapping[str, Json], lost: list[str]) -> dict[str, str]:
    found = {"user_id": body.get("userId"), "device_id": body.get("anonymousId")}
    ids = {}
    for name, value in found.items():
        if value and str(value).strip().lower() in REFUSED_IDS:
            lost.append(f"{name} (Amplitude refuses this one)")
        elif value:
            ids[name] = value
    return ids


def _identified(delivery: Delivery, ids: Mapping[str, str], lost: list[str]) -> Made:
    body = delivery.event.body
    fields, own, unplaced = placed(body.get("traits"), RESERVED, nulls=False)
    lost += unplaced
    values = laid_over(own, delivery.fields)
    user = {**ids, **_cut(fields, lost, "traits")}
    cut = _cut(values, lost, "traits")
    user["user_properties"] = _operations(cut, delivery.fields or {})
    return Made([("identities", user)], lost=lost)


def _operations(
    values: Mapping[str, Json], fields: Mapping[str, Json]
) -> dict[str, Json]:
    """All is `$set`, but what a mapping has as an operation, `$setOnce` or the like."""
    done = {n: values[n] for n in OPERATIONS & fields.keys() if n in values}
    done = {name: each for name, each in done.items() if isinstance(each, dict)}
    plain = {name: each for name, each in values.items() if name not in done}
    return {"$set": plain, **done}


OPERATIONS = frozenset(
    {
        *("$setOnce", "$add", "$append", "$prepend", "$unset"),
        *("$preInsert", "$postInsert", "$remove"),
    }
)


def _cut(values: Mapping[str, Json], lost: list[str], place: str) -> dict[str, Json]:
    """Values as Amplitude keeps them; what it does not keep whole is named."""
    kept = {}
    for name, value in values.items():
        if not name:
            continue
        short = _short(value, LEVELS)
        if short is not value and short != value:
            lost.append(f"{place}.{name[:40]} (beyond {TEXT_CHARS}, cut)")
        kept[name] = short
    return kept


def _short(value: Json, levels: int) -> Json:
    match value:
        case str():
            return value if len(value) <= TEXT_CHARS else value[:TEXT_CHARS]
        case dict() if levels:
            return {name: _short(each, levels - 1) for name, each in value.items()}
        case list() if levels:
            return [_short(each, levels - 1) for each in value]
        case dict() | list():
            return orjson.dumps(value).decode()[:TEXT_CHARS]
        case _:
            return value


def _grouped(delivery: Delivery, ids: Mapping[str, str], lost: list[str]) -> Made:
    body, group = delivery.event.body, delivery.event.body.get("groupId")
    if not group:
        return Made(end=Skipped("no groupId"))
    own = body.get("traits")
    traits = dict(own) if isinstance(own, dict) else {}
    named = [traits.pop(name, None) for name in ("groupType", "group_type")]
    kind = next((each for each in named if isinstance(each, str) and each), GROUP_TYPE)
    values = _cut(laid_over(traits, delivery.fields), lost, "traits")
    items: list[tuple[str, Json]] = []
    if ids:
        items.append(("identities", {**ids, "groups": {kind: group}}))
    if values or not ids:
        properties = {"group_type": kind, "group_value": group}
        items.append(("groups", {**properties, "group_properties": {"$set": values}}))
    return Made(items, lost=lost)


def _happened(delivery: Delivery, ids: Mapping[str, str], lost: list[str]) -> Made:
    body = delivery.event.body
    own = body.get("properties")
    properties = own if isinstance(own, dict) else {}
    name = event_name(body)
    if len(name) > TEXT_CHARS:
        lost.append(f"the event's name beyond {TEXT_CHARS} characters")
    event: dict[str, Json] = {**ids, "event_type": name[:TEXT_CHARS]}
    event |= {"time": at_ms(body), "insert_id": delivery.event.message_id}
    said = {name: text(each) for name, each in from_context(body, CONTEXT)}
    event |= {name: each[:TEXT_CHARS] for name, each in said.items() if each}
    event |= dict(_money(properties))
    values = laid_over(properties, delivery.fields)
    event["event_properties"] = _cut(values, lost, "properties")
    if came_from := _came_from(body):
        first = {f"initial_{name}": each for name, each in came_from.items()}
        event["user_properties"] = {"$set": came_from, "$setOnce": first}
    session = delivery.options.get("session_id")
    if isinstance(session, int) and not isinstance(session, bool):
        event["session_id"] = session
    return Made([("events", event)], lost=lost)


def _came_from(body: Mapping[str, Json]) -> dict[str, Json]:
    """The campaign and the page that led here: the last and the first are kept."""
    context = body.get("context")
    said = context if isinstance(context, dict) else {}
    campaign, page = said.get("campaign"), said.get("page")
    found = {}
    for name in ("source", "medium", "name", "term", "content"):
        value = campaign.get(name) if isinstance(campaign, dict) else None
        found[f"utm_{'campaign' if name == 'name' else name}"] = value
    found["referrer"] = page.get("referrer") if isinstance(page, dict) else None
    read = {name: text(each) for name, each in found.items()}
    return {name: each[:TEXT_CHARS] for name, each in read.items() if each}


def _money(properties: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """What Amplitude counts as revenue, where it is what it must be.

    It would believe a price and a quantity before the revenue.
    """
    total = type(properties.get("revenue")) in (int, float)
    for name, (field, kind) in MONEY.items():
        if total and name in ("price", "quantity"):
            continue
        value = properties.get(name)
        fits = (float, int) if kind is float else (kind,)
        if type(value) in fits and value != "":
            yield field, value


def events(items: Sequence[bytes], settings: Settings) -> Request:
    """One event, or a batch."""
    body = b'{"api_key":%b,"options":{"min_id_length":1},"events":[%b]}' % (
        orjson.dumps(settings.api_key),
        b",".join(items),
    )
    alone = len(items) == 1 and len(body) < ALONE_BYTES
    url = HOSTS[settings.region] + ("/2/httpapi" if alone else "/batch")
    headers = {"Content-Type": "application/json"}
    return Request(url=url, headers=headers, body=body, answer_bytes=ANSWER_BYTES)


def form(path: str) -> Callable[[Sequence[bytes], Settings], Request]:
    """Identifications have a form of their own."""

    def request(items: Sequence[bytes], settings: Settings) -> Request:
        fields = {
            "api_key": settings.api_key,
            "identification": (b"[%b]" % b",".join(items)).decode(),
        }
        if path == "/identify":
            fields["options"] = '{"min_id_length":1}'
        return Request(
            url=HOSTS[settings.region] + path,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(fields).encode(),
        )

    return request


def judge(answer: Response, count: int) -> Verdict | Sequence[Verdict | None]:
    """A request refused for some of its events: those are told, the rest goes again."""
    found = object_of(answer)
    if answer.status in (BAD, THROTTLED):
        named = dict(_named(found, answer.status))
        told = [named.get(index) for index in range(count)]
        if any(told):
            return told
    if answer.status == THROTTLED:
        return Retry(str(THROTTLED), THROTTLED_S, THROTTLED)
    if answer.status == BAD and _is_of_the_key(found, answer):
        return Retry(f"{BAD} API key", status=BAD, auth=True)
    return by_status(answer)


def _named(found: Mapping[str, Json], status: int) -> Iterator[tuple[int, Verdict]]:
    for index in _indexes(found.get("throttled_events")):
        yield index, Retry(f"{status} throttled", THROTTLED_S, status)
    for index in _indexes(found.get("silenced_events")):
        yield index, Rejected("rejected", f"{status} silenced", status)
    for what in ("events_with_invalid_fields", "events_with_missing_fields"):
        fields = found.get(what)
        for name, indexes in fields.items() if isinstance(fields, dict) else ():
            for index in _indexes(indexes):
                yield index, Rejected("rejected", words(status, what, name), status)


def _indexes(said: Json) -> Iterator[int]:
    for each in said if isinstance(said, list) else ():
        if isinstance(each, int):
            yield each


def _is_of_the_key(found: Mapping[str, Json], answer: Response) -> bool:
    said = f"{found.get('error')} {found.get('missing_field')}" if found else ""
    text_of_it = (said or answer.body[:TEXT_CHARS].decode(errors="replace")).lower()
    return any(each in text_of_it for each in KEY_ERRORS)


def judge_identities(answer: Response, count: int) -> Verdict:
    """The same without a word of which: a batch is sent again in parts."""
    del count
    if answer.status == THROTTLED:
        return Retry(str(THROTTLED), THROTTLED_IDENTIFY_S, THROTTLED)
    if answer.status == BAD and _is_of_the_key(object_of(answer), answer):
        return Retry(f"{BAD} API key", status=BAD, auth=True)
    return by_status(answer)


KIND = Kind(
    doc=__doc__,
    settings=Schema.of(Settings),
    mapped=Mapped(),
    takes=Takes(
        types=frozenset({"identify", "track", "page", "screen", "group"}),
        batch_events=EVENTS,
        batch_bytes=EVENTS_BYTES,
        linger_s=0.05,
        attempt_requests=10,
        hold_bytes=67_108_864,
        safe_options=frozenset({"session_id"}),
        names=("Amplitude (Actions)", "Actions Amplitude"),
    ),
    check=check,
    talk=by_endpoint(
        made,
        {
            "identities": Endpoint(
                request=form("/identify"),
                judge=judge_identities,
                count=IDENTITIES,
                size=FORM_BYTES,
            ),
            "groups": Endpoint(
                request=form("/groupidentify"),
                judge=judge_identities,
                count=IDENTITIES,
                size=FORM_BYTES,
            ),
            "events": Endpoint(
                request=events,
                judge=judge,
                count=EVENTS,
                size=EVENTS_BYTES - FRAME_BYTES,
            ),
        },
    ),
    foreseen=True,
    reserved=RESERVED,
)
