"""Keeps contacts, companies and events in Intercom.

An identify looks for the contact, by `userId` (`external_id`) and email, then updates
or creates it. A contact of the same email is taken only if it has no other
`external_id`. Where a new contact exists already (409: another worker was quicker, or
the search lags behind), it is that one that is updated. Without a `userId` it is a
lead, known by the email; without both there is nobody, and the event is skipped.

Traits with a field in Intercom go there, `firstName` and `lastName` as parts of the
name; all others are custom attributes, nested ones as `address_city`. One that Intercom
does not have yet is created (`create_attributes = true`), else the contact is tagged
with it (`plan: pro`) and the outcome's `detail` names it; up to 8 for one event. So are
texts beyond 255 characters, which are cut, and lists, which Intercom cannot keep. What
attributes there are is asked every ten minutes.

A `company` in an identify, and a group, update or create the company and attach the
contact. A track is an event of a known contact; its properties are texts. Intercom has
no word for a page or screen. 429 waits as `X-RateLimit-Reset` says; 401 and 403 concern
every event, and nothing is lost.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias, TypeVar
from urllib.parse import quote

import orjson

from gateway.email import is_email
from gateway.errors import ConfigError
from gateway.event import Json
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Retry,
    Skipped,
    Takes,
    Verdict,
    laid_over,
)
from gateway.outbound.destinations.intercom.draft import (
    RESERVED,
    Draft,
    chosen,
    company_of,
    company_said,
    contact_of,
    leaves,
    query_of,
)
from gateway.outbound.endpoints import object_of, words
from gateway.outbound.http import NoResponse, Request, Response, by_status
from gateway.outbound.kind import Context, Kind, Schema, setting
from gateway.outbound.reserved import at_ms, left_out, text
from gateway.outbound.shape import Mapped
from gateway.outbound.talk import Access, Login, Talk

HOSTS = {
    "US": "https://api.intercom.io",
    "EU": "https://api.eu.intercom.io",
    "AU": "https://api.au.intercom.io",
}
VERSION = "2.14"
ATTRIBUTES_S = 600.0
ANSWER_BYTES = 1_000_000
UNKNOWN_MAX = 8
OK, REDIRECT, BAD, CONFLICT, THROTTLED = 200, 300, 400, 409, 429
NOTHING = 0  # no status: nothing came back
TYPES: Mapping[type, str] = {bool: "boolean", int: "integer", float: "float"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``settings = {...}`` of an intercom."""

    access_token: str = setting(
        doc="The access token of your app in Intercom",
        example='"${INTERCOM_TOKEN}"',
        secret=True,
    )
    region: Literal["US", "EU", "AU"] = setting(
        doc="Where the workspace is", example='"EU"', default="US"
    )
    create_attributes: bool = setting(
        doc="Whether attributes that Intercom does not have are created",
        example="true",
        default=False,
    )


def check(settings: Settings, place: str) -> None:
    """Raise ConfigError for a value that cannot work."""
    if not settings.access_token.strip():
        raise ConfigError(f"{place}.access_token: is empty")


T = TypeVar("T")
Part: TypeAlias = Generator[Request, Response | NoResponse, T]


def talk(deliveries: Sequence[Delivery], settings: Settings, access: Access) -> Talk:
    """One conversation for one event."""
    (delivery,) = deliveries
    match delivery.event.body["type"]:
        case "identify":
            return (yield from _identify(delivery, settings, access))
        case "group":
            return (yield from _group(delivery, settings, access))
        case _:
            return (yield from _happened(delivery, settings))


def _identify(delivery: Delivery, settings: Settings, access: Access) -> Talk:
    traits = delivery.event.body.get("traits")
    company = company_said(traits.get("company") if isinstance(traits, dict) else None)
    draft = contact_of(delivery)
    if not draft.known.get("external_id") and not draft.known.get("email"):
        return Skipped("Intercom knows nobody without userId or email")
    if waits := (yield from _fitted(draft, settings, access)):
        return waits
    answer = yield from _upserted(draft, settings)
    if not _is_ok(answer):
        return _judged(answer)
    contact_id = str(object_of(answer).get("id") or "")
    if waits := (yield from _tagged(draft, contact_id, settings)):
        return waits
    if company is not None:
        made = company_of(*company, {})
        if waits := (yield from _fitted(made, settings, access)):
            return waits
        if failed := (yield from _attached(made, contact_id, settings)):
            return failed
        draft.lost += made.lost
    return Delivered(answer.status, left_out(draft.lost))


def _fitted(draft: Draft, settings: Settings, access: Access) -> Part[Retry | None]:
    """Attributes that Intercom does not have are created, or become tags."""
    names = _names(access.token)
    if names is None:
        return None
    names |= access.learnt or set()
    unknown = [name for name in draft.custom if (draft.model, name) not in names]
    for name in unknown[UNKNOWN_MAX:]:
        del draft.custom[name]
        draft.lost.append(f"traits.{name} (no such attribute)")
    for name in unknown[:UNKNOWN_MAX]:
        value = draft.custom[name]
        if not settings.create_attributes or value is None:
            draft.tag(name)
            continue
        asked = {"name": name, "model": draft.model}
        asked["data_type"] = TYPES.get(type(value), "string")
        answer = yield from _ask(_request("POST", "/data_attributes", settings, asked))
        if not _is_ok(answer) and isinstance(waits := _judged(answer), Retry):
            return waits
        if not _is_ok(answer) and "already" not in _message(answer):
            draft.tag(name)
        elif access.learnt is not None:
            access.learnt.add((draft.model, name))
    return None


@lru_cache(maxsize=8)
def _names(token: str) -> frozenset[tuple[str, str]] | None:
    """What a login brought; None: nobody knows."""
    if not token:
        return None
    return frozenset((model, name) for model, name in orjson.loads(token))


def _upserted(draft: Draft, settings: Settings) -> Part[Response]:
    """Found and updated, or created; who was created meanwhile is updated."""
    found = yield from _ask(
        _request("POST", "/contacts/search", settings, query_of(draft))
    )
    if not _is_ok(found):
        return found
    contact_id = chosen(object_of(found).get("data"), draft.known)
    if contact_id is None:
        created = yield from _sent("POST", "/contacts", draft, settings)
        contact_id = _existing(created)
        if contact_id is None:
            return created
        path = f"/contacts/{quote(contact_id, safe='')}"
        there = yield from _ask(_request("GET", path, settings))
        if not _is_ok(there):
            return there
        if chosen([object_of(there)], draft.known) is None:
            return created  # somebody else with this email: 409 it is
    if draft.known.get("role") == "lead":  # a user would become one
        del draft.known["role"]
    path = f"/contacts/{quote(contact_id, safe='')}"
    return (yield from _sent("PUT", path, draft, settings))


def _existing(created: Response) -> str | None:
    """The id that a conflict tells, only in its text."""
    if created.status != CONFLICT:
        return None
    _, said, rest = _message(created).partition("id=")
    return rest.split()[0].strip(".,;'\"") if said and rest.split() else None


def _sent(method: str, path: str, draft: Draft, settings: Settings) -> Part[Response]:
    """Once more without the attribute that a refusal names."""
    answer = yield from _ask(_request(method, path, settings, draft.body()))
    if answer.status == BAD:
        said = _message(answer)
        named = [name for name in draft.custom if f"'{name}'" in said]
        if named:
            draft.tag(named[0])
            answer = yield from _ask(_request(method, path, settings, draft.body()))
    return answer


def _tagged(draft: Draft, contact_id: str, settings: Settings) -> Part[Retry | None]:
    """Each tag is made and given in one request; one that is refused is lost."""
    kind = {"contact": "users", "company": "companies"}[draft.model]
    for name in draft.tags if contact_id else ():
        asked = {"name": name, kind: [{"id": contact_id}]}
        answer = yield from _ask(_request("POST", "/tags", settings, asked))
        if not _is_ok(answer) and isinstance(waits := _judged(answer), Retry):
            return waits
    return None


def _attached(
    draft: Draft, contact_id: str, settings: Settings
) -> Part[Verdict | None]:
    """The company is updated or created, the contact attached; None: all went well."""
    answer = yield from _sent("POST", "/companies", draft, settings)
    if not _is_ok(answer):
        return _judged(answer)
    company_id = str(object_of(answer).get("id") or "")
    waits = yield from _tagged(draft, company_id, settings)
    if waits is None and company_id and contact_id:
        path = f"/contacts/{quote(contact_id, safe='')}/companies"
        asked = {"id": company_id}
        answer = yield from _ask(_request("POST", path, settings, asked))
        return None if _is_ok(answer) else _judged(answer)
    return waits


def _group(delivery: Delivery, settings: Settings, access: Access) -> Talk:
    body = delivery.event.body
    traits = body.get("traits")
    if not body.get("groupId"):
        return Skipped("no groupId")
    said = traits if isinstance(traits, dict) else {}
    draft = company_of(body["groupId"], said, delivery.fields or {})
    if waits := (yield from _fitted(draft, settings, access)):
        return waits
    contact_id = ""
    if body.get("userId"):
        path = f"/contacts/find_by_external_id/{quote(body['userId'], safe='')}"
        found = yield from _ask(_request("GET", path, settings))
        if not _is_ok(found) and isinstance(later := _judged(found), Retry):
            return later
        contact_id = str(object_of(found).get("id") or "") if _is_ok(found) else ""
    if not contact_id:
        draft.lost.append("who belongs to it (Intercom knows nobody of this id)")
    said_of_it = yield from _attached(draft, contact_id, settings)
    return said_of_it or Delivered(OK, left_out(draft.lost))


def _happened(delivery: Delivery, settings: Settings) -> Talk:
    body = delivery.event.body
    context = body.get("context")
    within = context.get("traits") if isinstance(context, dict) else None
    email = within.get("email") if isinstance(within, dict) else None
    event: dict[str, Json] = {"event_name": str(body.get("event") or "Unnamed")}
    event["created_at"] = at_ms(body) // 1_000
    if body.get("userId"):
        event["user_id"] = body["userId"]
    elif isinstance(email, str) and is_email(email):
        event["email"] = email
    else:
        return Skipped("Intercom knows nobody without userId or email")
    own = body.get("properties")
    values = laid_over(own if isinstance(own, dict) else {}, delivery.fields)
    said = {name: _as_text(each) for name, each in leaves(values, "")}
    event["metadata"] = {name: each for name, each in said.items() if each is not None}
    return _judged((yield from _ask(_request("POST", "/events", settings, event))))


def _as_text(value: Json) -> str | None:
    if value is None:
        return None
    read = text(value)
    return str(read) if read is not None else orjson.dumps(value).decode()


def _request(method: str, path: str, settings: Settings, asked: Json = None) -> Request:
    headers = {
        "Authorization": f"Bearer {settings.access_token}",
        "Intercom-Version": VERSION,
        "Accept": "application/json",
    }
    if asked is not None:
        headers["Content-Type"] = "application/json"
    return Request(
        url=HOSTS[settings.region] + path,
        method=method,
        headers=headers,
        body=b"" if asked is None else orjson.dumps(asked),
        answer_bytes=ANSWER_BYTES,
    )


def _ask(request: Request) -> Part[Response]:
    """No answer at all is a status of its own, whose body is the reason."""
    answer = yield request
    if isinstance(answer, NoResponse):
        return Response(status=NOTHING, body=answer.reason.encode())
    return answer


def _is_ok(answer: Response) -> bool:
    return OK <= answer.status < REDIRECT


def _message(answer: Response) -> str:
    return " ".join(str(each.get("message")) for each in _errors(answer))


def _errors(answer: Response) -> list[Mapping[str, Json]]:
    errors = object_of(answer).get("errors")
    return [each for each in errors or () if isinstance(each, dict)]


def _judged(answer: Response) -> Verdict:
    """As every status; 429 tells when to come again, a refusal its code."""
    if answer.status == NOTHING:
        return Retry(answer.body.decode())
    if answer.status == THROTTLED:
        reset = answer.headers.get("x-ratelimit-reset", "")
        if reset.isdecimal() and len(reset) < 12:  # noqa: PLR2004 -- a unix time
            after_s = max(0.0, int(reset) - answer.at_s)
            return Retry(str(THROTTLED), after_s, THROTTLED)
    verdict = by_status(answer)
    if isinstance(verdict, Rejected):
        codes = [each.get("code") for each in _errors(answer)[:3]]
        return Rejected("rejected", words(answer.status, *codes), answer.status)
    return verdict


def login(settings: Settings) -> Login:
    """Which attributes there are; an app that may not know sends all it has."""
    answer = yield from _ask(_request("GET", "/data_attributes", settings))
    if not _is_ok(answer):
        verdict = _judged(answer)
        return verdict if isinstance(verdict, Retry) else Access("", ATTRIBUTES_S)
    data = object_of(answer).get("data")
    found = [each for each in data or () if isinstance(each, dict)]
    names = [[each.get("model"), each.get("name")] for each in found]
    return Access(orjson.dumps(names).decode(), ATTRIBUTES_S, set())


async def asks(settings: Settings, context: Context) -> str | None:
    """Ask for the attributes: what is needed anyway."""
    answer = await context.send(_request("GET", "/data_attributes", settings))
    if isinstance(answer, NoResponse):
        return answer.reason
    return None if _is_ok(answer) else str(answer.status)


KIND = Kind(
    doc=__doc__,
    settings=Schema.of(Settings),
    mapped=Mapped(),
    takes=Takes(
        types=frozenset({"identify", "track", "group"}),
        attempt_requests=8,
        spelling="camelCase",
        names=("Intercom (Actions)", "Actions Intercom"),
    ),
    check=check,
    talk=talk,
    login=login,
    foreseen=True,
    reserved=RESERVED,
    asks=asks,
)
