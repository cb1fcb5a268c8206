"""What holds for every test, and the one broker of those that run the whole program."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.chance import SEED, USUAL
from tests.log.broker.kafka import Node

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


def pytest_report_header() -> str:
    return f"seed: GATEWAY_SEED={SEED} chooses the same again"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.stats.get("failed"):
        terminalreporter.write_line(pytest_report_header())


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
