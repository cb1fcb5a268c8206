"""How far the ledger is behind while three pages look on, and what memory grows to.

Behind is from a 200 until the ledger has what became of the message. ``SOAK_SECONDS``
and ``SOAK_RATE`` (events a second) choose another load; the bound is for a thousand.
"""

import asyncio
import os

import pytest

from tests.console.test_cost import (
    BEHIND_MAX_S,
    Probe,
    load,
    memory_mb,
    open_plain,
    three_pages,
)

pytestmark = pytest.mark.soak

RATE = int(os.environ.get("SOAK_RATE", "1000"))
SECONDS = float(os.environ.get("SOAK_SECONDS", "150"))
ROUND_S = 25.0


async def test_the_ledger_keeps_up_while_three_pages_look_on(tmp_path, either_log):
    async with open_plain(tmp_path, either_log) as shop:
        assert shop.gateway.process is not None
        pid, probe, spent_s = shop.gateway.process.pid, Probe(shop), 0.0
        await load(shop, 5, RATE)  # warm
        async with three_pages(shop) as heard, asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(probe.run())
            while spent_s < SECONDS:
                used_us, p99_ms = await load(shop, ROUND_S, RATE)
                spent_s += ROUND_S
                print(
                    f"{spent_s * RATE:9,.0f} events: {memory_mb(pid):.0f} MB, "
                    f"{used_us:.0f} us an event, p99 {p99_ms:.1f} ms, "
                    f"ledger behind {max(probe.behind_s, default=-1):.1f} s at most "
                    f"({len(probe.behind_s)} asked)",
                    flush=True,
                )
            assert all(heard), heard
            asking.cancel()
        assert probe.behind_s, "the ledger told of nothing in all that time"
        assert max(probe.behind_s) < BEHIND_MAX_S
