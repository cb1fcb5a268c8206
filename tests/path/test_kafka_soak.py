"""The promises on Kafka for longer and by the clock; run by hand, with its numbers."""

import asyncio
import os
import time

import pytest

from tests.chance import chance
from tests.path.clustered import (
    House,
    acknowledged,
    all_arrive,
    few_repeats,
    loaded,
    losses,
    more,
    on,
    works,
)
from tests.path.running import Gateway, config

pytestmark = [pytest.mark.service, pytest.mark.soak]
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "20"))


async def test_kafka_away_is_503_within_6_s(tmp_path, hook, node):
    async with Gateway(tmp_path, config(hook, on(node))) as gateway:
        assert (await gateway.post("/v1/identify", {"userId": "u"}))[0] == 200
        node.kill()
        took = []
        for _ in range(3):
            began = time.monotonic()
            status, answer = await gateway.post("/v1/identify", {"userId": "u"})
            took.append(round(time.monotonic() - began, 2))
            assert (status, answer["code"]) == (503, "log_unavailable")
        print({"seconds": took})
        assert max(took) < 6


async def test_kafka_stopped_for_60_s_under_load(tmp_path, hook, node):
    async with Gateway(tmp_path, config(hook, on(node))) as gateway:
        async with loaded(gateway) as clients:
            await works(gateway)
            node.freeze()
            await asyncio.sleep(60)
            node.thaw()
            await more(clients)
        await all_arrive(clients, hook)
        print({"acknowledged": len(acknowledged(clients))})
        print(few_repeats(hook, losses(gateway)))


async def test_the_broker_restarts_again_and_again(tmp_path, hook, node):
    async with House(tmp_path, hook, node) as house:
        intake, worker = await house.add("intake"), await house.add("worker")
        took = []
        async with loaded(intake) as clients:
            for round_ in range(ROUNDS):
                await works(worker)
                await more(clients)
                await asyncio.to_thread((node.kill, node.stop)[round_ % 2])
                node.launch()
                await asyncio.to_thread(node.wait)
                began = time.monotonic()
                await more(clients, 1)
                took.append(round(time.monotonic() - began, 2))
        await all_arrive(clients, hook)
        assert hook.known == acknowledged(clients)
        print({"acknowledged": len(acknowledged(clients)), "again_after_s": took})
        print(few_repeats(hook, house.lost))
        assert max(took) < 6


async def test_workers_added_and_killed_again_and_again(tmp_path, hook, node):
    async with House(tmp_path, hook, node) as house:
        intake = await house.add("intake")
        workers = [await house.add("worker"), await house.add("worker")]
        async with loaded(intake) as clients:
            for round_ in range(ROUNDS):
                await asyncio.sleep(chance("kills", round_).uniform(1, 3))
                await house.kill(workers.pop(0))
                workers.append(await house.add("worker"))
        await all_arrive(clients, hook)
        assert hook.known == acknowledged(clients)
        print({"acknowledged": len(acknowledged(clients))})
        print(few_repeats(hook, house.lost))
