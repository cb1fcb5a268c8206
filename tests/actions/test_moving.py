"""Moving from Segment: an exported workspace sends here what it sent there.

Its export becomes a configuration that `gateway check` passes; the requests that it
makes are those that the package makes by the export's own subscriptions.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.actions import exported, translate
from gateway.actions.known import known
from gateway.actions.view import view
from gateway.config import parse
from gateway.event import Event
from gateway.outbound.contract import Delivery
from gateway.parts import check, previewing
from tests.actions.kit import package

pytestmark = pytest.mark.service

HERE = Path(__file__).parent
BULLETS = "\u2022" * 12
SOURCES = "[sources.web-shop]\nwrite_keys = ['dev']\n"
CUT = re.compile(r"\$\{([A-Z0-9_]+)\}")


def catalogue(directory: str) -> dict[str, Any]:
    found = known()[directory]
    return {"id": found.id, "name": found.name, "slug": found.slug}


def path(text: str) -> dict[str, str]:
    return {"@path": text}


MIXPANEL: dict[str, Any] = {
    "directory": "mixpanel",
    "settings": {"projectToken": "0123456789", "apiRegion": "EU \U0001f1ea\U0001f1fa"},
    "secret": {"apiSecret": "a mixpanel secret"},
    "requests": [2, 0, 1, 0],  # of each event below
    "subscriptions": [
        {
            "actionSlug": "identifyUser",
            "trigger": 'type = "identify" and traits.plan != "internal"',
            "settings": {
                "ip": path("$.context.ip"),
                "user_id": path("$.userId"),
                "anonymous_id": path("$.anonymousId"),
                "traits": path("$.traits"),
            },
        },
        {
            "actionSlug": "trackEvent",
            "trigger": 'type = "track" and contains(event, "Order")',
            "settings": {
                "event": {"@template": "Shop: {{event}}"},
                "distinct_id": {
                    "@if": {
                        "exists": path("$.userId"),
                        "then": path("$.userId"),
                        "else": path("$.anonymousId"),
                    }
                },
                "event_properties": path("$.properties"),
                "time": path("$.timestamp"),
                "insert_id": path("$.messageId"),
                "generatePurchaseEventPerProduct": "false",
                "enable_batching": "true",
                "batch_size": "1000",
            },
        },
    ],
}
CUSTOMERIO: dict[str, Any] = {
    "directory": "customerio",
    "settings": {"accountRegion": "US \U0001f1fa\U0001f1f8"},
    "secret": {"siteId": "site-12345", "apiKey": "a customerio key"},
    "requests": [1, 1, 0, 0],
    "subscriptions": [
        {
            "actionSlug": "createUpdatePerson",
            "trigger": 'type = "identify"',
            "settings": {
                "id": path("$.userId"),
                "email": {
                    "@case": {"operator": "lower", "value": path("$.traits.email")}
                },
                "created_at": path("$.traits.createdAt"),
                "custom_attributes": path("$.traits"),
                "convert_timestamp": "true",
            },
        }
    ],
}
EXPORTED = (MIXPANEL, CUSTOMERIO)


def export() -> str:
    """Two destinations as the Public API tells them, with what has no equal here."""
    destinations, subscriptions = [], []
    for number, each in enumerate(EXPORTED):
        veiled = {key: BULLETS + value[-4:] for key, value in each["secret"].items()}
        destinations.append(
            {
                "id": f"d{number}",
                "name": each["directory"].title(),
                "enabled": True,
                "sourceId": "s1",
                "metadata": catalogue(each["directory"]),
                "settings": {**each["settings"], **veiled, "dynamicAuthSettings": {}},
            }
        )
        subscriptions += [
            {
                "id": f"d{number}s{n}",
                "destinationId": f"d{number}",
                "enabled": True,
                **sub,
            }
            for n, sub in enumerate(each["subscriptions"])
        ]
    sources = [{"id": "s1", "slug": "web-shop"}]
    filters = [{"id": "f1", "destinationId": "d0", "title": "Drop", "if": "true"}]
    pages = (
        {"data": {"destinations": destinations[:1], "pagination": {"next": "Mg=="}}},
        {"data": {"destinations": destinations[1:]}},
        {"data": {"subscriptions": subscriptions}},
        {"data": {"sources": sources}},
        {"data": {"filters": filters}},
    )
    return "\n".join(map(json.dumps, pages))


def event(kind: str, user: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "messageId": f"m-{user}-{kind}",
        "userId": user,
        "anonymousId": f"anonymous-{user}",
        "timestamp": "2026-01-15T10:12:14.100Z",
        "receivedAt": "2026-01-15T10:12:15.000Z",
        "source": "web-shop",
        "context": {"ip": "203.0.113.7"},
        **fields,
    }


EVENTS = [
    event(
        "identify",
        "u1",
        traits={
            "email": "Cool.Person@Example.com",
            "firstName": "Cool",
            "createdAt": "2024-01-02T03:04:05.000Z",
            "plan": "pro",
            "address": {"city": "Zürich", "postalCode": "8000"},
        },
    ),
    event("identify", "u2", traits={"email": "a@b.example", "plan": "internal"}),
    event(
        "track", "u3", event="Order Completed", properties={"total": 12.5, "n": None}
    ),
    event("track", "u3", event="Page Seen", properties={}),
]


def by_the_package(of: dict[str, Any]) -> list[list[list[str]]]:
    """The requests of each event, by the export's own subscriptions."""
    subscriptions = [
        {
            "partnerAction": each["actionSlug"],
            "subscribe": each["trigger"],
            "mapping": each["settings"],
        }
        for each in of["subscriptions"]
    ]
    asked = {
        "directory": of["directory"],
        "settings": {**of["settings"], **of["secret"]},
        "subscriptions": subscriptions,
        "events": [seen(each, of["directory"]) for each in EVENTS],
    }
    done = subprocess.run(
        ["node", str(HERE / "onevent.js"), str(package().folder)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[list[list[str]]] = json.loads(done.stdout)
    return found


def seen(body: dict[str, Any], directory: str) -> dict[str, Any]:
    value = orjson.dumps(body)
    return view(Delivery(Event.from_bytes(value), value), (known()[directory].name,))


def test_the_export_has_what_a_move_has_to_mind() -> None:
    made = translate.whole(
        translate.translated(exported.read(export(), "export.json"), package())
    )
    assert BULLETS not in made
    assert sorted(set(CUT.findall(made))) == [
        "CUSTOMERIO_API_KEY",
        "CUSTOMERIO_SITE_ID",
        "MIXPANEL_API_SECRET",
    ]
    assert "source == 'web-shop'" in made
    said = [line for line in made.splitlines() if line.startswith("#")]
    assert any('filter "Drop"' in line for line in said)
    assert any("generatePurchaseEventPerProduct: left out" in line for line in said)


async def test_what_is_sent_after_the_move_is_what_was_sent_before() -> None:
    found = exported.read(export(), "export.json")
    text = translate.whole(translate.translated(found, package()))
    environment = {
        "MIXPANEL_API_SECRET": MIXPANEL["secret"]["apiSecret"],
        "CUSTOMERIO_API_KEY": CUSTOMERIO["secret"]["apiKey"],
        "CUSTOMERIO_SITE_ID": CUSTOMERIO["secret"]["siteId"],
    }
    # data/ is beside the configuration: here, where the tests' installation is.
    folder = package().folder.parents[2]
    config = parse(SOURCES + text, folder=folder, environment=environment)
    parts = check(config)
    for name, of in zip(config.destinations, EXPORTED, strict=True):
        before = by_the_package(of)
        assert list(map(len, before)) == of["requests"]
        async with previewing(config, parts, name) as show:
            for body, wanted in zip(EVENTS, before, strict=True):
                told = await show(orjson.dumps(body))
                requests = told.get("requests", [told.get("request")])
                sent = [
                    [each["method"], each["url"], each["body"]]
                    for each in requests
                    if each is not None
                ]
                assert sent == [[m, u, hidden(b)] for m, u, b in wanted], body


def hidden(body: str) -> str:
    """What is shown of a body: the project's token is a secret to us."""
    return body.replace(MIXPANEL["settings"]["projectToken"], "***")
