"""Event -> what it asks of the workspace. Pure; the one place that reads events.

**Events from outside pipelines** (DESIGN 4.5): what writes them keeps to this table,
what reads them relies on it. All are ordinary events (messageId, timestamp,
receivedAt, source, context ...) with these fields beside:

    origin       "track" | "csv" | "sync" | "ui"; absent: a pipelines event
    identifiers  {kind: value} with kinds "id", "email", "cio_id"; values are strings,
                 cio_id without its prefix "cio_". The FIRST key is the path's (v1), the
                 given one (v2) or the row's; a payload's other kinds follow. Absent or
                 {}: nobody is named (an anonymous event)
    userId       the id in ``identifiers``, else the email; absent when there is neither
    anonymousId  the payload's anonymous_id, when given
    timestamp    from _timestamp or timestamp (unix seconds -> ISO 8601), when given

| type and fields | asks for |
| --- | --- |
| identify, ``traits`` | add or update; ``updateOnly: true`` (_update) adds nobody |
| track, ``event``, ``properties`` | an activity ``event`` |
| page or screen, ``name``, ``properties`` | an activity ``page`` or ``screen`` |
| track "Device Created or Updated" | the device ``context.device`` {token, type: \
ios or android, lastUsed: unix seconds if given} with ``properties`` as its attributes |
| track "Device Deleted" | without ``context.device.token`` |
| track "Report Delivery Event" | ``properties`` {metric, deliveryId, recipient: the \
token of a push, the address of an email} |
| person, ``action: "delete"`` | the person is deleted |
| person, ``action: "suppress"`` or ``"unsuppress"`` | deleted and blocked; unblocked |
| person, ``action: "merge"``, ``secondary`` {kind: value} | secondary goes up in \
``identifiers``, the primary |
| person, ``action: "segment_add"`` or ``"segment_remove"``, ``segment: 7`` | kept as \
an activity only; one event a person |
| person, ``action: "unsubscribe"``, ``deliveryId`` | the attribute unsubscribed, if a \
person is named |
| group, ``action``, ``groupId``, ``traits`` | kept as an activity only, \
``delete_relationship`` or ``add_relationship``; with ``action: "event"``, ``event`` \
and ``properties``: ``object_event`` |

A payload's ``id``, ``email`` and ``cio_id`` move from ``traits`` to ``identifiers``,
numbers as strings, when they are texts or numbers, not empty, and ``identifiers`` has
no such kind yet. What cannot move stays in ``traits`` under its own name and is judged
here: null and "" are as if not given, another type is a failed attribute change (D13),
and so is a second value of the path's own kind (D09); a second cio_id makes the request
ignored (D21). A path or an explicit identifier of a wrong type, too long or with
control characters is refused before it becomes an event. Other names in ``traits`` are
as sent, or canonical with ``asSent``: both read the same here. ``name`` and ``email``
are not filled in.

**Pipelines**: userId plays the path's part (``cio_...`` is a cio_id, with an @ it is an
email where emails identify), else ``traits.email`` does (D24, D25); ``traits.email`` is
the payload's; ``traits.id`` is an attribute, never an identifier. The track events
"User Deleted", "User Suppressed" and "User Unsuppressed" are as their actions.
Deleting, suppressing, unsuppressing and merging are heard from server and track_api
sources only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Literal, TypeAlias, cast

from gateway import traits
from gateway.email import is_email
from gateway.event import Event, Json, SourceKind
from gateway.workspace.people import CIO_PREFIX, KINDS, Failed, Identifier

ERASERS: frozenset[SourceKind] = frozenset({"server", "track_api"})
ERASING = frozenset({"delete", "suppress", "unsuppress", "merge"})
SEMANTIC: Mapping[str, str] = {
    "User Deleted": "delete",
    "User Suppressed": "suppress",
    "User Unsuppressed": "unsuppress",
}
Channel: TypeAlias = Literal["api", "csv", "sync", "ui"]
ALL = frozenset(KINDS)
IDENTIFIER_MAX = 500  # characters of an identifier or a token: indexes must hold them
KEY_MAX = 200  # characters of a key that is never shown
SECONDS_END = 2**53
CHANNELS: Mapping[str, Channel] = {"csv": "csv", "sync": "sync", "ui": "ui"}


@dataclass(frozen=True, slots=True)
class Identify:
    """Add or update. ``wrong`` are payload identifiers that no person can have."""

    attributes: Mapping[str, Json] = field(default_factory=dict)
    given: tuple[Identifier, ...] = ()
    wrong: tuple[Failed, ...] = ()
    update_only: bool = False
    token: str | None = None
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """An activity to keep."""

    type: str
    name: str | None
    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class PutDevice:
    """Add or update a device; ``last_used`` None: now."""

    token: str | None
    platform: str | None
    last_used: int | None
    attributes: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class DeleteDevice:
    """Take a device from its person."""

    token: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a message; ``recipient``: a push's token, an email's address."""

    metric: str
    recipient: str | None
    data: Mapping[str, Json]

    @property
    def email(self) -> Identifier | None:
        """Who got it, if it was an email."""
        if self.recipient is None or not is_email(self.recipient):
            return None
        return Identifier("email", self.recipient)


@dataclass(frozen=True, slots=True)
class Erase:
    """Delete, suppress or unsuppress a person."""

    action: Literal["delete", "suppress", "unsuppress"]


@dataclass(frozen=True, slots=True)
class Merge:
    """Join two people; the request's ``path`` is who stays."""

    secondary: Identifier | None


@dataclass(frozen=True, slots=True)
class Nothing:
    """Not for the workspace; ``reason`` says why."""

    reason: str


Asks: TypeAlias = (
    Identify | Happened | PutDevice | DeleteDevice | Report | Erase | Merge | Nothing
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one event asks, and of whom. Times are unix seconds.

    ``path`` names the person, None if nobody is named; ``seen_at`` is None when the
    event says nothing of the person being there (P030).
    """

    source: str
    message_id: str
    replay: str | None
    received_at: int
    at: int
    seen_at: int | None
    channel: Channel
    path: Identifier | None
    anonymous_id: str | None
    asks: Asks


def read(
    event: Event,
    *,
    kinds: frozenset[str],
    source_kind: SourceKind | None,
    replay: str | None = None,
) -> Request:
    """What an event asks; ``kinds`` are the workspace's identifiers."""
    body = event.body
    origin = body.get("origin")
    named = list(_explicit(body, kinds) if origin else _implicit(body, kinds))
    context = _object(body, "context")
    anonymous_id = body.get("anonymousId")
    path = named[0] if named else None
    if path is not None and is_long(path.value):
        path, asks = None, cast("Asks", Nothing("identifier_too_long"))
    else:
        asks = _asks(event, kinds, named[1:], source_kind)
    received_at = _unix(event.received_at) or 0
    at = _unix(body.get("timestamp")) or received_at
    return Request(
        source=event.source,
        message_id=short(event.message_id),
        replay=replay,
        received_at=received_at,
        at=at,
        seen_at=None if context.get("active") is False else at,
        channel=CHANNELS.get(origin or "", "api"),
        path=path,
        anonymous_id=short(anonymous_id) if anonymous_id else None,
        asks=asks,
    )


def is_long(value: str) -> bool:
    """Longer than an identifier or a token may be: an index has to hold it."""
    return len(value) > IDENTIFIER_MAX


def short(key: str) -> str:
    """A key that is only compared, never shown: a digest of it when it is long."""
    if len(key) <= KEY_MAX:
        return key
    return f"{key[:KEY_MAX]}~{blake2b(key.encode(), digest_size=16).hexdigest()}"


def _object(body: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    """A field that holds an object; the check judges not every field of every type."""
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _unix(text: Json) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (TypeError, ValueError, OverflowError):
        return None


def identifier(value: str, kinds: frozenset[str]) -> Identifier:
    """Which kind of identifier a bare value is (D14)."""
    if value.startswith(CIO_PREFIX):
        return Identifier("cio_id", value.removeprefix(CIO_PREFIX))
    return Identifier("email" if "email" in kinds and is_email(value) else "id", value)


def _explicit(body: Mapping[str, Json], kinds: frozenset[str]) -> Iterator[Identifier]:
    """``identifiers``, the path's first; D17: with ids only, a path is an id."""
    named = _object(body, "identifiers").items()
    for place, (kind, value) in enumerate(named):
        if kind == "cio_id":
            yield Identifier(kind, value.removeprefix(CIO_PREFIX))
        elif kind in KINDS:
            yield Identifier(kind if place or kind in kinds else "id", value)


def _implicit(body: Mapping[str, Json], kinds: frozenset[str]) -> Iterator[Identifier]:
    """A pipelines event's userId, else its email (D24, D25)."""
    traits_of = _object(body, "traits") if body["type"] == "identify" else {}
    email = traits_of.get("email")
    if user_id := body.get("userId"):
        yield identifier(user_id, kinds)
    elif email and isinstance(email, str) and "email" in kinds:
        yield Identifier("email", email)


def _asks(
    event: Event,
    kinds: frozenset[str],
    given: list[Identifier],
    source_kind: SourceKind | None,
) -> Asks:
    body = event.body
    match event.type:
        case "identify":
            return _identify(body, kinds, given)
        case "track":
            return _track(body, source_kind)
        case "page" | "screen":
            data = _object(body, "properties")
            names = body.get("name"), data.get("url")
            named = (each for each in names if each and isinstance(each, str))
            return Happened(event.type, next(named, None), data)
        case "person":
            return _person(body, source_kind)
        case "group":
            about = {"groupId": body.get("groupId"), "traits": _object(body, "traits")}
            action = body.get("action")
            if action == "event" and isinstance(body.get("event"), str):
                about["properties"] = _object(body, "properties")
                return Happened("object_event", body["event"], about)
            ends = action == "delete_relationships"
            kind = "delete_relationship" if ends else "add_relationship"
            return Happened(kind, action if isinstance(action, str) else None, about)
        case "alias":
            return Nothing("alias")


def _identify(
    body: Mapping[str, Json], kinds: frozenset[str], given: list[Identifier]
) -> Identify:
    origin = body.get("origin")
    spelled = traits.spell(dict(body), "as_sent" if origin else "snake_case")
    attributes = dict(_object(spelled, "traits"))
    wrong = [Failed(*each, "too_long") for each in given if is_long(each.value)]
    given = [each for each in given if not is_long(each.value)]
    for kind in KINDS:
        named = kind == "cio_id" or (kind in kinds and (origin or kind == "email"))
        if not named or kind not in attributes:
            continue
        value = attributes.pop(kind)
        text = traits.read_text(value)
        if isinstance(text, str) and text:
            bare = text.removeprefix(CIO_PREFIX) if kind == "cio_id" else text
            if is_long(bare):
                wrong.append(Failed(kind, bare, "too_long"))
            else:
                given.append(Identifier(kind, bare))
        elif value not in (None, ""):
            wrong.append(Failed(kind, value, "wrong_type"))
    if "email" not in kinds:  # R18: an ordinary attribute
        attributes |= {each.kind: each.value for each in given if each.kind == "email"}
        given = [each for each in given if each.kind != "email"]
    token, platform = _token(body)
    return Identify(
        attributes=attributes,
        given=tuple(given),
        wrong=tuple(wrong),
        update_only=body.get("updateOnly") is True,
        token=token,
        platform=platform,
    )


def _track(body: Mapping[str, Json], source_kind: SourceKind | None) -> Asks:
    name, data = body.get("event"), _object(body, "properties")
    if name == "Device Created or Updated":
        token, platform = _token(body)
        device = _object(_object(body, "context"), "device")
        given = device.get("lastUsed", data.get("last_used"))
        kept = {k: v for k, v in data.items() if k not in ("device", "last_used")}
        return PutDevice(token, platform, _seconds(given), kept)
    if name == "Device Deleted":
        return DeleteDevice(_token(body)[0])
    if name == "Report Delivery Event":
        recipient = data.get("recipient")
        metric = data.get("metric")
        return Report(
            metric if isinstance(metric, str) else "",
            recipient if isinstance(recipient, str) else None,
            data,
        )
    if isinstance(name, str) and name in SEMANTIC and not body.get("origin"):
        return _person({"action": SEMANTIC[name]}, source_kind)
    return Happened("event", name, data)


def _token(body: Mapping[str, Json]) -> tuple[str | None, str | None]:
    """The device's token and platform; old SDKs repeat them in the properties."""
    context = _object(_object(body, "context"), "device")
    repeated = _object(_object(body, "properties"), "device")
    found: dict[str, str] = {}
    for device in (repeated, context):
        found |= {k: v for k, v in device.items() if isinstance(v, str) and v}
    platform = found.get("type")
    return found.get("token"), platform.lower() if platform else None


def _seconds(value: Json) -> int | None:
    """Unix seconds, as a number or (one SDK) a text of digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = int(value)
    except (ValueError, OverflowError):
        return None
    return seconds if abs(seconds) < SECONDS_END else None


def _person(body: Mapping[str, Json], source_kind: SourceKind | None) -> Asks:
    action = body.get("action")
    if action in ERASING and source_kind not in ERASERS:
        return Nothing("source_may_not")
    match action:
        case "delete" | "suppress" | "unsuppress":
            return Erase(action)
        case "merge":
            secondary = list(_explicit({"identifiers": body.get("secondary")}, ALL))
            return Merge(secondary[0] if secondary else None)
        case "unsubscribe":
            return Identify({"unsubscribed": True}, update_only=True)
        case "segment_add" | "segment_remove":
            return Happened(action, None, {"segment": body.get("segment")})
        case _:
            return Nothing("unknown_action")
