"""The whole program in process: roles, the order of its end, and what hinders it."""

import asyncio
import gc
import io
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway import cli
from gateway import config as configuration
from gateway.app import Role
from gateway.config import Config, Limits, parse
from gateway.errors import ConfigError, GatewayError
from gateway.log import Span, open_log
from gateway.notices import Notices
from gateway.outbound.work import Worker
from tests.whole import PATIENCE_S, running, until

CONFIG = """
[server]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:0"
private_destinations = ["127.0.0.0/8"]
[sources.web]
write_keys = ["dev"]
[destinations.crm]
type = "webhook"
settings = {{ url = "{url}" }}
[destinations.inbox]
type = "file"
settings = {{ path = "inbox.ndjson" }}
"""
NOWHERE = "http://127.0.0.1:9/"
ANN = {"userId": "ann", "messageId": "m1"}


def read(folder: Path, url: str = NOWHERE, port: int = 0) -> Config:
    text = CONFIG.format(url=url, port=port)
    return parse(text, folder=folder, environment={})


class Crm:
    """A webhook that answers when it is let."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        application = web.Application()
        application.router.add_post("/", self._answer)
        self.server = TestServer(application)

    async def _answer(self, request: web.Request) -> web.Response:
        self.got.append((await request.json())["messageId"])
        await self.open.wait()
        return web.Response()


@pytest.fixture
async def crm() -> Any:
    crm = Crm()
    await crm.server.start_server()
    yield crm
    await crm.server.close()


def url(crm: Crm) -> str:
    return str(crm.server.make_url("/"))


async def records(config: Config, topic: str) -> list[Any]:
    """What is in the log, once nobody holds it."""
    log = await open_log(
        config.log, Limits(), topics=[topic], notices=Notices(io.StringIO())
    )
    try:
        return [record async for record in log.scan(topic, Span())]
    finally:
        await log.close()


# roles


@pytest.mark.parametrize(
    ("role", "log", "words"),
    [
        (Role(name="intake"), "sqlite", "SQLite's log belongs to one process"),
        (Role(destinations=frozenset({"crm"})), "sqlite", "SQLite's log belongs"),
        (
            Role(name="worker", destinations=frozenset({"nope"})),
            "kafka",
            "--destination nope: known are: crm, inbox",
        ),
        (
            Role(name="intake", destinations=frozenset({"crm"})),
            "kafka",
            "--destination is for workers",
        ),
    ],
)
def test_a_role_that_cannot_be_is_named(
    tmp_path: Path, role: Role, log: str, words: str
) -> None:
    kafka = '[log]\nkind = "kafka"\nbootstrap_servers = "127.0.0.1:9"\n'
    text = CONFIG.format(url=NOWHERE, port=0) + (kafka if log == "kafka" else "")
    with pytest.raises(ConfigError, match=words):
        role.check(parse(text, folder=tmp_path, environment={}))


async def test_an_intake_only_takes_and_a_worker_only_delivers_its_own(
    tmp_path: Path, crm: Crm
) -> None:
    config = read(tmp_path, url(crm))
    async with running(config, Role(name="intake")) as intake:
        assert await intake.post(ANN) == 200
        assert (await intake.get("/readyz"))["destinations"] == {}
    assert crm.got == []
    role = Role(name="worker", destinations=frozenset({"crm"}))
    async with running(config, role) as worker:
        assert worker.ports.result()[0] is None
        assert list((await worker.get("/readyz"))["destinations"]) == ["crm"]
        await until(lambda: crm.got == ["m1"])
    assert not (tmp_path / "inbox.ndjson").exists()
    assert len(await records(config, "outcomes")) == 1


# the end


async def test_a_stop_takes_no_more_then_finishes_then_settles(
    tmp_path: Path, crm: Crm
) -> None:
    config = read(tmp_path, url(crm))
    crm.open.clear()
    async with running(config) as gateway:
        assert await gateway.post(ANN) == 200
        await until(lambda: crm.got == ["m1"])
        await until((tmp_path / "inbox.ndjson").exists)
        host, port = gateway.url.removeprefix("http://").split(":")
        gateway.stop.set()
        await until(lambda: refuses(host, int(port)))
        assert not gateway.task.done()  # the request to the crm is under way
        crm.open.set()
        async with asyncio.timeout(PATIENCE_S):
            await gateway.task
    kinds = [
        json.loads(each.value)["kind"] for each in await records(config, "outcomes")
    ]
    assert kinds == ["delivered"] * 2
    async with running(config) as gateway:  # what was delivered is settled
        assert await gateway.post({**ANN, "messageId": "m2"}) == 200
        await until(lambda: len(crm.got) > 1)
    assert crm.got == ["m1", "m2"]


def refuses(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return True
    return False


async def test_cancelled_it_lets_go_of_its_ports_and_its_log(
    tmp_path: Path, crm: Crm
) -> None:
    config = read(tmp_path, url(crm))
    async with running(config) as gateway:
        assert await gateway.post(ANN) == 200
        host, port = gateway.url.removeprefix("http://").split(":")
        gateway.task.cancel()
        await asyncio.wait([gateway.task], timeout=PATIENCE_S)
        assert gateway.task.cancelled()
        assert refuses(host, int(port))
    async with running(read(tmp_path, url(crm), int(port))):
        await until(lambda: "m1" in crm.got)


# what hinders it


async def test_a_taken_port_is_named_and_the_log_let_go(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        place = f"server.listen: cannot listen on 127.0.0.1:{port}"
        with pytest.raises(GatewayError, match=place):
            async with running(read(tmp_path, port=port)):
                raise AssertionError("it started")
    async with running(read(tmp_path, port=port)) as gateway:
        assert gateway.url.endswith(f":{port}")


async def test_a_bug_in_a_worker_is_told_and_it_starts_again(
    tmp_path: Path, crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.RESTART_S", 0.01)
    run, broken = Worker.run, ["crm", "crm"]

    async def breaks(worker: Worker) -> None:
        if worker.name in broken:
            broken.remove(worker.name)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fails())
        await run(worker)

    async def fails() -> None:
        raise KeyError("cool.person@example.com")

    monkeypatch.setattr(Worker, "run", breaks)
    async with running(read(tmp_path, url(crm))) as gateway:
        assert await gateway.post(ANN) == 200
        await until(lambda: crm.got == ["m1"])
        await until((tmp_path / "inbox.ndjson").exists)  # others were not held up
    first, second = gateway.notices("worker_failed")
    assert (first["destination"], first["error"]) == ("crm", "KeyError")
    assert "fails" in second["place"]
    assert "cool.person" not in gateway.said.getvalue()


# as a user starts it


class Screen(io.StringIO):
    """What is written can be waited for from another thread."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = threading.Event()

    def flush(self) -> None:
        self.ready.set()


@pytest.fixture
def collector() -> Iterator[None]:
    """``serve`` sets the garbage collector for a process of its own."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def posted(url: str, folder: Path) -> int:
    """The status of one message, once it has arrived in the file."""
    request = urllib.request.Request(
        f"{url}/v1/identify",
        data=b'{"userId": "u"}',
        headers={"Authorization": "Basic ZGV2Og=="},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        status: int = answer.status
    inbox, end_s = folder / "data/inbox.ndjson", time.monotonic() + PATIENCE_S
    while not (inbox.exists() and inbox.read_text().endswith("\n")):
        assert time.monotonic() < end_s
        time.sleep(0.01)
    return status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_an_empty_folder_it_serves_until_it_is_told_to_stop(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    collector: None,
    number: signal.Signals,
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = '[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'
    default = configuration.DEFAULT + 'listen = "127.0.0.1:0"\n'  # of [console]
    monkeypatch.setattr(configuration, "DEFAULT", elsewhere + default)
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    heard: list[int] = []

    def user() -> None:
        assert screen.ready.wait(PATIENCE_S)
        try:
            heard.append(posted(screen.getvalue().split()[1], tmp_path))
        finally:
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=user)
    thread.start()
    try:
        assert cli.main(["serve"]) == 0
    finally:
        thread.join()
    assert heard == [200]
    assert "curl http://127.0.0.1:" in screen.getvalue()
    assert (tmp_path / "data/inbox.ndjson").read_text().count('"userId":"u"') == 1
