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


async def test_what_is_no_http_is_answered_400_and_nothing_of_it_is_logged(
    capfd: pytest.CaptureFixture[str],
) -> None:
    stream = io.StringIO()
    runner = ports.serving(web.Application(), Notices(stream))
    bound = ports.take("127.0.0.1:0", "console.listen")
    port = await bound.serve(runner)
    try:
        number = int(port.url.rpartition(":")[2])
        long, nul = b"GET /" + b"s3cret" * 5_000, b"GET /\0s3cret HTTP/1.1"
        for line in (long, nul, b"s3cret"):
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            writer.write(line + b"\r\n\r\n")
            async with asyncio.timeout(30):
                assert b" 400 " in await reader.readline()
            writer.close()
    finally:
        await runner.cleanup()
    assert "s3cret" not in "".join((stream.getvalue(), *capfd.readouterr()))


def test_a_bug_below_the_pages_is_a_notice_without_what_was_asked() -> None:
    stream = io.StringIO()
    log = ports.ServerLog(Notices(stream))
    try:
        raise KeyError("s3cret")  # noqa: TRY301 -- a place
    except KeyError as error:
        log.exception("Error handling %s", "s3cret", exc_info=error)
    told = json.loads(stream.getvalue())
    assert (told["notice"], told["error"]) == ("bug", "KeyError")
    assert "s3cret" not in stream.getvalue()


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
