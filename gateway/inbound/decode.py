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
from gateway.event import EventType, Json, Raw
from gateway.inbound.refusal import FAULTS_MAX, Fault, Refusal

BOM = b"\xef\xbb\xbf"
INTEGER_DIGITS = 19  # the shortest run of digits that may leave the 64-bit integers
INTEGER_MIN, INTEGER_END = -(2**63), 2**64  # what orjson reads and writes exactly
DIGITS_TO_ZERO = bytes(0x30 if 0x30 <= each <= 0x39 else each for each in range(256))  # noqa: PLR2004 -- the digits 0 to 9
DIGITS_MAX = 4_000  # Python refuses to read longer integers; ours are out of range
TOKENS_MAX = 1_000_000  # of a body nested too deep to parse; bounds the search
TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]++|[\]}]++', re.DOTALL)
DEPTH_MAX = 500  # what the standard library parses on any stack; far above the limit
ENVELOPE_DEPTH = 2  # the body's object and its batch array
TYPES = ("identify", "track", "page", "screen", "group", "alias")
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
    """What a batch says for each of its messages; ``faults`` if that is no use."""

    context: Mapping[str, Json] | None = None
    integrations: Mapping[str, Json] | None = None
    timestamp: str | None = None
    sent_at: str | None = None
    faults: tuple[Fault, ...] = ()

    def as_sent(self) -> dict[str, Json]:
        """For the record of a refused message, so that it can be admitted later."""
        return {
            "context": self.context,
            "integrations": self.integrations,
            "sentAt": self.sent_at,
            "timestamp": self.timestamp,
        }


NO_BATCH = Batch()


def decode(body: bytes, limits: Limits) -> Decoded:
    """JSON to a value; what one message did wrong stays in it, for ``flaws`` to find.

    orjson decides for nearly all; it refuses NaN, Infinity, lone surrogates and very
    deep nesting, and turns large integers into floats: then the standard library
    reads the body, keeping all of it.
    """
    body = body.removeprefix(BOM)
    suspect = holds_nul(body)
    if holds_long_integer(body):
        value, suspect = _read_all(body), True
    else:
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            value, suspect = _read_all(body), True
    batch = value.get("batch") if isinstance(value, dict) else None
    many = isinstance(batch, list) and len(batch) > limits.nesting
    if not many and brackets(body) <= limits.nesting:
        return Decoded(value, suspect)
    if isinstance(batch, list):
        rest = {name: each for name, each in value.items() if name != "batch"}
        suspect = _bound(rest, limits.nesting) or suspect
        return Decoded(value, suspect, crowded=True)
    return Decoded(value, _bound(value, limits.nesting) or suspect)


def holds_nul(json_text: bytes) -> bool:
    """Whether U+0000 may be in it; as itself it may not, so it is escaped."""
    return b"\\" in json_text and b"\\u0000" in json_text


def holds_long_integer(json_text: bytes) -> bool:
    """Whether a number in it may be beyond 64 bits, which orjson makes a float of."""
    return b"0" * INTEGER_DIGITS in json_text.translate(DIGITS_TO_ZERO)


def brackets(json_text: bytes) -> int:
    """How many containers it has at most: no text is nested deeper than that."""
    return json_text.count(b"{") + json_text.count(b"[")


def _read_all(body: bytes) -> Json:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8: byte {error.start + 1}"
        raise MessageError("invalid_json", message) from None
    try:
        return json.loads(text, parse_int=_integer)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        message = f"the body is not JSON: {error.msg} at {place}"
        raise MessageError("invalid_json", message) from None
    except RecursionError:
        pass
    try:
        return json.loads(_shallow(body, DEPTH_MAX), parse_int=_integer)
    except (json.JSONDecodeError, RecursionError):
        message = "the body is not JSON, and is nested very deep"
        raise MessageError("invalid_json", message) from None


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < DIGITS_MAX else INTEGER_END


def _shallow(body: bytes, depth_max: int) -> str:
    """The JSON with everything deeper than ``depth_max`` cut out of its container."""
    kept, start, depth = [], 0, 0
    for count, token in enumerate(TOKEN.finditer(body)):
        if count == TOKENS_MAX:
            raise MessageError("too_large", "the body is nested too deep to be read")
        first, size = body[token.start()], token.end() - token.start()
        if first in b"[{":
            if depth <= depth_max < depth + size:
                kept.append(body[start : token.start() + depth_max + 1 - depth])
            depth += size
        elif first in b"]}":
            if depth - size <= depth_max < depth:
                start = token.start() + depth - depth_max - 1
            depth -= size
    if depth <= depth_max:
        kept.append(body[start:])
    return b"".join(kept).decode()


def _bound(value: Json, nesting: int) -> bool:
    """Whether it is nested deeper than ``nesting``; in place, what is far deeper goes.

    Level by level, without recursion. A little more than the limit is kept, so that
    ``flaws`` finds it in a message of a batch too.
    """
    level = [value] if isinstance(value, dict | list) else []
    depth = 0
    while level:
        depth += 1
        if depth > nesting + ENVELOPE_DEPTH + 1:
            for container in level:
                container.clear()
            return True
        level = [
            item
            for each in level
            for item in (each.values() if type(each) is dict else each)
            if type(item) is dict or type(item) is list
        ]
    return depth > nesting


def flaws(value: Json, nesting: int) -> list[Fault]:
    """What no event can hold, by pointer: in values and in keys, the first ten."""
    faults: list[Fault] = []
    waiting: list[tuple[Json, str, int]] = [(value, "", 1)]
    while waiting and len(faults) < FAULTS_MAX:
        item, pointer, depth = waiting.pop()
        if isinstance(item, dict | list):
            if depth > nesting:
                text = f"nested deeper than {nesting}"
                faults.append(Fault(pointer, text, "too_large"))
                continue
            pairs = item.items() if isinstance(item, dict) else enumerate(item)
            inner = []
            for key, each in pairs:
                place = f"{pointer}/{escaped(key)}"
                if isinstance(key, str) and (fault := _text_flaw(key, place, "a key")):
                    faults.append(fault)
                inner.append((each, place, depth + 1))
            waiting.extend(reversed(inner))
        elif (fault := _scalar_flaw(item, pointer)) is not None:
            faults.append(fault)
    return faults[:FAULTS_MAX]


def _scalar_flaw(value: Json, pointer: str) -> Fault | None:
    if isinstance(value, str):
        return _text_flaw(value, pointer, "a string")
    if isinstance(value, float) and not abs(value) < float("inf"):
        text = "NaN, Infinity and numbers as large are not numbers in JSON"
        return Fault(pointer, text, "not_a_number")
    if isinstance(value, int) and not INTEGER_MIN <= value < INTEGER_END:
        text = "an integer must be from -2^63 to 2^64 - 1; send it as a string"
        return Fault(pointer, text, "integer_range")
    return None


def _text_flaw(text: str, pointer: str, what: str) -> Fault | None:
    if "\0" in text:
        return Fault(pointer, f"{what} holds the character U+0000", "nul")
    try:
        text.encode()
    except UnicodeEncodeError:
        return Fault(pointer, f"{what} holds half a surrogate pair", "surrogate")
    return None


def escaped(key: str | int) -> str:
    """A key as a part of a JSON Pointer that can always be written."""
    part = str(key).replace("~", "~0").replace("/", "~1").replace("\0", "\ufffd")
    return part.encode("utf-8", "replace").decode()


def split(
    value: Json, endpoint_type: EventType | None, limits: Limits
) -> tuple[list[Json], Batch]:
    """The messages of a body and what the batch says for all of them.

    ``endpoint_type`` is None for a batch. A single message is its own batch of one.
    """
    if endpoint_type is not None:
        return [value], NO_BATCH
    if not isinstance(value, dict) or not isinstance(value.get("batch"), list):
        text = "expected an object with an array `batch` of messages"
        raise MessageError("invalid_message", text)
    messages = value["batch"]
    if not messages:
        raise MessageError("invalid_message", "`batch` is empty")
    if len(messages) > limits.batch_messages:
        text = f"{len(messages)} messages in a batch, more than {limits.batch_messages}"
        raise MessageError("too_many_messages", text)
    return messages, _batch(value, limits.nesting)


def _batch(value: dict[str, Json], nesting: int) -> Batch:
    said: dict[str, Any] = {
        name: value[name]
        for name in ("context", "integrations", "timestamp", "sentAt")
        if value.get(name) is not None
    }
    if not said:
        return NO_BATCH
    faults = flaws(said, nesting)
    for name, each in said.items():
        wanted = dict if name in ("context", "integrations") else str
        if type(each) is not wanted:
            text = f"of the batch: must be {KINDS[wanted]}, not {KINDS[type(each)]}"
            faults.append(Fault(f"/{name}", text, "type"))
    return Batch(
        context=said.get("context"),
        integrations=said.get("integrations"),
        timestamp=said.get("timestamp"),
        sent_at=said.get("sentAt"),
        faults=tuple(faults),
    )


def prepare(
    message: Json, endpoint_type: EventType | None, batch: Batch
) -> Raw | Refusal:
    """One message with its type, and with what its batch says where it is silent.

    P010, P011: the type is the endpoint's. ``context.traits`` serve an identify
    without ``traits``. Names that only the gateway may write are taken out (P018).
    """
    if not isinstance(message, dict):
        text = f"a message must be an object, not {KINDS[type(message)]}"
        return Refusal((Fault("", text, "type"),))
    if batch.faults:
        return Refusal.of(batch.faults)
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
            if own is None:
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


def weigh(message: Json, nesting: int) -> tuple[int, bool]:
    """Its length as compact UTF-8 JSON, and whether ``flaws`` must look how deep it is.

    What is far too deep is cut out in place, so that it can be written at all.
    """
    try:
        compact = orjson.dumps(message)
    except TypeError:  # too deep to be written, or what only ``flaws`` can name
        return message_bytes(message) if not _bound(message, nesting) else 0, True
    if brackets(compact) <= nesting:
        return len(compact), False
    return len(compact), _bound(message, nesting)


def message_bytes(message: Json) -> int:
    """Its length as compact UTF-8 JSON: what the limit of a message is about."""
    try:
        return len(orjson.dumps(message))
    except TypeError:
        # A lone surrogate is as long as its escape; integers may be of any size.
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        return len(text.encode("utf-8", "backslashreplace"))
