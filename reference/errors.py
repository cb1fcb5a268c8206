"""The page of the error codes: what OpenAPI lists, each with its status and meaning."""

from typing import Any

from gateway.inbound.check import SCHEMAS
from gateway.inbound.serve.describe import openapi
from reference.table import code, table

ANSWERS = {
    "invalid_json": ("400", "the body is not JSON, or no HTTP"),
    "invalid_message": ("400", "nothing in the request is a message that fits"),
    "too_large": ("400", "the request, or its only message, is larger than a limit"),
    "too_many_messages": ("400", "a batch of more than `limits.batch_messages`"),
    "missing_write_key": ("401", "no key in header, body or message"),
    "unknown_write_key": ("401", "a key that no source has"),
    "not_found": ("404", "nothing is at this path"),
    "method_not_allowed": ("405", "the path takes another method"),
    "rate_limited": ("429", "the source sends more than its `rate`"),
    "log_unavailable": ("503, 500", "nothing was kept: sending it again is safe"),
    "overloaded": ("503", "too much waits to become durable: send it again later"),
    "not_implemented": ("501", "no request is answered with it today"),
}
FAULTS = {
    "type": "not of a type that the field takes, or not the endpoint's type",
    "required": "a field is missing",
    "missing_identifier": "nothing says whom the message is about",
    "too_large": "the message, or its event, is larger than a limit",
    "not_a_number": "NaN or Infinity, which JSON does not have",
    "integer_range": "a whole number beyond 64 bits",
    "nul": "the character U+0000",
    "surrogate": "half of a surrogate pair",
    "invalid_json": "a part of a damaged body that is no message: it is kept alone",
    "unplanned_event": "a track that the source's tracking plan does not have",
    "internal": "the gateway failed on this message; its place is in the logs",
}
KEYWORDS = {
    "additionalProperties": "a field that the type does not have",
    "anyOf": "none of the forms that the value may have",
    "const": "not the one value that it may have",
    "enum": "none of the values that it may have",
    "format": "not a date, an address or whatever the field holds",
    "maxItems": "too many items",
    "maxLength": "too long",
    "maxProperties": "too many fields",
    "maximum": "too large",
    "minItems": "too few items",
    "minLength": "too short",
    "minProperties": "too few fields",
    "minimum": "too small",
    "not": "what the value may not be",
    "oneOf": "none of the forms that the value may have, or several",
    "pattern": "not of the form that the text has to have",
}
"""Of JSON Schema; those that the schemas use. A tracking plan may use any other."""
HEAD = """\
# Error codes

Every error is JSON: `code` and `message` of the whole answer, and `errors`, at most ten
a message, each with a JSON Pointer (`pointer`), a `message` and a `code` of its own.
When which is sent is on [the page of the answers](answers.md).

## Of an answer
"""


def keywords() -> set[str]:
    """Every key that stands in a schema."""
    found: set[str] = set()
    waiting: list[Any] = list(SCHEMAS.values())
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            found |= each.keys()
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return found


def page() -> str:
    """Every code that a program may meet."""
    schemas = openapi({}, "http://localhost", {})["components"]["schemas"]
    listed = schemas["Error"]["properties"]["code"]["enum"]
    answers = [(code(name), *ANSWERS[name]) for name in listed]
    used = {word: KEYWORDS[word] for word in sorted(keywords() & KEYWORDS.keys())}
    faults = [(code(name), text) for name, text in {**FAULTS, **used}.items()]
    return "\n".join(
        [
            HEAD,
            table(("code", "status", "what is wrong"), answers),
            "\n## Of a place in a message\n",
            table(("code", "what is wrong"), faults),
        ]
    )
