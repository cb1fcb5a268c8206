"""What RudderStack's browser SDKs need beside `/v1`: a configuration, beacons."""

import base64
import json
from collections.abc import Mapping

import pytest

from tests.inbound.house import House

PAGE = {"Origin": "https://shop.example"}
EVENT = {"type": "track", "event": "Left", "anonymousId": "a"}
BODY = json.dumps({"batch": [EVENT], "sentAt": "2026-01-01T00:00:00.000Z"})


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


async def asked(house: House, method: str, path: str, headers: Mapping[str, str]):
    async with house.session.request(
        method, house.url + path, headers=headers, data=BODY
    ) as answer:
        return answer.status, answer.headers, await answer.read()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/sourceConfig/?p=npm&v=3.34.1&writeKey=web", {**PAGE, **basic("web")}),
        ("/sourceConfig?writeKey=web&lockPluginsVersion=true", PAGE),
        ("//sourceConfig/?p=npm", basic("web")),
    ],
)
async def test_a_source_configuration_lets_the_sdk_send_to_nobody_else(
    house, path, headers
):
    status, told, body = await asked(house, "GET", path, headers)
    assert status == 200
    source = json.loads(body)["source"]
    assert source["id"]
    assert source["enabled"] is True
    assert source["destinations"] == []
    collected = source["config"]["statsCollection"]
    assert collected == {"errors": {"enabled": False}, "metrics": {"enabled": False}}
    assert "dataplanes" not in source  # where it sends is the page's to say
    if "Origin" in headers:
        assert told["Access-Control-Allow-Origin"] == PAGE["Origin"]


async def test_the_sdk_s_search_for_ad_blockers_finds_none(house):
    headers = {**PAGE, **basic("web")}
    status, _, body = await asked(house, "HEAD", "/sourceConfig/?view=ad", headers)
    assert (status, body) == (200, b"")


@pytest.mark.parametrize("path", ["/sourceConfig/", "/beacon/v1/batch"])
async def test_a_page_may_ask_before_it_asks(house, path):
    wanted = {"Access-Control-Request-Headers": "authorization, anonymousid"}
    status, told, _ = await asked(house, "OPTIONS", path, {**PAGE, **wanted})
    assert status == 200
    assert "anonymousid" in told["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/sourceConfig/?writeKey=nobody-s", PAGE, "unknown_write_key"),
        ("/sourceConfig/", {**PAGE, **basic("nobody-s")}, "unknown_write_key"),
        ("/sourceConfig/?view=ad", PAGE, "missing_write_key"),
        ("/sourceConfig/?writeKey=", PAGE, "missing_write_key"),
    ],
)
async def test_nobody_s_source_configuration_is_refused_where_the_page_can_read_it(
    house, path, headers, code
):
    status, told, body = await asked(house, "GET", path, headers)
    assert (status, json.loads(body)["code"]) == (401, code)
    assert told["Access-Control-Allow-Origin"] == PAGE["Origin"]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_beacon_is_a_batch_whose_key_is_in_its_query(house, slash):
    path = f"/beacon/v1/batch{slash}?writeKey=web"
    headers = {**PAGE, "Content-Type": "text/plain"}
    status, _, body = await asked(house, "POST", path, headers)
    assert (status, json.loads(body)) == (200, {"success": True})
    (event,) = await house.events()
    assert (event["source"], event["event"]) == ("web", "Left")
    assert house.metrics.requests["beacon", 200] == 1


async def test_a_beacon_s_key_is_read_as_pages_write_it(house):
    status, _, _ = await asked(house, "POST", "/beacon/v1/batch?writeKey=w%65b-2", PAGE)
    assert status == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/beacon/v1/batch?writeKey=nobody-s", PAGE),
        ("/beacon/v1/batch", PAGE),
        ("/beacon/v1/batch?writeKey=web", {"Origin": "https://elsewhere.example"}),
        ("/v1/batch?writeKey=web", PAGE),  # only a beacon's address has a key
        ("/v1/track?writeKey=web", PAGE),
    ],
)
async def test_a_key_in_an_address_is_one_for_beacons_of_allowed_pages_alone(
    house, path, headers
):
    status, _, _ = await asked(house, "POST", path, headers)
    assert status == 401
    assert await house.events() == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/sourceConfig/?writeKey=web", "GET, HEAD"),
        ("GET", "/beacon/v1/batch?writeKey=web", "POST, OPTIONS"),
    ],
)
async def test_another_method_is_told_which_there_are(house, method, path, allowed):
    status, told, _ = await asked(house, method, path, {})
    assert (status, told["Allow"]) == (405, allowed)


async def test_a_refused_message_of_a_beacon_is_kept(house):
    body = json.dumps({"batch": [EVENT, {"type": "track"}]})
    path = house.url + "/beacon/v1/batch?writeKey=web"
    async with house.session.post(path, data=body, headers=PAGE) as answer:
        assert answer.status == 200
    (record,) = await house.records("refused")
    assert json.loads(record.value)["endpoint"] == "beacon"
