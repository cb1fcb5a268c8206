"""Posts a line about each event to a Slack channel, by an incoming webhook.

`text` is a template: `{{traits.email}}` is what the event has at that place, nothing
where it has none. Without one, an identify and a track say who and what:
`*cool.person@example.com* identified: firstName Cool, plan pro`. A `mapping` in a table
of its `actions` may give the `text` instead. What comes from events cannot mention
people or channels; what a mapping makes can neither, nor can it link.

Slack takes about one message a second for a channel: what is more waits, as Slack asks.
A channel or webhook that is gone (403, 404, 410) concerns every event, so nothing is
lost: events wait until a probe succeeds. Slack has no way to tell a repeated message:
one whose answer was lost appears twice.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

from gateway.errors import ConfigError
from gateway.event import PIPELINE_TYPES, Json
from gateway.outbound.contract import Delivery, Retry, Takes, Verdict
from gateway.outbound.http import Request, Response, by_status, json_request
from gateway.outbound.kind import Kind, Schema, setting
from gateway.outbound.shape import Mapped
from gateway.outbound.talk import one_request
from gateway.web import is_url

TEXT_CHARS = 3_000  # Slack shows no more of one block, and cuts what is far longer
VALUE_CHARS = 300  # of one value in it
TRAITS_SHOWN = 10
GONE = frozenset({403, 404, 410})  # the channel or the webhook, not the event
PLACE = re.compile(r"\{\{\s*([\w$.-]+)\s*\}\}")
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``settings = {...}`` of a slack."""

    url: str = setting(
        doc="The incoming webhook's URL; its path is the secret",
        example='"https://hooks.slack.com/services/${SLACK_PATH}"',
        secret="path",  # noqa: S106 -- which part of it is one
        url=True,
    )
    text: str = setting(
        doc="What is posted: `{{place.in.the.event}}` stands for what is there",
        example='"*{{traits.email}}* is on plan {{traits.plan}}"',
        default="",
    )


def check(settings: Settings, place: str) -> None:
    """Raise ConfigError for a value that cannot work."""
    if not is_url(settings.url) or not urlsplit(settings.url).path:
        raise ConfigError(f"{place}.url: not the http or https URL of a webhook")
    left = PLACE.sub("", settings.text)
    if "{{" in left or "}}" in left:
        raise ConfigError(f"{place}.text: `{{{{place}}}}` is what a template has")


def request(deliveries: Sequence[Delivery], settings: Settings) -> Request | None:
    """One message; None where the template leaves nothing to say."""
    (delivery,) = deliveries
    body = delivery.event.body
    if delivery.fields is not None and "text" in delivery.fields:
        text = _shown(delivery.fields["text"], TEXT_CHARS)
    else:
        text = filled(settings.text, body) if settings.text else told(body)
    if not text.strip():
        return None
    message = {"text": text[:TEXT_CHARS], "unfurl_links": False}
    return json_request(settings.url, orjson.dumps(message))


def filled(template: str, body: Mapping[str, Json]) -> str:
    """The template with what the event has at each place."""
    return PLACE.sub(lambda match: _shown(_at(body, match[1])), template)


def told(body: Mapping[str, Json]) -> str:
    """What is said of an event without a template."""
    match body["type"]:
        case "identify":
            return f"*{_who(body)}* identified{_listed(body.get('traits'))}"
        case "track":
            event = _shown(body.get("event"))
            return f"*{_who(body)}* did {event}{_listed(body.get('properties'))}"
        case kind:
            return f"*{_who(body)}* {_shown(kind)} {_shown(body.get('name'))}".rstrip()


def _who(body: Mapping[str, Json]) -> str:
    """An email if there is one, else an id."""
    places = "traits.email", "context.traits.email", "userId", "anonymousId"
    return next(filter(None, (_shown(_at(body, place)) for place in places)), "someone")


def _listed(values: Json) -> str:
    """``: plan pro, logins 4``: what is a text or a number, the first few."""
    if not isinstance(values, dict):
        return ""
    shown = [f"{_shown(name)} {text}" for name, text in _plain(values)]
    return f": {', '.join(shown[:TRAITS_SHOWN])}" if shown else ""


def _plain(values: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, (str, int, float)) and name != "email":
            yield name, _shown(value)


def _at(value: Json, place: str) -> Json:
    for name in place.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _shown(value: Json, chars: int = VALUE_CHARS) -> str:
    """A value as Slack shows it: no markup of its own, bounded."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text[:chars].translate(ESCAPES)


def judge(response: Response) -> Verdict:
    """As every status, but what is gone for one event is gone for all."""
    if response.status in GONE:
        word = response.body[:VALUE_CHARS].decode(errors="replace")
        return Retry(
            f"{response.status} {word}".strip(), status=response.status, auth=True
        )
    return by_status(response)


KIND = Kind(
    doc=__doc__,
    settings=Schema.of(Settings),
    takes=Takes(types=frozenset(PIPELINE_TYPES)),
    check=check,
    mapped=Mapped(fields=("text",)),
    talk=one_request(request, judge),
)
