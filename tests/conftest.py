"""What holds for every test, and the one broker of those that run the whole program."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.log.broker.kafka import Node

# A busy machine is no reason to fail: examples assert causes, never how long they took.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")


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
