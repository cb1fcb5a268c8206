"""The promises beyond one machine: intakes and workers on a real Kafka broker.

Repeats are counted against causes: a worker that was killed, or that says that it lost
what it had in flight. How long a thing takes is not judged here but in ``make soak``.
"""

import asyncio
import signal

import pytest

from tests.path.clustered import (
    House,
    acknowledged,
    all_arrive,
    few_repeats,
    freeze,
    is_ready,
    loaded,
    losses,
    more,
    on,
    says,
    works,
)
from tests.path.running import Gateway, Webhook, config, until
from tests.path.test_faults import POISON, in_order_per_person, kill_rounds, one_blocked
from tests.path.test_full_disk import rss_bytes

pytestmark = pytest.mark.service


async def test_kill_9_of_the_gateway_loses_nothing(tmp_path, hook, node):
    told = await kill_rounds(tmp_path, hook, 3, on(node))
    assert told["acknowledged"] > 50
    print(told)


async def test_two_intakes_share_a_port_and_workers_come_and_die(tmp_path, hook, node):
    async with House(tmp_path, hook, node) as house:
        intake, other = await house.add("intake"), await house.add("intake")
        worker = await house.add("worker")
        assert worker.admin.startswith("http://127.0.0.1:")
        async with loaded(intake) as clients:
            await works(worker)
            second = await house.add("worker")
            await works(second)
            await house.kill(worker)
            await all_arrive(clients, hook)  # the second has all partitions
            await other.kill()
            await more(clients)
        await all_arrive(clients, hook)
        assert hook.known == acknowledged(clients)
        assert await second.stop() == 0
        print(few_repeats(hook, house.lost))
        events = {r["value"]["messageId"] for r in await intake.read("events")}
        assert acknowledged(clients) <= events


async def test_a_frozen_worker_is_replaced_and_comes_back(tmp_path, hook, node):
    async with House(tmp_path, hook, node) as house:
        intake = await house.add("intake")
        workers = [await house.add("worker"), await house.add("worker")]
        async with loaded(intake) as clients:
            for worker in workers:
                await works(worker)
            frozen = workers[0]
            await freeze(frozen)
            await more(clients)
            await all_arrive(clients, hook)
            assert frozen.process is not None
            frozen.process.send_signal(signal.SIGCONT)
            # The ledger has a group, too.
            line = await says(frozen, '"log_group_lost", "topic": "to.hook"')
            assert '"group": "hook"' in line
            await works(frozen, more_than=await works(frozen))
        await all_arrive(clients, hook)
        for worker in workers:
            assert await worker.stop() == 0
        print(few_repeats(hook, house.lost))


async def test_a_broker_killed_mid_load_costs_time_and_no_event(tmp_path, hook, node):
    async with Gateway(tmp_path, config(hook, on(node))) as gateway:
        async with loaded(gateway) as clients:
            await works(gateway)
            node.kill()
            status, answer = await gateway.post("/v1/identify", {"userId": "u"})
            assert (status, answer["code"]) == (503, "log_unavailable")
            await is_ready(gateway, lambda status, _: status == 503)
            assert await grows(gateway) < 16_000_000
            await asyncio.to_thread(node.start)
            await more(clients)
        await all_arrive(clients, hook)
        await is_ready(gateway, lambda status, _: status == 200)
        print(few_repeats(hook, losses(gateway)))
        assert "Traceback" not in gateway.errors()


async def grows(gateway: Gateway) -> int:
    """Bytes of memory from the second 40 refused batches to the fifth 40.

    The first take it to its level.
    """
    body = {"batch": [{"type": "identify", "userId": "u" * 900}] * 100}
    sizes = []
    for _ in range(5):
        posts = (gateway.post("/v1/batch", body) for _ in range(40))
        assert {status for status, _ in await asyncio.gather(*posts)} == {503}
        assert gateway.process is not None
        sizes.append(rss_bytes(gateway.process.pid))
    return sizes[-1] - sizes[1]


async def test_one_blocked_person_holds_nobody_else(tmp_path, hook, node):
    print(await one_blocked(tmp_path, hook, 1_500, on(node)))


async def test_a_destination_that_is_away_shares_nothing(tmp_path, hook, node):
    async with Webhook() as away:
        await away.stop()
        more = "[destinations.away]" + config(away).partition("[destinations.hook]")[2]
        async with Gateway(tmp_path, config(hook, more + on(node))) as gateway:
            batch = [
                {
                    "type": "identify",
                    "userId": f"p{n % 7}",
                    "messageId": f"m{n}",
                    "traits": {"n": n},
                }
                for n in range(1, 201)
            ]
            assert (await gateway.post("/v1/batch", {"batch": batch}))[0] == 200
            await until(lambda: len(hook.received) == 200)
            in_order_per_person(hook.received)
            assert away.received == []
            await away.start()
            await until(lambda: len(away.known) == 200)
            in_order_per_person(away.received)


async def test_poison_in_a_batch_is_set_aside(tmp_path, hook, node):
    good = b'{"type":"identify","userId":"u","messageId":"good"}'
    body = b'{"batch":[' + b",".join([good, *POISON.values()]) + b"]}"
    async with Gateway(tmp_path, config(hook, on(node))) as gateway:
        status, answer = await gateway.post("/v1/batch", body)
        assert (status, answer["accepted"]) == (200, 1)
        await until(lambda: hook.ids() == ["good"])
        kept = {r["value"]["messageId"] for r in await gateway.read("refused")}
        assert kept == set(POISON)


async def test_topics_read_and_replay_need_no_running_gateway(tmp_path, hook, node):
    inbox = '[destinations.inbox]\ntype = "file"\nsettings = { path = "in.ndjson" }\n'
    async with Gateway(tmp_path, config(more=inbox + on(node))) as gateway:
        for start in range(0, 600, 200):
            batch = [
                {
                    "type": "identify",
                    "userId": f"p{n % 7}",
                    "messageId": f"m{n}",
                    "traits": {"n": n},
                }
                for n in range(start + 1, start + 201)
            ]
            assert (await gateway.post("/v1/batch", {"batch": batch}))[0] == 200
        await gateway.stop()
        text = gateway.file.read_text()
        section = (
            "[destinations.hook]" + config(hook).partition("[destinations.hook]")[2]
        )
        gateway.file.write_text(text + section)
        code, out, err = await gateway.command("topics")
        assert code == 0, err
        assert "to.hook" in out
        code, out, err = await gateway.command("replay", "--to", "hook")
        assert code == 0, err
        assert out.splitlines()[-1] == "sent 600, skipped none"
        name = out.split()[1]
        code, out, _ = await gateway.command("replay", "--to", "hook", "--id", name)
        assert (code, out.splitlines()[-1]) == (0, "sent 0, skipped none")
        await gateway.start()
        await until(lambda: len(hook.known) == 600)
        in_order_per_person(hook.received)
        assert len(hook.ids()) == 600


async def test_a_role_needs_a_log_that_many_can_open(tmp_path, hook):
    gateway = Gateway(tmp_path, config(hook))
    code, _, err = await gateway.command("serve", "--role", "worker")
    assert code == 2
    assert "log.kind kafka" in err
