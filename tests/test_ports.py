"""What an operator hears when no connection can be taken any more."""

import asyncio
import io
import json
import os
import resource
from pathlib import Path

import pytest
from aiohttp import web

from gateway import ports
from gateway.config import parse
from gateway.notices import Notices


async def test_no_file_descriptors_are_noticed_and_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports, "LOOK_S", 0.01)
    stream = io.StringIO()
    notices = Notices(stream)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(2)
    watching = asyncio.create_task(ports.watch_descriptors(notices))
    await asyncio.sleep(0.1)
    assert not notices.counts
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))  # the next one is too many
    try:
        async with asyncio.timeout(30):
            while notices.counts["out_of_file_descriptors"] < 3:
                await asyncio.sleep(0.01)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        watching.cancel()
        await asyncio.wait([watching])
    notices.flush()
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert told["notice"] == "out_of_file_descriptors"
    assert told["name"] == "Too many open files"
    assert told["count"] == notices.counts["out_of_file_descriptors"]


@pytest.mark.parametrize(
    ("listen", "reached"),
    [
        ("[::]:0", ["127.0.0.1", "::1"]),
        ("[::1]:0", ["::1"]),
        ("0.0.0.0:0", ["127.0.0.1"]),
    ],
)
async def test_who_listens_everywhere_is_reached_by_ipv4_too(
    listen: str, reached: list[str]
) -> None:
    text = f"[sources.a]\nwrite_keys = ['a']\n[server]\nlisten = '{listen}'\n"
    runner = web.AppRunner(web.Application())
    bound = ports.bind(parse(text, folder=Path()), "listen")
    port = await bound.serve(runner)
    number = int(port.url.rpartition(":")[2])
    try:
        for host in ("127.0.0.1", "::1"):
            if host in reached:
                _, writer = await asyncio.open_connection(host, number)
                writer.close()
            else:
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection(host, number)
    finally:
        await runner.cleanup()
