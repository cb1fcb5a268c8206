"""What is told: a message, and the requests that bring it to a webhook or to Slack."""

import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Literal

import orjson

from gateway.alerts.settings import Rule
from gateway.event import Json, iso
from gateway.outbound.http import Request, json_request

State = Literal["begins", "ends", "test"]
TEXT_CHARS = 1_000
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
MARKS: Mapping[State, str] = {
    "begins": ":red_circle:",
    "ends": ":large_green_circle:",
    "test": ":white_circle:",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The beginning of a trouble, or its end; times are unix milliseconds.

    ``subject`` is whom it is about: a destination, a source, an event, the log.
    """

    rule: Rule | Literal["test"]
    subject: str
    state: State
    text: str
    at_ms: int
    since_ms: int
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The same each time the same is told: who gets it twice knows it again."""
        said = f"{self.rule} {self.subject} {self.state} {self.since_ms}"
        return blake2b(said.encode(errors="replace"), digest_size=12).hexdigest()

    def to_json(self) -> bytes:
        """As a webhook and a command get it."""
        return orjson.dumps(
            {
                "id": self.id,
                "alert": self.rule,
                "subject": self.subject,
                "state": self.state,
                "at": iso(self.at_ms),
                "since": iso(self.since_ms),
                "text": self.text[:TEXT_CHARS],
                "facts": self.facts,
            }
        )

    def kept(self) -> dict[str, Json]:
        """As the state keeps it; ``Message(**kept)`` is it again."""
        return {**asdict(self), "facts": dict(self.facts)}


def webhook_request(message: Message, url: str, secret: str) -> Request:
    """JSON, signed as the webhook destination signs its bodies."""
    body = message.to_json()
    if not secret:
        return json_request(url, body)
    signature = hmac.digest(secret.encode(), body, "sha256").hex()
    return json_request(url, body, X_Gateway_Signature=f"sha256={signature}")


def slack_request(message: Message, url: str) -> Request:
    """One line; what it says mentions nobody and links nowhere."""
    text = message.text[:TEXT_CHARS].translate(ESCAPES)
    said = {"text": f"{MARKS[message.state]} {text}", "unfurl_links": False}
    return json_request(url, orjson.dumps(said))


def sample(now_ms: int) -> Message:
    """What ``gateway alerts test`` sends."""
    return Message(
        rule="test",
        subject="gateway",
        state="test",
        text="gateway: this is a test of [alerts]; nothing is wrong",
        at_ms=now_ms,
        since_ms=now_ms,
    )
