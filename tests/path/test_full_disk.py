"""A log that cannot be written: 503 in time, memory flat, recovery without a restart.

The disk is full for this process alone: its limit on the size of a file is lowered
while it runs (prlimit), and raised again.
"""

import asyncio
import os
import resource
import time

import pytest

from tests.path.running import Gateway, config

pytestmark = pytest.mark.service


def rss_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def limit_files(pid: int, size: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def batch(number: int) -> dict:
    person = {"type": "identify", "userId": "u", "traits": {"a": "x" * 1_000}}
    return {"batch": [{**person, "messageId": f"{number}-{n}"} for n in range(100)]}


async def test_a_full_disk_is_503_in_time_and_recovers_without_a_restart(tmp_path):
    async with Gateway(tmp_path, config()) as gateway:
        assert gateway.process is not None
        pid = gateway.process.pid
        kept = []
        for number in range(10):
            assert (await gateway.post("/v1/batch", batch(number)))[0] == 200
            kept.append(number)
        limit_files(pid, 4_000_000)  # the log or its journal soon reaches that
        number = 10
        while (await gateway.post("/v1/batch", batch(number)))[0] == 200:
            kept.append(number)
            number += 1
            assert number < 1_000
        limit_files(pid, 1_000)  # and now not even a small thing fits
        await asyncio.gather(*(away(gateway, 20) for _ in range(8)))  # to its level
        before = rss_bytes(pid)
        told = await asyncio.gather(*(away(gateway, 40) for _ in range(8)))
        assert max(took for took, _ in told) < 6
        assert {status for _, status in told} == {503}
        # 320 batches of 110 KB were refused: flat, not one of them is kept
        assert rss_bytes(pid) - before < 16_000_000
        async with gateway.session.get(gateway.admin + "/readyz") as answer:
            assert answer.status == 503
        assert (await gateway.get("/healthz"))[0] == 200  # alive, and says so

        limit_files(pid, resource.RLIM_INFINITY)
        async with asyncio.timeout(20):
            while (await gateway.post("/v1/batch", batch(number)))[0] != 200:
                await asyncio.sleep(0.1)
        kept.append(number)
        async with gateway.session.get(gateway.admin + "/readyz") as answer:
            assert answer.status == 200
        ids = {record["value"]["messageId"] for record in await gateway.read("events")}
        assert {f"{number}-{n}" for number in kept for n in range(100)} <= ids
        assert gateway.process.returncode is None
        assert "Traceback" not in gateway.errors()


async def away(gateway: Gateway, posts: int) -> tuple[float, int]:
    """The longest answer and the one status of so many posts in a row."""
    longest, statuses = 0.0, set()
    for _ in range(posts):
        began = time.monotonic()
        status, answer = await gateway.post("/v1/batch", batch(0))
        longest = max(longest, time.monotonic() - began)
        statuses.add(status)
        assert answer["code"] == "log_unavailable"
    (status,) = statuses
    return longest, status


async def test_a_full_log_refuses_intake_and_lets_the_workers_drain_it(tmp_path):
    """``log.size``: unread events are never deleted, intake waits (DESIGN 6)."""
    more = '[log]\nsize = "3MB"\n[destinations.away]\ntype = "webhook"\n'
    more += 'settings = { url = "http://127.0.0.1:9/" }\n'
    async with Gateway(tmp_path, config(more=more)) as gateway:
        number = 0
        while True:
            status, answer = await gateway.post("/v1/batch", batch(number))
            if status != 200:
                break
            number += 1
            assert number < 200
        assert (status, answer["code"]) == (503, "log_unavailable")
        assert "to.away" in answer["message"]
        assert "size" in answer["message"]
        ids = [r["value"]["messageId"] for r in await gateway.read("to.away")]
        assert ids == [f"{n}-{m}" for n in range(number) for m in range(100)]
