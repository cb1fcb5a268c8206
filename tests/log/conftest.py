"""What the conformance suite needs of a backend; a second one adds a parameter."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.log.contract import EventLog
from tests.log.backends import Backend, KafkaBackend, SqliteBackend
from tests.log.broker.kafka import Node


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One broker for the whole session."""
    node = Node(tmp_path_factory.mktemp("kafka"))
    node.format()
    node.start()
    yield node
    node.kill()


@pytest.fixture
def kafka(node: Node) -> KafkaBackend:
    return KafkaBackend(node)


@pytest.fixture(
    params=["sqlite", pytest.param("kafka", marks=pytest.mark.service)],
)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "kafka":
        return KafkaBackend(request.getfixturevalue("node"))
    return SqliteBackend(tmp_path)


@pytest.fixture
async def log(backend: Backend) -> AsyncIterator[EventLog]:
    async with backend.opened() as log:
        yield log


@pytest.fixture
def sqlite(tmp_path: Path) -> SqliteBackend:
    return SqliteBackend(tmp_path)
