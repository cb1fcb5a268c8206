"""A request as it came: its headers, from where, when; and whose messages it brings."""

from collections.abc import Mapping, Sequence

from aiohttp import hdrs

from gateway.config import Source
from gateway.event import Origin, iso
from gateway.inbound.forwarded import Network, sender_ip


class Post:
    """One request on its way; ``source`` is whose all of it is, once that is known."""

    __slots__ = ("_origins", "_proxies", "at_ms", "headers", "remote", "source")

    def __init__(
        self,
        headers: Mapping[str, str],
        remote: str | None,
        at_ms: int,
        proxies: Sequence[Network] = (),
    ) -> None:
        self.headers, self.remote, self.at_ms = headers, remote, at_ms
        self.source: Source | None = None
        self._proxies = proxies
        self._origins: dict[str, Origin] = {}

    def origin(self, source: Source) -> Origin:
        """What is known beside the messages: made once per source and request."""
        return self._origins.get(source.name) or self._origin(source)

    def _origin(self, source: Source) -> Origin:
        # By place: with their names it would take twice the time.
        origin = self._origins[source.name] = Origin(
            source.name,
            source.kind,
            iso(self.at_ms),
            self.at_ms,
            "",
            sender_ip(self.remote, self.headers, self._proxies),
            _readable(self.headers.get(hdrs.USER_AGENT)),
            source.clock_skew,
            source.invalid_traits,
        )
        return origin


def _readable(header: str | None) -> str | None:
    """A header's text without the bytes that are no UTF-8: JSON cannot hold those."""
    if header is None or header.isascii():
        return header
    return header.encode("utf-8", "replace").decode()
