"""``gateway replay``: anyone can send anything again, once, behind live traffic."""

import asyncio
import itertools
import json
import signal
import sys
from asyncio.subprocess import Process

import pytest

from tests.path.running import (
    PATIENCE_S,
    ROOT,
    Gateway,
    Webhook,
    config,
    until,
)

pytestmark = pytest.mark.service


def person(number: int, **more) -> dict:
    return {
        "type": "identify",
        "userId": f"p{number % 7}",
        "messageId": f"m{number}",
        "traits": {"n": number},
        **more,
    }


async def fill(gateway: Gateway, start: int, end: int) -> None:
    for first in range(start, end, 500):
        body = {"batch": [person(n) for n in range(first, min(end, first + 500))]}
        assert (await gateway.post("/v1/batch", body))[0] == 200


def add(gateway: Gateway, text: str) -> None:
    gateway.file.write_text(gateway.file.read_text() + text)


async def replaying(gateway: Gateway, *more: str) -> tuple[Process, str]:
    """A replay to the hook that goes on in a process of its own, and its id."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "--config", str(gateway.file)),
        *("replay", "--to", "hook", *more),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    return process, (await process.stdout.readline()).decode().split()[1]


async def test_a_destination_added_today_gets_the_past(tmp_path, hook, log):
    inbox = '[destinations.inbox]\ntype = "file"\nsettings = { path = "in.ndjson" }\n'
    async with Gateway(tmp_path, config(more=inbox + log)) as gateway:
        await fill(gateway, 0, 1_200)
        assert (await gateway.post("/v1/identify", person(5)))[0] == 200  # a resend
        await gateway.stop()
        add(gateway, section(hook))
        await gateway.start()
        code, out, err = await gateway.command("replay", "--to", "hook")
        assert code == 0, err
        assert out.splitlines()[0].startswith("replay ")
        assert out.splitlines()[-1] == "sent 1200, skipped 1 duplicate"
        assert "older values will overwrite newer ones at hook" in err
        await until(lambda: len(hook.known) == 1_200)
        assert len(hook.ids()) == 1_200  # each message id once
        for name in {event["userId"] for event in hook.received}:
            mine = [e["traits"]["n"] for e in hook.received if e["userId"] == name]
            assert mine == sorted(mine)  # in order, per person
        headers, _ = hook.requests[0]
        assert headers["X-Gateway-Replay"] == out.split()[1]
        outcomes = await gateway.read("outcomes", "--where", "destination == 'hook'")
        assert {each["value"]["replay"] for each in outcomes} == {out.split()[1]}


def section(hook: Webhook) -> str:
    return "[destinations.hook]" + config(hook).partition("[destinations.hook]")[2]


async def test_a_replay_obeys_time_where_and_integrations_of_today(tmp_path, hook):
    async with Gateway(tmp_path, config(hook)) as gateway:
        await fill(gateway, 0, 10)
        left_out = person(10, integrations={"hook": False})
        assert (await gateway.post("/v1/identify", left_out))[0] == 200
        await until(lambda: len(hook.received) == 10)
        at = (await gateway.read("events"))[4]["value"]["receivedAt"]
        where = "traits.n >= `3`"
        code, out, _ = await gateway.command("replay", "--to", "hook", "--where", where)
        assert code == 0
        assert "sent 7" in out
        assert "3 where" in out
        assert "1 route" in out
        await until(lambda: len(hook.received) == 17)
        code, out, _ = await gateway.command("replay", "--to", "hook", "--until", at)
        assert code == 0
        assert "sent 0" in out  # all were received in one request, at that moment
        code, out, _ = await gateway.command("replay", "--to", "hook", "--from", at)
        assert "sent 10" in out
        await until(lambda: len(hook.received) == 27)


async def test_a_dry_run_prints_the_requests_and_sends_nothing(tmp_path, hook):
    async with Gateway(tmp_path, config(hook)) as gateway:
        await fill(gateway, 0, 3)
        await until(lambda: len(hook.received) == 3)
        code, out, err = await gateway.command("replay", "--to", "hook", "--dry-run")
        assert code == 0, err
        shown = [json.loads(line) for line in out.splitlines()]
        assert [each["messageId"] for each in shown] == ["m0", "m1", "m2"]
        assert shown[0]["sent"] is True
        assert shown[0]["request"]["url"] == hook.url
        assert json.loads(shown[0]["request"]["body"])["traits"] == {"n": 0}
        assert len(await gateway.read("to.hook")) == 3
        assert len(hook.received) == 3


async def test_a_replay_killed_midway_resumes_and_sends_each_once(tmp_path, hook, log):
    async with Gateway(tmp_path, config(hook, log)) as gateway:
        await fill(gateway, 0, 3_000)
        await until(lambda: len(hook.known) == 3_000)
        live = len(hook.received)
        process, name = await replaying(gateway, "--rate", "1500")
        await until(lambda: len(hook.received) > live + 300)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # asyncio keeps it
        async with asyncio.timeout(
            PATIENCE_S
        ):  # the gateway notices that nobody listens
            while True:
                code, out, err = await gateway.command(
                    "replay", "--to", "hook", "--id", name
                )
                if code == 0:
                    break
                assert "already" in err
                await asyncio.sleep(0.2)
        sent = int(out.splitlines()[-1].split()[1].rstrip(","))
        assert 0 < sent < 3_000
        await until(lambda: len(hook.received) == live + 3_000)
        again = [event["messageId"] for event in hook.received[live:]]
        assert len(set(again)) == len(again) == 3_000
        code, out, _ = await gateway.command("replay", "--to", "hook", "--id", name)
        assert (code, out.splitlines()[-1]) == (0, "sent 0, skipped none")


async def test_dead_letters_are_sent_again(tmp_path, hook, log):
    hook.judge = lambda event: 400 if event["traits"]["n"] == 2 else 200
    async with Gateway(tmp_path, config(hook, log)) as gateway:
        await fill(gateway, 0, 5)
        await until(lambda: len(hook.received) == 4)
        async with asyncio.timeout(PATIENCE_S):
            while not (letters := await gateway.read("dead.hook")):
                await asyncio.sleep(0.05)
        (letter,) = [record["value"] for record in letters]
        assert letter["reason"] == "rejected"
        assert letter["response"]["status"] == 400
        assert letter["event"]["messageId"] == "m2"
        hook.judge = lambda _: 200
        code, out, err = await gateway.command(
            "replay", "--to", "hook", "--topic", "dead"
        )
        assert code == 0, err
        assert "sent 1" in out
        await until(lambda: "m2" in hook.known)


async def test_refused_messages_are_admitted_once_the_rules_allow(tmp_path, hook, log):
    small = "[limits]\nmessage_bytes = 200\n"
    async with Gateway(tmp_path, config(hook, small + log)) as gateway:
        big = person(1, traits={"n": 1, "text": "x" * 300})
        assert (await gateway.post("/v1/identify", big))[0] == 400
        nameless = {"type": "identify", "userId": "u", "traits": {"n": "x" * 300}}
        batch = {"batch": [person(2), nameless, {"type": "identify"}]}
        assert (await gateway.post("/v1/batch", batch))[0] == 200
        refused = [record["value"] for record in await gateway.read("refused")]
        assert len(refused) == 3
        await gateway.stop()
        text = gateway.file.read_text().replace(small, "")
        gateway.file.write_text(text)
        await gateway.start()
        code, out, err = await gateway.command("replay", "--topic", "refused")
        assert code == 0, err
        assert out.splitlines()[-1] == "sent 2, skipped 1 refused"
        await until(lambda: len(hook.known) == 3)
        found = {event["messageId"]: event for event in hook.received}
        # In a batch's own order on SQLite; on Kafka their partitions decide.
        told = {value["messageId"]: value for value in refused}
        assert found["m1"]["receivedAt"] == told["m1"]["receivedAt"]
        assert found["m1"]["traits"]["text"] == "x" * 300
        spare = next(one for one in found if one not in ("m1", "m2"))
        assert '"userId":"u"' in told[spare]["bytes"]  # the id its sender was told


async def test_a_replay_stays_behind_when_its_destination_does(tmp_path, hook, log):
    """Live traffic is never more than 10,000 events from the head (DESIGN 8)."""
    hook.judge = lambda _: 503
    async with Gateway(tmp_path, config(hook, log)) as gateway:
        await fill(gateway, 0, 12_000)
        process, _ = await replaying(gateway)
        await asyncio.sleep(1)
        assert await gateway.metric('gateway_lag{destination="hook"}') == 12_000
        hook.judge = lambda _: 200
        ending = asyncio.create_task(process.communicate())
        lags = [12_000.0]
        async with asyncio.timeout(2 * PATIENCE_S):
            while not ending.done():
                lags.append(await gateway.metric('gateway_lag{destination="hook"}'))
                await asyncio.sleep(0.02)
        process._transport.close()  # type: ignore[attr-defined]  # asyncio keeps it
        assert b"sent 12000" in ending.result()[0]
        fed = list(itertools.dropwhile(lambda lag: lag > 10_000, lags))
        assert max(fed) <= 10_000  # the old queue first, then never more than that
        await until(lambda: len(hook.received) == 24_000, timeout_s=2 * PATIENCE_S)
        head = [r["offset"] for r in await gateway.read("to.hook")]
        assert len(head) == 24_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--to", "nobody"], "--to nobody: unknown; known are: hook, off"),
        (["--to", "off"], "disabled"),
        ([], "--to: missing"),
        (["--topic", "refused", "--to", "hook"], "takes no --to"),
        (["--to", "hook", "--where", "a =="], "--where"),
        (["--to", "hook", "--id", "a/b"], "--id"),
        (["--to", "hook", "--rate", "0"], "not a whole number"),
    ],
)
async def test_a_replay_that_cannot_be_is_exit_2(tmp_path, hook, arguments, says):
    off = '[destinations.off]\ntype = "file"\nenabled = false\n'
    off += 'settings = { path = "x" }\n'
    async with Gateway(tmp_path, config(hook, off)) as gateway:
        code, _, err = await gateway.command("replay", *arguments)
        assert (code, says in err) == (2, True), err
        assert "Traceback" not in err


async def test_without_a_running_gateway_it_feeds_the_log_itself(tmp_path, hook):
    async with Gateway(tmp_path, config(hook)) as gateway:
        await fill(gateway, 0, 20)
        await until(lambda: len(hook.received) == 20)
        await gateway.stop()
        code, out, err = await gateway.command("replay", "--to", "hook")
        assert code == 0, err
        assert "sent 20" in out
        assert len(hook.received) == 20
        await gateway.start()
        await until(lambda: len(hook.received) == 40)
