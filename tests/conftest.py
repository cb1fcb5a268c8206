"""What holds for every test, and the one broker and the one database they share."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from tests.chance import SEED, USUAL
from tests.log.broker.kafka import Node
from tests.workspace.postgres.server import Server

# A busy machine is no reason to fail: examples assert causes, never how long they took.
settings.register_profile(
    "gateway",
    deadline=None,
    max_examples=USUAL,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fast", settings.get_profile("gateway"), max_examples=25)
settings.load_profile("gateway")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(SEED)


def pytest_report_header() -> list[str]:
    said = [f"seed: GATEWAY_SEED={SEED} chooses the same again"]
    if not os.environ.get("GATEWAY_SPECS"):
        said.append("specs: GATEWAY_SPECS names no folder of the vendors' documents")
    return said


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """The vendors' own documents are no part of the project: without, they say so."""
    if os.environ.get("GATEWAY_SPECS"):
        return
    away = [each for each in items if each.get_closest_marker("specs")]
    if away:
        config.hook.pytest_deselected(items=away)
        items[:] = [each for each in items if not each.get_closest_marker("specs")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.stats.get("failed"):
        terminalreporter.write_line(pytest_report_header()[0])


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops for a module that says ``BOTH_LOOPS``: their transports differ."""
    factories = {"asyncio": asyncio.new_event_loop}
    if hasattr(item, "module") and getattr(item.module, "BOTH_LOOPS", False):
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("kafka"))
    node.format()
    node.start()
    yield node
    node.kill()


@pytest.fixture
def node(broker: Node) -> Node:
    """One broker for all; a test that killed or froze it and failed leaves it alive.

    Who uses it has topics of a prefix that nobody else has.
    """
    assert broker.process is not None
    if broker.process.poll() is not None:
        broker.start()
    else:
        broker.thaw()
    return broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Not in pytest's own folder: an unprivileged user has to get there."""
    with TemporaryDirectory(prefix="gateway-postgres-") as folder:
        Path(folder).chmod(0o755)
        server = Server(Path(folder) / "cluster")
        server.create()
        server.start()
        yield server
        server.stop()
