"""People: who they are, what they did, on which devices; and an API to look them up.

Identifies add and update people by the rules of the identity settings in `[workspace]`,
which also says where the store is. Tracks, pages and screens become activities, mobile
SDKs' device events become devices. Everything is applied in the order of the log, each
event exactly once. Look people up at the admin port with `workspace.api_token`:
`GET /v1/customers/{id}/attributes`, `/activities`, `GET /v1/decisions/{messageId}`.

There can be one destination of this type. An empty store is filled again from the
topic.
"""

from dataclasses import dataclass

from gateway.event import Json
from gateway.outbound.contract import Delivery, Takes
from gateway.outbound.kind import Context, Kind, Schema

BATCH_S = 120.0  # for one batch, whatever the store does
TAKES = Takes(
    types=frozenset({"identify", "track", "page", "screen", "group", "person"}),
    batch_events=500,
    batch_bytes=4_000_000,
    same_key="in_order",
    order="total",
    concurrency=1,
    attempt_timeout_s=BATCH_S,
    spelling="camelCase",  # canonical: it spells itself, by the origin of the event
    sees_suppressed=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """None: `[workspace]` has them."""


def shown(delivery: Delivery, settings: Settings, context: Context) -> dict[str, Json]:
    """What is applied is the event itself."""
    del settings, context
    return {"applies": delivery.event.body}


KIND = Kind(
    doc=__doc__,
    settings=Schema.of(Settings),
    takes=TAKES,
    by_wing=True,
    shown=shown,
)
