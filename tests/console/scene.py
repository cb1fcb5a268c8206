"""A shop's gateway with everything that the pages tell of: for tests and pictures.

Real events of real shapes at a real gateway: delivered, filtered, refused, given up,
tried again, waiting; people with devices; a replay.
"""

import asyncio
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.path.running import Gateway, Webhook

TOKEN = "the-token-of-these-tests"
SECRET = "s3cr3t-signing-key-of-hook"
API_KEY = "k3y-of-the-shop-server"
NAMES = ("Ada", "Grace", "Linus", "Margaret", "Alan", "Barbara", "Ken", "Radia")
PLANS = ("free", "pro", "team")
TRACKS = ("Product Viewed", "Product Added", "Order Completed", "Coupon Applied")
WEIGHTS = (10, 6, 4, 1)


def config(hook: str, console: str = "127.0.0.1:0", more: str = "") -> str:
    """Two sources; a CRM that refuses some, a warehouse, an inbox, people."""
    return f"""
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
private_destinations = ["127.0.0.0/8"]
[console]
listen = "{console}"
token = "{TOKEN}"
[workspace]
api_token = "workspace-token"
[sources.shop]
kind = "server"
write_keys = ["{API_KEY}"]
[sources.web]
kind = "browser"
write_keys = ["web-key", "the-old-web-key"]
[destinations.crm]
type = "webhook"
types = ["identify", "track"]
when = "!(type == 'track' && event == 'Product Viewed')"
settings = {{ url = "{hook}/crm", secret = "{SECRET}" }}
delivery = {{ retry_base = "100ms", retry_cap = "500ms", timeout = "2s" }}
[[destinations.crm.actions]]
types = ["identify", "track"]
mapping = {{ id = {{ "@path" = "$.userId" }}, kind = {{ "@path" = "$.type" }}, \
name = {{ "@path" = "$.event" }}, email = {{ "@path" = "$.traits.email" }}, \
total = {{ "@path" = "$.properties.total" }} }}
[destinations.warehouse]
type = "webhook"
settings = {{ url = "{hook}/warehouse" }}
delivery = {{ retry_base = "100ms", retry_cap = "500ms", timeout = "2s" }}
[destinations.inbox]
type = "file"
settings = {{ path = "inbox.ndjson" }}
[destinations.people]
type = "workspace"
[destinations.old-crm]
type = "webhook"
enabled = false
settings = {{ url = "{hook}/old" }}
{more}"""


def people(count: int, chance: random.Random) -> list[dict[str, Any]]:
    """Identifies of a shop's customers."""
    return [
        {
            "type": "identify",
            "userId": f"customer-{number:04}",
            "traits": {
                "first_name": NAMES[number % len(NAMES)],
                "email": f"{NAMES[number % len(NAMES)].lower()}.{number}@example.com",
                "plan": chance.choice(PLANS),
                "created_at": 1_760_000_000 + number * 7_919,
            },
            "context": {"library": {"name": "analytics-node", "version": "2.3.0"}},
        }
        for number in range(count)
    ]


def tracks(count: int, chance: random.Random) -> list[dict[str, Any]]:
    """What they do."""
    return [
        {
            "type": "track",
            "event": chance.choices(TRACKS, WEIGHTS)[0],
            "userId": f"customer-{chance.randrange(40):04}",
            "properties": {"total": chance.randrange(5, 250), "currency": "EUR"},
            "context": {"library": {"name": "analytics.js", "version": "2.11.1"}},
        }
        for _ in range(count)
    ]


def devices(count: int) -> list[dict[str, Any]]:
    return [
        {
            "type": "track",
            "event": "Device Created or Updated",
            "userId": f"customer-{number:04}",
            "context": {
                "device": {"token": f"device-token-{number}", "type": "ios"},
                "library": {"name": "analytics-ios", "version": "4.1.0"},
            },
        }
        for number in range(count)
    ]


def strange_devices() -> list[dict[str, Any]]:
    """What the workspace takes no device from."""
    device = {"event": "Device Created or Updated", "userId": "customer-0003"}
    return [
        {"type": "track", **device, "context": {"device": {"type": "ios"}}},
        {"type": "track", **device, "context": {"device": {"token": "no-platform"}}},
    ]


def refused() -> list[dict[str, Any]]:
    """Messages with what senders get wrong."""
    return [
        {"type": "identify", "traits": {"plan": "pro"}},
        {"type": "identify", "userId": "customer-1", "traits": {"email": 42}},
        {"type": "track", "userId": "customer-2"},
        {"type": "track", "userId": "customer-3", "event": "Seen", "timestamp": "soon"},
    ]


def refusing(event: dict[str, Any]) -> int | web.Response:
    """A CRM that takes no coupons, and no order above 245."""
    if event.get("name") == "Coupon Applied":
        return _no(422, '{"error": "coupons are closed", "code": 42}')
    if event.get("name") == "Order Completed" and event.get("total", 0) > 245:
        return _no(400, '{"error": "total: above the limit of this account"}')
    return 200


def _no(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="application/json")


class Receiver(Webhook):
    """The CRM and the warehouse; what has no message id of its own is let through."""

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        import orjson  # noqa: PLC0415 -- beside its one use

        body = orjson.loads(await request.read())
        status = self.judge(body)
        if status == 200:
            self.received.append(body)
        return (
            status if isinstance(status, web.Response) else web.Response(status=status)
        )


async def send(gateway: Gateway, messages: list[dict[str, Any]], key: str) -> None:
    """Post them, a batch at a time."""
    for start in range(0, len(messages), 100):
        batch = {"batch": messages[start : start + 100]}
        status, _ = await gateway.post("/v1/batch", batch, key=key)
        assert status in (200, 400)


async def play(
    gateway: Gateway, *, seconds: float = 0.0, judge: Callable[[], None] | None = None
) -> None:
    """Everything once; then a day in the life of the shop for so many seconds."""
    chance = random.Random(7)
    await send(gateway, people(40, chance), API_KEY)
    await send(gateway, [*devices(6), *strange_devices()], API_KEY)
    await send(gateway, tracks(120, chance), "web-key")
    for message in refused() * 3:
        await gateway.post("/v1/batch", {"batch": [message]}, key="web-key")
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    for number in itertools.count():
        if loop.time() >= end:
            return
        busy = 3 + chance.randrange(6) + (12 if number % 23 < 4 else 0)
        await send(gateway, tracks(busy, chance), "web-key")
        if number % 9 == 0:
            await gateway.post("/v1/batch", {"batch": refused()[:1]}, key="web-key")
        if judge is not None:
            judge()
        await asyncio.sleep(0.2)


def console_of(folder: Path) -> str:
    """Where the console of a gateway listens: its configuration says the port."""
    text = (folder / "gateway.toml").read_text()
    return "http://" + text.partition('[console]\nlisten = "')[2].partition('"')[0]
