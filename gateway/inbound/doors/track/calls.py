"""The Track API: a path -> what is asked -> messages in the gateway's form. Pure.

``TABLE`` is the whole of it. Paths are read raw and their segments decoded once, so an
identifier may hold anything: ``a%2Fb``, ``+``, ``@`` as it is or as ``%40`` (CLIENTS
4.14). A body is judged by a definition of ``schemas/track-api.json``.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote

from gateway.event import EventType, Json, Raw
from gateway.inbound.check import check_part, read_part
from gateway.inbound.doors.track import entity, translate
from gateway.inbound.doors.track.translate import NOBODY, Values
from gateway.inbound.refusal import Fault, Refusal
from gateway.traits import read_date

PREFIXES = ("/api/v1/", "/api/v2/", "/unsubscribe/", "/push/")
LABEL = "track_api"  # the metric's label of what is no request of this table
SEGMENT_DIGITS = 18
EMPTY = b"{}"  # what no body at all means
# What a path's part must be, by its name in the template: a definition of the schema.
PARTS: Mapping[str, str] = {
    "identifier": "identifier",
    "device_id": "token",
    "delivery_id": "token",
    "form_id": "token",
}


class Asked(NamedTuple):
    """What a request says beside its method and path's template."""

    parts: Mapping[str, str]
    query: Mapping[str, str]
    body: Values
    forms: Mapping[str, Mapping[str, str]]

    @property
    def named(self) -> dict[str, str]:
        """The person in the path."""
        return translate.path_identifier(self.parts["identifier"])


Become: TypeAlias = Callable[[Asked], list[Raw] | Refusal]


class Operation(NamedTuple):
    """``name`` for metrics; ``schema`` of the body; ``dated``: where its time is."""

    name: str
    type: EventType | None
    schema: str
    become: Become
    dated: str = "timestamp"


class Call(NamedTuple):
    """A request that has a place in the table; ``line`` is method and path as sent."""

    operation: Operation
    line: str
    parts: Mapping[str, str]
    query: Mapping[str, str]

    @property
    def is_batch(self) -> bool:
        """Many entities in one request, each judged alone."""
        return self.operation is BATCH


def find(method: str, target: str) -> Call | tuple[str, ...] | None:
    """The call; or which methods the path takes; or None for no path of this API.

    A slash at the end is as none, unless an identifier is missing behind it.
    """
    path, _, query = target.partition("?")
    line = f"{method} {target}".encode("utf-8", "replace").decode()
    found = _find(method, line, path, query)
    if not isinstance(found, Call) and path.endswith("/"):
        return _find(method, line, path[:-1], query) or found
    return found


def _find(
    method: str, line: str, path: str, query: str
) -> Call | tuple[str, ...] | None:
    given = path.split("/")
    if path == "/api/v1/customers":
        given.append("")  # an identifier that is missing, not a path
    for template, operations in PATHS:
        if len(template) != len(given):
            continue
        parts: dict[str, str] = {}
        for wanted, got in zip(template, given, strict=True):
            if wanted[:1] == "{":
                parts[wanted[1:-1]] = got
            elif wanted != got:
                break
        else:
            operation = operations.get(method)
            if operation is None:
                return tuple(operations)
            return Call(operation, line, parts, dict(parse_qsl(query)))
    return None


def messages(
    call: Call, body: Json, forms: Mapping[str, Mapping[str, str]]
) -> list[Raw] | Refusal:
    """What a request becomes, the first message its own; or why it is refused.

    Of a batch, ``body`` is one of its entities. ``forms`` are the source's.
    """
    parts, faults = _parts(call)
    if faults:
        return Refusal(faults)
    if call.operation.schema == "entity":
        return entity.messages(body)
    body = read_part(body, call.operation.schema) or {}
    if isinstance(body, Refusal):
        return body
    at = body.get(call.operation.dated)
    if at is not None and read_date(at) is None:
        return _refused(f"/{call.operation.dated}", entity.UNREAD, "format")
    return call.operation.become(Asked(parts, call.query, body, forms))


def number(made: list[Raw], spare: str) -> str:
    """Give the messages of one request their ids; returns the first one's.

    It is the sender's, or the spare one; the others have it with a number, so that a
    request that is sent again with its id is the same messages again.
    """
    first = made[0].get("messageId") or spare
    for place, each in enumerate(made):
        each["messageId"] = f"{first}.{place}" if place else first
    return str(first)


def _parts(call: Call) -> tuple[dict[str, str], tuple[Fault, ...]]:
    """The path's parts, decoded once; faults have no pointer: it is not the body."""
    parts: dict[str, str] = {}
    for name, raw in call.parts.items():
        where = f"the {name} in the path"
        try:
            parts[name] = unquote(raw, errors="strict")
            parts[name].encode()
        except UnicodeError:
            return {}, (Fault("", f"{where} is not UTF-8", "format"),)
        if parts[name] in ("", translate.CIO_PREFIX):
            return {}, (Fault("", f"{where} is missing", "missing_identifier"),)
        schema = PARTS.get(name)
        if schema and (refused := check_part(parts[name], schema)) is not None:
            told = (f._replace(message=f"{where} {f.message}") for f in refused.faults)
            return {}, tuple(told)
    return parts, ()


def _refused(pointer: str, text: str, code: str) -> Refusal:
    return Refusal((Fault(pointer, text, code),))


# v1: what each becomes


def _identify(asked: Asked) -> list[Raw]:
    named, body = asked.named, asked.body
    related = body.get("cio_relationships") or {}
    action = related.get("action") or "add_relationships"
    at = body.get("_timestamp")
    return [
        translate.identify(named, body),
        *translate.groups(named, related.get("relationships"), action, at=at),
    ]


def _action(action: str) -> Become:
    return lambda asked: [translate.person(asked.named, action)]


def _event(asked: Asked) -> list[Raw]:
    return [translate.happened(asked.named, asked.body, asked.body.get("data"))]


def _anonymous(asked: Asked) -> list[Raw]:
    return [translate.happened(NOBODY, asked.body, asked.body.get("data"))]


def _put_device(asked: Asked) -> list[Raw]:
    return [translate.put_device(asked.named, asked.body["device"])]


def _delete_device(asked: Asked) -> list[Raw]:
    return [translate.delete_device(asked.named, asked.parts["device_id"])]


def _push(asked: Asked) -> list[Raw]:
    token = asked.body.get("device_id")
    return [translate.report(asked.body["event"], asked.body, recipient=token)]


def _metric(asked: Asked) -> list[Raw]:
    return [translate.report(asked.body["metric"], asked.body)]


def _merge(asked: Asked) -> list[Raw]:
    return [entity.merge(asked.body)]


def _segment(action: str) -> Become:
    def become(asked: Asked) -> list[Raw] | Refusal:
        segment = asked.parts["segment_id"]
        if not (segment.isascii() and segment.isdigit()) or (
            len(segment) > SEGMENT_DIGITS
        ):
            return _refused("", "the segment_id in the path is not a number", "type")
        kind = asked.query.get("id_type", "id")
        if kind not in translate.KINDS:
            text = f"id_type in the query must be {', '.join(translate.KINDS)}"
            return _refused("", text, "enum")
        return [
            translate.person(
                translate.explicit({kind: each}), action, segment=int(segment)
            )
            for each in asked.body["ids"]
        ]

    return become


def _form(asked: Asked) -> list[Raw] | Refusal:
    form = asked.parts["form_id"]
    names = asked.forms.get(form, {})
    data = {names.get(name, name): each for name, each in asked.body["data"].items()}
    if (refused := check_part({"data": data}, "form")) is not None:
        return refused
    made = translate.identify(NOBODY, data, context={"form": {"id": form}})
    if not made["identifiers"] and "anonymousId" not in made:
        text = "needs an id or an email, or an anonymous_id"
        return _refused("/data", text, "missing_identifier")
    return [made]


def _unsubscribe(asked: Asked) -> list[Raw]:
    wanted = asked.body.get("unsubscribe") is not False
    action = "unsubscribe" if wanted else "resubscribe"
    return [translate.person(NOBODY, action, deliveryId=asked.parts["delivery_id"])]


def _nothing(asked: Asked) -> list[Raw]:
    """A read, or what is taken apart before: it has no messages of its own."""
    del asked
    return []


def _entities(asked: Asked) -> list[Raw] | Refusal:
    return entity.messages(asked.body)


CUSTOMER = "/api/v1/customers/{identifier}"
SEGMENT = "/api/v1/segments/{segment_id}"
BATCH = Operation("track_batch", None, "entity", _entities)
PUSH = Operation("track_push", "track", "push", _push)
REGION = Operation("track_region", None, "nothing", _nothing)
TABLE: Mapping[str, Mapping[str, Operation]] = {
    CUSTOMER: {
        "PUT": Operation(
            "track_identify", "identify", "customer", _identify, "_timestamp"
        ),
        "DELETE": Operation("track_delete", "person", "nothing", _action("delete")),
    },
    f"{CUSTOMER}/events": {
        "POST": Operation("track_event", "track", "event", _event),
    },
    f"{CUSTOMER}/suppress": {
        "POST": Operation("track_suppress", "person", "nothing", _action("suppress")),
    },
    f"{CUSTOMER}/unsuppress": {
        "POST": Operation(
            "track_unsuppress", "person", "nothing", _action("unsuppress")
        ),
    },
    f"{CUSTOMER}/devices": {
        "PUT": Operation("track_put_device", "track", "put_device", _put_device),
    },
    f"{CUSTOMER}/devices/{{device_id}}": {
        "DELETE": Operation("track_delete_device", "track", "nothing", _delete_device),
    },
    "/api/v1/events": {"POST": Operation("track_event", "track", "event", _anonymous)},
    "/api/v1/merge_customers": {
        "POST": Operation("track_merge", "person", "merge", _merge),
    },
    "/api/v1/push/events": {"POST": PUSH},
    "/push/events": {"POST": PUSH},  # customerio for Ruby posts here
    "/api/v1/metrics": {"POST": Operation("track_metric", "track", "metric", _metric)},
    f"{SEGMENT}/add_customers": {
        "POST": Operation(
            "track_segment", "person", "segment", _segment("segment_add")
        ),
    },
    f"{SEGMENT}/remove_customers": {
        "POST": Operation(
            "track_segment", "person", "segment", _segment("segment_remove")
        ),
    },
    "/api/v1/forms/{form_id}/submit": {
        "POST": Operation("track_form", "identify", "form", _form),
    },
    "/api/v1/accounts/region": {"GET": REGION},
    "/api/v2/entity": {"POST": Operation("track_entity", None, "entity", _entities)},
    "/api/v2/batch": {"POST": BATCH},
    "/unsubscribe/{delivery_id}": {
        "POST": Operation("track_unsubscribe", "person", "unsubscribe", _unsubscribe),
    },
}
PATHS = tuple((path.split("/"), operations) for path, operations in TABLE.items())
# For the API's description: the definition of each body.
BODIES = {
    path: {method: operation.schema for method, operation in operations.items()}
    for path, operations in TABLE.items()
}
