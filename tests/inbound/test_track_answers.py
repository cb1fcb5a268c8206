"""What is around the Track API's requests: faults, load, paths, methods, metrics."""

import aiohttp
import pytest

from gateway.inbound.accept import Acceptor
from gateway.inbound.doors.track.calls import PREFIXES, TABLE
from tests.inbound.house import ask

PERSON = {"type": "person", "action": "identify", "identifiers": {"id": "u1"}}


@pytest.mark.parametrize("line", ["PUT /api/v1/customers/u1", "POST /api/v2/entity"])
async def test_a_bug_is_500_in_the_api_s_shape(house, monkeypatch, line):
    """A client that reads ``meta.errors`` or quotes the id must find them here, too."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Acceptor, "take", broken)
        status, body, headers = await ask(house, line, PERSON)
    assert (status, body["code"]) == (500, "log_unavailable")
    assert body["meta"]["errors"] == [body["meta"]["error"]] == [body["message"]]
    assert len(headers["X-Message-Id"]) == 32
    assert house.notices.counts["bug"] == 1
    assert house.metrics.requests["track_api", 500] == 1
    assert (await ask(house, line, PERSON))[0] == 200


async def test_a_log_that_is_away_or_full_is_503_with_a_time(house):
    line = "PUT /api/v1/customers/u1"
    for away, room in ((True, True), (False, False)):
        house.log.away, house.log.room = away, room
        status, body, headers = await ask(house, line, {"a": 1})
        assert status == 503
        assert headers["Retry-After"] == "1"
        assert headers["X-Message-Id"]
        assert body["meta"]["errors"]


async def test_a_source_s_rate_bounds_the_track_api_too(house):
    batch = {"batch": [PERSON] * 15}
    statuses = [
        (await ask(house, "POST /api/v2/batch", batch, key="slow:key"))[0]
        for _ in range(3)
    ]
    assert 429 in statuses


async def test_paths_methods_and_origins(house):
    status, body, headers = await ask(house, "PUT /api/v1/nothing")
    assert (status, body["code"]) == (404, "not_found")
    assert headers["X-Message-Id"]
    status, body, headers = await ask(house, "GET /api/v1/customers/u1")
    assert (status, body["code"]) == (405, "method_not_allowed")
    assert headers["Allow"] == "PUT, DELETE, OPTIONS"
    given = {"Origin": "https://x.y"}
    line = "OPTIONS /api/v1/customers/u1"
    status, _, headers = await ask(house, line, key=None, headers=given)
    assert status == 200
    assert "PUT" in headers["Access-Control-Allow-Methods"]
    assert headers["Access-Control-Allow-Origin"] == "https://x.y"


async def test_the_region_is_here(house):
    status, body, headers = await ask(house, "GET /api/v1/accounts/region")
    assert status == 200
    assert body["url"] == "https://gateway.example"
    assert body["region"] in ("us", "eu")
    assert isinstance(body["environment_id"], int)
    assert headers["X-Message-Id"]


async def test_requests_are_counted_under_a_closed_set_of_names(house):
    for line in ("PUT /api/v1/customers/u1", "PUT /api/v1/customers/u2"):
        await ask(house, line)
    await ask(house, "PUT /api/v1/customers/u1/else")
    assert house.metrics.requests["track_identify", 200] == 2
    assert house.metrics.requests["track_api", 404] == 1
    assert house.metrics.messages["track", "identify", "accepted"] == 2


async def test_an_upload_that_waits_to_be_asked_for_is_asked_for(house):
    body = {"a": "x" * 20_000}
    line = "PUT /api/v1/customers/u1"
    timeout = aiohttp.ClientTimeout(total=5)
    url = house.url + line.split()[1]
    key = {"Authorization": aiohttp.encode_basic_auth("site", "key")}
    async with house.session.put(
        url, json=body, headers=key, expect100=True, timeout=timeout
    ) as answer:
        assert answer.status == 200


async def test_the_description_has_every_path(house):
    url = f"{house.url}/openapi.json"
    async with house.session.get(url) as answer:
        document = await answer.json()
    described = {
        (path, method.upper())
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith(PREFIXES)
    }
    table = {(path, method) for path, each in TABLE.items() for method in each}
    assert described == table
    names = set(document["components"]["securitySchemes"])
    assert {"siteId"} <= names
