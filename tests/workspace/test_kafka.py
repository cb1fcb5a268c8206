"""Beyond one machine: Kafka and PostgreSQL, one worker active and one standing by."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.workspace.store import Store, url_of
from tests.path.clustered import on
from tests.path.running import PATIENCE_S, Gateway, Webhook
from tests.workspace.contents import rows
from tests.workspace.test_road import (
    Desk,
    config,
    hook,
    identify,
    nobody_blocked_is_sent,
    outcomes,
    suppress,
)

pytestmark = pytest.mark.service
OUTCOMES = "gateway_outcomes_total"
REQUESTS = 60


async def active(workers):
    """Whoever has applied events; in total order only one of them can."""
    async with asyncio.timeout(60):
        while True:
            counts = [await worker.metric(OUTCOMES) for worker in workers]
            if any(counts):
                assert not all(counts)
                return workers[counts.index(max(counts))]
            await asyncio.sleep(0.05)


async def test_order_survives_kill_9_of_the_active_worker(tmp_path, postgres, node):
    """Requests one after another, each after the previous 200; the other takes over."""
    url = postgres.make_database("kafka")
    text = config(url, on(node))
    async with AsyncExitStack() as stack:

        async def start(name, *serve):
            gateway = Gateway(tmp_path, text, serve=("--role", *serve), name=name)
            return await stack.enter_async_context(gateway)

        intake = await start("-intake", "intake")
        workers = [
            await start(f"-{number}", "worker", "--destination", "people")
            for number in range(2)
        ]
        for number in range(REQUESTS):
            await identify(intake, f"m{number}", userId="u1", traits={"n": number})
            if number == REQUESTS // 2:
                killed = await active(workers)
                await killed.kill()
        (alive,) = (worker for worker in workers if worker is not killed)
        desk = Desk(alive)
        async with asyncio.timeout(60):
            await desk.decided(f"m{REQUESTS - 1}")
        person = await desk.attributes("u1")
        assert person["attributes"]["n"] == str(REQUESTS - 1)
    store = Store(url_of(url, tmp_path))
    changes = [
        row["message_id"]
        for row in await rows(store, "activities")
        if row["type"] == "attribute_change"
    ]
    await store.close()
    assert changes == [f"m{number}" for number in range(REQUESTS)]


async def test_a_suppressed_person_reaches_no_destination(tmp_path, node):
    await nobody_blocked_is_sent(tmp_path, on(node))


async def test_a_worker_elsewhere_hears_who_is_blocked(tmp_path, node):
    """The workspace decides in one process, another one delivers."""
    async with AsyncExitStack() as stack:
        webhook = await stack.enter_async_context(Webhook())
        text = config("sqlite:///w.db", hook(webhook) + on(node))

        async def start(name, *serve):
            gateway = Gateway(tmp_path, text, serve=("--role", *serve), name=name)
            return await stack.enter_async_context(gateway)

        intake = await start("-intake", "intake")
        people = await start("-people", "worker", "--destination", "people")
        sender = await start("-hook", "worker", "--destination", "hook")
        desk = Desk(people)
        await identify(intake, "m1", userId="u1")
        await suppress(intake, desk, "s1", "u1")
        async with asyncio.timeout(PATIENCE_S):
            while not await sender.read("suppressed"):
                await asyncio.sleep(0.02)
        await identify(intake, "m2", userId="u1")
        await identify(intake, "m3", userId="u2")
        kinds = await outcomes(sender, {"m1", "m2", "m3"})
        assert (kinds["m2"], kinds["m3"]) == ("suppressed", "delivered")
        assert "m2" not in webhook.known


async def test_what_the_workspace_never_got_says_why_on_kafka_too(tmp_path, node):
    async with Gateway(tmp_path, config("sqlite:///w.db", on(node))) as gateway:
        desk, left_out = Desk(gateway), {"integrations": {"people": False}}
        alias = {"messageId": "m1", "userId": "u1", "previousId": "u0"}
        track = {"messageId": "m2", "userId": "u1", "event": "E", **left_out}
        assert (await gateway.post("/v1/alias", alias))[0] == 200
        assert (await gateway.post("/v1/track", track))[0] == 200
        bad = {"messageId": "m3", "userId": "u1", "event": 7}
        assert (await gateway.post("/v1/track", bad))[0] == 400
        told = [(await desk.decided(name))["decision"] for name in ("m1", "m2", "m3")]
        assert told == ["ignored", "not_routed", "refused"]
        status, body = await desk.get("/v1/decisions/never")
        assert status == 404
        assert "since 20" in body["errors"][0]["detail"]
