"""People: who they are, what they did, on which devices; and an API to look them up.

Identifies add and update people by the rules of the identity settings in `[workspace]`,
which also says where the store is. Tracks, pages and screens become activities, mobile
SDKs' device events become devices. Everything is applied in the order of the log, each
event exactly once. Look people up at the admin port with `workspace.api_token`:
`GET /v1/customers/{id}/attributes`, `/activities`, `GET /v1/decisions/{messageId}`.

There can be one destination of this type. An empty store is filled again from the
topic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.event import Json
from gateway.outbound.contract import Delivery, Retry, Traits, Verdict
from gateway.outbound.http import Send

TRAITS = Traits(
    types=frozenset({"identify", "track", "page", "screen", "group", "person"}),
    batch_events=500,
    batch_bytes=4_000_000,
    same_key="in_order",
    order="total",
    concurrency=1,
    spelling="camelCase",  # canonical: it spells itself, by the origin of the event
    sees_suppressed=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """None: `[workspace]` has them."""


def check(settings: Settings, place: str) -> None:
    """Nothing can be wrong with no settings."""
    del settings, place


class Described:
    """What `explain` shows; the one with a store is made by the composition root."""

    @property
    def traits(self) -> Traits:
        """The same for every workspace."""
        return TRAITS

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        """It has no store: nothing is applied."""
        return [Retry("no store", away=True)] * len(deliveries)

    def preview(self, delivery: Delivery) -> Mapping[str, Json]:
        """What is applied is the event itself."""
        return {"applies": delivery.event.body}

    async def close(self) -> None:
        """It holds nothing."""


def build(settings: Settings, *, name: str, folder: Path, send: Send) -> Described:
    """A workspace that only tells what it is."""
    del settings, name, folder, send
    return Described()
