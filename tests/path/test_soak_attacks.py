"""Requests made to be dear, against a running gateway: in ``make soak`` alone."""

import asyncio
import gzip
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.inbound.attacks import attacks
from tests.path.running import Gateway, config
from tests.workspace import test_road as road

pytestmark = [pytest.mark.service, pytest.mark.soak]
GZIP = {"Content-Encoding": "gzip"}
EVERY_S = 0.1
STALL_S = 1.0  # 0.1 on an idle machine; it was 4 to 35, or the end


def rss_mb(gateway: Gateway) -> int:
    """The most it ever had, in MB."""
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def cpu_s(gateway: Gateway) -> float:
    assert gateway.process is not None
    stat = Path(f"/proc/{gateway.process.pid}/stat").read_text()
    ticks = stat.rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def normal(gateway: Gateway) -> AsyncIterator[list[float]]:
    """Somebody who posts an identify every 100 ms; how long each took, in seconds."""
    took: list[float] = []

    async def post() -> None:
        while True:
            began = time.monotonic()
            assert (await gateway.post("/v1/identify", {"userId": "u"}))[0] == 200
            took.append(time.monotonic() - began)
            await asyncio.sleep(EVERY_S)

    posting = asyncio.create_task(post())
    yield took
    await asyncio.sleep(EVERY_S)
    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)
    assert posting.cancelled()


@pytest.mark.parametrize("key", ["dev", None], ids=["key", "no key"])
async def test_a_body_made_to_be_dear_is_cheap_and_others_are_served(tmp_path, key):
    """4 MB, or a fraction on the wire: 1 to 7 GB and up to 35 s for everybody else."""
    longest, most = 0.0, 0
    async with Gateway(tmp_path, config()) as gateway:
        for name, body in attacks(4_000_000).items():
            packed = gzip.compress(body, 9)
            before = cpu_s(gateway)
            async with normal(gateway) as took:
                status, _ = await gateway.post(
                    "/v1/batch", packed, key=key, headers=GZIP
                )
            used, longest = cpu_s(gateway) - before, max(longest, *took)
            most = rss_mb(gateway)
            print(
                f"{name}: {len(packed)} bytes, {status}, {used:.2f} s CPU, "
                f"longest {max(took):.2f} s, RSS {most} MB"
            )
            assert status in (200, 400, 401)
            assert used < 2
        assert longest < STALL_S
        assert most < 400
        assert "Traceback" not in gateway.errors()


@pytest.mark.parametrize("together", [20, 100])
async def test_dear_bodies_that_come_together_are_taken_in_turn(tmp_path, together):
    """Twenty took 1.5 GB; now what may wait is bounded, and the rest is 503."""
    chosen = attacks(4_000_000)
    names = ("many that are too large", "a context and good messages", "many values")
    async with Gateway(tmp_path, config()) as gateway:
        for name in names:
            packed = gzip.compress(chosen[name], 9)
            async with normal(gateway) as took:
                answers = await asyncio.gather(
                    *(
                        gateway.post("/v1/batch", packed, headers=GZIP)
                        for _ in range(together)
                    )
                )
            most = rss_mb(gateway)
            said = Counter(status for status, _ in answers)
            print(f"{name} x {together}: {dict(said)}, {max(took):.2f} s, {most} MB")
            assert said.keys() <= {200, 400, 503}
            assert max(took) < 5 * STALL_S  # they come in at once, and are unpacked so
        assert most < 512  # what deploy's manifests allow


async def test_one_person_stalls_nobody_however_much_is_sent_about_it(tmp_path):
    """204,000 attributes, then 1,000 identifies: the loop stood for 17.7 s, of 59 s."""
    text = road.config("sqlite:///w.db").replace('"server"', '"browser"')
    text = text.replace('["dev"]', '["dev"]\norigins = ["*"]')
    async with Gateway(tmp_path, text) as gateway:
        desk = road.Desk(gateway)
        async with normal(gateway) as took:
            began = time.monotonic()
            for number in range(120):
                traits = {f"t{number}_{each}": each for each in range(1_700)}
                await road.identify(
                    gateway, f"m{number}", userId="large", traits=traits
                )
            small = [
                {"type": "identify", "userId": "large", "messageId": f"s{number}"}
                | {"traits": {"t0_1": number}}
                for number in range(1_000)
            ]
            assert (await gateway.post("/v1/batch", {"batch": small}))[0] == 200
            await desk.decided("s999")
            whole = time.monotonic() - began
        print(f"applied in {whole:.1f} s, longest {max(took):.2f} s")
        person = await desk.attributes("large")
        assert len(person["attributes"]) == 300 + 2  # its id and cio_id are shown, too
        assert max(took) < STALL_S
