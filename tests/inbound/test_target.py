"""The paths that clients write differently, and those that must stay as they are."""

import json

import pytest

from gateway.inbound.serve.target import origin_form
from tests.inbound.house import House
from tests.inbound.test_connection import OK, answer, connect, post, users


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v1/batch", "/v1/batch"),
        ("//v1/batch", "/v1/batch"),
        ("///v1//batch", "/v1/batch"),
        ("/v1/batch//", "/v1/batch/"),
        ("//v1/projects/KEY/settings", "/v1/projects/KEY/settings"),
        ("/v1//projects//KEY/settings?a=//b", "/v1/projects/KEY/settings?a=//b"),
        ("//", "/"),
        ("//healthz?x", "/healthz?x"),
        # an identifier may be missing: what follows it must not take its place
        ("/api/v1/customers//events", "/api/v1/customers//events"),
        ("//api/v1/customers//events", "/api/v1/customers//events"),
        ("//api//v1//customers//events", "/api/v1/customers//events"),
        ("/api/v2//entity", "/api/v2/entity"),
        ("//unsubscribe/a//b", "/unsubscribe/a//b"),
        ("/api/v1/customers/http://x", "/api/v1/customers/http://x"),
        # absolute-form, RFC 9112 3.2.2
        ("http://gateway.example/v1/identify", "/v1/identify"),
        ("HTTPS://u:p@gateway.example:8443//v1/b?x=1", "/v1/b?x=1"),
        ("http://[::1]:8080/v1/i", "/v1/i"),
        ("http://gateway.example", "/"),
        ("http://gateway.example?x=http://y/", "/?x=http://y/"),
        ("http://h/api/v1/customers//events", "/api/v1/customers//events"),
        ("*", "*"),
        ("gateway.example:443", "gateway.example:443"),
        ("ftp://gateway.example/v1/i", "ftp:/gateway.example/v1/i"),
    ],
)
def test_a_target_as_path_and_query(target: str, path: str) -> None:
    assert origin_form(target) == path
    assert origin_form(path) == path or "://" in target


@pytest.mark.parametrize(
    "path", ["//v1/i", "/v1//i", "http://gateway.example/v1/i", "HTTP://x//v1/i/?a=b"]
)
async def test_a_post_to_it_is_taken(house: House, path: str) -> None:
    reader, writer = await connect(house)
    for user in ("a", "b"):
        writer.write(post(user, path=path))
        assert await answer(reader) == (200, OK)
    assert await users(house) == ["a", "b"]
    assert house.metrics.requests == {("identify", 200): 2}
    writer.close()


async def test_settings_are_found_behind_a_host_with_a_slash(house: House) -> None:
    reader, writer = await connect(house)
    for path in ("/v1/projects/web/settings", "//v1/projects/web/settings"):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        status, body = await answer(reader)
        assert status == 200
        assert "integrations" in json.loads(body)
    writer.close()


@pytest.mark.parametrize(
    "path", ["/api/v1/customers//events", "//api/v1/customers//events"]
)
async def test_nobody_s_events_never_become_those_of_somebody(
    house: House, path: str
) -> None:
    reader, writer = await connect(house)
    for method in ("POST", "PUT"):
        request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic "
        request += "c2l0ZTprZXk=\r\nContent-Length: 14\r\n\r\n" + '{"name": "buy"}'[:14]
        writer.write(request.encode())
        assert (await answer(reader))[0] in (400, 405)
    assert await users(house) == []
    writer.close()
