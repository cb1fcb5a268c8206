"""Events of every shape, as they stand in the log: of people that we made up."""

from collections.abc import Mapping
from typing import Any

Body = Mapping[str, Any]

PERSON: Body = {
    "email": "ada.mills@example.com",
    "phone": "+14155550142",
    "firstName": "Ada",
    "lastName": "Mills",
    "name": "Ada Mills",
    "age": 41,
    "birthday": "1984-05-02T00:00:00.000Z",
    "gender": "female",
    "title": "Head of Mills",
    "username": "ada",
    "avatar": "https://example.com/ada.png",
    "website": "https://ada.example.com",
    "description": "Runs the mill",
    "createdAt": "2024-03-11T08:15:30.000Z",
    "company": {
        "id": "acme-4411",
        "name": "Acme Industries",
        "industry": "Manufacturing",
        "employeeCount": 2140,
        "plan": "enterprise",
    },
    "address": {
        "street": "6th St",
        "city": "San Francisco",
        "state": "CA",
        "postalCode": "94103",
        "country": "US",
    },
    "plan": "pro",
    "tags": ["beta", "mill"],
}
SHOP: Body = {
    "order_id": "order-7001",
    "checkout_id": "checkout-81",
    "affiliation": "Web shop",
    "total": 59.5,
    "subtotal": 50.0,
    "revenue": 50.0,
    "shipping": 5.0,
    "tax": 4.5,
    "discount": 2.5,
    "coupon": "spring",
    "currency": "USD",
    "products": [
        {
            "product_id": "p-1",
            "sku": "M-1",
            "name": "Flour",
            "category": "Food",
            "brand": "Acme",
            "variant": "wheat",
            "price": 10.0,
            "quantity": 2,
            "position": 1,
            "url": "https://shop.example.com/flour",
            "image_url": "https://shop.example.com/flour.png",
        },
        {
            "product_id": "p-2",
            "variant": "fine",
            "name": "Sieve",
            "price": 30.0,
            "quantity": 1,
        },
    ],
}
BROWSER: Body = {
    "ip": "203.0.113.42",
    "locale": "en-US",
    "timezone": "America/Los_Angeles",
    "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0",
    "page": {
        "path": "/flour",
        "referrer": "https://search.example.com/",
        "search": "?q=flour",
        "title": "Flour",
        "url": "https://shop.example.com/flour?q=flour",
    },
    "library": {"name": "analytics.js", "version": "2.11.1"},
}
PHONE: Body = {
    "ip": "203.0.113.43",
    "userAgent": "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8)",
    "app": {"name": "Mill", "version": "3.1", "build": "310", "namespace": "com.mill"},
    "device": {
        "id": "b1f0d3a2-0c11-4e8b-9a6e-7f6a0b9f2d10",
        "advertisingId": "7a3cbea0-12ab-4c1e-8d6f-0a1b2c3d4e5f",
        "adTrackingEnabled": True,
        "manufacturer": "Google",
        "model": "Pixel 8",
        "type": "android",
        "token": "push-token-1",
    },
    "os": {"name": "Android", "version": "14"},
    "network": {"carrier": "Example", "wifi": True},
    "library": {"name": "analytics-kotlin", "version": "1.16.0"},
}
ANONYMOUS = "5f1c6a34-7c07-4e0a-9c1b-0d4a5b0b8e11"
WHO = {"userId": "user-97980", "anonymousId": ANONYMOUS}


def event(type_: str, **own: Any) -> dict[str, Any]:
    """One event of a browser, unless it says what else it is of."""
    return {
        "type": type_,
        "messageId": f"message-{type_}-1",
        **WHO,
        "context": BROWSER,
        "integrations": {},
        "timestamp": "2026-01-15T10:12:13.456Z",
        "originalTimestamp": "2026-01-15T10:12:13.456Z",
        "sentAt": "2026-01-15T10:12:14.001Z",
        "receivedAt": "2026-01-15T10:12:14.100Z",
        "timestampSource": "client",
        "version": 1,
        "source": "web",
        **own,
    }


def without(body: Body, *keys: str) -> dict[str, Any]:
    """The event without some of its keys."""
    return {key: each for key, each in body.items() if key not in keys}


FLAT = {"email": "ada.mills@example.com", "plan": "pro"}
SHAPES: Mapping[str, Body] = {
    "identify, all traits": event("identify", traits=PERSON),
    "identify, flat": without(event("identify", traits=FLAT), "anonymousId"),
    "identify, anonymous": without(event("identify", traits={"plan": "pro"}), "userId"),
    "track": event("track", event="Song Played", properties={"song": "Mill", "n": 3}),
    "track, anonymous": without(
        event("track", event="Song Played", properties={}), "userId"
    ),
    "track, of a phone": event(
        "track", event="Application Opened", properties={}, context=PHONE
    ),
    "track, an order": event(
        "track",
        event="Order Completed",
        properties={**SHOP, "email": PERSON["email"]},
        context={**BROWSER, "traits": PERSON},
    ),
    "track, a product": event(
        "track",
        event="Product Viewed",
        properties={**SHOP["products"][0], "currency": "USD", "value": 10.0},
        context={**BROWSER, "traits": PERSON},
    ),
    "page": event(
        "page",
        name="Flour",
        category="Shop",
        properties={**BROWSER["page"], "name": "Flour"},
    ),
    "screen": event("screen", name="Cart", properties={"items": 2}, context=PHONE),
    "group": event(
        "group",
        groupId="acme-4411",
        traits={
            "name": "Acme Industries",
            "industry": "Manufacturing",
            "employees": 2140,
            "email": "office@acme.example.com",
            "website": "https://acme.example.com",
            "plan": "enterprise",
        },
    ),
    "alias": without(event("alias", previousId=ANONYMOUS), "anonymousId"),
}
"""What a destination may meet, by a name for people."""
