"""What an operator hears when no connection can be taken any more."""

import asyncio
import io
import json
import os
import resource

import pytest

from gateway import ports
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
