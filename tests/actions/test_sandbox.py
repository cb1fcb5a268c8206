"""What the package's code can reach: the gateway alone, with ``unshare`` or without."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.actions import isolate
from gateway.notices import Notice
from gateway.outbound.contract import Delivered, Retry
from tests.actions.fakes import Fake

pytestmark = pytest.mark.service
ENVIRONMENT = "environment"


class Vendor:
    """Listens at one port of loopback, by TCP and UDP, and beside it on a path."""

    def __init__(self, folder: Path) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.path = str(folder / "socket")
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(self.path)
        self.unix.listen()
        self.sockets = (self.tcp, self.udp, self.unix)

    def reached(self) -> list[str]:
        """Who was spoken to: of what has nothing to read, nobody was."""
        found = []
        for each in self.sockets:
            each.settimeout(0)
            try:
                each.recv(1) if each is self.udp else each.accept()
            except BlockingIOError:
                continue
            found.append(repr(each))
        return found

    def close(self) -> None:
        for each in self.sockets:
            each.close()


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    made = Vendor(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["without a network", "with one"])
async def fake(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fake]:
    prefix = () if request.param == "with one" else isolate.found().prefix
    environment = {"VENDOR_TOKEN": "x"}
    async with Fake(tmp_path, environment=environment, prefix=prefix) as made:
        yield made


async def tried(fake: Fake, vendor: Vendor, folder: Path) -> dict[str, Any]:
    """How each way out ended."""
    config, module = folder / "gateway.toml", folder / "module.js"
    config.write_text("secret = 1")
    module.write_text("module.exports = 'loaded'")
    given = {
        "port": vendor.port,
        "url": f"http://127.0.0.1:{vendor.port}/",
        "socket": vendor.path,
        "file": str(config),
        "folder": str(folder),
        "module": str(module),
    }
    async with asyncio.timeout(60):
        assert await fake.do("reach", given) == Delivered(200)
    found: dict[str, Any] = fake.said[0]
    return found


async def test_nothing_is_within_reach(
    fake: Fake, vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_SECRET", "of the gateway")
    found = await tried(fake, vendor, tmp_path)
    variables = found.pop(ENVIRONMENT)
    assert {way: end for way, end in found.items() if end.startswith("reached")} == {}
    assert len(found) > 35
    assert variables == "NODE_ENV TZ VENDOR_TOKEN"
    assert vendor.reached() == []
    assert not (tmp_path / "written").exists()


async def test_another_host_is_refused_and_told(fake: Fake) -> None:
    verdict = await fake.do("elsewhere")
    assert isinstance(verdict, Retry)
    assert verdict.reason == "UnexpectedHostError"
    assert fake.notices == [Notice("unexpected_host", "elsewhere.test")]
