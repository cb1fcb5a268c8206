"""The promises under faults: kill -9, a destination that is away, a poisoned batch.

A client here does what SDKs do: it resends the same message id until it hears 200.
``make soak`` runs the same rounds longer and adds the timed promises.
"""

import asyncio
import collections
import json
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.config import parse
from gateway.event import Origin, iso
from gateway.inbound import decode
from gateway.inbound.admit import Admitted, admit
from gateway.inbound.refusal import Refusal
from gateway.inbound.route import Routes
from tests.chance import chance
from tests.path.running import PATIENCE_S, Gateway, Webhook, config, until

pytestmark = pytest.mark.service

CONCURRENCY = 32
UNSETTLED = 256
REPEATS = CONCURRENCY + UNSETTLED  # at most, of each crash
CLIENTS = 8
BROWSER = '[sources.web]\nkind = "browser"\nwrite_keys = ["dev"]\n'


class Client:
    """Posts messages with ids of its own and resends each until it is answered 200."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.gateway = gateway
        self.name = name
        self.chance = chance("client", name)
        self.made = 0
        self.sent: dict[str, dict[str, Any]] = {}
        self.acknowledged: list[str] = []

    def message(self) -> dict[str, Any]:
        self.made += 1
        message: dict[str, Any] = {
            "type": "identify",
            "messageId": f"{self.name}-{self.made}",
            "userId": f"{self.name}-person-{self.made % 5}",
            "traits": {"first_name": "Ann", "n": self.made},
        }
        self.sent[message["messageId"]] = message
        return message

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            batch = [self.message() for _ in range(self.chance.choice((1, 1, 3, 20)))]
            while not await self.post(batch):
                await asyncio.sleep(0.05)
            self.acknowledged += [message["messageId"] for message in batch]

    async def post(self, batch: list[dict[str, Any]]) -> bool:
        single = len(batch) == 1
        path = "/v1/identify" if single else "/v1/batch"
        try:
            status, _ = await self.gateway.post(
                path, batch[0] if single else {"batch": batch}
            )
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        assert status in (200, 503), status
        return status == 200


def admitted(message: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """The message as ``admit`` makes it, with the logged receivedAt and ip."""
    settings = parse(BROWSER, folder=Path())
    at = value["receivedAt"]
    moment = datetime.fromisoformat(at)
    at_ms = round(moment.timestamp() * 1000)
    assert iso(at_ms) == at
    origin = Origin(
        source="web",
        kind="browser",
        received_at=at,
        received_at_ms=at_ms,
        spare_message_id="",
        ip=value["context"]["ip"],
        user_agent=value["context"]["userAgent"],
    )
    raw = decode.prepare(json.loads(json.dumps(message)), "identify", decode.Batch())
    assert not isinstance(raw, Refusal)
    verdict = admit(raw, origin, Routes(settings.destinations, {}))
    assert isinstance(verdict, Admitted)
    expected: dict[str, Any] = json.loads(verdict.event.to_bytes())
    return expected


async def kill_rounds(
    folder, hook: Webhook, rounds: int, log: str = ""
) -> dict[str, int]:
    """Clients post while the gateway is killed ``rounds`` times; then it is checked."""
    text = config(hook, log).replace('kind = "server"', 'kind = "browser"')
    async with Gateway(folder, text) as gateway:
        clients = [Client(gateway, f"c{number}") for number in range(CLIENTS)]
        stop, kills = asyncio.Event(), chance("kills")
        async with asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(client.run(stop))
            for _ in range(rounds):
                await asyncio.sleep(kills.uniform(0.2, 1.2))
                await gateway.kill()
                await gateway.start()
            await asyncio.sleep(0.3)
            stop.set()
        acknowledged = [one for client in clients for one in client.acknowledged]
        sent = {one: text for client in clients for one, text in client.sent.items()}
        await until(lambda: len(hook.known) >= len(acknowledged), timeout_s=120)
        assert hook.known == set(acknowledged)

        events = await gateway.read("events")
        logged: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
        for record in events:
            logged[record["value"]["messageId"]].append(record["value"])
        assert set(acknowledged) <= set(logged)
        for message_id in acknowledged:
            for value in logged[message_id]:
                assert value == admitted(sent[message_id], value)

        repeats = len(hook.ids()) - len(set(hook.ids()))
        assert repeats <= REPEATS * rounds
        in_order_per_person(hook.received)
        return {"acknowledged": len(acknowledged), "repeats": repeats, "kills": rounds}


def in_order_per_person(received: list[dict[str, Any]]) -> None:
    """First arrivals of one person are in the order in which they were sent."""
    seen: set[str] = set()
    last: dict[str, int] = {}
    for event in received:
        if event["messageId"] in seen:
            continue
        seen.add(event["messageId"])
        number = event["traits"]["n"]
        assert number > last.get(event["userId"], 0)
        last[event["userId"]] = number


async def test_kill_9_loses_nothing_that_was_answered_200(tmp_path, hook):
    told = await kill_rounds(tmp_path, hook, 5)
    assert told["acknowledged"] > 100
    print(told)


@pytest.mark.soak
async def test_soak_kill_9_fifty_rounds(tmp_path, hook):
    print(await kill_rounds(tmp_path, hook, 50))


async def test_a_resend_of_the_same_message_id_arrives_once(tmp_path, hook, log):
    message = {"userId": "u", "messageId": "same", "traits": {"n": 1}}
    async with Gateway(tmp_path, config(hook, log)) as gateway:
        for _ in range(3):
            assert (await gateway.post("/v1/identify", message))[0] == 200
        await gateway.kill()
        await gateway.start()
        for _ in range(3):
            assert (await gateway.post("/v1/identify", message))[0] == 200
        last = {"userId": "u", "messageId": "last"}
        assert (await gateway.post("/v1/identify", last))[0] == 200
        await until(lambda: "last" in hook.ids())
        assert Counter(hook.ids())["same"] <= 2  # one more for the kill
        assert len(await gateway.read("events")) == 7
        async with asyncio.timeout(PATIENCE_S):
            while len(outcomes := await gateway.read("outcomes")) < 7:
                await asyncio.sleep(0.1)
        assert len(outcomes) <= 7 + 3  # what was settled in part when it was killed
        kinds = {record["value"]["kind"] for record in outcomes}
        assert kinds == {"delivered", "duplicate"}


async def test_a_destination_that_is_away_shares_nothing_with_the_others(
    tmp_path, hook
):
    async with Webhook() as away:
        await away.stop()
        more = config(away).partition("[destinations.hook]")[2]
        more = "[destinations.away]" + more
        inbox = (
            '[destinations.inbox]\ntype = "file"\nsettings = { path = "in.ndjson" }\n'
        )
        async with Gateway(tmp_path, config(hook, more + inbox)) as gateway:
            batch = [
                {
                    "type": "identify",
                    "userId": f"p{n % 7}",
                    "messageId": f"m{n}",
                    "traits": {"n": n},
                }
                for n in range(1, 201)
            ]
            for start in range(0, 200, 50):
                body = {"batch": batch[start : start + 50]}
                assert (await gateway.post("/v1/batch", body))[0] == 200
            await until(lambda: len(hook.received) == 200)
            file = tmp_path / "in.ndjson"
            await until(lambda: file.exists() and file.read_text().count("\n") == 200)
            in_order_per_person(hook.received)
            outcomes = [r["value"] for r in await gateway.read("outcomes")]
            told = Counter((each["destination"], each["kind"]) for each in outcomes)
            assert told["hook", "delivered"] == 200
            assert told["inbox", "delivered"] == 200
            assert not any(name == "away" for name, _ in told)
            assert await gateway.metric('gateway_breaker_open{destination="away"}') == 1
            assert await gateway.metric('gateway_lag{destination="away"}') == 200

            await away.start()
            await until(lambda: len(set(away.ids())) == 200)
            in_order_per_person(away.received)
            assert len(away.ids()) == 200


async def one_blocked(
    folder, hook: Webhook, others: int, log: str = ""
) -> dict[str, float]:
    """One person is always answered 503 while everyone else goes on; then kill -9."""
    hook.judge = lambda event: 503 if event["userId"] == "blocked" else 200
    async with Gateway(folder, config(hook, log)) as gateway:
        messages: list[dict[str, Any]] = [
            {"type": "identify", "userId": f"p{n}", "messageId": f"m{n}", "traits": {}}
            for n in range(others)
        ]
        blocked = {"type": "identify", "userId": "blocked", "messageId": "b0"}
        messages.insert(others // 10, blocked)
        began = time.monotonic()
        for start in range(0, len(messages), 500):
            body = {"batch": messages[start : start + 500]}
            assert (await gateway.post("/v1/batch", body))[0] == 200
        await until(lambda: len(hook.received) >= others, timeout_s=600)
        took_s = time.monotonic() - began
        await until_settled(gateway, others)
        before = len(hook.received)
        await gateway.kill()
        await gateway.start()
        attempts = len(hook.requests)
        await until(lambda: len(hook.requests) > attempts + 2)  # it tries b0 again
        assert Counter(hook.ids()).most_common(1)[0][1] <= 2
        redelivered = len(hook.received) - before
        assert redelivered <= REPEATS
        hook.judge = lambda _: 200
        await until(lambda: "b0" in hook.ids())
        async with asyncio.timeout(60):
            while await gateway.metric('gateway_lag{destination="hook"}') > 1:
                await asyncio.sleep(0.05)
        return {"others": others, "redelivered": redelivered, "seconds": took_s}


async def until_settled(gateway: Gateway, others: int) -> None:
    async with asyncio.timeout(60):
        while await gateway.metric("gateway_outcomes_total") < others:
            await asyncio.sleep(0.05)


async def test_one_blocked_person_holds_nobody_else_not_even_after_kill_9(
    tmp_path, hook
):
    print(await one_blocked(tmp_path, hook, 3_000))


@pytest.mark.soak
async def test_soak_one_blocked_person_among_100_000(tmp_path, hook):
    print(await one_blocked(tmp_path, hook, 100_000))


POISON = {
    "nan": b'{"type":"identify","userId":"u","messageId":"nan","traits":{"a":NaN}}',
    "surrogate": (
        b'{"type":"identify","userId":"u","messageId":"surrogate",'
        b'"traits":{"a":"\\udc00"}}'
    ),
    "large": (
        b'{"type":"identify","userId":"u","messageId":"large","traits":{"a":"'
        + b"x" * 40_000
        + b'"}}'
    ),
    "wrong": b'{"type":"identify","userId":{},"messageId":"wrong"}',
}


async def test_poison_in_a_batch_harms_no_other_message(tmp_path, hook):
    good = [
        json.dumps({"type": "identify", "userId": "u", "messageId": f"g{n}"}).encode()
        for n in range(99)
    ]
    mixed = [*good[:50], *POISON.values(), *good[50:]]
    body = b'{"batch":[' + b",".join(mixed) + b"]}"
    async with Gateway(tmp_path, config(hook)) as gateway:
        status, answer = await gateway.post("/v1/batch", body)
        assert status == 200
        assert answer["success"] is True
        assert answer["accepted"] == 99
        rejected = {each["messageId"]: each for each in answer["rejected"]}
        assert [each["index"] for each in answer["rejected"]] == [50, 51, 52, 53]
        codes = {name: each["errors"][0]["code"] for name, each in rejected.items()}
        assert codes == {
            "nan": "not_a_number",
            "surrogate": "surrogate",
            "large": "too_large",
            "wrong": "type",
        }
        await until(lambda: len(hook.received) == 99)
        assert set(hook.ids()) == {f"g{n}" for n in range(99)}
        kept = {
            r["value"]["messageId"]: r["value"] for r in await gateway.read("refused")
        }
        assert set(kept) == set(POISON)
        assert json.loads(kept["wrong"]["bytes"]) == json.loads(POISON["wrong"])
        assert kept["large"]["size"] > 40_000
        assert kept["large"]["cut"] is False
        assert "NaN" in kept["nan"]["bytes"]

        strict = {"X-Strict-Mode": "1"}
        status, answer = await gateway.post("/v1/batch", body, headers=strict)
        assert (status, answer["accepted"]) == (400, 99)
        assert "99 are kept" in answer["message"]


async def test_sigterm_finishes_what_was_begun_and_loses_nothing(tmp_path, hook, log):
    async with Gateway(tmp_path, config(hook, log)) as gateway:
        client = Client(gateway, "c")
        stop = asyncio.Event()
        running = asyncio.create_task(client.run(stop))
        await until(lambda: len(client.acknowledged) > 50)
        assert await gateway.stop() == 0
        stop.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert "Traceback" not in gateway.errors()
        await gateway.start()
        await until(lambda: set(client.acknowledged) <= set(hook.ids()))
        # a graceful stop settles what it delivered: nothing is repeated
        assert len(hook.ids()) == len(set(hook.ids()))


async def test_a_second_gateway_on_the_same_log_is_refused(tmp_path):
    async with Gateway(tmp_path, config()) as gateway:
        code, _, err = await gateway.command("serve")
        assert code == 1
        assert gateway.process is not None
        assert str(gateway.process.pid) in err
