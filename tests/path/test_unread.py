"""A gateway among clients that never read, and clients that send half a head."""

import asyncio
import contextlib
import os
import resource
import socket
import ssl
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.path.running import Gateway, config, until
from tests.path.sdks import kits
from tests.path.test_full_disk import rss_bytes
from tests.path.test_tls import secured

pytestmark = [pytest.mark.service, pytest.mark.soak]

GOOD = {"userId": "u", "traits": {"plan": "x"}}
POST = "POST /v1/i HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev\r\n"
ECHO = "Access-Control-Request-Headers: " + "a" * 16_000
FLOODS = [
    b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 400,
    f"OPTIONS /v1/i HTTP/1.1\r\nHost: x\r\nOrigin: https://x\r\n{ECHO}\r\n\r\n".encode(),
    f"{POST}Content-Length: 2\r\n\r\n{{}}".encode() * 400,
]
HALF = (POST + "".join(f"X-{n}: {'x' * 16_000}\r\n" for n in range(99))).encode()


def flood(gateway: Gateway, data: bytes, seconds: float) -> int:
    """Send on and on, read nothing; returns the bytes that were taken."""
    host, port = gateway.url.rpartition("/")[2].split(":")
    sent, ends = 0, time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(socket.create_connection((host, int(port))))
        if gateway.url.startswith("https"):
            assert isinstance(gateway.trust, ssl.SSLContext)
            client = stack.enter_context(
                gateway.trust.wrap_socket(client, server_hostname=host)
            )
        client.settimeout(0.2)
        while time.monotonic() < ends:
            with contextlib.suppress(TimeoutError):
                try:
                    sent += client.send(data)
                except OSError:
                    time.sleep(0.2)  # ended, as it should be
                    raise TimeoutError from None
    return sent


async def posts_s(gateway: Gateway, goes_on: Callable[[], bool]) -> list[float]:
    """How long a normal post every 50 ms takes, meanwhile."""
    took = []
    while goes_on():
        began = time.monotonic()
        assert (await gateway.post("/v1/identify", GOOD))[0] == 200
        took.append(time.monotonic() - began)
        await asyncio.sleep(0.05)
    return took


async def beside(gateway: Gateway, data: bytes, clients: int) -> dict[str, float]:
    """RSS before and at most, and posts, beside so many floods for ten seconds."""
    assert gateway.process is not None
    pid = gateway.process.pid
    before = most = rss_bytes(pid)
    loop, threads = asyncio.get_running_loop(), ThreadPoolExecutor(clients)
    floods = [
        loop.run_in_executor(threads, flood, gateway, data, 10.0)
        for _ in range(clients)
    ]

    def goes_on() -> bool:
        nonlocal most
        most = max(most, rss_bytes(pid))
        return not all(each.done() for each in floods)

    took = await posts_s(gateway, goes_on)
    threads.shutdown()
    return {
        "sent_mb": sum([await each for each in floods]) / 1e6,
        "rss_mb": before / 1e6,
        "rss_more_mb": (most - before) / 1e6,
        "posts": len(took),
        "p50_ms": statistics.median(took) * 1_000,
        "longest_ms": max(took) * 1_000,
    }


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_20_senders_that_never_read_cost_little_and_nobody_else(tmp_path, secure):
    text = config()
    if secure:
        kits.certify(tmp_path)
        text = secured(tmp_path / "cert.pem", tmp_path / "key.pem") + text
    async with Gateway(tmp_path, text) as gateway:
        if secure:
            gateway.trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        for data in FLOODS:
            told = await beside(gateway, data, 20)
            print({name: round(figure, 1) for name, figure in told.items()})
            assert told["rss_more_mb"] < 40  # without a bound: hundreds a connection
            assert told["longest_ms"] < 3_000
        assert "Traceback" not in gateway.errors()


async def test_400_half_heads_cost_little(tmp_path):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4_096:
        pytest.skip("needs file descriptors")
    async with Gateway(tmp_path, config()) as gateway:
        assert gateway.process is not None
        pid = gateway.process.pid
        before = rss_bytes(pid)
        host, port = gateway.url.removeprefix("http://").split(":")
        writers = []
        for size in (30_000, len(HALF)):  # within the bound; far beyond
            for _ in range(400):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(HALF[:size])
                writers.append(writer)
            assert (await gateway.post("/v1/identify", GOOD))[0] == 200
        await until(lambda: len(os.listdir(f"/proc/{pid}/fd")) < 450)  # noqa: PTH208
        more = (rss_bytes(pid) - before) / 1e6
        print({"rss_mb": before / 1e6, "rss_more_mb": round(more, 1)})
        assert more < 100  # was 1,500
        for writer in writers:
            writer.transport.abort()
        assert "Traceback" not in gateway.errors()
