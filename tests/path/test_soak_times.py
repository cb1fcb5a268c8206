"""Promises that are judged by the clock: in ``make soak`` alone."""

import asyncio
import statistics
import time
from typing import Any

import pytest

from tests.path.running import Gateway, Webhook, config, until

pytestmark = [pytest.mark.service, pytest.mark.soak]


async def latencies_s(folder, *, away: bool) -> list[float]:
    """From POST to arrival at a webhook, while its neighbour is up or away."""
    async with Webhook() as hook, Webhook() as other:
        if away:
            await other.stop()
        arrived: dict[str, float] = {}

        def note(event: dict[str, Any]) -> int:
            arrived[event["messageId"]] = time.monotonic()
            return 200

        hook.judge = note
        more = (
            "[destinations.other]" + config(other).partition("[destinations.hook]")[2]
        )
        folder.mkdir()
        async with Gateway(folder, config(hook, more)) as gateway:
            sent: dict[str, float] = {}
            began = time.monotonic()
            for number in range(3_000):
                await asyncio.sleep(max(0.0, began + number / 200 - time.monotonic()))
                message = {"userId": f"p{number % 50}", "messageId": f"m{number}"}
                sent[message["messageId"]] = time.monotonic()
                assert (await gateway.post("/v1/identify", message))[0] == 200
            await until(lambda: len(arrived) == len(sent))
        return [arrived[one] - sent[one] for one in sent]


async def test_a_webhook_that_is_away_costs_the_others_no_time(tmp_path):
    """p99 with the neighbour away is at most 1.2 times p99 with it up."""
    up, away = [], []
    for number in range(3):
        up.append(p99(await latencies_s(tmp_path / f"up{number}", away=False)))
        away.append(p99(await latencies_s(tmp_path / f"away{number}", away=True)))
    ratio = statistics.median(away) / statistics.median(up)
    print({"up": up, "away": away, "ratio": round(ratio, 2)})
    assert ratio <= 1.2


async def test_ready_in_under_a_second(tmp_path):
    gateway = Gateway(tmp_path, config())
    took = []
    for _ in range(5):
        began = time.monotonic()
        await gateway.start()
        took.append(time.monotonic() - began)
        assert await gateway.stop() == 0
    print({"ready_s": [round(each, 2) for each in took]})
    assert statistics.median(took) < 1


def p99(latencies: list[float]) -> float:
    return statistics.quantiles(latencies, n=100)[98]
