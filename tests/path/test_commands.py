"""The command line as a user meets it: the first minute, every command, exit codes."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.path.running import ROOT, Gateway, config, until

pytestmark = pytest.mark.service

GOOD = {"userId": "u", "traits": {"first_name": "Ann", "email": "ann@example.com"}}
ON_FREE_PORTS = """
from gateway import cli, config
free = '[server]\\nlisten = "127.0.0.1:0"\\nadmin_listen = "127.0.0.1:0"\\n'
config.DEFAULT = free + config.DEFAULT
raise SystemExit(cli.main(["serve"]))
"""


def gateway(
    *arguments: str, cwd: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_built_in_default_is_ready_in_under_a_second(tmp_path):
    """As ``make run`` starts it, in an empty folder; whatever listens on 8080 here.

    That these are its ports says ``test_config.py``.
    """
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ON_FREE_PORTS,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            ready = (await process.stdout.readline()).decode().split()
            took_s = time.monotonic() - began
            assert (ready[0], ready[2]) == ("ready", "admin")
            hint = (await process.stdout.readline()).decode()
        assert f"curl {ready[1]}/v1/identify -u dev:" in hint
        curl = await asyncio.create_subprocess_shell(
            hint.partition("try")[2] + " -sS", stdout=asyncio.subprocess.PIPE
        )
        assert json.loads((await curl.communicate())[0]) == {"success": True}
        inbox = tmp_path / "data/inbox.ndjson"
        await until(lambda: inbox.exists() and inbox.read_text().endswith("\n"))
        event = json.loads(inbox.read_text())
        assert event["traits"]["email"] == "cool.person@example.com"
        assert event["source"] == "dev"
        read = gateway("read", "events", cwd=tmp_path)
        assert json.loads(read.stdout)["value"] == event
    finally:
        process.terminate()
        assert await process.wait() == 0
        process._transport.close()  # type: ignore[attr-defined]  # asyncio keeps it
    # The promise of under a second is timed by `make soak`; here it has room for noise.
    assert took_s < 5
    assert json.loads(gateway("read", "events", cwd=tmp_path).stdout)["value"] == event
    assert (tmp_path / "data/log.db").stat().st_mode & 0o077 == 0  # people's data


async def test_read_and_topics_work_beside_a_running_gateway(tmp_path, hook):
    async with Gateway(tmp_path, config(hook)) as running:
        for number in range(5):
            message = {**GOOD, "messageId": f"m{number}", "userId": f"u{number}"}
            assert (await running.post("/v1/identify", message))[0] == 200
        await until(lambda: len(hook.received) == 5)
        records = await running.read("events")
        assert [record["offset"] for record in records] == [0, 1, 2, 3, 4]
        first = records[0]
        assert set(first) == {
            "topic",
            "partition",
            "offset",
            "key",
            "headers",
            "value",
            "appendedAt",
        }
        assert (first["topic"], first["partition"], first["key"]) == ("events", 0, "u0")
        assert first["headers"]["route"] == {"to": ["hook"], "no": {}}
        assert first["headers"]["messageId"] == "m0"

        chosen = await running.read("events", "--where", "userId == 'u3'")
        assert [record["value"]["messageId"] for record in chosen] == ["m3"]
        at = records[2]["appendedAt"]
        later = await running.read("events", "--from", at)
        assert later[-1]["offset"] == 4
        assert all(record["appendedAt"] >= at for record in later)
        assert await running.read("events", "--until", "2020-01-01") == []

        code, out, _ = await running.command("topics", "--json")
        assert code == 0
        found = {topic["name"]: topic for topic in json.loads(out)}
        assert found["events"]["records"] == 5
        group = found["to.hook"]["groups"][0]
        assert group["name"] == "hook"
        code, out, _ = await running.command("topics")
        assert re.search(r"^events +5 ", out, re.MULTILINE)

        code, _, err = await running.command("read", "nothing")
        assert code == 2
        assert "no topic 'nothing'; known are: " in err
        assert "events" in err


async def test_read_follow_prints_what_comes(tmp_path):
    async with Gateway(tmp_path, config()) as running:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            "--config",
            str(running.file),
            "read",
            "events",
            "--follow",
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        for number in range(3):
            message = {**GOOD, "messageId": f"m{number}"}
            assert (await running.post("/v1/identify", message))[0] == 200
            async with asyncio.timeout(20):
                line = json.loads(await process.stdout.readline())
            assert line["value"]["messageId"] == f"m{number}"
        process.terminate()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # asyncio keeps it


def test_a_mistake_in_the_configuration_is_exit_2(tmp_path):
    file = tmp_path / "gateway.toml"
    cases = {
        "[sources.web]\nwrite_keys = ['dev']\nkindd = 'x'\n": "sources.web.kindd",
        "[sources.web]\nwrite_keys = ['${NOT_SET_ANYWHERE}']\n": "NOT_SET_ANYWHERE",
        config(more="[destinations.x]\ntype = 'nope'\n"): "destinations.x.type",
        config(more="[destinations.x]\ntype = 'webhook'\n"): "x.settings.url: missing",
        config(more="[destinations.x]\ntype = 'file'\nsettings = {path = 5}\n"): (
            "destinations.x.settings.path"
        ),
        config(
            more="[destinations.x]\ntype = 'file'\nwhen = 'a =='\n"
            "settings = { path = 'x' }\n"
        ): "destinations.x.when",
        "[sources.web]\nwrite_keys = ['dev']\nschema = 'no.json'\n": "no.json",
    }
    for text, place in cases.items():
        file.write_text(text)
        for command in (["check"], ["serve"]):
            done = gateway("--config", str(file), *command, cwd=tmp_path)
            assert done.returncode == 2, done
            assert "gateway.toml" in done.stderr
            assert place in done.stderr
            assert "Traceback" not in done.stderr
    file.write_text(config())
    assert gateway("check", str(file), cwd=tmp_path).returncode == 0
    assert gateway("check", cwd=tmp_path).returncode == 0  # ./gateway.toml is found
    assert gateway("nonsense", cwd=tmp_path).returncode == 2
    assert gateway("read", "events", "--from", "x", cwd=tmp_path).returncode == 2


def test_read_without_a_log_says_so(tmp_path):
    done = gateway("read", "events", cwd=tmp_path)
    assert done.returncode == 1
    assert "no log here" in done.stderr


async def test_a_port_that_is_taken_is_named(tmp_path):
    async with Gateway(tmp_path, config()) as running:
        port = running.url.rpartition(":")[2]
        other = tmp_path / "other"
        other.mkdir()
        text = f'[server]\nlisten = "127.0.0.1:{port}"\nadmin_listen = "127.0.0.1:0"\n'
        (other / "gateway.toml").write_text(text + config())
        done = gateway("serve", cwd=other)
        assert done.returncode == 1
        assert "server.listen: cannot listen on" in done.stderr
        assert "Traceback" not in done.stderr


EXPLAINED = """
[sources.web]
write_keys = ["dev"]
[destinations.crm]
type = "webhook"
when = "!is_email(userId)"
settings = { url = "https://crm.example/hook", secret = "hush-hush" }
[destinations.inbox]
type = "file"
spelling = "snake_case"
settings = { path = "in.ndjson" }
[destinations.off]
type = "file"
enabled = false
settings = { path = "off.ndjson" }
"""


def test_explain_shows_every_stage_and_the_exact_request(tmp_path):
    (tmp_path / "gateway.toml").write_text(EXPLAINED)
    message = {**GOOD, "messageId": "m1", "integrations": {"Nobody": True}}
    (tmp_path / "m.json").write_text(json.dumps(message))
    done = gateway("explain", "m.json", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)["messages"]
    assert told["normalize"]["asSent"]["traits.firstName"]["name"] == "first_name"
    assert told["route"]["to"] == ["crm", "inbox"]
    assert told["route"]["no"] == {"off": "disabled"}
    assert told["route"]["notices"] == ["unknown_integration: nobody"]
    places = {each["name"]: each for each in told["destinations"]}
    request = places["crm"]["request"]
    assert request["url"] == "https://crm.example/hook"
    assert request["headers"]["X-Gateway-Message-Id"] == "m1"
    assert json.loads(request["body"])["traits"]["firstName"] == "Ann"
    assert "hush" not in done.stdout
    assert (
        json.loads(places["inbox"]["request"]["line"])["traits"]["first_name"] == "Ann"
    )
    assert places["off"] == {
        "name": "off",
        "type": "file",
        "sent": False,
        "reason": "disabled",
    }
    text = gateway("explain", "m.json", cwd=tmp_path).stdout
    for part in ("check      ok", "first_name", "off (file): no, disabled"):
        assert part in text

    (tmp_path / "m.json").write_text(json.dumps({**GOOD, "userId": "a@example.com"}))
    told = json.loads(gateway("explain", "m.json", "--json", cwd=tmp_path).stdout)
    crm = told["messages"][0]["destinations"][0]
    assert (crm["sent"], crm["reason"]) == (False, "when")


def test_explain_says_why_a_message_is_refused(tmp_path):
    (tmp_path / "gateway.toml").write_text(EXPLAINED)
    (tmp_path / "m.json").write_text('{"batch": [{"type": "identify", "userId": {}}]}')
    done = gateway("explain", "m.json", "--json", cwd=tmp_path)
    told = json.loads(done.stdout)["messages"][0]
    assert told["check"]["errors"][0]["pointer"] == "/userId"
    assert told["reference"][0]["pointer"] == "/userId"
    (tmp_path / "m.json").write_text("{nonsense")
    assert "not JSON" in gateway("explain", "m.json", cwd=tmp_path).stdout
    done = gateway("explain", "m.json", "--source", "nobody", cwd=tmp_path)
    assert done.returncode == 2
    assert "known are: web" in done.stderr
    assert gateway("explain", "none.json", cwd=tmp_path).returncode == 2


async def test_p055_p066_a_destination_can_leave_out_emails_as_user_ids(tmp_path, hook):
    text = config(hook) + 'when = "!is_email(userId)"\n'
    async with Gateway(tmp_path, text) as running:
        for person in ("lead@example.com", "42"):
            message = {"userId": person, "messageId": person}
            assert (await running.post("/v1/identify", message))[0] == 200
        await until(lambda: hook.ids() == ["42"])
        async with asyncio.timeout(20):
            while len(await running.read("outcomes")) < 2:
                await asyncio.sleep(0.1)
        found = {
            r["value"]["messageId"]: r["value"] for r in await running.read("outcomes")
        }
        assert found["42"]["kind"] == "delivered"
        assert found["42"]["status"] == 200
        assert found["lead@example.com"]["kind"] == "filtered"
        assert found["lead@example.com"]["reason"] == "when"


async def test_p031_p069_anonymous_and_inactive_identifies_arrive_as_they_are(
    tmp_path, hook
):
    """What ``active`` and an anonymous person mean is the destination's to know."""
    async with Gateway(tmp_path, config(hook)) as running:
        anonymous = {"anonymousId": "a", "traits": {"plan": "x"}, "messageId": "m1"}
        inactive = {"userId": "u", "context": {"active": False}, "messageId": "m2"}
        for message in (anonymous, inactive):
            assert (await running.post("/v1/identify", message))[0] == 200
        await until(lambda: len(hook.received) == 2)
        events = {event["messageId"]: event for event in hook.received}
        assert events["m1"]["traits"] == {"plan": "x"}
        assert "userId" not in events["m1"]
        assert events["m2"]["context"]["active"] is False


async def test_p092_p101_one_field_whatever_the_spelling_of_the_source(tmp_path, hook):
    """No sender names the destination: both sources' people have one first name."""
    other = '[sources.python]\nwrite_keys = ["py"]\n'
    async with Gateway(tmp_path, config(hook, other)) as running:
        for key, name in (("dev", "firstName"), ("py", "first_name")):
            message = {"userId": "u", "messageId": key, "traits": {name: "Ann"}}
            assert (await running.post("/v1/identify", message, key=key))[0] == 200
        await until(lambda: len(hook.received) == 2)
        assert [event["traits"] for event in hook.received] == [
            {"firstName": "Ann"}
        ] * 2


async def test_no_payload_and_no_key_is_ever_logged(tmp_path, hook):
    async with Gateway(tmp_path, config(hook)) as running:
        secret = {"userId": "person-xyz", "traits": {"secret": "value-xyz"}}
        await running.post("/v1/identify", secret)
        await running.post("/v1/identify", {**secret, "userId": {"person-xyz": 1}})
        await running.post("/v1/identify", secret, key="key-xyz")
        await running.post("/v1/identify", b'{"userId": "person-xyz')
        await until(lambda: hook.received)
        async with running.session.get(running.admin + "/metrics") as answer:
            assert "xyz" not in await answer.text()
        await running.stop()
        assert "xyz" not in running.errors()
        lines = running.errors().splitlines()
        assert all(json.loads(line)["notice"] for line in lines)
