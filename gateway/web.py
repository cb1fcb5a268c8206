"""Origins and base URLs, as browsers and SDKs use them; pure.

What comes in: a text of the configuration. What goes out: its normal form, and what is
wrong with it, with the remedy (empty: nothing is).
"""

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

ANY, NO_PAGE = "*", "null"  # every page; pages without an origin: files, sandboxes
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?")
LABEL = re.compile(r"[^.]{1,63}")
DEFAULT_PORTS = {"http": 80, "https": 443}
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- to listen at, not to send to
NO_ORIGIN = "is no origin: write https://HOST or https://HOST:PORT"
NO_URL = "is not http:// or https:// with a host"


class Address(NamedTuple):
    """``text`` in its normal form; as it came when something is ``wrong`` with it."""

    text: str
    wrong: str = ""


def origin(text: str) -> Address:
    """What a browser says in ``Origin`` of pages at this address.

    Upper case, a default port and a lone slash at the end change nothing: the normal
    form is without them. ``*`` and ``null`` are what they are.
    """
    if text in (ANY, NO_PAGE):
        return Address(text)
    if not text.isprintable() or " " in text:
        return Address(text, "has white space")
    if ANY in text:
        return Address(text, 'has a * inside: name each origin, or "*" for all')
    if "://" not in text:
        return Address(text, f"has no scheme: {NO_ORIGIN.partition(': ')[2]}")
    parts = _split(text)
    if parts is None or not SCHEME.fullmatch(parts.scheme):
        return Address(text, NO_ORIGIN)
    if parts.scheme == "file":
        return Address(text, f'is no origin: that of files is "{NO_PAGE}"')
    host = parts.hostname or ""
    if not host.isascii():
        return Address(text, "is not as browsers send it: write its xn-- form")
    if not is_host(host) or "@" in parts.netloc:
        return Address(text, NO_ORIGIN)
    whole = _without_path(parts)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return Address(text, f"has a path, which no origin has: write {whole}")
    return Address(whole)


def base_url(text: str) -> Address:
    """Where SDKs send to: they add ``/v1/...``. A slash at the end changes nothing."""
    parts = _split(text) if text.isprintable() and " " not in text else None
    if parts is None or parts.scheme not in DEFAULT_PORTS or "@" in parts.netloc:
        return Address(text, f"{NO_URL}, such as https://gateway.example")
    if not is_host(parts.hostname or ""):
        return Address(text, f"{NO_URL}, such as https://gateway.example")
    if parts.hostname in EVERYWHERE:
        return Address(text, "is where to listen, not an address to send to")
    path = parts.path.rstrip("/")
    if parts.query or parts.fragment:
        return Address(text, "has more than a path after its host")
    if path.endswith("/v1"):
        without = text[: text.rindex("/v1")]
        return Address(text, f"ends in /v1, which SDKs add: write {without}")
    return Address(text.rstrip("/"))


@lru_cache(maxsize=4_096)  # of each request of an action, and they are few
def is_host(host: str) -> bool:
    """Whether DNS or an address could be meant; a name in any alphabet may."""
    if ":" in host:
        try:
            return isinstance(ip_address(host), IPv6Address)
        except ValueError:
            return False
    name = host.removesuffix(".")
    if not all(LABEL.fullmatch(each) for each in name.split(".")):
        return False
    try:
        return HOST.fullmatch(host.encode("idna").decode().lower()) is not None
    except UnicodeError:
        return False


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # ValueError when it is none
    except ValueError:
        return None
    return parts


def _without_path(parts: SplitResult) -> str:
    host = parts.hostname or ""
    shown = f"[{ip_address(host).compressed}]" if ":" in host else host
    port = parts.port
    if port is None or port == DEFAULT_PORTS.get(parts.scheme):
        return f"{parts.scheme}://{shown}"
    return f"{parts.scheme}://{shown}:{port}"


def is_url(url: str | None) -> bool:
    """Whether a request can go to it, as far as its text tells."""
    if url is None or not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # ValueError when it is none
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and is_host(parts.hostname or "")
