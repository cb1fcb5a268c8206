"""Where destinations may be: on the public internet, and nowhere else unless allowed.

A URL in the configuration, or a name in somebody's DNS, may point into the operator's
own network: a metadata service, a database, an admin port. So the address itself is
judged, when the socket to it is made: whatever a name stood for before, each new
connection is judged by what it stands for now (DNS rebinding). Redirects are never
followed (send.py).
"""

import socket
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

Found: TypeAlias = tuple[
    int | socket.AddressFamily,
    int | socket.SocketKind,
    int,
    str,
    tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
]
"""An address of a name, as ``getaddrinfo`` gives it."""
EVERYWHERE = ("0.0.0.0/0", "::/0")
NAT64 = IPv6Network("64:ff9b::/96")  # its last 32 bits are an IPv4 address


class PrivateAddressError(OSError):
    """The address is not public, and ``server.private_destinations`` has it not.

    The text is the same for all addresses of a name, so that one error says it.
    """

    def __init__(self) -> None:
        super().__init__("not a public address; see server.private_destinations")


class Reach:
    """Which addresses may be connected to; ``allowed``: ranges that are not public."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = [ip_network(each) for each in allowed]

    def allows(self, address: str) -> bool:
        """Whether a connection may go to this address, given as text."""
        meant = _meant(ip_address(address))
        if meant.is_global and not meant.is_multicast:
            return True
        return any(meant in network for network in self._allowed)

    def refused(self, host: str) -> str | None:
        """The range that would have to be allowed for this host of a URL, if any.

        None for a name: what it stands for is asked when it is connected to.
        """
        found = [each for each in _addresses(host) if not self.allows(each)]
        if not found or len(found) < len(_addresses(host)):
            return None
        return str(ip_network(_meant(ip_address(found[0]))))

    def socket(self, found: Found) -> socket.socket:
        """The socket to one address of a name; PrivateAddressError if none may be."""
        family, kind, protocol, _, address = found
        if not self.allows(str(address[0])):
            raise PrivateAddressError
        return socket.socket(family=family, type=kind, proto=protocol)


def _addresses(host: str) -> list[str]:
    """What a host is for certain, without asking anybody."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return ["127.0.0.1", "::1"]
    try:
        return [str(ip_address(name))]
    except ValueError:
        pass
    try:
        return [socket.inet_ntoa(socket.inet_aton(name))]  # 127.1, 0x7f000001
    except OSError:
        return []


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one only wraps, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    wrapped = address.ipv4_mapped or address.sixtofour
    if wrapped is None and address.teredo is not None:
        wrapped = address.teredo[1]
    return wrapped or address
