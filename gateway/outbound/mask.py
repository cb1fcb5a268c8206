"""What may be shown of a request and its response: no secrets, bounded bodies.

For dead letters and ``gateway explain``. Masked are the settings declared secret,
wherever their value turns up; headers whose name says so; the password in a URL.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.event import Json

MASK = "***"
BODY_BYTES = 8_192  # of a response
SECRET_CHARS_MIN = 4  # a shorter one would blacken half of every text
SECRET_HEADER = re.compile(
    r"auth|cookie|token|secret|password|credential|session|api-?key|^x-.*-key$",
    re.IGNORECASE,
)
SECRET_QUERY = re.compile(
    r"([?&][^=&#]*(?:auth|token|secret|password|key|sig)[^=&#]*=)[^&#]*", re.IGNORECASE
)


def secrets_of(settings: Any) -> tuple[str, ...]:
    """The values of the settings declared secret, the longest first.

    Settings that are no dataclass (a mapping) declare none.
    """
    if not is_dataclass(settings):
        return ()
    found: set[str] = set()
    for each in fields(settings):
        how, value = each.metadata.get("secret"), getattr(settings, each.name)
        if how == "path":  # of a URL that is one secret: its host may be seen
            found.add(str(value).partition("://")[2].partition("/")[2])
        elif how:
            values = value.values() if isinstance(value, Mapping) else [value]
            found.update(str(text) for text in values if text)
    found.discard("")
    return tuple(sorted(found, key=len, reverse=True))


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
        name: MASK if SECRET_HEADER.search(name) else masked(value, secrets)
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
