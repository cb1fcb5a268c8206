"""Amplitude: whom an event is about, what is cut, and requests refused for a few."""

from typing import Any

import orjson
import pytest

from gateway.outbound.contract import Delivered, Rejected, Retry
from tests.outbound.but import but
from tests.outbound.fake import Answer, Asked, Fake
from tests.outbound.vendors.contract import body
from tests.outbound.vendors.talks import SETTINGS, delivery, talk

HOST = "api2.amplitude.com"
TRACK: dict[str, Any] = {"type": "track", "userId": "user-1", "event": "E"}


def event(**changes: Any) -> Any:
    (request,) = talk("amplitude", [delivery(**{**TRACK, **changes})]).requests
    return body(request)["events"][0]


def user(**changes: Any) -> Any:
    (request,) = talk("amplitude", [delivery(userId="user-1", **changes)]).requests
    return orjson.loads(body(request)["identification"])[0]


@pytest.mark.parametrize(
    ("sent", "ms"),
    [
        ("2026-01-15T10:12:13.456Z", 1768471933456),
        ("2026-01-15T11:12:13.456+01:00", 1768471933456),
        ("1969-12-31T23:59:59.999Z", -1),
        (None, 1768471934100),
    ],
)
def test_a_time_is_whole_milliseconds(sent: Any, ms: int) -> None:
    assert event(timestamp=sent)["time"] == ms


def test_short_ids_are_taken_for_the_request_says_so() -> None:
    (request,) = talk("amplitude", [delivery(**{**TRACK, "userId": "u1"})]).requests
    assert body(request)["options"] == {"min_id_length": 1}
    (request,) = talk("amplitude", [delivery(userId="u1")]).requests
    assert orjson.loads(body(request)["options"]) == {"min_id_length": 1}


@pytest.mark.parametrize("refused", ["null", "NULL", " undefined", "0", "{}", "lmy47d"])
def test_an_id_that_amplitude_refuses_is_left_out(refused: str) -> None:
    both = delivery(**{**TRACK, "userId": refused, "anonymousId": "device-1"})
    alone = delivery(**{**TRACK, "userId": refused})
    talked = talk("amplitude", [both, alone])
    assert "user_id" not in body(talked.requests[0])["events"][0]
    named = "user_id (Amplitude refuses this one)"
    assert talked.said[0] == Delivered(200, f"not sent: {named}")
    assert (talked.said[1].unsent, named in talked.said[1].detail) == (True, True)


def test_a_place_is_amplitudes_own_and_the_rest_stays() -> None:
    address = {"city": "Ulm", "state": "BW", "country": "DE", "postalCode": "89073"}
    made = user(traits={"address": address, "plan": "pro"})
    assert (made["city"], made["region"], made["country"]) == ("Ulm", "BW", "DE")
    rest = {"address": {"postalCode": "89073"}, "plan": "pro"}
    assert made["user_properties"] == {"$set": rest}


def test_a_mapping_may_have_operations_and_an_event_may_not() -> None:
    asked = {"$setOnce": {"first": 1}, "plan": "team"}
    made = user(traits={"$unset": {"plan": "-"}}, fields=asked)
    assert made["user_properties"] == {
        "$set": {"$unset": {"plan": "-"}, "plan": "team"},
        "$setOnce": {"first": 1},
    }


@pytest.mark.parametrize(
    ("properties", "money"),
    [
        ({"revenue": 9.5, "price": 1, "quantity": 2}, {"revenue": 9.5}),
        ({"price": 1.5, "quantity": 2}, {"price": 1.5, "quantity": 2}),
        ({"revenue": "9.5", "quantity": 2.5}, {}),
        ({"revenue": True, "productId": ""}, {}),
    ],
)
def test_revenue_is_told_where_it_is_a_number(properties: Any, money: Any) -> None:
    made = event(properties=properties)
    fields = ("revenue", "price", "quantity", "productId")
    assert {name: made[name] for name in fields if name in made} == money
    assert made["event_properties"] == properties


def test_the_campaign_is_kept_with_the_user_the_last_and_the_first() -> None:
    campaign = {"source": "news", "name": "may", "medium": None}
    page = {"referrer": "https://search.example/"}
    made = event(context={"campaign": campaign, "page": page})
    last = {"utm_source": "news", "utm_campaign": "may", **page}
    assert made["user_properties"] == {
        "$set": last,
        "$setOnce": {f"initial_{name}": each for name, each in last.items()},
    }
    assert "user_properties" not in event()


def test_what_is_too_long_is_cut_and_named() -> None:
    traits = {"bio": "é" * 1_025, "deep": ["x" * 1_025], "plan": "pro"}
    talked = talk("amplitude", [delivery(userId="user-1", traits=traits)])
    made = orjson.loads(body(talked.requests[0])["identification"])[0]
    assert made["user_properties"]["$set"] == {
        "bio": "é" * 1_024,
        "deep": ["x" * 1_024],
        "plan": "pro",
    }
    named = "traits.bio (beyond 1024, cut), traits.deep (beyond 1024, cut)"
    assert talked.said == [Delivered(200, f"not sent: {named}")]


class Amplitude:
    """Refuses a whole request for one bad or throttled event, naming it by index."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def __call__(self, asked: Asked) -> Answer:
        items = asked.json()["events"]
        if asked.json()["api_key"] != "not-a-real-key":
            return Answer(400, b'{"code":400,"error":"Invalid API key: x"}')
        bad = [n for n, each in enumerate(items) if each["event_type"] == "bad"]
        slow = [n for n, each in enumerate(items) if each["event_type"] == "slow"]
        silent = [n for n, each in enumerate(items) if each["event_type"] == "silent"]
        if bad or silent:
            said: dict[str, Any] = {"code": 400, "error": "Request missing field"}
            said["events_with_invalid_fields"] = {"time": bad[:1]}  # the first only
            said["silenced_events"] = silent
            return Answer(400, orjson.dumps(said))
        if slow:
            said = {"code": 429, "error": "Too many requests", "throttled_events": slow}
            return Answer(429, orjson.dumps(said))
        self.taken += [each["event_type"] for each in items]
        return Answer(200, b'{"code":200}')


async def test_a_request_refused_for_a_few_is_sent_again_without_them() -> None:
    names = ["a", "bad", "b", "slow", "bad", "silent", "c"]
    events = [
        delivery(number, type="track", userId=f"user-{number}", event=name)
        for number, name in enumerate(names)
    ]
    amplitude = Amplitude()
    async with Fake(answer=amplitude, stands_for=[HOST]) as vendor:
        verdicts = await vendor.deliver("amplitude", SETTINGS["amplitude"], events)
    assert amplitude.taken == ["a", "b", "c"]
    assert [type(each) for each in verdicts] == [
        *(Delivered, Rejected, Delivered, Retry, Rejected, Rejected, Delivered)
    ]
    slow, bad, silent = verdicts[3], verdicts[4], verdicts[5]
    assert isinstance(slow, Retry)
    assert slow.after_s == 30.0
    assert isinstance(bad, Rejected)
    assert bad.detail == "400 events_with_invalid_fields time"
    assert isinstance(silent, Rejected)
    assert silent.detail == "400 silenced"


@pytest.mark.parametrize(
    ("body_", "key"), [(TRACK, "another-key"), ({"userId": "user-1"}, "another-key")]
)
async def test_a_wrong_key_concerns_all_and_loses_nothing(body_: Any, key: str) -> None:
    answer = Answer(400, b'{"code":400,"error":"Invalid API key: x"}')
    async with Fake(answer, stands_for=[HOST]) as vendor:
        verdicts = await vendor.deliver(
            "amplitude", {"api_key": key}, [delivery(**body_)]
        )
    assert isinstance(verdicts[0], Retry)
    assert verdicts[0].auth


@pytest.mark.parametrize(
    ("event_", "answer", "after_s"),
    [
        (TRACK, Answer(429, b'{"code":429,"error":"Too many"}'), 30.0),
        ({"userId": "user-1"}, Answer(429), 15.0),
        (TRACK, Answer(503), None),
    ],
)
async def test_what_waits_and_how_long(
    event_: Any, answer: Answer, after_s: Any
) -> None:
    async with Fake(answer, stands_for=[HOST]) as vendor:
        (verdict,) = await vendor.deliver(
            "amplitude", SETTINGS["amplitude"], [delivery(**event_)]
        )
    assert isinstance(verdict, Retry)
    assert verdict.after_s == after_s


async def test_what_is_refused_without_a_word_of_which_is_sent_in_parts() -> None:
    events = [delivery(number, userId=f"user-{number}") for number in range(2)]
    answers = [Answer(400, b"bad"), Answer(200, b"success"), Answer(400, b"bad")]
    async with Fake(*answers, stands_for=["api.eu.amplitude.com"]) as vendor:
        settings = {**SETTINGS["amplitude"], "region": "EU"}
        verdicts = await vendor.deliver("amplitude", settings, events)
    assert [type(each) for each in verdicts] == [Delivered, Rejected]
    assert {each.path for each in vendor.asked} == {"/identify"}


def test_a_session_is_told_by_the_message() -> None:
    asked = but(delivery(**TRACK), options={"session_id": 1768471933456})
    (request,) = talk("amplitude", [asked]).requests
    assert body(request)["events"][0]["session_id"] == 1768471933456
