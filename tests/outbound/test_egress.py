"""`[egress]`: requests that go elsewhere than they say, at the operator's word."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.config import EgressConfig, Server, parse
from gateway.errors import ConfigError
from gateway.outbound.http import NoResponse, Request, Response
from gateway.outbound.send import open_ways
from gateway.workable import unworkable

SOURCE = "[sources.web]\nwrite_keys = ['a']\n"


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, list[web.Request]]]:
    heard: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        assert await request.read() == b"x"
        heard.append(request)
        return web.Response(text="here")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        yield f"http://127.0.0.1:{server.port}", heard


async def ask(url: str, **egress: Any) -> Response | NoResponse:
    async with open_ways(Server(), EgressConfig(**egress)) as ways:
        return await ways.send(2.0)(Request(url=url, body=b"x"))


@pytest.mark.parametrize(
    "url", ["https://api.example.com/track?v=2&x=%2F", "http://api.example.com:80/a"]
)
async def test_requests_to_a_mapped_host_go_there_with_path_and_query(url: str) -> None:
    async with listening() as (there, heard):
        answer = await ask(url, hosts={"api.example.com": there})
        assert isinstance(answer, Response)
        assert answer.body == b"here"
        (request,) = heard
        assert url.endswith(request.raw_path)


async def test_a_mapped_host_may_stand_below_a_path() -> None:
    async with listening() as (there, heard):
        await ask(
            "https://api.example.com/track", hosts={"api.example.com": f"{there}/v"}
        )
        assert heard[0].raw_path == "/v/track"


async def test_only_what_is_mapped_reaches_a_private_address() -> None:
    async with listening() as (there, heard):
        answer = await ask(f"{there}/", hosts={"api.example.com": there})
        assert answer == NoResponse("PrivateAddressError")
        assert heard == []


async def test_requests_go_through_the_proxy_but_those_that_are_mapped() -> None:
    async with listening() as (proxy, asked), listening() as (there, heard):
        hosts = {"api.example.com": there}
        answer = await ask("http://vendor.example/hook", proxy=proxy, hosts=hosts)
        assert isinstance(answer, Response)
        assert asked[0].raw_path == "http://vendor.example/hook"
        await ask("http://api.example.com/", proxy=proxy, hosts=hosts)
        assert (len(asked), len(heard)) == (1, 1)


@pytest.mark.parametrize(
    ("egress", "says"),
    [
        ("proxy = 'proxy:3128'", "egress.proxy: is not http://HOST:PORT"),
        ("proxy = 'https://proxy'", "egress.proxy: is not http://HOST:PORT"),
        ("hosts = { 'a.example' = 'b.example' }", "egress.hosts.a.example"),
        ("hosts = { 'a.example' = 'http://b:99999' }", "egress.hosts.a.example"),
        ("hosts = { 'a.example' = 5 }", "egress.hosts.a.example"),
        ("hosts = { 'https://a.example' = 'http://b' }", "is not a host"),
        ("hosts = { 'A.example' = 'http://b' }", "in lower case"),
    ],
)
def test_an_egress_that_cannot_work_is_told(
    egress: str, says: str, tmp_path: Any
) -> None:
    config = parse(f"{SOURCE}[egress]\n{egress}\n", folder=tmp_path)
    (error,) = unworkable(config)
    assert isinstance(error, ConfigError)
    assert says in str(error)
    assert "proxy:3128" not in str(error)  # it may hold a password
