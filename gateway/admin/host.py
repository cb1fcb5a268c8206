"""Which names the admin port answers to: what a page that was rebound cannot ask.

A page may make its own name point at 127.0.0.1 (DNS rebinding); its browser then reads
/metrics as if it were that page's own server, but says the page's name in ``Host``. So
names are answered that nobody else can own: an address, ``localhost``, the name that
the port is bound to, and those of ``server.admin_hosts``. Pure.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address

LOOPBACK = "localhost"
GIVEN = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)


def is_answered(given: str, names: Iterable[str]) -> bool:
    """Whether a ``Host`` is ours: ``NAME``, ``NAME:PORT``, an address; none at all is.

    No browser leaves it out.
    """
    if not given:
        return True
    name = host_of(given)
    return name is not None and (
        is_address(name)
        or name == LOOPBACK
        or name.endswith(f".{LOOPBACK}")
        or name in map(str.lower, names)
    )


def host_of(given: str) -> str | None:
    """The host of a ``Host`` header, in lower case; None for what is none."""
    found = GIVEN.fullmatch(given.lower())
    if found is None:
        return None
    return found["name"].strip("[]").removesuffix(".") or None


def is_address(host: str) -> bool:
    """Whether it is an address, written in full: browsers know no other."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
