"""Customer.io: whom an event is about, what is named as lost, what its answers mean."""

from typing import Any

import orjson
import pytest

from gateway.outbound.contract import Delivered, Rejected, Retry, Skipped
from gateway.outbound.destinations.customerio import ulid
from tests.outbound.fake import Answer, Asked, Fake
from tests.outbound.vendors.contract import body
from tests.outbound.vendors.talks import SETTINGS, delivery, talk

HOST = "track.customer.io"


def entity(**event: Any) -> Any:
    (request,) = talk("customerio", [delivery(**event)]).requests
    return body(request)


@pytest.mark.parametrize(
    ("event", "person"),
    [
        ({"userId": "u1"}, {"id": "u1"}),
        ({"userId": "a@b.example"}, {"email": "a@b.example"}),
        ({"userId": "cio_0300"}, {"cio_id": "0300"}),
        ({"userId": "cio_"}, {"id": "cio_"}),
        (
            {"anonymousId": "a", "traits": {"email": "a@b.example"}},
            {"email": "a@b.example"},
        ),
        (
            {"userId": "u1", "identifiers": {"cio_id": "03", "id": "u1"}},
            {"cio_id": "03"},
        ),
    ],
)
def test_a_person_is_known_by_exactly_one_identifier(event: Any, person: Any) -> None:
    assert entity(**event)["identifiers"] == person


@pytest.mark.parametrize(
    "sent",
    [
        "2024-03-11T08:15:30.000Z",
        "2024-03-11T09:15:30+01:00",
        1710144930,
        1710144930000,
    ],
)
@pytest.mark.parametrize("name", ["createdAt", "created_at"])
def test_every_form_of_a_date_is_unix_seconds(name: str, sent: Any) -> None:
    assert entity(userId="u", traits={name: sent})["attributes"] == {
        "created_at": 1710144930
    }


@pytest.mark.parametrize(
    ("traits", "lost"),
    [
        ({"createdAt": "last tuesday"}, "traits.createdAt (not unix seconds)"),
        ({"bio": "é" * 501}, "traits.bio (over 1000 bytes)"),
        ({"id": "other"}, "traits.id (the person is known by another)"),
        ({f"t{n}": n for n in range(300)}, "traits.t299 (beyond 300 attributes)"),
    ],
)
async def test_what_it_cannot_take_is_left_out_and_named(
    traits: Any, lost: str
) -> None:
    async with Fake(stands_for=[HOST]) as vendor:
        event = delivery(userId="u1", traits={"plan": "pro", **traits})
        (verdict,) = await vendor.deliver("customerio", SETTINGS["customerio"], [event])
    assert verdict == Delivered(200, f"not sent: {lost}")
    assert vendor.asked[0].json()["attributes"]["plan"] == "pro"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "identify", "anonymousId": "a", "traits": {"plan": "pro"}},
        {"type": "alias", "userId": "u", "previousId": "u"},
    ],
)
def test_what_it_has_no_word_for_is_skipped_with_the_reason(event: Any) -> None:
    talked = talk("customerio", [delivery(**event)])
    assert talked.requests == []
    assert isinstance(talked.said[0], Skipped)
    assert talked.said[0].reason


def test_what_is_too_large_is_a_dead_letter_and_nothing_is_sent() -> None:
    large: dict[str, Any] = {
        "type": "track",
        "userId": "u",
        "event": "E",
        "properties": {"x": "y" * 32_000},
    }
    talked = talk("customerio", [delivery(**large), delivery(2, userId="x" * 151)])
    assert talked.requests == []
    assert [(each.reason, each.unsent) for each in talked.said] == [
        ("too_large", True),
        ("rejected", True),
    ]


def test_a_message_has_the_same_ulid_however_often_it_is_sent() -> None:
    assert ulid("m1", 1768471933456) == ulid("m1", 1768471933456)
    assert len({ulid(f"m{number}", 1768471933456) for number in range(1_000)}) == 1_000
    assert ulid("m1", 1768471933456) < ulid("m0", 1768471933457)
    assert len(ulid("m", -5)) == 26


@pytest.mark.parametrize(
    ("event", "device", "action"),
    [
        (
            "Device Created or Updated",
            {"token": "t", "type": "iOS"},
            {
                "action": "add_device",
                "device": {"token": "t", "platform": "ios", "last_used": 1768471934},
            },
        ),
        (
            "Device Deleted",
            {"token": "t", "type": "android"},
            {"action": "delete_device", "device": {"token": "t"}},
        ),
    ],
)
def test_a_device_that_comes_or_goes_is_no_event(
    event: str, device: Any, action: Any
) -> None:
    said = entity(type="track", userId="u", event=event, context={"device": device})
    assert said == {"type": "person", "identifiers": {"id": "u"}, **action}


def test_nobody_deletes_a_person_with_a_public_write_key() -> None:
    said = entity(type="track", userId="u", event="User Deleted")
    assert (said["action"], said["name"]) == ("event", "User Deleted")


def test_a_device_without_a_token_is_an_event_like_any() -> None:
    said = entity(type="track", userId="u", event="Application Opened")
    assert (said["action"], said["name"]) == ("event", "Application Opened")


@pytest.mark.parametrize(
    ("page", "name"),
    [
        (
            {"name": "Home", "properties": {"url": "https://a.example/"}},
            "https://a.example/",
        ),
        ({"name": "Home"}, "Home"),
        ({"properties": {"path": "/x"}}, "/x"),
        ({}, "Loaded a Page"),
    ],
)
def test_a_page_is_known_by_its_address(page: Any, name: str) -> None:
    assert entity(type="page", userId="u", **page)["name"] == name


def speak(asked: Asked) -> Answer:
    """Customer.io's ways: 401 without the key, 207 names what is bad by its index."""
    if not asked.headers["Authorization"].startswith("Basic "):
        return Answer(401)
    found = asked.json()
    items = found.get("batch", [found])
    bad = [n for n, each in enumerate(items) if each.get("name") == "bad"]
    if not bad:
        return Answer(200, b"{}")
    errors: list[dict[str, Any]] = [
        {"reason": "invalid", "field": "name", "message": "m"} for _ in bad
    ]
    if "batch" not in found:
        return Answer(400, orjson.dumps({"errors": errors}))
    for index, error in zip(bad, errors, strict=True):
        error["batch_index"] = index
    return Answer(207, orjson.dumps({"errors": errors}))


async def test_one_bad_of_a_batch_is_one_dead_letter_and_the_others_are_delivered() -> (
    None
):
    events = [
        delivery(number, type="track", userId=f"u{number}", event=name)
        for number, name in enumerate(["good", "bad", "good"])
    ]
    async with Fake(answer=speak, stands_for=[HOST]) as vendor:
        verdicts = await vendor.deliver("customerio", SETTINGS["customerio"], events)
    assert [type(each) for each in verdicts] == [Delivered, Rejected, Delivered]
    assert len(vendor.asked) == 1
    refused: Any = verdicts[1]
    assert refused.detail == "207 name invalid"
    assert "u1" in refused.exchange.request["body"]
    assert "u0" not in refused.exchange.request["body"]


@pytest.mark.parametrize(
    ("answer", "kind", "auth"),
    [
        (Answer(401), Retry, True),
        (Answer(429, headers={"Retry-After": "3"}), Retry, False),
        (Answer(503), Retry, False),
        (Answer(400, b'{"errors":[{"reason":"r","field":"f"}]}'), Rejected, None),
    ],
)
async def test_what_an_answer_means(answer: Answer, kind: type, auth: Any) -> None:
    async with Fake(answer, stands_for=[HOST]) as vendor:
        (verdict,) = await vendor.deliver(
            "customerio", SETTINGS["customerio"], [delivery(userId="u")]
        )
    assert isinstance(verdict, kind)
    assert getattr(verdict, "auth", None) is auth
    assert "not-a-real-key" not in str(verdict)


async def test_a_batch_that_is_refused_as_a_whole_is_sent_in_parts() -> None:
    whole = Answer(400, b'{"errors":[{"reason":"r"}]}')
    async with Fake(whole, stands_for=[HOST]) as vendor:
        events = [delivery(number, userId=f"u{number}") for number in range(2)]
        verdicts = await vendor.deliver("customerio", SETTINGS["customerio"], events)
    assert verdicts == [Delivered(200), Delivered(200)]
    assert [each.path for each in vendor.asked] == [
        "/api/v2/batch",
        "/api/v2/entity",
        "/api/v2/entity",
    ]


async def test_the_region_has_its_own_host() -> None:
    async with Fake(stands_for=["track-eu.customer.io"]) as vendor:
        settings = {**SETTINGS["customerio"], "region": "EU"}
        await vendor.deliver("customerio", settings, [delivery(userId="u")])
    assert len(vendor.asked) == 1


async def test_events_of_strangers_go_one_by_one_and_stop_at_the_first_that_waits() -> (
    None
):
    events = [
        delivery(n, type="track", anonymousId=f"a{n}", event="E") for n in range(12)
    ]
    answers = [*[Answer()] * 3, Answer(503)]
    async with Fake(*answers, stands_for=[HOST]) as vendor:
        verdicts = await vendor.deliver("customerio", SETTINGS["customerio"], events)
    assert [type(each) for each in verdicts] == [*[Delivered] * 3, *[Retry] * 9]
    assert len(vendor.asked) == 4
