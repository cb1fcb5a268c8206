"""Who may: passwords, rights and certificates on a real Kafka."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import Limits, LogConfig
from gateway.errors import ConfigError, LogError
from gateway.log import open_log
from gateway.notices import Notices
from tests.log.broker.kafka import Node
from tests.log.conftest import KafkaBackend, numbered, polled, scanned

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("sasl"), users={"gateway": "secret"})
    node.format()
    node.start()
    yield node
    node.kill()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_sasl(guarded: Node, mechanism: str) -> None:
    backend = KafkaBackend(guarded)
    login = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_username": "gateway",
        "sasl_password": "secret",
    }
    async with backend.opened(config=backend.config(**login)) as log:
        await log.append(numbered(2))
        async with log.subscribe("to.crm", group="crm") as subscription:
            assert len(await polled(subscription, 2)) == 2
        assert len(await scanned(log)) == 2
    with pytest.raises(LogError, match="no broker answers"):
        await backend.open(config=backend.config(**login | {"sasl_password": "wrong"}))
    with pytest.raises(ConfigError, match=r"needs log\.sasl_username"):
        await backend.open(config=backend.config(**login | {"sasl_username": None}))


async def test_a_ca_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    config = LogConfig(
        kind="kafka", security_protocol="SSL", ssl_ca=tmp_path / "none.pem"
    )
    with pytest.raises(ConfigError, match=r"log\.ssl_ca: .*none\.pem"):
        await open_log(config, Limits(), notices=Notices(io.StringIO()))
