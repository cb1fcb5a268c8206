"""Bytes to messages: parse, take the batch apart, fill from the batch.

In: a body of any kind. Out: a ``Raw`` per message, or why not. Only what makes the
whole request unusable raises (``MessageError``); what is wrong with one message is a
``Refusal`` of that message, and nobody's payload stands in an error's text.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from gateway.config import Limits
from gateway.errors import MessageError
from gateway.event import PIPELINE_TYPES, EventType, Json, Raw
from gateway.inbound.fit import INTEGER_END, brackets, cut_deep, flaws, weigh
from gateway.inbound.refusal import Fault, Refusal
from gateway.notices import Notice
from gateway.traits import read_date

BOM = b"\xef\xbb\xbf"
INTEGER_DIGITS = 19  # the shortest run of digits that may leave the 64-bit integers
DIGITS_TO_ZERO = bytes(0x30 if 0x30 <= each <= 0x39 else each for each in range(256))  # noqa: PLR2004 -- the digits 0 to 9
DIGITS_MAX = 4_000  # Python refuses to read longer integers; ours are out of range
RUNS_MAX = 500_000  # of brackets, in a body nested too deep to parse
KEYLESS_BYTES = 1_000_000  # of a body whose header names no key, for the slow reader
# Brackets side by side, after anything else: it matches everywhere, so it is linear.
BRACKETS = re.compile(
    rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z))*+([\[{]++|[\]}]++|\Z)',
    re.DOTALL,
)
OPENING = (b"[", b"{")
DEPTH_MAX = 500  # what the standard library parses on any stack; far above the limit
SHARED = ("context", "integrations", "timestamp", "sentAt")
TYPES = PIPELINE_TYPES
# What only the gateway writes, and the key, which goes nowhere.
OURS = frozenset({"writeKey", "asSent", "source", "timestampSource"}).union(
    {"origin", "identifiers", "action"}
)
KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class Decoded(NamedTuple):
    """``suspect``: the messages may hold what ``flaws`` finds.

    ``crowded``: the messages of this batch have many brackets together; ``weigh``
    says of each whether it alone is nested too deep.
    """

    value: Json
    suspect: bool
    crowded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a batch says for each of its messages; ``faults`` if that is no use.

    ``size`` is what all of it takes as compact JSON, in bytes. ``unread`` is a
    ``sentAt`` that is no time: it is not needed. ``notices``: what there is to say.
    """

    context: Mapping[str, Json] | None = None
    integrations: Mapping[str, Json] | None = None
    timestamp: Json = None
    sent_at: Json = None
    faults: tuple[Fault, ...] = ()
    size: int = 0
    unread: Json = None
    notices: tuple[Notice, ...] = ()

    def as_sent(self) -> dict[str, Json]:
        """For the record of a refused message, so that it can be admitted later."""
        return {
            "context": self.context,
            "integrations": self.integrations,
            "sentAt": self.unread if self.sent_at is None else self.sent_at,
            "timestamp": self.timestamp,
        }


NO_BATCH = Batch()


def decode(
    body: bytes, limits: Limits, *, batch: bool = True, known: bool = True
) -> Decoded:
    """JSON to a value; what one message did wrong stays in it, for ``flaws`` to find.

    orjson decides for nearly all; it refuses NaN, Infinity, lone surrogates and very
    deep nesting, and turns large integers into floats: then the standard library
    reads the body, keeping all of it. That is slow, so it reads no more than
    ``KEYLESS_BYTES`` for a sender who is not ``known``.

    Nothing is walked here but a single message (``batch`` False) that is no larger
    than a message may be. The messages of a batch are weighed when they are judged.
    """
    body = body.removeprefix(BOM)
    suspect = holds_nul(body)
    if holds_long_integer(body):
        value, suspect = _read_slowly(body, known=known), True
    else:
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            value, suspect = _read_slowly(body, known=known), True
    if batch and isinstance(messages := _listed(value), list):
        crowded = len(messages) > limits.nesting or brackets(body) > limits.nesting
        return Decoded(value, suspect, crowded)
    if len(body) > limits.message_bytes or brackets(body) <= limits.nesting:
        return Decoded(value, suspect)
    return Decoded(value, cut_deep(value, limits.nesting) or suspect)


def holds_nul(json_text: bytes) -> bool:
    """Whether U+0000 may be in it; as itself it may not, so it is escaped."""
    return b"\\" in json_text and b"\\u0000" in json_text


def holds_long_integer(json_text: bytes) -> bool:
    """Whether a number in it may be beyond 64 bits, which orjson makes a float of."""
    return b"0" * INTEGER_DIGITS in json_text.translate(DIGITS_TO_ZERO)


def _read_slowly(body: bytes, *, known: bool) -> Json:
    if not known and len(body) > KEYLESS_BYTES:
        message = (
            f"the body is {len(body)} bytes, more than {KEYLESS_BYTES}, and not plain "
            "JSON; larger ones need their key in the Authorization header"
        )
        raise MessageError("too_large", message)
    return _read_all(body)


def _read_all(body: bytes) -> Json:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8: byte {error.start + 1}"
        raise MessageError("invalid_json", message) from None
    # Being called for each integer takes three times as long as all the rest.
    endless = b"0" * DIGITS_MAX in body.translate(DIGITS_TO_ZERO)
    parse_int = _integer if endless else None
    try:
        return json.loads(text, parse_int=parse_int)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        message = f"the body is not JSON: {error.msg} at {place}"
        raise MessageError("invalid_json", message) from None
    except RecursionError:
        pass
    try:
        return json.loads(_shallow(body, DEPTH_MAX), parse_int=parse_int)
    except (json.JSONDecodeError, RecursionError):
        message = "the body is not JSON, and is nested very deep"
        raise MessageError("invalid_json", message) from None


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < DIGITS_MAX else INTEGER_END


def _shallow(body: bytes, depth_max: int) -> str:
    """The JSON with everything deeper than ``depth_max`` cut out of its container."""
    kept, start, depth = [], 0, 0
    for count, found in enumerate(BRACKETS.finditer(body)):
        if count == RUNS_MAX:
            raise MessageError("too_large", "the body is nested too deep to be read")
        at, end = found.span(1)
        size = end - at
        if body[at:end][:1] in OPENING:
            if depth <= depth_max < depth + size:
                kept.append(body[start : at + depth_max + 1 - depth])
            depth += size
        else:
            if depth - size <= depth_max < depth:
                start = at + depth - depth_max - 1
            depth -= size
    if depth <= depth_max:
        kept.append(body[start:])
    return b"".join(kept).decode()


def _listed(value: Json) -> Json:
    """Where the messages of a batch stand: in its `batch`, or at the top of it all."""
    return value.get("batch") if isinstance(value, dict) else value


def is_batch(value: Json) -> bool:
    """Whether a file is one; a body at `/v1/batch` has to be."""
    return isinstance(value, list) or (isinstance(value, dict) and "batch" in value)


def is_alone(value: Json) -> bool:
    """Whether it may be a message, and is no batch."""
    return isinstance(value, dict) and "batch" not in value


def is_whole_batch(value: Json) -> bool:
    """Whether it is a batch; a message may have a field of that name."""
    return is_batch(value) and "type" not in value


def messages_of(value: Json, limits: Limits) -> list[Json]:
    """The messages of a batch, none of them looked at."""
    messages = _listed(value)
    if not isinstance(messages, list):
        text = "expected an object with an array `batch` of messages"
        raise MessageError("invalid_message", text)
    if not messages:
        raise MessageError("invalid_message", "`batch` is empty")
    if len(messages) > limits.batch_messages:
        raise too_many(len(messages), limits)
    return messages


def too_many(count: int, limits: Limits) -> MessageError:
    """A batch of more messages than one may have."""
    text = f"{count} messages in a batch, more than {limits.batch_messages}"
    return MessageError("too_many_messages", text)


def shared(value: Json, limits: Limits, *, suspect: bool = True) -> Batch:
    """What a batch says for each of its messages; a list of them says nothing.

    It becomes a part of every event, so what is larger than an event may be is too
    large for the request as a whole. ``suspect`` False: ``flaws`` need not look.
    """
    if isinstance(value, list):
        return NO_BATCH
    said: dict[str, Any] = {
        name: value[name] for name in SHARED if value.get(name) is not None
    }
    if not said:
        return NO_BATCH
    size, deep = weigh(said, limits.nesting, limits.event_bytes)
    if size > limits.event_bytes:
        text = f"{size} bytes, more than {limits.event_bytes}: no event may be as large"
        raise MessageError("too_large", f"{', '.join(said)} of the batch: {text}")
    faults = flaws(said, limits.nesting) if suspect or deep else []
    notices, unread = list[Notice](), None
    for name in ("context", "integrations"):
        if name in said and said[name] == []:  # PHP's empty object
            notices.append(Notice("empty_array", f"/{name}"))
            del said[name]
    if "sentAt" in said and read_date(said["sentAt"]) is None:
        notices.append(Notice("unreadable_sent_at"))
        unread = said.pop("sentAt")
        faults = [each for each in faults if not each.pointer.startswith("/sentAt")]
    for name, each in said.items():
        wanted = dict if name in ("context", "integrations") else (str, int, float)
        if not isinstance(each, wanted) or each is True or each is False:
            what = "an object" if wanted is dict else "a time"
            text = f"of the batch: must be {what}, not {KINDS[type(each)]}"
            faults.append(Fault(f"/{name}", text, "type"))
    return Batch(
        context=said.get("context"),
        integrations=said.get("integrations"),
        timestamp=said.get("timestamp"),
        sent_at=said.get("sentAt"),
        faults=tuple(faults),
        size=size,
        unread=unread,
        notices=tuple(notices),
    )


def prepare(
    message: Json, endpoint_type: EventType | None, batch: Batch
) -> Raw | Refusal:
    """One message with its type, and with what its batch says where it is silent.

    P010, P011: the type is the endpoint's. ``context.traits`` serve an identify
    without ``traits``. Names that only the gateway may write are taken out (P018).
    """
    if batch.faults:
        return Refusal.of(batch.faults)
    if not isinstance(message, dict):
        text = f"a message must be an object, not {KINDS[type(message)]}"
        return Refusal((Fault("", text, "type"),))
    fill = _from_batch(message, batch) if batch is not NO_BATCH else {}
    given = message.get("type")
    if given is None and endpoint_type is not None:
        fill["type"] = given = endpoint_type
    if given not in ((endpoint_type,) if endpoint_type else TYPES):
        expected = endpoint_type or ", ".join(TYPES[:-1]) + f" or {TYPES[-1]}"
        code = "const" if endpoint_type else "enum"
        return Refusal((Fault("/type", f"must be {expected}", code),))
    if given == "identify" and message.get("traits") is None:
        context = fill.get("context", message.get("context"))
        if isinstance(context, dict) and context.get("traits") is not None:
            fill["traits"] = context["traits"]
    if not OURS.isdisjoint(message):
        message = {n: v for n, v in message.items() if n not in OURS}
    return Raw(message | fill if fill else message)


def _from_batch(message: dict[str, Json], batch: Batch) -> dict[str, Json]:
    """Context and integrations key by key; times only where the message has none."""
    fill: dict[str, Json] = {}
    shared = ("context", batch.context), ("integrations", batch.integrations)
    for name, common in shared:
        if common:
            own = message.get(name)
            if own is None or own == []:  # the latter is PHP's empty object
                fill[name] = common
            elif isinstance(own, dict):
                fill[name] = {**common, **own}
    if batch.sent_at is not None and message.get("sentAt") is None:
        fill["sentAt"] = batch.sent_at
    # The sender's originalTimestamp is nearer to the event than the batch's time.
    if (
        batch.timestamp is not None
        and message.get("timestamp") is None
        and message.get("originalTimestamp") is None
    ):
        fill["timestamp"] = batch.timestamp
    return fill
