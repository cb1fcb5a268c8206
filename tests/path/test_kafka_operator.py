"""What only the operator can mend: named in the log and on /readyz, never skipped."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete

from tests.log.backends import administrating, configure
from tests.path.clustered import PATIENCE_S, is_ready, on, says
from tests.path.running import Gateway, config, until

pytestmark = pytest.mark.service


def person(number: int) -> dict:
    return {"userId": f"p{number}", "messageId": f"m{number}", "traits": {"n": number}}


async def taken(gateway: Gateway, message: dict) -> None:
    """Post it until it is answered 200."""
    async with asyncio.timeout(PATIENCE_S):
        while (await gateway.post("/v1/identify", message))[0] != 200:
            await asyncio.sleep(0.05)


async def unavailable(gateway: Gateway) -> None:
    """Post until it is 503: a change takes a moment to arrive everywhere."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            status, answer = await gateway.post("/v1/identify", {"userId": "u"})
            if status == 503:
                assert answer["code"] == "log_unavailable"
                return
            assert status == 200


async def test_a_topic_that_is_gone_is_named_until_it_is_made_anew(
    tmp_path, hook, node
):
    async with Gateway(tmp_path, config(hook, on(node, "gone."))) as gateway:
        await taken(gateway, person(1))
        await until(lambda: hook.known == {"m1"})
        async with administrating(node) as admin:
            await admin.delete_topics(["gone.to.hook"])
        await unavailable(gateway)
        words = "topic gone.to.hook is gone: `gateway topics` makes it anew"
        body = await is_ready(gateway, lambda status, _: status == 503)
        assert words in body["log"]
        await says(gateway, words)
        code, _, err = await gateway.command("topics")
        assert code == 0, err
        await taken(gateway, person(2))
        await until(lambda: "m2" in hook.known, timeout_s=PATIENCE_S)
        await is_ready(gateway, lambda status, _: status == 200)
        assert "Traceback" not in gateway.errors()


async def test_a_changed_count_of_partitions_is_named_and_nothing_is_torn(
    tmp_path, hook, node
):
    async with Gateway(tmp_path, config(hook, on(node, "torn."))) as gateway:
        await taken(gateway, person(1))
        async with administrating(node) as admin:
            await admin.create_partitions({"torn.to.hook": NewPartitions(5)})
        words = "torn.to.hook had 3 partitions and now has 5"
        body = await is_ready(gateway, lambda status, _: status == 503)
        assert words in body["log"]
        await unavailable(gateway)
        await says(gateway, words)
        await gateway.stop()
        code, _, err = await gateway.command("serve")
        assert code == 2
        assert "torn.to.hook has 5: set log.partitions = 5" in err


async def test_records_deleted_unread_are_counted_and_named(tmp_path, hook, node):
    hook.judge = lambda _: 503
    async with Gateway(tmp_path, config(hook, on(node, "gap."))) as gateway:
        for number in range(40):
            await taken(gateway, person(number))
        await until(lambda: len(hook.requests) > 0)
        await gateway.stop()
        found = await gateway.read("to.hook")
        ends = {n: sum(r["partition"] == n for r in found) for n in range(3)}
        gone = {n: end // 2 for n, end in ends.items()}
        left = {
            r["value"]["messageId"]
            for r in found
            if r["offset"] >= gone[r["partition"]]
        }
        async with administrating(node) as admin:
            await admin.delete_records(
                {
                    TopicPartition("gap.to.hook", n): RecordsToDelete(offset)
                    for n, offset in gone.items()
                }
            )
        hook.judge = lambda _: 200
        await gateway.start()
        await until(lambda: hook.known == left, timeout_s=PATIENCE_S)
        for number, offset in gone.items():
            line = await says(gateway, f'"partition": {number}, "offset": 0')
            assert '"notice": "log_gap"' in line
            assert f'"oldest": {offset}, "records": {offset}' in line
        body = await is_ready(gateway, lambda status, _: status == 200)
        assert len(body["weaknesses"]) == 3
        assert f"{gone[0]} records were deleted unread" in str(body["weaknesses"])
        assert await gateway.metric('gateway_notices_total{code="log_gap"}') == 3


async def test_what_a_topic_does_not_take_is_named(tmp_path, hook, node):
    async with Gateway(tmp_path, config(hook, on(node, "large."))) as gateway:
        await taken(gateway, person(1))
        await configure(node, "large.events", max_message_bytes="1000")
        big = person(2) | {"traits": {"text": "x" * 5_000}}
        async with asyncio.timeout(PATIENCE_S):
            while (await gateway.post("/v1/identify", big))[0] == 200:
                await asyncio.sleep(0.05)
        await says(gateway, "raise max.message.bytes of the topic")
        await taken(gateway, person(3))  # one that fits is taken all the same
        await gateway.stop()
        code, _, err = await gateway.command("serve")
        assert code == 2
        assert "topic large.events: takes 1000 bytes, an event may have" in err
        assert "raise its max.message.bytes" in err
