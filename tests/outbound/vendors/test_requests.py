"""What every native type promises of any event: valid, within bounds, never silent."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.outbound import destinations
from gateway.outbound.contract import Delivered, Delivery, Rejected, Skipped, Takes
from gateway.outbound.http import Request
from tests.outbound.vendors.contract import body, contract
from tests.outbound.vendors.talks import SETTINGS, bodies, delivery, talk

GOLDEN = Path(__file__).parents[2] / "golden" / "destinations"
BOUNDS = {  # of a request: the place of its items, how many, how many bytes
    "/api/v2/batch": ("batch", 50, 500_000),
    "/api/v2/entity": (None, 1, 32_768),
    "/api/v1/events": (None, 1, 32_768),
    "/2/httpapi": ("events", 1, 1_000_000),
    "/batch": ("events", 2_000, 20_000_000),
    "/identify": (None, 1, 1_000_000),
    "/groupidentify": (None, 1, 1_000_000),
    "/import": ("", 2_000, 2_097_152),
    "/engage": ("", 2_000, 2_097_152),
    "/groups": ("", 200, 2_097_152),
    "/track": ("", 2_000, 2_097_152),
}
OURS = ["amplitude", "customerio"]
PUBLISHED = ["intercom", "mixpanel"]
KINDS = [
    *OURS,
    *(pytest.param(each, marks=pytest.mark.specs) for each in PUBLISHED),
]


def events_of(vendor: str) -> list[dict[str, Any]]:
    files = sorted((GOLDEN / vendor).glob("*/event.json"))
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.parametrize("vendor", KINDS)
def test_every_golden_request_is_valid_against_the_contract(vendor: str) -> None:
    events = events_of(vendor)
    assert events
    for each in events:
        for request in talk(vendor, [delivery(**each)]).requests:
            assert contract(vendor).errors(request) == [], request.body


@pytest.mark.parametrize("vendor", KINDS)
def test_any_events_are_valid_requests_within_the_bounds(vendor: str) -> None:
    takes = takes_of(vendor)

    @settings(deadline=None)
    @given(st.lists(bodies(), min_size=1, max_size=6))
    def holds(events: Sequence[dict[str, Any]]) -> None:
        deliveries = [
            delivery(**each) for each in events if each["type"] in takes.types
        ]
        parts = [deliveries] if takes.batch_events > 1 else [[d] for d in deliveries]
        for part in parts:
            hold(part)

    def hold(deliveries: Sequence[Delivery]) -> None:
        talked = talk(vendor, deliveries)
        assert len(talked.said) == len(deliveries)
        assert {type(each) for each in talked.said} <= {Delivered, Skipped, Rejected}
        assert all(each.unsent for each in talked.said if isinstance(each, Rejected))
        for request in talked.requests:
            assert contract(vendor).errors(request) == [], request.body
            check_bounds(request)

    holds()


def takes_of(vendor: str) -> Takes:
    kind = destinations.load(vendor)
    return kind.configured(SETTINGS[vendor], name="x", folder=Path()).takes


def check_bounds(request: Request) -> None:
    path = request.url.split("//")[1].partition("/")[2].partition("?")[0]
    place, count, size = BOUNDS.get(f"/{path}", (None, 1, 1_000_000))
    assert len(request.body) <= size
    if place is not None:
        found = body(request)
        items = found[place] if place else found
        assert 0 < len(items) <= count


@pytest.mark.parametrize("vendor", ["amplitude", "customerio", "mixpanel"])
def test_a_full_batch_of_the_largest_events_is_split_within_the_bounds(
    vendor: str,
) -> None:
    count = takes_of(vendor).batch_events
    properties = {f"p{number}": "é" * 100 for number in range(100)}
    deliveries = [
        delivery(number, type="track", userId=f"u{number:05}", event="E")
        for number in range(count - 20)
    ] + [
        delivery(
            1_000 + number,
            type="track",
            userId="u-12345",
            event="E",
            properties=properties,
        )
        for number in range(20)
    ]
    talked = talk(vendor, deliveries)
    assert [type(each) for each in talked.said] == [Delivered] * count
    for request in talked.requests:
        check_bounds(request)


@pytest.mark.parametrize("vendor", [*OURS, *PUBLISHED])
def test_a_mapping_is_laid_over_what_the_type_would_send(vendor: str) -> None:
    traits = {"plan": "pro", "secret": "s3cr3t"}
    fields = {"plan": "team", "secret": "", "tier": 2}
    identify = delivery(type="identify", userId="u-12345", traits=traits, fields=fields)
    track = delivery(
        type="track", userId="u-12345", event="E", properties=traits, fields=fields
    )
    for each in (identify, track):
        sent = b"".join(request.body for request in talk(vendor, [each]).requests)
        told = orjson.dumps(sent.decode())
        assert b"team" in told
        assert b"tier" in told
        assert b"s3cr3t" not in told
        assert b"pro" not in told.replace(b"properties", b"").replace(b"profile", b"")
