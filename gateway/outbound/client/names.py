"""What a name stands for, asked once a minute.

Each new connection judges the addresses anew (``Reach``); here they are only found.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from gateway.outbound.reach import Found

KEPT_S = 60.0
NAMES_MAX = 1_000

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[Found]]]


class UnknownNameError(OSError):
    """No address is known of the name, or nobody who knows could be asked."""


async def resolve(host: str, port: int) -> Sequence[Found]:
    """The addresses that this machine knows of a host; UnknownNameError: none."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except socket.gaierror as error:
        raise UnknownNameError(*error.args) from error
    except UnicodeError as error:  # a label that is empty, or longer than 63
        raise UnknownNameError(str(error)) from error


class Names:
    """Addresses by host and port, kept for a minute; ``resolve`` is asked for them."""

    def __init__(self, resolve: Resolve = resolve, *, kept_s: float = KEPT_S) -> None:
        self._resolve = resolve
        self._kept_s = kept_s
        self._known: dict[tuple[str, int], tuple[float, Sequence[Found]]] = {}

    async def find(self, host: str, port: int) -> Sequence[Found]:
        """In the order in which they should be tried; UnknownNameError: none."""
        now_s = asyncio.get_running_loop().time()
        known = self._known.get((host, port))
        if known is not None and now_s < known[0]:
            return known[1]
        found = await self._resolve(host, port)
        if len(self._known) >= NAMES_MAX:
            self._known.clear()
        self._known[host, port] = now_s + self._kept_s, found
        return found
