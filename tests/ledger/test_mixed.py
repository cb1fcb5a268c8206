"""A mixed load: each message's story is what its sender and the stand-in saw.

The account closes to zero; after kill -9 and after a rebuild all of it is the same.
"""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.kit import TOKEN
from tests.path.running import PATIENCE_S, Gateway, Webhook, config

pytestmark = pytest.mark.service

TRANSFORM = """
def clean(event):
    return None if event.get("event") == "Unclean" else event
"""
CONFIG = f"""
[console]
enabled = false
token = "{TOKEN}"
[sources.site]
kind = "track_api"
site_id = "site"
api_keys = ["key"]
[destinations.hook]
type = "webhook"
display_name = "CRM"
when = "!is_email(userId)"
settings = {{ url = "HOOK" }}
delivery = {{ retry_base = "20ms", retry_cap = "50ms", probe_every = "50ms" }}
[destinations.off]
type = "file"
enabled = false
settings = {{ path = "data/off.ndjson" }}
[destinations.tracks]
type = "file"
types = ["track"]
settings = {{ path = "data/tracks.ndjson" }}
[destinations.clean]
type = "file"
transform = "clean.py:clean"
settings = {{ path = "data/clean.ndjson" }}
[destinations.pro]
type = "webhook"
settings = {{ url = "HOOK" }}
[[destinations.pro.actions]]
trigger = 'traits.plan = "pro"'
mapping = {{ messageId = {{ "@path" = "$.messageId" }} }}
[destinations.people]
type = "workspace"
[workspace]
api_token = "desk"
"""
COPIES = 3  # of every kind of message


def config_of(hook: Webhook) -> str:
    return config(more=CONFIG.replace("HOOK", hook.url))


def identify(message_id: str, **more: Any) -> dict[str, Any]:
    person = {"userId": f"u-{message_id}", "messageId": message_id}
    return {"type": "identify", **person, **more}


class Answers:
    """The stand-in: some it refuses, some only at first, some it answers late."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def __call__(self, event: dict[str, Any]) -> int:
        message_id = event["messageId"]
        self.seen[message_id] += 1
        if message_id.startswith("failing"):
            return 422
        if message_id.startswith("flaky") and self.seen[message_id] <= 2:
            return 503
        return 200


async def send(gateway: Gateway) -> None:
    """All of the load; every answer is what its sender expects."""
    for number in range(COPIES):
        messages = [
            identify(f"valid-{number}", traits={"first_name": "Ann", "plan": "pro"}),
            identify(f"left-{number}", integrations={"CRM": False}),
            identify(f"nobody-{number}", integrations={"All": False}),
            identify(f"email-{number}") | {"userId": f"a{number}@x.y"},
            identify(f"failing-{number}"),
            identify(f"flaky-{number}"),
            identify(f"twice-{number}"),
            identify(f"copied-{number}"),
            identify(f"copied-{number}"),
            {**identify(f"unclean-{number}"), "type": "track", "event": "Unclean"},
            {**identify(f"event-{number}"), "type": "track", "event": "Bought"},
        ]
        status, said = await gateway.post("/v1/batch", {"batch": messages})
        assert (status, said) == (200, {"success": True})
        again = identify(f"twice-{number}")
        assert (await gateway.post("/v1/identify", again))[0] == 200
        wrong = identify(f"invalid-{number}", traits={"email": 7})
        assert (await gateway.post("/v1/identify", wrong))[0] == 400
    await suppress(gateway)
    for number in range(COPIES):
        blocked = identify(f"blocked-{number}") | {"userId": "blocked"}
        assert (await gateway.post("/v1/identify", blocked))[0] == 200


async def suppress(gateway: Gateway) -> None:
    """Nobody may send to this person any more; returns when every worker knows."""
    basic = base64.b64encode(b"site:key").decode()
    for method, path in (("PUT", ""), ("POST", "/suppress")):
        status, _ = await gateway.post(
            f"/api/v1/customers/blocked{path}",
            {},
            key=None,
            method=method,
            headers={"Authorization": f"Basic {basic}"},
        )
        assert status == 200
    while not await gateway.read("suppressed"):
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)  # each worker follows that topic


async def get(gateway: Gateway, path: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with gateway.session.get(gateway.admin + path, headers=headers) as response:
        return response.status, await response.json()


async def closed(gateway: Gateway) -> list[dict[str, Any]]:
    """The account once nothing is in flight."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            status, told = await get(gateway, "/v1/account")
            lines = told["account"] if status == 200 and not told["behind"] else []
            if lines and not any(each["pending"] for each in lines):
                return list(lines)
            await asyncio.sleep(0.1)


def ends(story: Mapping[str, Any]) -> list[dict[str, tuple[str, str | None, int]]]:
    """Per occurrence: destination -> kind, rule, attempts."""
    return [
        {
            each["destination"]: (each["kind"], each["rule"], len(each["attempts"]))
            for each in found["destinations"]
        }
        for found in story["found"]
    ]


DONE = ("delivered", None, 1)
OFF = ("filtered", "disabled", 0)
TYPE = ("filtered", "type", 0)
NOT_PRO = ("filtered", "trigger", 0)
OTHERS = "hook", "clean", "pro"
ALL_LEFT = ("filtered", 'integrations: {"All": false}', 0)
LEFT = dict.fromkeys((*OTHERS, "people"), ALL_LEFT)
USUAL = {
    "hook": DONE,
    "off": OFF,
    "tracks": TYPE,
    "clean": DONE,
    "pro": NOT_PRO,
    "people": DONE,
}
COPY = {
    **USUAL,
    **dict.fromkeys((*OTHERS, "people"), ("duplicate", "duplicate", 0)),
}
TRACK = {**USUAL, "tracks": DONE}
EXPECTED: Mapping[str, list[dict[str, tuple[str, str | None, int]]]] = {
    "valid": [{**USUAL, "pro": DONE}],
    "left": [{**USUAL, "hook": ("filtered", 'integrations: {"CRM": false}', 0)}],
    "nobody": [{**USUAL, **LEFT}],
    "email": [{**USUAL, "hook": ("filtered", "when: !is_email(userId)", 0)}],
    "failing": [{**USUAL, "hook": ("dead", "rejected", 1)}],
    "flaky": [{**USUAL, "hook": ("delivered", None, 3)}],
    "twice": [USUAL, COPY],
    "copied": [USUAL, COPY],
    "unclean": [{**TRACK, "clean": ("filtered", "transform", 0)}],
    "event": [TRACK],
    "invalid": [{}],
    "blocked": [
        {
            **USUAL,
            **dict.fromkeys(OTHERS, ("suppressed", "suppressed", 0)),
        }
    ],
}


async def stories(gateway: Gateway) -> dict[str, Any]:
    """The story of every message that was sent."""
    told = {}
    for kind in EXPECTED:
        for number in range(COPIES):
            message_id = f"{kind}-{number}"
            status, told[message_id] = await get(gateway, f"/v1/events/{message_id}")
            assert status == 200, message_id
    return told


def check(told: Mapping[str, Any], answers: Answers) -> None:
    """Every one of them is right."""
    for message_id, story in told.items():
        kind = message_id.partition("-")[0]
        assert ends(story) == EXPECTED[kind], message_id
        for found in story["found"]:
            refused = kind == "invalid"
            assert found["kind"] == ("refused" if refused else "admitted")
            assert found["source"] == "web"
            assert found["asSent"]["messageId"] == message_id
            assert bool(found["errors"]) == refused
            assert refused or found["event"]["messageId"] == message_id
    for number in range(COPIES):
        hook = at(told[f"failing-{number}"], "hook")["attempts"][0]
        assert (hook["status"], hook["response"]["status"]) == (422, 422)
        assert f"failing-{number}" in hook["request"]["body"]
        flaky = at(told[f"flaky-{number}"], "hook")["attempts"]
        assert [each["status"] for each in flaky] == [503, 503, 200]
        assert answers.seen[f"flaky-{number}"] == 3
        (error,) = told[f"invalid-{number}"]["found"][0]["errors"]
        assert error["pointer"] == "/traits/email"
        valid = at(told[f"valid-{number}"], "hook")["attempts"][0]
        assert valid["rendered"]
        assert not valid["changed"]
        assert '"firstName":"Ann"' in valid["request"]["body"]
        (change,) = told[f"valid-{number}"]["found"][0]["changes"]
        assert change["path"] == "traits.firstName"


def at(story: Mapping[str, Any], destination: str, found: int = 0) -> dict[str, Any]:
    (end,) = [
        each
        for each in story["found"][found]["destinations"]
        if each["destination"] == destination
    ]
    return dict(end)


def balanced(account: list[dict[str, Any]]) -> None:
    kinds = ("delivered", "filtered", "skipped", "duplicate", "suppressed", "dead")
    for line in account:
        assert line["difference"] == line["unconfirmed"] == 0, line
        assert line["admitted"] == sum(line[kind] for kind in kinds), line


def expected_at(destination: str) -> Counter[str]:
    """What the table above says of one destination, as an account does."""
    return Counter(
        found[destination][0]
        for occurrences in EXPECTED.values()
        for found in occurrences
        for _ in range(COPIES)
        if destination in found
    )


async def test_every_message_is_explained_and_the_account_closes(
    tmp_path: Path, ledger: str
):
    answers = Answers()
    (tmp_path / "clean.py").write_text(TRANSFORM)
    async with Webhook() as hook:
        hook.judge = answers
        async with Gateway(tmp_path, config_of(hook) + ledger) as gateway:
            await send(gateway)
            account = await closed(gateway)
            first = await stories(gateway)
            check(first, answers)
            balanced(account)
            for line in account:
                if line["source"] == "web":
                    wanted = expected_at(line["destination"])
                    assert line["admitted"] == wanted.total()
                    found = {kind: line[kind] for kind in wanted}
                    assert found == dict(wanted), line["destination"]

            await gateway.kill()
            await gateway.start()
            assert await closed(gateway) == account
            assert await stories(gateway) == first

            code, out, err = await gateway.command("ledger", "rebuild")
            assert code == 0, (out, err)
            assert await closed(gateway) == account
            assert await stories(gateway) == first

            await replayed(gateway, hook, account, first)


async def replayed(
    gateway: Gateway, hook: Webhook, account: list[dict[str, Any]], first: Any
) -> None:
    """What is sent again is told beside the first time, and counts apart."""
    hook.judge = lambda _: 200
    code, out, err = await gateway.command("replay", "--topic", "dead", "--to", "hook")
    assert code == 0, err
    replay = out.split()[1]
    async with asyncio.timeout(PATIENCE_S):
        while True:
            told = await stories(gateway)
            if all(len(told[f"failing-{n}"]["found"]) == 2 for n in range(COPIES)):
                break
            await asyncio.sleep(0.1)
    for number in range(COPIES):
        once, again = told[f"failing-{number}"]["found"]
        assert once == first[f"failing-{number}"]["found"][0]
        assert again["replay"] == replay
        (end,) = again["destinations"]
        assert (end["destination"], end["kind"]) == ("hook", "delivered")
    after = await closed(gateway)
    balanced(after)
    for before, now in zip(account, after, strict=True):
        here = (now["source"], now["destination"]) == ("web", "hook")
        assert now == {**before, "replayed": COPIES if here else 0}


async def test_the_commands_tell_the_same_with_and_without_a_gateway(
    tmp_path: Path, ledger: str
):
    async with (
        Webhook() as hook,
        Gateway(
            tmp_path,
            config(hook, f'[console]\nenabled = false\ntoken = "{TOKEN}"\n{ledger}'),
        ) as gateway,
    ):
        await gateway.post("/v1/identify", identify("one"))
        await closed(gateway)
        said = []
        for _ in range(2):
            code, out, err = await gateway.command("explain", "one", "--json")
            assert code == 0, err
            said.append(json.loads(out))
            code, out, _ = await gateway.command("explain", "one")
            assert code == 0
            assert "hook: delivered" in out
            code, out, _ = await gateway.command("account", "--json")
            said.append(json.loads(out))
            code, out, _ = await gateway.command("account")
            assert out.splitlines()[1].split()[:4] == ["web", "hook", "1", "1"]
            for given, wanted in (("other", 1), ("other.json", 2), ("./other", 2)):
                code, _, err = await gateway.command("explain", given)
                assert code == wanted
                text = "is no file, and the ledger has no message with this id"
                assert f"{given}: {text}" in err
            await gateway.stop()
        assert said[0] == said[2]
        assert said[1]["account"] == said[3]["account"]
        code, out, err = await gateway.command("ledger", "rebuild")
        assert code == 0, err
        code, out, err = await gateway.command("explain", "one", "--json")
        assert json.loads(out) == said[0]
