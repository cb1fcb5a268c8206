"""The door of beacons: a batch as a browser sends it when its page is left.

A beacon has no header of its own, so RudderStack's browser SDKs put the write key into
its query; nowhere else is a key read there, since addresses end up in logs. Nobody
hears the answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.config import Source
from gateway.inbound.doors.pipelines import Endpoint, Pipelines

BATCH = Endpoint("beacon", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beacon(Pipelines):
    """The pipelines' door for one beacon; ``key`` is what its query has."""

    key: str | None

    def sender(self, headers: Mapping[str, str]) -> Source | None:
        """Whose the header's key is, else the query's; None when there is none."""
        return Pipelines.sender(self, headers) or self.keys.in_body(self.key)


def key_in(target: str) -> str | None:
    """The ``writeKey`` of a request's query; a plus sign in it is one."""
    for part in target.partition("?")[2].split("&"):
        name, _, value = part.partition("=")
        if name == "writeKey":
            return unquote(value)
    return None
