"""HTTP in, look-up out: a whole gateway that keeps people, and what happens to it."""

import asyncio
import json
import random
from pathlib import Path

import aiohttp
import pytest

from gateway.workspace.store import Store, url_of
from tests.path.running import PATIENCE_S, Gateway, Webhook, until
from tests.workspace.contents import contents, rows

pytestmark = pytest.mark.service
CLIENTS = Path(__file__).parents[1] / "clients"
CONFIG = """\
[sources.web]
kind = "server"
write_keys = ["dev"]
[sources.phone]
kind = "mobile"
write_keys = ["test_write_key"]
[destinations.people]
type = "workspace"
delivery = { retry_base = "50ms", retry_cap = "500ms", probe_every = "200ms" }
"""
BREAKER = 'gateway_breaker_open{destination="people"}'
TOKEN = {"Authorization": "Bearer look"}


def config(url: str, more: str = "", settings: str = "") -> str:
    return f'{CONFIG}{more}[workspace]\nurl = "{url}"\napi_token = "look"\n{settings}'


def hook(webhook: Webhook) -> str:
    return (
        '[destinations.hook]\ntype = "webhook"\n'
        f'settings = {{ url = "{webhook.url}" }}\n'
        'delivery = { retry_base = "50ms", retry_cap = "200ms" }\n'
    )


class Desk:
    """Somebody who looks people up."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def get(self, path: str, headers=None):
        url = self.gateway.admin + path
        given = TOKEN if headers is None else headers
        async with self.gateway.session.get(url, headers=given) as response:
            return response.status, await response.json()

    async def post(self, path: str, body):
        url = self.gateway.admin + path
        async with self.gateway.session.post(url, json=body, headers=TOKEN) as response:
            return response.status, await response.json()

    async def decided(self, message_id: str):
        """The decision on a message, once there is one."""
        async with asyncio.timeout(2 * PATIENCE_S):
            while True:
                status, body = await self.get(f"/v1/decisions/{message_id}")
                assert status == 200
                if body["decision"] != "pending":
                    return body
                await asyncio.sleep(0.01)

    async def attributes(self, customer: str, id_type: str = "id"):
        path = f"/v1/customers/{customer}/attributes?id_type={id_type}"
        status, body = await self.get(path)
        return body["customer"] if status == 200 else None


async def identify(gateway, message_id, **fields):
    body = {"messageId": message_id, **fields}
    status, _ = await gateway.post("/v1/identify", body)
    assert status == 200


async def test_people_are_there_to_look_up(tmp_path, url):
    async with Gateway(tmp_path, config(url)) as gateway:
        desk = Desk(gateway)
        traits = {"firstName": "Ann", "createdAt": "2024-02-29T12:34:56Z", "deep": [1]}
        await identify(gateway, "m1", userId="a/b", traits=traits)
        body = {"userId": "a/b", "event": "Bought", "messageId": "m2"}
        await gateway.post("/v1/track", body)
        await desk.decided("m2")
        person = await desk.attributes("a%2Fb")
        cio_id = person["identifiers"]["cio_id"]
        assert person["attributes"] == {
            "first_name": "Ann",
            "created_at": "1709210096",
            "deep": "[1]",
            "id": "a/b",
            "cio_id": cio_id,
        }
        assert (await desk.attributes(cio_id, "cio_id"))["id"] == "a/b"
        pages, start = [], ""
        while True:
            path = f"/v1/customers/a%2Fb/activities?limit=1{start}"
            _, page = await desk.get(path)
            pages += [(each["type"], each["messageId"]) for each in page["activities"]]
            if "next" not in page:
                break
            start = f"&start={page['next']}"
        assert pages == [
            ("event", "m2"),
            ("attribute_change", "m1"),
            ("profile_create", "m1"),
        ]
        _, page = await desk.get(
            "/v1/customers/a%2Fb/activities?type=event&name=Bought"
        )
        assert [each["name"] for each in page["activities"]] == ["Bought"]
        await gateway.stop()
        assert gateway.errors() == ""


async def test_every_look_up_answers(tmp_path):
    async with Gateway(tmp_path, config("sqlite:///w.db")) as gateway:
        desk = Desk(gateway)
        await identify(
            gateway, "m1", userId="u1", traits={"email": "A@x.y", "plan": "p"}
        )
        await desk.decided("m1")
        who = {"email": "A@x.y", "id": "u1"}
        _, found = await desk.get("/v1/customers?email=a%40X.y")
        assert {**found["results"][0], **who} == found["results"][0]
        assert (await desk.get("/v1/customers?email=no%40x"))[1] == {"results": []}
        for part in ("segments", "messages", "relationships"):
            assert (await desk.get(f"/v1/customers/u1/{part}"))[0] == 200
            assert (await desk.get(f"/v1/customers/no/{part}"))[0] == 404
        assert (await desk.get("/v1/customers/no/attributes"))[0] == 404
        assert (await desk.get("/v1/customers/u1/attributes?id_type=phone"))[0] == 400
        assert (await desk.get("/v1/customers/u1/activities?limit=101"))[0] == 400
        ids = {"ids": ["u1", "no"]}
        _, several = await desk.post("/v1/customers/attributes", ids)
        assert [each["customer"]["id"] for each in several["customers"]] == ["u1"]
        match = {"attribute": {"field": "plan", "operator": "eq", "value": "p"}}
        _, found = await desk.post("/v1/customers", {"filter": {"and": [match]}})
        assert found["ids"] == ["u1"]
        _, found = await desk.post("/v1/customers", {"filter": {"not": match}})
        assert found["ids"] == []
        assert (await desk.post("/v1/customers", {"filter": 1}))[0] == 400
        pending = {"decision": "pending", "failed_attribute_changes": []}
        assert await desk.get("/v1/decisions/never") == (200, pending)


async def test_nobody_looks_up_without_the_token(tmp_path):
    async with Gateway(tmp_path, config("sqlite:///w.db")) as gateway:
        desk = Desk(gateway)
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            status, body = await desk.get("/v1/suppressed", headers)
            assert status == 401
            assert body == {"errors": [{"detail": "unauthorized", "status": 401}]}


async def test_phones_as_recorded(tmp_path):
    async with Gateway(tmp_path, config("sqlite:///w.db")) as gateway:
        desk = Desk(gateway)
        last = ""
        for name in ("004-register-device", "007-change-user"):
            file = CLIENTS / "derived-customerio-ios" / f"{name}.json"
            text = json.loads(file.read_text())["request"]["body_text"]
            status, _ = await gateway.post("/v1/b", text.encode(), key=None)
            assert status == 200
            last = json.loads(text)["batch"][-1]["messageId"]
        await desk.decided(last)
        assert (await desk.attributes("user-1"))["devices"] == []
        (device,) = (await desk.attributes("user-2"))["devices"]
        assert device["platform"] == "ios"
        assert device["attributes"]["push_enabled"] == "true"
        assert device["attributes"]["_last_status"] == ""


async def suppress(gateway, desk, message_id, user, event="User Suppressed"):
    body = {"userId": user, "event": event, "messageId": message_id}
    assert (await gateway.post("/v1/track", body))[0] == 200
    return await desk.decided(message_id)


async def test_a_suppressed_person_reaches_no_destination(tmp_path):
    """Not live, not by retry, not by replay; and again once it is lifted."""
    async with Webhook() as webhook:
        webhook.judge = lambda event: 500 if event["messageId"] == "waits" else 200
        text = config("sqlite:///w.db", hook(webhook))
        async with Gateway(tmp_path, text) as gateway:
            desk = Desk(gateway)
            await identify(gateway, "m1", userId="u1", traits={"email": "a@x.y"})
            await until(lambda: "m1" in webhook.known)
            await identify(gateway, "waits", userId="u1")
            await until(lambda: len(webhook.requests) > 2)
            decided = await suppress(gateway, desk, "s1", "u1")
            assert decided["reason"] == "suppressed"
            while len(await gateway.read("suppressed")) < 2:
                await asyncio.sleep(0.02)  # decided, not yet told to other destinations
            await identify(gateway, "live", userId="A@X.y")
            await identify(gateway, "other", userId="u2")
            await until(lambda: "other" in webhook.known)
            outcomes = {}
            while not {"waits", "live"} <= outcomes.keys():
                found = await gateway.read("outcomes")
                outcomes = {
                    each["value"]["messageId"]: each["value"]["kind"]
                    for each in found
                    if each["value"]["destination"] == "hook"
                }
            assert outcomes["waits"] == outcomes["live"] == "suppressed"
            before = len(webhook.requests)
            code, _, err = await gateway.command("replay", "--to", "hook")
            assert code == 0, err
            await until(lambda: webhook.ids().count("other") == 2)
            told = [json.loads(body)["userId"] for _, body in webhook.requests[before:]]
            assert set(told) == {"u2"}
            _, listed = await desk.get("/v1/suppressed")
            names = [each["identifier"] for each in listed["suppressed"]]
            assert names == ["email:a@x.y", "id:u1"]
            await suppress(gateway, desk, "s2", "u1", "User Unsuppressed")
            await identify(gateway, "free", userId="u1")
            await until(lambda: "free" in webhook.known)


async def test_suppression_survives_a_restart(tmp_path):
    async with Webhook() as webhook:
        text = config("sqlite:///w.db", hook(webhook))
        async with Gateway(tmp_path, text) as gateway:
            await suppress(gateway, Desk(gateway), "s1", "u1")
            await gateway.kill()
            await gateway.start()
            await identify(gateway, "m1", userId="u1")
            await identify(gateway, "m2", userId="u2")
            await until(lambda: "m2" in webhook.known)
            assert [
                e["userId"] for e in webhook.received if e["type"] == "identify"
            ] == ["u2"]


async def burst(gateway, numbers, sent, steps=12):
    """Clients whose identifiers collide; each sends again until it is answered 200."""
    rng = random.Random(7)

    async def client(number):
        for step in range(steps):
            user = rng.choice(["u1", "u2", "u3", "a@x.y", "b@x.y"])
            traits = {"email": rng.choice(["a@x.y", "b@x.y", "c@x.y"]), "n": step}
            message_id = f"m{number}-{step}"
            body = {"userId": user, "messageId": message_id, "traits": traits}
            while not await answered(gateway, body):
                await asyncio.sleep(0.05)
            sent.append(message_id)

    await asyncio.gather(*map(client, range(numbers)))


async def answered(gateway, body):
    try:
        status, _ = await gateway.post("/v1/identify", body)
    except (aiohttp.ClientError, OSError):  # it was killed, and is being started
        return False
    assert status == 200
    return True


async def everything(url, folder):
    store = Store(url_of(url, folder))
    found = await contents(store)
    await store.close()
    return found


async def test_colliding_clients_give_the_order_of_the_log(tmp_path, url):
    """The same topic, applied again by one batch after another, gives the same store;
    so does rereading it into an empty one."""
    async with Gateway(tmp_path, config(url)) as gateway:
        desk = Desk(gateway)
        sent = []
        await burst(gateway, 16, sent)
        for message_id in sent:
            await desk.decided(message_id)
        await gateway.stop()
        first = await everything(url, tmp_path)
        assert len(first["decisions"]) == len(sent)
        other = f"sqlite:///{tmp_path}/again.db"
        gateway.file.write_text(gateway.file.read_text().replace(url, other))
        await gateway.start()
        for message_id in sent:
            await desk.decided(message_id)
        await gateway.stop()
        assert await everything(other, tmp_path) == first


async def test_kill_9_in_a_burst_loses_nothing_and_repeats_nothing(tmp_path, url):
    async with Gateway(tmp_path, config(url)) as gateway:
        sent = []
        clients = asyncio.create_task(burst(gateway, 8, sent, steps=40))
        for goal in (60, 140, 220):
            await until(lambda: len(sent) >= goal)  # noqa: B023 -- waited for here
            await gateway.kill()
            await gateway.start()
            assert not clients.done()
        await clients
        desk = Desk(gateway)
        for message_id in sent:
            await desk.decided(message_id)
        await gateway.stop()
        store = Store(url_of(url, tmp_path))
        decided = [row["message_id"] for row in await rows(store, "decisions")]
        assert sorted(decided) == sorted(sent)
        first = await contents(store)
        await store.close()
        other = f"sqlite:///{tmp_path}/again.db"
        gateway.file.write_text(gateway.file.read_text().replace(url, other))
        await gateway.start()
        for message_id in sent:
            await desk.decided(message_id)
        await gateway.stop()
        assert await everything(other, tmp_path) == first


async def test_a_store_that_is_away_loses_nothing(tmp_path, postgres):
    url = postgres.make_database("away")
    async with Gateway(tmp_path, config(url)) as gateway:
        desk = Desk(gateway)
        await identify(gateway, "m1", userId="u1")
        await desk.decided("m1")
        postgres.stop()
        await identify(gateway, "m2", userId="u2")
        async with asyncio.timeout(PATIENCE_S):
            while not await gateway.metric(BREAKER):
                await asyncio.sleep(0.02)
        status, body = await desk.get("/v1/decisions/m2")
        assert (status, body["errors"][0]["status"]) == (503, 503)
        postgres.start()
        async with asyncio.timeout(PATIENCE_S):
            while (await desk.get("/v1/decisions/m2"))[0] != 200:
                await asyncio.sleep(0.05)
        assert (await desk.decided("m2"))["decision"] == "added"
        assert await gateway.read("dead.people") == []


async def test_a_store_that_is_away_at_the_start_loses_nothing(tmp_path, postgres):
    """The breaker says so; the emptied store is filled before new events come."""
    url = postgres.make_database("late")
    other = f"sqlite:///{tmp_path}/first.db"
    async with Gateway(tmp_path, config(other)) as gateway:
        await identify(gateway, "m1", userId="u1")
        await Desk(gateway).decided("m1")
        await gateway.stop()
        gateway.file.write_text(gateway.file.read_text().replace(other, url))
        postgres.stop()
        await gateway.start()
        await identify(gateway, "m2", userId="u2")
        async with asyncio.timeout(PATIENCE_S):
            while not await gateway.metric(BREAKER):
                await asyncio.sleep(0.02)
        postgres.start()
        desk = Desk(gateway)
        async with asyncio.timeout(PATIENCE_S):
            while (await desk.get("/v1/decisions/m2"))[0] != 200:
                await asyncio.sleep(0.05)
        assert (await desk.decided("m2"))["decision"] == "added"
        assert (await desk.decided("m1"))["decision"] == "added"
