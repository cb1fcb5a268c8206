"""What an agent is shown of an answer: its form, not its values; and not too much.

An agent may send what it reads anywhere. So values of payloads keep their form and lose
their content, ``xxxx@xxx.xx``, unless they are asked for. What an event is, who sent it
and what became of it are no payload.
"""

import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from gateway.event import Json

FORM_CHARS = 40
PLAIN_KEYS = frozenset(
    {
        "type",
        "event",
        "messageId",
        "timestamp",
        "originalTimestamp",
        "sentAt",
        "receivedAt",
        "timestampSource",
        "version",
        "source",
        "integrations",
        "origin",
        "action",
        "channel",
    }
)
EXCHANGE_KEYS = frozenset({"method", "status"})
LETTER, DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
QUOTED = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`""")
EMAIL = re.compile(r"[^\s<>@]+@[^\s<>@]+")
NUMBER = re.compile(r"\d{5,}")
ANSWER_BYTES = 60_000


class Bound(NamedTuple):
    """How much of a value is shown: characters of a text, items of a list or object."""

    chars: int
    items: int


BOUNDS = (Bound(4_000, 200), Bound(400, 50), Bound(120, 20), Bound(60, 5))
DEPTH_MAX = 24


def form_of(value: Json) -> Json:
    """What a value looks like, without what it says; keys stay."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, dict):
        return {key: form_of(each) for key, each in value.items()}
    if isinstance(value, list):
        return [form_of(each) for each in value]
    text = DIGIT.sub("9", LETTER.sub("x", str(value)))
    return text if len(text) <= FORM_CHARS else f"{text[:FORM_CHARS]}…"


def scrubbed(text: Json) -> Json:
    """A sentence about a value, without the value: quotes, addresses, long numbers."""
    if not isinstance(text, str):
        return form_of(text)
    return NUMBER.sub("99999", EMAIL.sub("x@x", QUOTED.sub("'…'", text)))


def event_of(event: Json) -> Json:
    """A message or an event: what it is stays, what it says does not."""
    if not isinstance(event, dict):
        return form_of(event)
    return {k: v if k in PLAIN_KEYS else form_of(v) for k, v in event.items()}


def story(told: Json) -> Json:
    """A message's story."""
    return {**told, "found": [_found(each) for each in told["found"]]}


def _found(found: Mapping[str, Json]) -> Json:
    shown = {name: event_of(found[name]) for name in ("asSent", "event")}
    changes = [
        {**each, "from": form_of(each["from"]), "to": form_of(each["to"])}
        for each in found["changes"]
    ]
    errors = [{**e, "message": scrubbed(e.get("message"))} for e in found["errors"]]
    ends = [
        {**each, "attempts": [_attempt(one) for one in each["attempts"]]}
        for each in found["destinations"]
    ]
    more = {"changes": changes, "errors": errors, "destinations": ends}
    return {**found, **shown, **more}


def _attempt(attempt: Mapping[str, Json]) -> Json:
    shown = {**attempt, "error": scrubbed(attempt.get("error"))}
    for name in ("request", "response"):
        if isinstance(shown.get(name), dict):
            shown[name] = {k: _exchanged(k, v) for k, v in shown[name].items()}
    return shown


def _exchanged(name: str, value: Json) -> Json:
    """A part of a request or a response; whatever is not known holds a payload."""
    if name in EXCHANGE_KEYS:
        return value
    if name == "url":
        scheme, mark, rest = str(value).partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}{mark}{host}{slash}{form_of(path)}"
    with contextlib.suppress(orjson.JSONDecodeError):  # a text, then
        value = orjson.loads(value) if isinstance(value, str) else value
    return form_of(value)


def events(told: Json) -> Json:
    """A page of a search."""
    found = [
        {
            **each,
            "person": form_of(each.get("person")),
            **(
                {"errors": [{**e, "message": scrubbed(e["message"])} for e in errors]}
                if (errors := each.get("errors"))
                else {}
            ),
        }
        for each in told["events"]
    ]
    return {**told, "events": found}


def groups(told: Json) -> Json:
    """Dead letters by reason: what a destination said may quote what it was sent."""
    found = [{**each, "error": scrubbed(each.get("error"))} for each in told["groups"]]
    return {**told, "groups": found}


def as_it_is(told: Json) -> Json:
    """What holds no payload."""
    return told


Veil = Callable[[Any], Json]


def bounded(value: Json) -> str:
    """JSON of at most 60 KB: long texts and lists are cut, and say so."""
    text = b""
    for bound in BOUNDS:
        text = orjson.dumps(_cut(value, bound, DEPTH_MAX))
        if len(text) <= ANSWER_BYTES:
            return text.decode()
    return '{"cut": "the answer is too large: ask for less"}'


def _cut(value: Json, bound: Bound, depth: int) -> Json:
    if isinstance(value, str):
        more = len(value) - bound.chars
        return value if more <= 0 else f"{value[: bound.chars]}… ({more} more)"
    if not isinstance(value, dict | list):
        return value
    if not depth:
        return "…"
    more = len(value) - bound.items
    if isinstance(value, list):
        found = [_cut(each, bound, depth - 1) for each in value[: bound.items]]
        return [*found, f"… ({more} more)"] if more > 0 else found
    kept = list(value.items())[: bound.items]
    cut = {key: _cut(each, bound, depth - 1) for key, each in kept}
    return {**cut, "…": f"{more} more"} if more > 0 else cut
