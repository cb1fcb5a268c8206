"""Destinations are public, or named by the operator: judged by address, each time."""

import socket

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.outbound.client.names import Names
from gateway.outbound.http import NoResponse, Request, Response
from gateway.outbound.reach import PrivateAddressError, Reach
from gateway.outbound.send import HttpSend, open_pool

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",  # where clouds keep their credentials
    "100.64.0.1",
    "0.0.0.0",  # Linux connects it to itself
    "255.255.255.255",
    "224.0.0.1",
    "198.18.0.1",
    "240.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a00:1::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_of_an_own_network_is_reached_by_default(address):
    assert not Reach().allows(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address):
    assert Reach().allows(address)
    assert Reach(["10.0.0.0/8"]).allows(address)


def test_the_operator_allows_ranges_and_nothing_beside_them():
    reach = Reach(["10.1.0.0/16", "fd12::/16"])
    for inside in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd12::1"):
        assert reach.allows(inside)
    for outside in ("10.2.0.1", "127.0.0.1", "fd13::1", "169.254.169.254"):
        assert not reach.allows(outside)


async def _hello(_: web.Request) -> web.Response:
    return web.Response(text="secret")


class Served:
    """A server on 127.0.0.1 that counts who came."""

    def __init__(self, handler=_hello):
        self.hits = 0

        async def counted(request):
            self.hits += 1
            return await handler(request)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", counted)
        self.server = TestServer(application)

    async def __aenter__(self):
        await self.server.start_server()
        return self

    async def __aexit__(self, *_):
        await self.server.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:7f00:1]"])
async def test_a_loopback_webhook_hears_nothing_unless_it_is_allowed(host):
    async with Served() as served, open_pool(Reach()) as pool:
        url = f"http://{host}:{served.server.port}/latest/meta-data/"
        answer = await HttpSend(pool, timeout_s=2.0)(Request(url=url))
        assert isinstance(answer, NoResponse)
        assert answer.reason == "PrivateAddressError"
        assert served.hits == 0


async def test_an_allowed_range_is_reached():
    async with Served() as served, open_pool(Reach(["127.0.0.0/8"])) as pool:
        url = f"http://127.0.0.1:{served.server.port}/"
        answer = await HttpSend(pool, timeout_s=2.0)(Request(url=url))
        assert isinstance(answer, Response)
        assert answer.status == 200


async def test_a_redirect_into_the_own_network_is_not_followed():
    async with Served() as inner:

        async def away(_: web.Request) -> web.Response:
            raise web.HTTPFound(f"http://127.0.0.1:{inner.server.port}/")

        async with (
            Served(away) as outer,
            open_pool(Reach(["127.0.0.0/8"])) as pool,
        ):
            url = f"http://127.0.0.1:{outer.server.port}/"
            answer = await HttpSend(pool, timeout_s=2.0)(Request(url=url))
            assert isinstance(answer, Response)
            assert answer.status == 302
            assert inner.hits == 0


class Rebinding:
    """A name that stands for an allowed address first, and for another one later."""

    def __init__(self, *addresses: str):
        self.addresses = list(addresses)

    async def __call__(self, host, port):
        address = self.addresses.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


async def test_every_connection_judges_anew_what_a_name_stands_for():
    async with Served() as served:
        rebinding = Rebinding("127.0.0.2", "127.0.0.1")
        names = Names(rebinding, kept_s=0.0)
        async with open_pool(Reach(["127.0.0.2/32"]), names) as pool:
            send = HttpSend(pool, timeout_s=2.0)
            url = f"http://rebound.example:{served.server.port}/"
            first = await send(Request(url=url))
            # 127.0.0.2 is allowed, but nothing listens there
            assert first == NoResponse("ConnectionRefusedError")
            second = await send(Request(url=url))
            assert second == NoResponse("PrivateAddressError")
            assert rebinding.addresses == []
            assert served.hits == 0


def test_the_socket_itself_is_refused():
    found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80))
    with pytest.raises(PrivateAddressError, match="private_destinations"):
        Reach().socket(found)
