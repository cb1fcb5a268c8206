"""A whole gateway tells of its own trouble and of its end: once, restarts or not."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.config import Config, parse
from gateway.errors import ConfigError
from gateway.parts import check
from tests.whole import Whole, running, until

CONFIG = """
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
private_destinations = ["127.0.0.0/8"]
[console]
enabled = false
token = "t"
[sources.web]
write_keys = ["dev"]
[destinations.crm]
type = "webhook"
settings = {{ url = "{url}/crm" }}
[destinations.crm.delivery]
retry_cap = "100ms"
probe_every = "100ms"
[alerts]
webhook = "{url}/alerts"
every = "100ms"
"""
QUICK = """
[alerts.destination_down]
for = "300ms"
"""


class Town:
    """A CRM, and whoever is told; both answer as they are asked to."""

    def __init__(self) -> None:
        self.crm, self.hook = 200, 200
        self.told: list[dict[str, Any]] = []
        application = web.Application()
        application.router.add_post("/crm", self._crm)
        application.router.add_post("/alerts", self._alerts)
        self.server = TestServer(application)

    async def _crm(self, request: web.Request) -> web.Response:
        return web.Response(status=self.crm)

    async def _alerts(self, request: web.Request) -> web.Response:
        if self.hook == 200:
            self.told.append(await request.json())
        return web.Response(status=self.hook)

    def said(self) -> list[tuple[str, str, str]]:
        return [(each["alert"], each["subject"], each["state"]) for each in self.told]


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    await town.server.start_server()
    yield town
    await town.server.close()


def read(folder: Path, town: Town, more: str = QUICK) -> Config:
    url = str(town.server.make_url("")).rstrip("/")
    return parse(CONFIG.format(url=url) + more, folder=folder, environment={})


async def send(gateway: Whole, number: int = 1, **more: Any) -> None:
    for each in range(number):
        body = {"userId": f"u{each}", "messageId": f"m{each}", **more}
        await gateway.post(body)


DOWN = ("destination_down", "crm", "begins")
UP = ("destination_down", "crm", "ends")


async def test_a_destination_that_is_down_is_told_once_and_its_end_once(
    tmp_path: Path, town: Town
) -> None:
    town.crm = 503
    config = read(tmp_path, town)
    async with running(config) as gateway:
        await send(gateway, 12)
        await until(lambda: town.told)
        (said,) = town.told
        assert said["text"].startswith("destination_down: crm serves nobody: 503 at ")
        assert said["facts"]["lag"] == 12
    async with running(config) as gateway:  # a restart repeats nothing
        await until(lambda: gateway.notices("breaker_open"))
        await asyncio.sleep(1)
        assert town.said() == [DOWN]
        town.crm = 200
        await until(lambda: len(town.told) == 2)
    assert town.said() == [DOWN, UP]
    texts = [each["text"] for each in gateway.notices("alert")]
    assert texts == [town.told[1]["text"]]
    assert (tmp_path / "data" / "alerts.json").stat().st_size < 1_000


async def test_what_could_not_be_told_is_told_after_the_restart(
    tmp_path: Path, town: Town
) -> None:
    town.crm = town.hook = 503
    config = read(tmp_path, town)
    async with running(config) as gateway:
        await send(gateway, 12)
        await until(lambda: gateway.notices("alert"))
    town.hook = 200
    async with running(config):
        await until(lambda: town.told)
    assert town.said() == [DOWN]


async def test_dead_letters_are_counted_from_now_and_say_why(
    tmp_path: Path, town: Town
) -> None:
    town.crm = 400
    more = "[alerts.dead_letters]\nevents = 3\n"
    async with running(read(tmp_path, town, more)) as gateway:
        await asyncio.sleep(0.3)  # a look at what was there before
        await send(gateway, 3)
        await until(lambda: town.told)
    assert town.said() == [("dead_letters", "crm", "begins")]
    assert "crm: 3 dead letters within 15 min" in town.told[0]["text"]


async def test_refusals_are_told_with_their_reason(tmp_path: Path, town: Town) -> None:
    more = "[alerts.refused_rate]\nmessages = 5\n"
    async with running(read(tmp_path, town, more)) as gateway:
        await send(gateway, 5, traits="none", secretly="not shown")
        await until(lambda: town.told)
    (said,) = town.told
    assert town.said() == [("refused_rate", "web", "begins")]
    assert "5 of 5 messages refused (100 %)" in said["text"]
    assert "type /traits" in said["text"]
    assert "not shown" not in json.dumps(said)


async def test_an_event_that_stopped_is_told_and_that_it_came_again(
    tmp_path: Path, town: Town
) -> None:
    more = """
[alerts.event_stopped]
events = 5
known = "1s"
silence = "1500ms"
times = 1
"""
    config = read(tmp_path, town, more)
    async with running(config) as gateway:
        for _ in range(8):
            await gateway.post({"userId": "u", "event": "Order"}, "/v1/track")
            await asyncio.sleep(0.2)
    async with running(config) as gateway:  # it learns at the start
        await until(lambda: town.told)
        assert town.said() == [("event_stopped", "web", "begins")]
        assert "web: anything has not come for" in town.told[0]["text"]
        await gateway.post({"userId": "u", "event": "Order"}, "/v1/track")
        await until(lambda: len(town.told) == 2)
    assert town.said()[1] == ("event_stopped", "web", "ends")


async def test_lag_is_told(tmp_path: Path, town: Town) -> None:
    town.crm = 503
    more = '[alerts.lag]\nevents = 5\nfor = "100ms"\n'
    async with running(read(tmp_path, town, more)) as gateway:
        await send(gateway, 6)
        await until(lambda: town.told)
    assert town.said() == [("lag", "crm", "begins")]


async def test_a_disk_that_fills_is_told(tmp_path: Path, town: Town) -> None:
    more = '[alerts.log_filling]\ndisk_free = "900000GB"\nfor = "100ms"\n'
    async with running(read(tmp_path, town, more)):
        await until(lambda: town.told)
    assert town.said() == [("log_filling", "log", "begins")]
    assert "MB left" in town.told[0]["text"]


async def test_unread_events_that_fill_the_log_are_told(
    tmp_path: Path, town: Town
) -> None:
    town.crm = 503
    more = '[alerts.log_filling]\npercent = 5\nfor = "100ms"\n'
    more += '[alerts.destination_down]\nenabled = false\n[log]\nsize = "2MB"\n'
    async with running(read(tmp_path, town, more)) as gateway:
        for each in range(12):
            body = {"userId": f"u{each}", "traits": {"text": "x" * 20_000}}
            await gateway.post(body)
        await until(lambda: town.told)
        assert town.said() == [("log_filling", "log", "begins")]
        text = town.told[0]["text"]
        assert "% of log.size: crm has to catch up" in text
        percent = town.told[0]["facts"]["unreadPercent"]
        assert 5 <= percent <= 15  # 12 times 20 KB, or some of them by then
        town.crm = 200
        await until(lambda: len(town.told) == 2)
    assert town.said()[1] == ("log_filling", "log", "ends")


async def test_whoever_is_told_and_hangs_holds_up_nothing(
    tmp_path: Path, town: Town
) -> None:
    town.crm = 503
    command = json.dumps([sys.executable, "-c", "import time; time.sleep(600)"])
    more = f"command = {command}\n{QUICK}"
    async with running(read(tmp_path, town, more)) as gateway:
        await send(gateway, 12)
        await until(lambda: town.told)
        town.crm = 200
        await until(lambda: len(town.told) == 2)
    assert town.said() == [DOWN, UP]


async def test_without_anybody_to_tell_nothing_runs(tmp_path: Path, town: Town) -> None:
    text = CONFIG.partition("[alerts]")[0]
    url = str(town.server.make_url("")).rstrip("/")
    config = parse(text.format(url=url), folder=tmp_path, environment={})
    async with running(config) as gateway:
        await send(gateway)
    assert not (tmp_path / "data" / "alerts.json.lock").exists()


# what `gateway check` refuses

SLACK = "[alerts]\nslack = 'https://x.example/'\n"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[alerts]", "alerts: nobody would be told: set webhook, slack, or command"),
        ("[alerts]\nslak = 'x'", "alerts.slak: unknown key.*did you mean slack"),
        ("[alerts]\nslack = 'hooks'", "alerts.slack: is no http:// or https:// URL"),
        (
            "[alerts]\nslack = 'http://10.0.0.1/x'",
            r'alerts.slack: its host is no public.*private_destinations = \["10.0.0.1',
        ),
        (
            SLACK + "secret = 's'",
            "alerts.secret: signs nothing: set alerts.webhook",
        ),
        ("[alerts]\ncommand = ['no-such-program']", "alerts.command: no such program"),
        ("[alerts]\ncommand = 'page'", "alerts.command: a text is not a list"),
        (
            SLACK + "[alerts.lags]",
            "alerts.lags: unknown key.*did you mean lag",
        ),
        (
            SLACK + "[alerts.lag]\nfor = '5 min'",
            "alerts.lag.for: '5 min' is not a duration",
        ),
        (
            SLACK + "[alerts.refused_rate]\npercent=101",
            "alerts.refused_rate.percent: 101 is more than 100",
        ),
        (
            f"{SLACK}[alerts.dead_letters]\nwithin = '2d'",
            "alerts.dead_letters.within: is not from",
        ),
        (
            SLACK + "every = '1h'",
            "alerts.every: is not from",
        ),
        (
            SLACK + "[ledger]\nenabled = false",
            r"alerts.event_stopped: needs the ledger: set ledger.enabled = true, or a",
        ),
    ],
)
def test_what_cannot_work_is_named_with_its_remedy(
    tmp_path: Path, table: str, words: str
) -> None:
    text = "[sources.web]\nwrite_keys = ['dev']\n" + table
    with pytest.raises(ConfigError, match=words) as caught:
        check(parse(text, folder=tmp_path, environment={}))
    assert "built-in default:" in str(caught.value)


def test_no_mistake_shows_the_secret_part_of_a_url(tmp_path: Path) -> None:
    text = "[sources.web]\nwrite_keys = ['dev']\n[alerts]\nslack = 'htp://h/T0K3N'"
    with pytest.raises(ConfigError) as caught:
        check(parse(text, folder=tmp_path, environment={}))
    assert "T0K3N" not in str(caught.value)
    config = parse(text.replace("htp", "http"), folder=tmp_path, environment={})
    assert "T0K3N" not in repr(check(config).wings[1].settings)


# `gateway alerts test`


def write(folder: Path, town: Town) -> Path:
    url = str(town.server.make_url("")).rstrip("/")
    file = folder / "gateway.toml"
    command = json.dumps([sys.executable, "-c", "import sys; sys.exit(3)"])
    file.write_text(CONFIG.format(url=url) + f"command = {command}\n")
    return file


async def gateway_command(*words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_sample_reaches_everyone_and_each_answer_is_said(
    tmp_path: Path, town: Town
) -> None:
    file = write(tmp_path, town)
    code, out, _ = await gateway_command("--config", str(file), "alerts", "test")
    assert (code, out) == (1, "webhook: told\ncommand: exit code 3\n")
    (said,) = town.told
    assert (said["alert"], said["state"]) == ("test", "test")


async def test_without_anybody_there_is_nobody_to_try(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("[sources.web]\nwrite_keys = ['dev']\n")
    code, _, err = await gateway_command("--config", str(file), "alerts", "test")
    assert (code, err) == (
        2,
        'gateway: alerts: nobody is named: set webhook, slack, or command = ["..."]\n',
    )
