"""What is called, and what must arrive: the one table for every SDK.

``CALLS`` is written as a user would write it, neutral of language; ``ARRIVES`` is the
event at a webhook without what the gateway and the SDK add, which is judged apart.
Every call carries its name in its context, so that its event is known.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.path.sdks.clients import ANY, Sdk

CREATED = datetime(2024, 2, 29, 12, 34, 56, 789_000, tzinfo=UTC)
HAPPENED = datetime(2024, 3, 1, 8, 0, 0, 123_000, tzinfo=UTC)
BORN = datetime(1990, 1, 2, tzinfo=UTC)
DATE = {"$date": CREATED.isoformat(timespec="milliseconds")}
DAY = {"$day": "1990-01-02"}

TRAITS: dict[str, Any] = {
    "email": "Ann.Smith+tag@Example.COM",
    "age": 34,
    "avatar": "https://example.com/a.png",
    "description": "naïve café — 日本語 🎉 <&>'\"",
    "gender": "female",
    "phone": "+1 (555) 010-2030",
    "title": "VP of Derp",
    "username": "asmith",
    "website": "https://example.com",
    "plan": "premium",
    "isBeta": True,
    "ratio": 0.25,
    "tags": ["a", "b", 3],
    "nested_thing": {"first_name": {"b": [1, 2, {"c": True}]}},
}
ADDRESS = {"street": "6th St", "city": "Oslo", "state": "", "country": "Norway"}
COMPANY = {"name": "Initech", "id": "123", "industry": "Tech", "plan": "big"}
CAMEL = {
    **TRAITS,
    "firstName": "Ann",
    "lastName": "Smith",
    "createdAt": DATE,
    "birthday": DAY,
    "address": {**ADDRESS, "postalCode": "0150"},
    "company": {**COMPANY, "employeeCount": 420},
}
SNAKE = {
    **TRAITS,
    "first_name": "Ann",
    "last_name": "Smith",
    "created_at": DATE,
    "birthday": DAY,
    "address": {**ADDRESS, "postal_code": "0150"},
    "company": {**COMPANY, "employee_count": 420},
}
ARRIVING = {
    **CAMEL,
    "name": "Ann Smith",
    "createdAt": CREATED,
    "birthday": BORN,
}
PROPERTIES = {"total": 9.5, "items": [{"sku": "a-1", "quantity": 2}], "at": DATE}
PROPERTIES_ARRIVING = {**PROPERTIES, "at": CREATED}
INTEGRATIONS = {"All": False, "hook": True}
CONTEXT = {"active": True, "ip": "203.0.113.7", "locale": "nl-NL"}

CALLS: Mapping[str, Mapping[str, Any]] = {
    "camel": {
        "type": "identify",
        "userId": "user-1",
        "anonymousId": "anonymous-1",
        "traits": CAMEL,
        "context": CONTEXT,
        "integrations": INTEGRATIONS,
        "timestamp": {"$date": HAPPENED.isoformat(timespec="milliseconds")},
    },
    "snake": {"type": "identify", "userId": "user-1", "traits": SNAKE},
    "anonymous": {
        "type": "identify",
        "anonymousId": "anonymous-2",
        "traits": {"plan": "free"},
    },
    "email-as-id": {
        "type": "identify",
        "userId": "Lead@Example.com",
        "traits": {"plan": "lead"},
    },
    "email-only": {
        "type": "identify",
        "userId": "",
        "traits": {"email": "a@example.com"},
    },
    "email-and-anonymous": {
        "type": "identify",
        "userId": "",
        "anonymousId": "anonymous-3",
        "traits": {"email": "b@example.com"},
    },
    "track": {
        "type": "track",
        "userId": "user-1",
        "event": "Order Completed",
        "properties": PROPERTIES,
    },
    "track-anonymous": {
        "type": "track",
        "anonymousId": "anonymous-4",
        "event": "Seen",
        "properties": {"n": 1},
    },
    "page": {
        "type": "page",
        "userId": "user-1",
        "name": "Home",
        "properties": {"title": "Welcome"},
    },
    "screen": {
        "type": "screen",
        "userId": "user-1",
        "name": "Main",
        "properties": {"depth": 2},
    },
    "group": {
        "type": "group",
        "userId": "user-1",
        "groupId": "group-1",
        "traits": {"name": "Initech", "employees": 420},
    },
    "alias": {"type": "alias", "userId": "user-2", "previousId": "user-old"},
}
ARRIVES: Mapping[str, Mapping[str, Any]] = {
    **{
        name: {k: v for k, v in call.items() if k not in ("context", "timestamp")}
        for name, call in CALLS.items()
    },
    "camel": {
        "type": "identify",
        "userId": "user-1",
        "anonymousId": "anonymous-1",
        "traits": ARRIVING,
        "integrations": INTEGRATIONS,
    },
    "snake": {"type": "identify", "userId": "user-1", "traits": ARRIVING},
    "email-as-id": {
        "type": "identify",
        "userId": "Lead@Example.com",
        "traits": {"plan": "lead", "email": "Lead@Example.com"},
    },
    "email-only": {
        "type": "identify",
        "userId": "a@example.com",  # P062: nothing else says who it is
        "traits": {"email": "a@example.com"},
    },
    "email-and-anonymous": {
        "type": "identify",
        "anonymousId": "anonymous-3",
        "traits": {"email": "b@example.com"},
    },
    "track": {**CALLS["track"], "properties": PROPERTIES_ARRIVING},
}
# Judged apart: what the gateway writes on every event, and what is the SDK's alone.
OURS = frozenset(
    {"messageId", "receivedAt", "version", "source", "timestamp", "timestampSource"}
    | {"originalTimestamp", "sentAt", "asSent", "context", "integrations"}
)


def calls(sdk: Sdk) -> dict[str, dict[str, Any]]:
    """The calls that this SDK knows, each with its name in its context."""
    return {
        name: {**call, "context": {**call.get("context", {}), "call": name}}
        for name, call in CALLS.items()
        if name not in sdk.lacks
    }


def assert_arrived(name: str, event: Mapping[str, Any], sdk: Sdk) -> None:
    """The event is what was called, field by field, and nothing else."""
    expected = dict(ARRIVES[name])
    wanted = expected.pop("integrations", None)
    if sdk.own_ids:
        if name == "email-only":
            expected.pop("userId")
        expected.setdefault("anonymousId", ANY)
        if name == "alias" and "previousId" not in event.get("asSent", {}):
            expected["previousId"] = ANY
    found = {key: value for key, value in event.items() if key not in OURS | sdk.adds}
    assert sorted(found) == sorted(expected), (sorted(found), sorted(expected))
    if sdk.language == "browser" and name == "page":  # it says where the page is
        about = {"url", "path", "referrer", "search", "name"}
        properties = found["properties"]
        assert about <= set(properties)
        found["properties"] = {k: v for k, v in properties.items() if k not in about}
    for key, value in expected.items():
        assert_same(found[key], value, key)
    if wanted is not None:
        assert event["integrations"] == wanted
    assert_about(name, event, sdk)


def assert_about(name: str, event: Mapping[str, Any], sdk: Sdk) -> None:
    """What stands beside the call: when, from where, by whom."""
    call = CALLS[name]
    context = event["context"]
    assert context["library"]["name"] == sdk.library, context
    for key, value in call.get("context", {}).items():
        assert context[key] == value
    assert event["version"] == 1
    assert event["source"] == "web"
    assert event["messageId"]
    assert event["timestampSource"] == "client"
    if "timestamp" in call:
        assert moment(event["timestamp"]) == HAPPENED
    if name == "snake":
        renamed = {"name": "first_name", "value": "Ann"}
        assert event["asSent"]["traits.firstName"] == renamed


def assert_same(found: Any, expected: Any, place: str) -> None:
    """Equal, dates by the moment they name; ``place`` is told when not."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), place
        assert sorted(found) == sorted(expected), (place, found)
        for key, value in expected.items():
            assert_same(found[key], value, f"{place}.{key}")
    elif isinstance(expected, datetime):
        assert moment(found) == expected, place
    elif expected is ANY:
        assert isinstance(found, str), place
        assert found, place
    else:
        assert found == expected, (place, found)
        assert type(found) is type(expected), (place, found)


def moment(text: str) -> datetime:
    """A time as written in an event."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
