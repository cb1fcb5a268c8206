"""A sidecar without a network: whether it can be, and that it then has none."""

import socket
import subprocess
from pathlib import Path

import pytest

from gateway import parts
from gateway.actions import isolate, node
from gateway.actions.isolate import Isolation
from gateway.actions.launch import launched
from gateway.config import parse
from gateway.errors import ConfigError
from tests.actions.acme import PROGRAM
from tests.actions.fakes import Fake
from tests.actions.machine import Machine
from tests.actions.test_wing import ACME, SOURCE, put, settings

CONNECT = """
const socket = require("net").connect(Number(process.argv[1]), "127.0.0.1");
socket.on("connect", () => { console.log("connected"); socket.destroy(); });
socket.on("error", (error) => console.log(error.code));
"""
CANNOT = Isolation(why="unshare failed: Operation not permitted")
CAN = Isolation(("unshare", "-rn"))


@pytest.fixture
def _acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "find", lambda: PROGRAM)
    put(tmp_path / "data" / "actions")


def said(isolation: Isolation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "found", lambda: isolation)


@pytest.mark.usefixtures("_acme")
@pytest.mark.parametrize(
    ("text", "isolation", "prefix"),
    [
        ("", CAN, ("unshare", "-rn")),
        ("", CANNOT, ()),
        ('[actions]\nisolate = "always"\n', CAN, ("unshare", "-rn")),
        ('[actions]\nisolate = "never"\n', CAN, ()),
    ],
)
def test_a_process_has_no_network_where_that_is_wanted_and_can_be(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    isolation: Isolation,
    prefix: tuple[str, ...],
) -> None:
    said(isolation, monkeypatch)
    made = settings(tmp_path, text)
    assert launched(PROGRAM, made).command(3)[: len(prefix)] == [*prefix]
    assert launched(PROGRAM, made).prefix == prefix


@pytest.mark.usefixtures("_acme")
def test_always_where_it_cannot_be_is_a_mistake_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(CANNOT, monkeypatch)
    always = '[actions]\nisolate = "always"\n'
    with pytest.raises(ConfigError) as raised:
        settings(tmp_path, always)
    assert "actions.isolate" in str(raised.value)
    assert "Operation not permitted: let unprivileged users" in str(raised.value)
    parts.check(parse(SOURCE + always, folder=tmp_path))  # there is no such process
    switched_off = f"{ACME}enabled = false\n"
    parts.check(parse(SOURCE + switched_off + always, folder=tmp_path))


@pytest.mark.usefixtures("_acme")
def test_a_process_for_all_is_declined_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a process of its own, so that an event"):
        settings(tmp_path, "[actions]\nshare = true\n")
    with pytest.raises(ConfigError, match="isolate"):
        settings(tmp_path, '[actions]\nisolate = "sometimes"\n')


def test_why_it_cannot_be_is_what_the_machine_says(machine: Machine) -> None:
    isolate.found.cache_clear()
    try:
        assert "unshare is not on PATH" in isolate.found().why
        text = "#!/bin/sh\necho unshare: not here >&2\nexit 1\n"
        machine.write("unshare", text)
        assert "not on PATH" in isolate.found().why  # it is asked once
        isolate.found.cache_clear()
        assert isolate.found() == Isolation(why="unshare: not here")
    finally:
        isolate.found.cache_clear()


@pytest.mark.service
def test_without_a_network_even_an_open_process_reaches_nothing() -> None:
    """The same program, with all of Node's permissions: the kernel has no way out."""
    found = isolate.found()
    program = node.find()
    with socket.create_server(("127.0.0.1", 0)) as vendor:
        port = str(vendor.getsockname()[1])

        def connects(*prefix: str) -> str:
            command = [*prefix, str(program.program), "-e", CONNECT, port]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=60
            )
            return done.stdout.strip()

        assert connects() == "connected"
        if found.prefix:
            assert connects(*found.prefix) == "ENETUNREACH"
        else:  # a machine that does not allow it says so
            assert isolate.refused("always") is not None


def network_of(pid: str) -> Path:
    return Path(f"/proc/{pid}/ns/net").readlink()


@pytest.mark.service
async def test_the_process_of_a_destination_is_in_a_network_of_its_own(
    tmp_path: Path,
) -> None:
    found = isolate.found()
    async with Fake(tmp_path, prefix=found.prefix) as fake:
        await fake.do("say", 1)
        theirs = network_of(str(fake.pid))
        assert fake.said == [1]
    assert (theirs != network_of("self")) is bool(found.prefix)
