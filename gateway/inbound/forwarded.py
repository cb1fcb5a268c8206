"""Where a request comes from, behind proxies: X-Forwarded-For or Forwarded; pure."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import hdrs

MAPPED = "::ffff:"
PORT = re.compile(r"(?::(?:\d{1,5}|_[\w.-]+))?", re.ASCII)
ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
PAIR = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+')
ESCAPED = re.compile(r"\\(.)")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def sender_ip(
    remote: str | None, headers: Mapping[str, str], trusted: Sequence[Network]
) -> str | None:
    """The sender's address: the last one told that is no trusted proxy's.

    The headers are believed only when the connection itself comes from a trusted proxy,
    and each hop only when the one behind it is one. None when a trusted proxy tells
    nothing that can be read: its own address is nobody's who sends.
    """
    if remote is None or not (trusted or remote.startswith(MAPPED)):
        return remote
    found = _address(remote)
    for hop in reversed(_hops(headers) if trusted else ()):
        if found is None or not any(found in network for network in trusted):
            break
        found = _address(hop)
    return None if found is None else str(found)


def _hops(headers: Mapping[str, str]) -> Sequence[str]:
    """What the proxies say, the nearest last; none when they say nothing.

    All lines of a header count as one, in their order; ``Forwarded`` (RFC 7239) is
    asked when there is no X-Forwarded-For.
    """
    if given := _lines(headers, hdrs.X_FORWARDED_FOR):
        return [hop for each in given.split(",") if (hop := each.strip())]
    told = _lines(headers, hdrs.FORWARDED)
    return [_for(each) for each in ELEMENT.findall(told) if each.strip()]


def _lines(headers: Mapping[str, str], name: str) -> str:
    if name not in headers:
        return ""
    named = name.lower()
    return ",".join(value for each, value in headers.items() if each.lower() == named)


def _for(element: str) -> str:
    """Whom one element of ``Forwarded`` is for; empty when it does not say it."""
    for pair in PAIR.findall(element):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return ESCAPED.sub(r"\1", value.strip())
    return ""


def _address(hop: str) -> Address | None:
    """The address of a hop, without quotes, brackets and port; None if it names none.

    An IPv4 address in an IPv6 one (``::ffff:10.1.1.1``) is that IPv4 address.
    """
    text, port = hop.strip('"').strip(), ""
    if text.startswith("["):
        text, closed, port = text[1:].partition("]")
        port = port if closed else text
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        port = f":{port}"
    if not PORT.fullmatch(port):
        return None
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
