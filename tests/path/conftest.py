"""A webhook and a real Kafka for the tests of the whole program."""

import pytest

from tests.log.broker.kafka import Node
from tests.path.clustered import on
from tests.path.running import Webhook


@pytest.fixture
async def hook():
    async with Webhook() as webhook:
        yield webhook


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("kafka"))
    node.format()
    node.start()
    yield node
    node.kill()


@pytest.fixture
def node(broker):
    """One broker for all; a test that killed or froze it and failed leaves it alive."""
    assert broker.process is not None
    if broker.process.poll() is not None:
        broker.start()
    else:
        broker.thaw()
    return broker


@pytest.fixture(params=["sqlite", "kafka"])
def log(request):
    """``[log]`` of a configuration: each backend in turn."""
    return on(request.getfixturevalue("node")) if request.param == "kafka" else ""
