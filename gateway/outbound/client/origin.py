"""Where a URL leads: whom to connect to, and the first lines of a request there.

Most URLs are ones that can go on the wire byte for byte; such a one is only split.
``%2F`` is not ``/``, and some URLs are signed: nothing of it is rewritten.
"""

import base64
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from yarl import URL

ORIGINS_MAX = 1_000
PLAIN = re.compile(r"(https?://[A-Za-z0-9._-]+(?::\d{1,5})?)(/[!-~]*)?")
PORTS = {"http": 80, "https": 443}


class Proxy(NamedTuple):
    """An HTTP proxy; ``authorization`` is the header it wants, or ""."""

    host: str
    port: int
    authorization: str


class Route(NamedTuple):
    """Whose connections may serve a request: all that asks for the same route."""

    host: str
    port: int
    tls: bool
    anywhere: bool = False
    """The operator named it: no address is refused."""
    proxy: Proxy | None = None


class Origin(NamedTuple):
    """What all URLs of one scheme, host and port (and user) have in common."""

    route: Route
    before: str
    """What stands before the path in the request line."""
    lines: str
    """The header lines that say where it goes."""


class Origins:
    """The origins of URLs; ``hosts`` and ``proxy`` as ``[egress]`` has them.

    A URL of a host in ``hosts`` goes where that says, its path and query kept; one of
    another host goes through the proxy, where there is one.
    """

    def __init__(
        self, hosts: Mapping[str, str] | None = None, proxy: str | None = None
    ) -> None:
        self._hosts = hosts or {}
        self._proxy = _proxy(proxy) if proxy else None
        self._known: dict[str, Origin] = {}

    def of(self, url: str) -> tuple[Origin, str]:
        """The origin of a URL, and its path with the query; ValueError: it has none."""
        plain = PLAIN.fullmatch(url)
        if plain is None or "#" in url:
            beginning, path = _split(url)
        else:
            beginning, path = plain[1], plain[2] or "/"
        origin = self._known.get(beginning)
        if origin is None:
            if len(self._known) >= ORIGINS_MAX:
                self._known.clear()
            origin = self._known[beginning] = self._origin(beginning)
        return origin, path

    def _origin(self, beginning: str) -> Origin:
        parts = urlsplit(beginning)
        there = self._hosts.get(parts.netloc) or self._hosts.get(parts.hostname or "")
        if there is not None:
            return _origin(*_split(there.rstrip("/")), anywhere=True)
        if self._proxy is None:
            return _origin(beginning, "")
        return _origin(beginning, "", proxy=self._proxy)


def _split(url: str) -> tuple[str, str]:
    """Scheme, host and port (and user); path and query, "" where the URL has none."""
    written = url.isascii() and url.isprintable() and " " not in url
    parsed = URL(url, encoded=written)
    beginning = str(parsed.origin()) if not parsed.raw_user else _with_user(parsed)
    path = parsed.raw_path_qs
    return beginning, path


def _with_user(url: URL) -> str:
    return f"{url.scheme}://{url.raw_authority}"


def _origin(
    beginning: str, path: str, *, anywhere: bool = False, proxy: Proxy | None = None
) -> Origin:
    url = URL(beginning, encoded=True)
    host, port = url.raw_host, url.port
    if url.scheme not in PORTS or not host or not port:
        raise ValueError("not a URL of http or https")
    shown = f"[{host}]" if ":" in host else host
    named = shown if port == PORTS[url.scheme] else f"{shown}:{port}"
    lines = f"Host: {named}\r\n"
    if (authorization := _basic(url)) != "":
        lines += f"Authorization: {authorization}\r\n"
    tls, before = url.scheme == "https", "" if path == "/" else path
    route = Route(host, port, tls, anywhere or proxy is not None, proxy)
    if proxy is not None and not tls:  # it is asked for the whole URL
        before = f"http://{named}{before}"
        if proxy.authorization:
            lines += f"Proxy-Authorization: {proxy.authorization}\r\n"
        route = Route(proxy.host, proxy.port, tls=False, anywhere=True)
    return Origin(route, before, lines)


def _proxy(text: str) -> Proxy:
    url = URL(text, encoded=True)
    if url.scheme != "http" or not url.raw_host or not url.port:
        raise ValueError("not the URL of an HTTP proxy")
    return Proxy(url.raw_host, url.port, _basic(url))


def _basic(url: URL) -> str:
    """What the user and password in a URL are as a header; "" where there are none."""
    if not url.raw_user and not url.raw_password:
        return ""
    user, password = unquote(url.raw_user or ""), unquote(url.raw_password or "")
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
