"""A destination's conversation without a connection, and events for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from hypothesis import strategies as st

from gateway.event import Event
from gateway.outbound import destinations
from gateway.outbound.contract import Delivery
from gateway.outbound.http import Request, Response
from gateway.outbound.talk import NO_ACCESS

RECEIVED = "2026-01-15T10:12:14.100Z"
SETTINGS: dict[str, dict[str, Any]] = {
    "customerio": {"site_id": "0123456789", "api_key": "not-a-real-key"},
    "amplitude": {"api_key": "not-a-real-key"},
    "intercom": {"access_token": "not-a-real-token"},
    "mixpanel": {"project_token": "not-a-token", "api_secret": "not-a-secret"},
}


@dataclass
class Talked:
    requests: list[Request]
    said: Any


def talk(
    type_: str,
    deliveries: Sequence[Delivery],
    answer: Callable[[Request], Response] = lambda _: Response(status=200),
    **settings: Any,
) -> Talked:
    """What a destination of this type sends, and says at the end."""
    kind = destinations.load(type_)
    given = {**SETTINGS[type_], **settings}
    made = kind.configured(given, name="x", folder=Path())
    assert kind.talk is not None
    going, requests = kind.talk(deliveries, made.settings, NO_ACCESS), []
    try:
        request = next(going)
        while True:
            requests.append(request)
            request = going.send(answer(request))
    except StopIteration as end:
        said = end.value
        return Talked(requests, said if isinstance(said, list) else [said])


def delivery(number: int = 1, *, fields: Any = None, **body: Any) -> Delivery:
    event = {
        "type": "identify",
        "messageId": f"m{number}",
        "receivedAt": RECEIVED,
        "source": "web",
        "version": 1,
        **body,
    }
    value = orjson.dumps(event)
    return Delivery(event=Event.from_bytes(value), value=value, fields=fields)


TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]), max_size=20
) | st.sampled_from(
    ["x" * 2_000, "é" * 300, "2024-03-11T08:15:30.000Z", "a@b.example", "$set", ""]
)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=6,
)
RESERVED = st.sampled_from(
    [
        *("email", "name", "firstName", "lastName", "phone", "createdAt", "created_at"),
        *("birthday", "address", "company", "avatar", "id", "username", "title", "age"),
    ]
)
TRAITS = st.dictionaries(RESERVED | TEXTS, VALUES, max_size=6)
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
PLACES = st.fixed_dictionaries(
    {},
    optional={
        "city": VALUES,
        "country": VALUES,
        "state": VALUES,
        "postalCode": VALUES,
    },
)
COMPANIES = st.fixed_dictionaries(
    {},
    optional={
        "id": VALUES,
        "name": VALUES,
        "employee_count": VALUES,
        "plan": VALUES,
        "createdAt": VALUES,
    },
)
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "ip": VALUES,
        "locale": VALUES,
        "app": VALUES | st.fixed_dictionaries({"version": VALUES, "name": VALUES}),
        "os": st.fixed_dictionaries({"name": VALUES, "version": VALUES}),
        "device": VALUES | st.fixed_dictionaries({"id": VALUES, "model": VALUES}),
        "page": st.fixed_dictionaries({"url": VALUES, "referrer": VALUES}),
        "traits": VALUES | TRAITS,
        "active": st.booleans(),
    },
)


@st.composite
def bodies(draw: Any) -> dict[str, Any]:
    """An event as the intake may let it through, of any type and any emptiness."""
    type_ = draw(
        st.sampled_from(["identify", "track", "page", "screen", "group", "alias"])
    )
    known = draw(
        st.sampled_from([("userId",), ("anonymousId",), ("userId", "anonymousId")])
    )
    made: dict[str, Any] = {"type": type_, **{name: draw(IDS) for name in known}}
    made["messageId"] = draw(IDS)
    made["timestamp"] = draw(
        st.sampled_from(["2026-01-15T10:12:13.456Z", "1969-12-31T23:59:59+14:00"])
    )
    if type_ in ("identify", "group"):
        made["traits"] = draw(TRAITS)
        if draw(st.booleans()):
            made["traits"]["address"] = draw(PLACES)
        if draw(st.booleans()):
            made["traits"]["company"] = draw(COMPANIES)
    else:
        made["properties"] = draw(st.none() | TRAITS)
    more = {"track": "event", "page": "name", "screen": "name", "group": "groupId"}
    if type_ in more and (type_ in ("track", "group") or draw(st.booleans())):
        made[more[type_]] = draw(IDS)
    if type_ == "alias":
        made["previousId"] = draw(IDS)
    if draw(st.booleans()):
        made["context"] = draw(CONTEXTS)
    return made
