"""What may be shown of a request and its response: no secrets, bounded bodies.

For dead letters, ``gateway explain`` and ``gateway send``. Masked are the settings
declared secret and what the environment gave (``${NAME}``), wherever their value turns
up; headers whose name says so; the password in a URL.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.event import Json

MASK = "***"
BODY_BYTES = 8_192  # of a response
SECRET_CHARS_MIN = 4  # a shorter one would blacken half of every text
TOKEN_CHARS_MIN = 8
URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?([^/?#]*)/?")
PLAIN_HEADERS = frozenset({"accept", "content-type", "user-agent"})  # hold no secrets
SECRET_HEADER = re.compile(
    r"auth|cookie|token|secret|password|credential|session|api-?key|^x-.*-key$",
    re.IGNORECASE,
)
SECRET_QUERY = re.compile(
    r"([?&][^=&#]*(?:auth|token|secret|password|key|sig)[^=&#]*=)[^&#]*", re.IGNORECASE
)


def secrets_of(settings: Any, given: Collection[str] = ()) -> tuple[str, ...]:
    """The settings declared secret and what the environment gave, the longest first.

    Settings that are no dataclass (a mapping) declare none. A host is no secret: of a
    URL it is what follows.
    """
    found: set[str] = set()
    hosts: list[str] = []
    for each in fields(settings) if is_dataclass(settings) else ():
        value = getattr(settings, each.name)
        found.update(_declared(value, each.metadata.get("secret")))
        if each.metadata.get("url"):
            hosts += URL.findall(str(value))
    for value in given:
        if not any(value in host for host in hosts):
            found.add(_behind_host(value))
    found |= {json.dumps(each, ensure_ascii=False)[1:-1] for each in found}
    found.discard("")
    return tuple(sorted(found, key=len, reverse=True))


def _declared(value: Any, secret: Any) -> Iterator[str]:
    """What of a setting's value is secret."""
    if secret == "path":  # noqa: S105 -- which part of it is one
        yield _behind_host(str(value))
    elif secret and isinstance(value, Mapping):
        yield from _of_headers(value)
    elif secret and value:
        yield str(value)


def _behind_host(text: str) -> str:
    """What follows the host of a URL; all of what is none."""
    return URL.sub("", text, count=1)


def _of_headers(headers: Mapping[str, Any]) -> Iterator[str]:
    """Their values, and the token of one that is a scheme and a token."""
    for name, value in headers.items():
        if name.lower() not in PLAIN_HEADERS:
            yield str(value)
            token = str(value).rpartition(" ")[2]
            yield token if len(token) >= TOKEN_CHARS_MIN else ""


def masked(text: str, secrets: tuple[str, ...]) -> str:
    """The text without any of the secrets."""
    for secret in secrets:
        if len(secret) >= SECRET_CHARS_MIN:
            text = text.replace(secret, MASK)
    return text


def masked_headers(
    headers: Mapping[str, str], secrets: tuple[str, ...]
) -> dict[str, Json]:
    """Headers without secrets, whatever their case."""
    return {
        name: MASK
        if value in secrets or SECRET_HEADER.search(name)
        else masked(value, secrets)
        for name, value in headers.items()
    }


def masked_url(url: str, secrets: tuple[str, ...]) -> str:
    """The URL without user, password and secrets; its query too."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        host = parts.netloc.rpartition("@")[2]
        url = parts._replace(netloc=f"{MASK}@{host}").geturl()
    return masked(SECRET_QUERY.sub(rf"\1{MASK}", url), secrets)


def text_of(body: bytes) -> str:
    """A body as text; what is no UTF-8 is replaced."""
    return body.decode(errors="replace")
