"""The Track API through the whole program: curl and recordings in, look-up out."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from tests.path.running import Gateway, Webhook, until
from tests.path.sdks import kits
from tests.workspace.test_road import Desk, hook

pytestmark = pytest.mark.service

RECORDINGS = sorted((Path(__file__).parent / "track_recordings").glob("*/*.json"))
CONFIG = """\
[sources.web]
kind = "server"
write_keys = ["dev"]
[sources.browser]
kind = "browser"
write_keys = ["page"]
[sources.backend]
kind = "track_api"
site_id = "site_id"
api_keys = ["api_key", "test_write_key"]
[destinations.people]
type = "workspace"
delivery = { retry_base = "50ms", retry_cap = "500ms", probe_every = "200ms" }
"""
# The requests of the vendor's page on people, with another host.
CURL = {
    "person@example.com": '{"id":"id1234"}',
    "id1234": '{"email":"person@example.com"}',
    "cio_CIO_ID": '{"email":"new_person@example.com"}',
}
SHELL = """\
{curl} --silent --show-error --dump-header - --request PUT \
--url {url}/api/v1/customers/{person} \
--header "Authorization: Basic $(echo -n site_id:api_key | base64)" \
--header 'content-type: application/json' \
--data '{body}'
"""


def config(more: str = "", url: str = "sqlite:///people.db") -> str:
    return f'{CONFIG}{more}[workspace]\nurl = "{url}"\napi_token = "look"\n'


async def curl(gateway, person, body) -> str:
    """What the vendor's page says to type; returns the answer's message id."""
    command = SHELL.format(
        curl=kits.program("curl"), url=gateway.url, person=person, body=body
    )
    process = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    head, _, said = out.decode().partition("\r\n\r\n")
    status, *headers = head.split("\r\n")
    assert status == "HTTP/1.1 200 OK"
    assert said == "{}"
    named = dict(line.split(": ", 1) for line in headers)
    return named["X-Message-Id"]


async def send(gateway, line: str, body: Any = None, *, key="site_id:api_key"):
    method, path = line.split(" ", 1)
    url = URL(gateway.url + path, encoded=True)
    given = {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}
    data = body if isinstance(body, bytes | None) else json.dumps(body)
    async with gateway.session.request(method, url, data=data, headers=given) as answer:
        said = json.loads(await answer.read())
        return answer.status, said, answer.headers["X-Message-Id"]


async def decided(gateway, line: str, body: Any = None):
    status, said, message_id = await send(gateway, line, body)
    assert (status, said) == (200, {})
    return await Desk(gateway).decided(message_id)


@pytest.mark.parametrize("first", ["person@example.com", "id1234"])
async def test_seed_003_a_lead_becomes_a_customer_either_way_round(tmp_path, first):
    async with Gateway(tmp_path, config()) as gateway:
        desk = Desk(gateway)
        added = await desk.decided(await curl(gateway, "person@example.com", "{}"))
        assert added["decision"] == "added"
        updated = await desk.decided(await curl(gateway, first, CURL[first]))
        assert updated["decision"] == "updated"
        person = await desk.attributes("id1234")
        assert person["identifiers"] == {
            "id": "id1234",
            "email": "person@example.com",
            "cio_id": added["cio_id"],
        }


async def test_seed_003_an_email_is_changed_by_cio_id_only(tmp_path):
    async with Gateway(tmp_path, config()) as gateway:
        desk = Desk(gateway)
        first = CURL["id1234"]
        added = await desk.decided(await curl(gateway, "id1234", first))
        new = CURL["cio_CIO_ID"]
        failed = await desk.decided(await curl(gateway, "id1234", new))
        (failure,) = failed["failed_attribute_changes"]
        assert failure["identifier"] == "email"
        named = f"cio_{added['cio_id']}"
        assert (await desk.decided(await curl(gateway, named, new)))["decision"] == (
            "updated"
        )
        person = await desk.attributes("id1234")
        assert person["identifiers"]["email"] == "new_person@example.com"
        ignored = await desk.decided(await curl(gateway, "cio_03000001", new))
        assert ignored["decision"] == "ignored"


async def test_recorded_requests_are_answered_as_their_clients_want(tmp_path):
    async with Gateway(tmp_path, config()) as gateway:
        assert len(RECORDINGS) > 40
        for file in RECORDINGS:
            request = json.loads(file.read_text())["request"]
            query = f"?{request['query']}" if request["query"] else ""
            url = URL(gateway.url + request["path"] + query, encoded=True)
            kept = ("Authorization", "Content-Type", "User-Agent")
            given = {k: v for k, v in request["headers"].items() if k in kept}
            body = request["body_text"].encode()
            async with gateway.session.request(
                request["method"], url, data=body or None, headers=given
            ) as answer:
                said = json.loads(await answer.read())
                assert answer.status == 200, (file.name, said)
                assert "errors" not in said
                assert answer.headers["X-Message-Id"]
        assert await gateway.read("refused") == []


async def test_a_track_event_reaches_the_destinations_and_can_be_replayed(tmp_path):
    async with Webhook() as webhook, Gateway(tmp_path, config(hook(webhook))) as it:
        await send(it, "PUT /api/v1/customers/u1", {"first_name": "A", "age": "old"})
        await send(it, "POST /api/v1/customers/u1/events", {"name": "e", "id": "own"})
        await decided(it, "DELETE /api/v1/customers/u1")
        await until(lambda: len(webhook.received) == 2)
        identify, track = webhook.received
        assert identify["traits"] == {"first_name": "A", "age": "old"}
        assert identify["identifiers"] == {"id": "u1"}
        assert (track["messageId"], track["event"]) == ("own", "e")
        code, _, err = await it.command("replay", "--to", "hook")
        assert code == 0, err
        await until(lambda: len(webhook.received) == 4)
        assert webhook.received[2:] == [identify, track]


async def test_refused_requests_are_admitted_by_replay_once_they_fit(tmp_path):
    async with Webhook() as webhook, Gateway(tmp_path, config(hook(webhook))) as it:
        plan = tmp_path / "plan.json"
        plan.write_text('{"events": {"e": {"required": ["price"]}}}')
        text = it.file.read_text()
        strict = text.replace(
            'site_id = "site_id"', 'site_id = "site_id"\nschema = "plan.json"'
        )
        it.file.write_text(strict)
        await it.stop()
        await it.start()
        line = "POST /api/v1/customers/a%2Fb/events"
        status, said, message_id = await send(it, line, {"name": "e"})
        assert status == 400
        assert said["errors"][0]["pointer"] == "/properties"
        it.file.write_text(text)
        await it.stop()
        await it.start()
        code, _, err = await it.command("replay", "--topic", "refused")
        assert code == 0, err
        await until(lambda: webhook.ids() == [message_id])
        (event,) = webhook.received
        assert event["identifiers"] == {"id": "a/b"}
        assert event["event"] == "e"


async def test_only_server_and_track_sources_delete_and_suppress(tmp_path):
    async with Gateway(tmp_path, config()) as gateway:
        desk = Desk(gateway)
        await decided(gateway, "PUT /api/v1/customers/u1", {})
        body = {"userId": "u1", "event": "User Deleted", "messageId": "m1"}
        assert (await gateway.post("/v1/track", body, key="page"))[0] == 200
        assert (await desk.decided("m1"))["reason"] == "source_may_not"
        assert await desk.attributes("u1") is not None
        await decided(gateway, "DELETE /api/v1/customers/u1")
        assert await desk.attributes("u1") is None


async def test_a_suppressed_person_reaches_no_destination(tmp_path):
    """By the Track API: not by id, by email, nor by cio_id; and again when lifted."""
    async with Webhook() as webhook, Gateway(tmp_path, config(hook(webhook))) as it:
        both = {"email": "Ann@x.y"}
        added = await decided(it, "PUT /api/v1/customers/u1", both)
        await until(lambda: len(webhook.received) == 1)
        await decided(it, "POST /api/v1/customers/u1/suppress")
        while len(await it.read("suppressed")) < 2:
            await asyncio.sleep(0.02)  # decided, not yet told to other destinations
        line = "PUT /api/v1/customers/"
        for person, traits in (
            ("u1", {}),
            ("ann@X.y", {}),
            ("u2", both),
            (f"cio_{added['cio_id']}", both),
            (f"cio_{added['cio_id']}", {}),  # by nothing but what it had before
        ):
            await decided(it, line + person, traits)
        name = {"name": "e"}
        _, _, event = await send(it, "POST /api/v1/customers/ANN@x.y/events", name)
        await decided(it, line + "other", {})
        await until(lambda: len(webhook.received) == 2)
        assert webhook.received[1]["userId"] == "other"
        found: dict[str, str] = {}
        while event not in found:
            found = {
                each["value"]["messageId"]: each["value"]["kind"]
                for each in await it.read("outcomes")
                if each["value"]["destination"] == "hook"
            }
        assert found[event] == "suppressed"
        await decided(it, "POST /api/v1/customers/u1/unsuppress")
        again = await decided(it, line + "u1", {})
        assert again["decision"] == "added"


async def test_requests_one_after_another_give_the_people_of_that_order(tmp_path):
    """Identifiers of all kinds, from both doors, each after the previous 200."""
    async with Gateway(tmp_path, config()) as gateway:
        desk = Desk(gateway)
        added = await decided(gateway, "PUT /api/v1/customers/a@x.y", {"n": 0})
        cio = f"/api/v1/customers/cio_{added['cio_id']}"
        last = ""
        for number in range(1, 30):
            paths = ["/api/v1/customers/a@x.y", "/api/v1/customers/A%40X.Y", cio]
            _, _, last = await send(
                gateway, f"PUT {paths[number % 3]}", {"n": number, f"k{number % 3}": 1}
            )
        await desk.decided(last)
        person = await desk.attributes("a@x.y", "email")
        assert person["attributes"]["n"] == "29"
        _, body = await desk.get(
            "/v1/customers/a%40x.y/activities?id_type=email&limit=100"
            "&type=attribute_change"
        )
        seen = [
            each["data"]["n"]["to"]
            for each in reversed(body["activities"])
            if "n" in each["data"]
        ]
        assert seen == [str(number) for number in range(30)]


async def test_explain_shows_what_a_request_becomes(tmp_path):
    it = Gateway(tmp_path, config())
    (tmp_path / "put.json").write_text(
        '{"endpoint": "PUT /api/v1/customers/u%2F1", "body": {"first_name": "A"}}'
    )
    (tmp_path / "batch.json").write_text(
        '{"batch": [{"type": "person", "action": "delete", "identifiers": {"id": "u"}},'
        ' {"type": "person", "action": "event", "identifiers": {"id": "u"}}]}'
    )
    (tmp_path / "path.json").write_text('{"endpoint": "PUT /nowhere", "body": {}}')

    async def explained(name):
        file = str(tmp_path / name)
        source = ("--source", "backend")
        code, out, err = await it.command("explain", file, *source, "--json")
        return code, json.loads(out) if out else err

    code, told = await explained("put.json")
    (message,) = told["messages"]
    assert code == 0
    assert message["event"]["identifiers"] == {"id": "u/1"}
    assert message["event"]["traits"] == {"first_name": "A"}
    assert message["resolve"]["personKey"] == "u/1"
    assert message["route"]["to"] == ["people"]
    _, told = await explained("batch.json")
    deleted, bad = told["messages"]
    assert deleted["event"]["action"] == "delete"
    assert bad["check"]["errors"][0]["message"] == "needs name"
    _, told = await explained("path.json")
    assert "METHOD and PATH" in told["refused"]
