"""The only map from what happened to status, body, CORS and Retry-After.

Every answer is JSON and is written whole: head and body in one piece, rendered here.
What each SDK makes of a status is measured (CLIENTS §2); the choices follow from it:
400 is the one final refusal, 413 and 408 are never sent, 200 is exactly 200.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import istr

from gateway.errors import AuthError, LogError, MessageError
from gateway.event import Json, exact
from gateway.inbound.refusal import FAULTS_MAX, Fault, Refusal

Headers = Mapping[str, str]
ALLOWED_HEADERS = "authorization, content-type, x-retry-count"
ALLOWED_METHODS = "GET, POST, PUT, DELETE, OPTIONS"
PREFLIGHT_SECONDS = 86_400
ECHO_MAX = 2_048  # characters of a request's header that come back in its answer
RETRY_SECONDS = 1  # small: some SDKs sleep this long in their caller's thread
RETRY_SECONDS_MAX = 30
CONTROL = re.compile(rb"\x7f|\xc2[\x80-\x9f]")  # U+007F to U+009F, in UTF-8
STRICT_MODE = istr("X-Strict-Mode")
STRICT = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status and its JSON; ``cors`` False where a readable answer loses data."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    cors: bool = True


class Reply(web.StreamResponse):
    """An answer on the wire, in one write.

    aiohttp's Response costs more than the rest of a request; this one holds its bytes,
    so the common answer is rendered once and shared by all requests.
    """

    def __init__(self, *, status: int, wire: bytes, keep_alive: bool) -> None:
        super().__init__(status=status)
        self._wire = wire
        self._keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write everything; called by aiohttp once per request.

        The next request waits until not too much is unread (``unread.py``).
        """
        if request.transport is not None:
            request.transport.write(self._wire)
            await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


ACCEPTED = Answer(status=200, body=b'{"success": true}')
DROPPED = Reply(status=499, wire=b"", keep_alive=False)  # the connection is gone


def wire(
    answer: Answer, *, origin: str | None, asked: str | None, close: bool
) -> bytes:
    """The bytes of an answer; ``asked`` are the headers a preflight asks for."""
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(answer.body)}",
        *(f"{name}: {value}" for name, value in answer.headers),
    ]
    if origin is not None and answer.cors and len(origin) <= ECHO_MAX:
        lines += _cors(origin, asked)
    if close:
        lines.append("Connection: close")
    return (
        "\r\n".join(lines).encode("utf-8", "surrogateescape")
        + b"\r\n\r\n"
        + answer.body
    )


ACCEPTED_WIRE = wire(ACCEPTED, origin=None, asked=None, close=False)
SHARED = Reply(status=200, wire=ACCEPTED_WIRE, keep_alive=True)


def reply(answer: Answer, request: web.BaseRequest) -> Reply:
    """What aiohttp sends for this request; the shared one whenever it fits."""
    origin = request.headers.get(hdrs.ORIGIN)
    keep_alive = request.keep_alive and request.version.minor > 0
    if answer is ACCEPTED and origin is None and keep_alive:
        return SHARED
    asked = request.headers.get("Access-Control-Request-Headers")
    rendered = wire(answer, origin=origin, asked=asked, close=not keep_alive)
    if request.method == "HEAD":
        rendered = rendered[: len(rendered) - len(answer.body)]
    return Reply(status=answer.status, wire=rendered, keep_alive=keep_alive)


def to_whole(answer: Answer, headers: Headers) -> bytes:
    """The same for a POST that was read whole on a connection that stays open."""
    origin = headers.get(hdrs.ORIGIN)
    if answer is ACCEPTED and origin is None:
        return ACCEPTED_WIRE
    asked = headers.get("Access-Control-Request-Headers")
    return wire(answer, origin=origin, asked=asked, close=False)


def _cors(origin: str, asked: str | None) -> list[str]:
    """Any origin may ask: the key decides, and ``origins`` is judged on the POST."""
    if asked is not None and len(asked) > ECHO_MAX:
        asked = None  # no browser asks for so many
    asked = ", ".join(filter(None, (ALLOWED_HEADERS, asked)))
    return [
        f"Access-Control-Allow-Origin: {origin}",
        "Vary: Origin",
        f"Access-Control-Allow-Methods: {ALLOWED_METHODS}",
        f"Access-Control-Allow-Headers: {asked}",
        "Access-Control-Expose-Headers: Retry-After",
        f"Access-Control-Max-Age: {PREFLIGHT_SECONDS}",
    ]


def _error(
    status: int,
    code: str,
    message: str,
    faults: Sequence[Fault] = (),
    **more: Json,
) -> Answer:
    """Every SDK finds its text: code, message, error, meta.error (CLIENTS §4.8)."""
    body = {
        "success": False,
        "code": code,
        "message": message,
        "error": message,
        "meta": {"error": message},
        "errors": [fault._asdict() for fault in faults[:FAULTS_MAX]],
        **more,
    }
    return Answer(status=status, body=orjson.dumps(body))


def preflight() -> Answer:
    """Any preflight is answered; the POST is what is judged."""
    return Answer(status=200, body=b"{}")


def document(value: Any) -> Answer:
    """A JSON document: settings, a schema, the OpenAPI description.

    Tools read them as YAML, which has no control characters: those are escaped.
    """
    body = CONTROL.sub(_escaped, orjson.dumps(value))
    return Answer(status=200, body=body)


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


NOTHING = "there is nothing at this path; see /openapi.json"


def not_found(message: str = NOTHING) -> Answer:
    """404: no such path here. It is not repeated: a path may hold a key."""
    return _error(404, "not_found", message)


def method_not_allowed(allowed: Sequence[str]) -> Answer:
    """405 with the methods this path takes."""
    methods = ", ".join(allowed)
    answer = _error(405, "method_not_allowed", f"this path takes {methods}")
    return Answer(status=405, body=answer.body, headers=(("Allow", methods),))


def bug() -> Answer:
    """500: ours. A retry is safe; the notice names the place."""
    return _error(500, "log_unavailable", "the gateway failed on this request")


def unreadable(message: str) -> Answer:
    """400 for what is not HTTP, or not JSON."""
    return _error(400, "invalid_json", message)


def refused_request(error: MessageError) -> Answer:
    """400: the request as a whole."""
    return _error(400, error.code, str(error))


def unauthorized(error: AuthError) -> Answer:
    """401: no key, or one that nobody has."""
    return _error(401, error.code, str(error))


def rate_limited(source: str, wait_s: float) -> Answer:
    """429 with when to come back."""
    answer = _error(
        429, "rate_limited", f"source {source} sends more than its `rate` allows"
    )
    return _later(answer, wait_s)


def unavailable(error: LogError) -> Answer:
    """503: nothing is promised, a retry is safe."""
    return _later(_error(503, error.code, str(error)), RETRY_SECONDS)


def _later(answer: Answer, wait_s: float) -> Answer:
    seconds = min(max(RETRY_SECONDS, math.ceil(wait_s)), RETRY_SECONDS_MAX)
    headers = (("Retry-After", str(seconds)),)
    return Answer(status=answer.status, body=answer.body, headers=headers)


def hidden_from_browsers(answer: Answer, headers: Headers) -> Answer:
    """Without CORS headers for the SDK that takes any readable answer for delivered.

    The Customer.io browser SDK is known by its simple request: an Origin, no
    Authorization, text/plain (CLIENTS §4.10). It resends when it cannot read.
    """
    simple = (
        answer.status in (429, 503)
        and hdrs.ORIGIN in headers
        and hdrs.AUTHORIZATION not in headers
        and headers.get("Content-Type", "").lower().startswith("text/plain")
    )
    if not simple:
        return answer
    return Answer(
        status=answer.status, body=answer.body, headers=answer.headers, cors=False
    )


@dataclass(frozen=True, slots=True)
class Rejected:
    """One message of a request that was not admitted; ``index`` counts from 0.

    ``shown`` is its part of the answer, rendered when the message was judged: the
    report on a whole batch at once would stall the loop. ``size`` is its bytes.
    """

    index: int
    refusal: Refusal
    shown: orjson.Fragment
    size: int


def rejected(index: int, message_id: str | None, refusal: Refusal) -> Rejected:
    """A rejection with its part of the answer."""
    errors = [fault._asdict() for fault in refusal.faults]
    told = {"index": index, "messageId": message_id, "errors": errors}
    shown = exact(orjson.dumps(told))
    return Rejected(index, refusal, orjson.Fragment(shown), len(shown))


def is_strict(headers: Headers) -> bool:
    """Whether the sender wants a 400 for a request of which a part is refused."""
    given = headers.get(STRICT_MODE)
    return given is not None and given.strip().lower() in STRICT


def judged(
    *, accepted: int, rejected: Sequence[Rejected], batch: bool, strict: bool
) -> Answer:
    """The answer to a request whose messages were judged one by one (DESIGN 4.2)."""
    if not rejected:
        return ACCEPTED
    if not batch:
        return _single(rejected[0].refusal)
    report = [each.shown for each in rejected]
    if accepted and not strict:
        body = {"success": True, "accepted": accepted, "rejected": report}
        return Answer(status=200, body=orjson.dumps(body))
    kept = f"; the other {accepted} are kept" if accepted else ""
    faults = [
        fault._replace(pointer=f"/batch/{each.index}{fault.pointer}")
        for each in rejected[:FAULTS_MAX]
        for fault in each.refusal.faults
    ]
    return _error(
        400,
        "invalid_message",
        f"{len(rejected)} of {accepted + len(rejected)} messages are refused{kept}",
        faults,
        accepted=accepted,
        rejected=report,
    )


def _single(refusal: Refusal) -> Answer:
    first = refusal.faults[0]
    code = "too_large" if first.code == "too_large" else "invalid_message"
    where = f"{first.pointer}: " if first.pointer else ""
    return _error(400, code, f"{where}{first.message}", refusal.faults)


# The Track API's answers: Customer.io's shapes, and ours beside them (INTERFACE).
TRACKED = Answer(status=200, body=b"{}")


def tracked(
    *, accepted: int, rejected: Sequence[Rejected], batch: bool, strict: bool
) -> Answer:
    """The answer to a Track API request that was judged; 207 for a part of a batch."""
    if not rejected:
        return TRACKED
    if not batch or strict or not accepted:
        return judged(accepted=accepted, rejected=rejected, batch=batch, strict=strict)
    errors = [
        {"batch_index": each.index, **_track_fault(fault._asdict())}
        for each in rejected
        for fault in each.refusal.faults[:1]
    ]
    return Answer(status=207, body=orjson.dumps({"errors": errors}))


def as_track(answer: Answer, message_id: str) -> Answer:
    """Any answer in the Track API's shape, with the header that all of them carry."""
    body = answer.body
    if answer.status >= HTTPStatus.BAD_REQUEST:
        said = orjson.loads(body)
        errors = [_track_fault(each) for each in said["errors"]]
        texts = [f"{e['field']}: {e['message']}".removeprefix(": ") for e in errors]
        meta = {"error": said["error"], "errors": texts or [said["error"]]}
        body = orjson.dumps({**said, "meta": meta, "errors": errors})
    elif body == ACCEPTED.body:  # `on_invalid`: what was refused as a whole is kept
        body = TRACKED.body
    shown = message_id if message_id.isascii() and message_id.isprintable() else ""
    header = ("X-Message-Id", shown or quote(message_id, errors="replace"))
    return Answer(status=answer.status, body=body, headers=(*answer.headers, header))


def _track_fault(fault: Mapping[str, Json]) -> dict[str, Json]:
    """``field`` is the pointer as the vendor writes it; of what is missing, too."""
    field = fault["pointer"].strip("/").replace("/", ".")
    if fault["code"] == "required":
        missing = fault["message"].removeprefix("needs ").partition(" ")[0]
        field = f"{field}.{missing}".strip(".")
    return {"reason": fault["code"], "field": field, **fault}


def region(public_url: str) -> Answer:
    """Where the Track API is: here."""
    where = {"url": public_url, "region": "us", "data_center": "us"}
    return Answer(status=200, body=orjson.dumps({**where, "environment_id": 0}))
