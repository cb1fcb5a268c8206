"""HTTP in, look-up out: a whole gateway that keeps people, and what happens to it."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from gateway.workspace.people import new_cio_id
from gateway.workspace.store import Store, url_of
from tests.chance import chance
from tests.path.running import PATIENCE_S, Gateway, Webhook, until
from tests.workspace.contents import contents, rows
from tests.workspace.model import Model

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


@pytest.mark.parametrize("system", ["ios", "android"])
async def test_phones_as_recorded(tmp_path, system):
    folder = CLIENTS / f"derived-customerio-{system}"
    async with Gateway(tmp_path, config("sqlite:///w.db")) as gateway:
        desk = Desk(gateway)
        last = ""
        for name in ("004-register-device", "007-change-user"):
            text = json.loads((folder / f"{name}.json").read_text())["request"]
            body = text["body_text"].encode()
            assert (await gateway.post("/v1/b", body, key=None))[0] == 200
            last = json.loads(body)["batch"][-1]["messageId"]
        await desk.decided(last)
        assert (await desk.attributes("user-1"))["devices"] == []
        (device,) = (await desk.attributes("user-2"))["devices"]
        assert device["platform"] == system
        assert device["attributes"]["push_enabled"] == "true"
        assert device["attributes"]["_last_status"] == ""


async def suppress(gateway, desk, message_id, user, event="User Suppressed"):
    body = {"userId": user, "event": event, "messageId": message_id}
    assert (await gateway.post("/v1/track", body))[0] == 200
    return await desk.decided(message_id)


async def nobody_blocked_is_sent(folder, log=""):
    """Not live, not by retry, not by replay; and again once it is lifted."""
    async with Webhook() as webhook:
        webhook.judge = lambda event: 500 if event["messageId"] == "waits" else 200
        text = config("sqlite:///w.db", hook(webhook) + log)
        async with Gateway(folder, text) as gateway:
            desk = Desk(gateway)
            await identify(gateway, "m1", userId="u1", traits={"email": "a@x.y"})
            await until(lambda: "m1" in webhook.known)
            await identify(gateway, "waits", userId="u1")
            await until(lambda: len(webhook.requests) > 2)
            decided = await suppress(gateway, desk, "s1", "u1")
            assert decided["reason"] == "suppressed"
            while len(await gateway.read("suppressed")) < 2:
                await asyncio.sleep(0.02)  # decided, not yet told to other destinations
            cio_id = (await desk.decided("m1"))["cio_id"]
            await identify(gateway, "live", userId="A@X.y")
            await identify(gateway, "cio", userId=f"cio_{cio_id}")
            await identify(gateway, "other", userId="u2")
            await until(lambda: "other" in webhook.known)
            blocked = {"waits", "live", "cio"}
            kinds = await outcomes(gateway, blocked)
            assert {kinds[each] for each in blocked} == {"suppressed"}
            before = len(webhook.requests)
            webhook.judge = lambda _: 200
            code, out, err = await gateway.command("replay", "--to", "hook")
            assert code == 0, err
            again = {"m1", "s1", "other"} | blocked
            assert out.splitlines()[-1].startswith(f"sent {len(again)},")
            kinds = await outcomes(gateway, again, replay=out.split()[1])
            assert kinds.pop("other") == "delivered"
            assert set(kinds.values()) == {"suppressed"}
            told = [json.loads(body)["userId"] for _, body in webhook.requests[before:]]
            assert told == ["u2"]
            _, listed = await desk.get("/v1/suppressed")
            names = [each["identifier"] for each in listed["suppressed"]]
            assert names == ["email:a@x.y", "id:u1"]
            await suppress(gateway, desk, "s2", "u1", "User Unsuppressed")
            free = 0
            async with asyncio.timeout(PATIENCE_S):
                while f"free{free}" not in webhook.known:  # as soon as it is told
                    free += 1
                    await identify(gateway, f"free{free}", userId="u1")
                    await outcomes(gateway, {f"free{free}"})


async def outcomes(gateway, wanted, replay=None):
    """What became of these messages at the hook, once all of them have an end."""
    kinds: dict[str, str] = {}
    async with asyncio.timeout(PATIENCE_S):
        while not wanted <= kinds.keys():
            found = [each["value"] for each in await gateway.read("outcomes")]
            kinds = {
                each["messageId"]: each["kind"]
                for each in found
                if each["destination"] == "hook" and each["replay"] == replay
            }
    return kinds


async def test_a_suppressed_person_reaches_no_destination(tmp_path):
    await nobody_blocked_is_sent(tmp_path)


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
    rng = chance("burst")

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


async def is_what_the_log_s_order_gives(gateway, url, folder):
    """Event after event, as the topic has them, by a naive reading of the rules."""
    model = Model(email_identifies=True, by_cio=False, email_by_id=False, merge=False)
    asked = [record["value"] for record in await gateway.read("to.people")]
    for each in asked:
        path = ("email" if "@" in each["userId"] else "id", each["userId"])
        new = new_cio_id("web", each["messageId"], None)
        model.identify(new, "api", path, each["traits"])
    store = Store(url_of(url, folder))
    people = await rows(store, "people")
    decided = await rows(store, "decisions")
    await store.close()
    decided.sort(key=lambda row: row["place"])
    assert [d["message_id"] for d in decided] == [a["messageId"] for a in asked]
    found = [
        {
            **{name: row[name] for name in ("cio_id", "id", "email")},
            "attributes": json.loads(row["attributes"]),
        }
        for row in people
    ]
    assert found == sorted(model.people, key=lambda person: person["cio_id"])


async def test_colliding_clients_give_the_order_of_the_log(tmp_path, url):
    """The same topic, applied again by one batch after another, gives the same store;
    so does rereading it into an empty one."""
    async with Gateway(tmp_path, config(url)) as gateway:
        desk = Desk(gateway)
        sent: list[str] = []
        await burst(gateway, 16, sent)
        for message_id in sent:
            await desk.decided(message_id)
        await gateway.stop()
        first = await everything(url, tmp_path)
        assert len(first["decisions"]) == len(sent)
        await is_what_the_log_s_order_gives(gateway, url, tmp_path)
        other = f"sqlite:///{tmp_path}/again.db"
        gateway.file.write_text(gateway.file.read_text().replace(url, other))
        await gateway.start()
        for message_id in sent:
            await desk.decided(message_id)
        await gateway.stop()
        assert await everything(other, tmp_path) == first


async def test_kill_9_in_a_burst_loses_nothing_and_repeats_nothing(tmp_path, url):
    async with Gateway(tmp_path, config(url)) as gateway:
        sent: list[str] = []
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
