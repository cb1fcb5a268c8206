"""Mixpanel: profiles, events with and without a secret, what failed of a batch."""

from typing import Any

import orjson
import pytest

from gateway.outbound.contract import Delivered, Place, Rejected, Retry, Skipped
from gateway.outbound.destinations.mixpanel import insert_id
from tests.outbound.but import but
from tests.outbound.fake import Answer, Asked, Fake
from tests.outbound.vendors.contract import body
from tests.outbound.vendors.talks import SETTINGS, delivery, talk

HOST = "api.mixpanel.com"
TRACK: dict[str, Any] = {"type": "track", "userId": "u1", "event": "E"}


def profile(**traits: Any) -> Any:
    request = talk("mixpanel", [delivery(userId="u1", traits=traits)]).requests[0]
    return body(request)[0]["$set"]


@pytest.mark.parametrize(
    ("sent", "iso"),
    [
        ("2024-03-11T08:15:30.000Z", "2024-03-11T08:15:30.000Z"),
        ("2024-03-11T09:15:30+01:00", "2024-03-11T09:15:30+01:00"),
        (1710144930, "2024-03-11T08:15:30.000Z"),
        ("2024-03-11", "2024-03-11T00:00:00.000Z"),
    ],
)
@pytest.mark.parametrize("name", ["createdAt", "created_at"])
def test_every_form_of_a_date_is_iso(name: str, sent: Any, iso: str) -> None:
    assert profile(**{name: sent}) == {"$created": iso}


@pytest.mark.parametrize(
    ("traits", "name"),
    [
        ({"name": "N", "firstName": "F"}, "N"),
        ({"firstName": "F", "lastName": "L"}, "F L"),
        ({"lastName": "L"}, "L"),
        ({"first_name": "F"}, "F"),
    ],
)
def test_a_name_is_made_of_what_there_is(traits: Any, name: str) -> None:
    assert profile(**traits)["$name"] == name


def test_a_place_is_taken_out_of_the_address_and_the_rest_stays() -> None:
    address = {"city": "Ulm", "country": "DE", "state": "BW", "postalCode": "89073"}
    assert profile(address=address) == {
        "$city": "Ulm",
        "$country_code": "DE",
        "$region": "BW",
        "address": {"postalCode": "89073"},
    }


def test_who_was_only_written_of_was_not_seen() -> None:
    request = talk(
        "mixpanel", [delivery(userId="u", context={"active": False, "ip": "192.0.2.1"})]
    ).requests[0]
    assert body(request)[0]["$ignore_time"] is True
    assert body(request)[0]["$ip"] == "192.0.2.1"


def test_both_ids_are_joined() -> None:
    requests = talk("mixpanel", [delivery(userId="u", anonymousId="a")]).requests
    properties = {"$identified_id": "u", "$anon_id": "a", "token": "not-a-token"}
    assert body(requests[1]) == [{"event": "$identify", "properties": properties}]


def test_a_property_never_takes_the_place_of_mixpanels_own() -> None:
    event = {**TRACK, "properties": {"time": "noon", "distinct_id": "x", "plan": "pro"}}
    talked = talk("mixpanel", [delivery(**event)])
    properties = body(talked.requests[0])[0]["properties"]
    assert (properties["time"], properties["distinct_id"]) == (1768471934100, "u1")
    assert properties["plan"] == "pro"
    named = "properties.distinct_id (Mixpanel's own), properties.time (Mixpanel's own)"
    assert talked.said == [Delivered(200, f"not sent: {named}")]


def test_more_properties_than_mixpanel_takes_are_named() -> None:
    traits = {f"t{number}": number for number in range(256)}
    talked = talk("mixpanel", [delivery(userId="u", traits=traits)])
    assert len(body(talked.requests[0])[0]["$set"]) == 255
    assert talked.said == [Delivered(200, "not sent: traits.t255 (beyond 255)")]


@pytest.mark.parametrize(
    "message_id", ["m1", "ключ", "a b", "x" * 37, "a/b", "0b8e11-" * 5 + "z"]
)
def test_an_insert_id_is_one_that_mixpanel_takes(message_id: str) -> None:
    made = insert_id(message_id)
    assert made == insert_id(message_id)
    assert len(made) <= 36
    assert made.replace("-", "").isascii()
    assert made.replace("-", "").isalnum()


def test_without_a_secret_each_event_is_tracked_alone() -> None:
    events = [delivery(number, **TRACK) for number in range(3)]
    talked = talk("mixpanel", events, api_secret="")
    assert [each.url.partition("?")[0] for each in talked.requests] == [
        "https://api.mixpanel.com/track"
    ] * 3
    assert body(talked.requests[0])[0]["properties"]["token"] == "not-a-token"
    assert "Authorization" not in talked.requests[0].headers


def test_what_track_would_drop_for_its_age_is_a_dead_letter() -> None:
    now = delivery(**TRACK, timestamp="2026-01-10T10:12:14.100Z")
    old = delivery(**TRACK, timestamp="2026-01-10T10:12:14.099Z")
    replayed = but(delivery(**TRACK), place=Place(0, 0, 1769000000000))
    talked = talk("mixpanel", [now, old, replayed], api_secret="")
    assert [type(each) for each in talked.said] == [Delivered, Rejected, Rejected]
    assert talked.said[1].unsent
    assert "api_secret" in talked.said[1].detail
    assert len(talked.requests) == 1
    assert [*map(type, talk("mixpanel", [old, replayed]).said)] == [Delivered] * 2


def test_an_alias_of_itself_is_skipped() -> None:
    same = delivery(type="alias", userId="u", previousId="u")
    (said,) = talk("mixpanel", [same]).said
    assert isinstance(said, Skipped)


def speak(asked: Asked) -> Answer:
    """Mixpanel's ways: 400 for an import of which it has kept the good."""
    items = asked.json()
    bad = [
        {"index": n, "insert_id": "i", "field": "event", "message": "m"}
        for n, each in enumerate(items)
        if each.get("event") == "bad" or each.get("$distinct_id") == "bad"
    ]
    if not bad:
        return Answer(200, b'{"code":200,"num_records_imported":1,"status":"OK"}')
    if asked.path.startswith("/track"):
        return Answer(200, b"0")
    said = {"code": 400, "error": "some data points", "failed_records": bad}
    return Answer(400, orjson.dumps(said))


@pytest.mark.parametrize(
    "events",
    [
        [{**TRACK, "event": each} for each in ("good", "bad", "good")],
        [{"userId": each} for each in ("u1", "bad", "u2")],
    ],
)
async def test_partial_failures_are_one_dead_letter_and_the_others_delivered(
    events: Any,
) -> None:
    deliveries = [delivery(number, **each) for number, each in enumerate(events)]
    async with Fake(answer=speak, stands_for=[HOST]) as vendor:
        verdicts = await vendor.deliver("mixpanel", SETTINGS["mixpanel"], deliveries)
    assert [type(each) for each in verdicts] == [Delivered, Rejected, Delivered]
    assert len(vendor.asked) == 1  # what was refused with 400 is never sent again
    refused: Any = verdicts[1]
    assert refused.detail == "400 event"
    assert len(orjson.loads(refused.exchange.request["body"])) == 1


async def test_a_track_that_mixpanel_does_not_take_is_no_delivery() -> None:
    settings = {"project_token": "not-a-token"}
    events = [
        delivery(n, **{**TRACK, "event": e}) for n, e in enumerate(["good", "bad"])
    ]
    async with Fake(answer=speak, stands_for=[HOST]) as vendor:
        verdicts = await vendor.deliver("mixpanel", settings, events)
    assert [type(each) for each in verdicts] == [Delivered, Rejected]


@pytest.mark.parametrize(
    ("answer", "kind", "auth"),
    [
        (Answer(401, b'{"code":401,"error":"Invalid credentials"}'), Retry, True),
        (Answer(429, b'{"code":429}'), Retry, False),
        (Answer(502), Retry, False),
        (Answer(200, b"0"), Rejected, None),
        (Answer(200, b'{"status":0,"error":"token"}'), Rejected, None),
        (Answer(200, b"1"), Delivered, None),
    ],
)
async def test_what_an_answer_means(answer: Answer, kind: type, auth: Any) -> None:
    async with Fake(answer, stands_for=[HOST]) as vendor:
        (verdict,) = await vendor.deliver(
            "mixpanel", SETTINGS["mixpanel"], [delivery(**TRACK)]
        )
    assert isinstance(verdict, kind)
    assert getattr(verdict, "auth", None) is auth
    assert "not-a-secret" not in str(verdict)


async def test_a_request_that_is_too_large_is_sent_in_parts() -> None:
    async with Fake(Answer(413), stands_for=[HOST]) as vendor:
        events = [delivery(number, **TRACK) for number in range(2)]
        verdicts = await vendor.deliver("mixpanel", SETTINGS["mixpanel"], events)
    assert verdicts == [Delivered(200), Delivered(200)]
    assert [len(each.json()) for each in vendor.asked] == [2, 1, 1]


@pytest.mark.parametrize(
    ("region", "host"),
    [("EU", "api-eu.mixpanel.com"), ("IN", "api-in.mixpanel.com")],
)
async def test_a_region_has_its_own_host(region: str, host: str) -> None:
    async with Fake(stands_for=[host]) as vendor:
        settings = {**SETTINGS["mixpanel"], "region": region}
        await vendor.deliver("mixpanel", settings, [delivery(**TRACK)])
    assert len(vendor.asked) == 1
