"""Beyond one machine: Kafka and PostgreSQL, one worker active and one standing by."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.workspace.store import Store, url_of
from tests.log.broker.kafka import Node
from tests.path.running import Gateway
from tests.workspace.contents import rows
from tests.workspace.test_road import Desk, config, identify

pytestmark = [pytest.mark.service, pytest.mark.soak]


@pytest.fixture
def node(tmp_path):
    broker = Node(tmp_path / "kafka")
    broker.format()
    broker.start()
    yield broker
    broker.kill()


async def test_order_survives_the_death_of_the_active_worker(tmp_path, postgres, node):
    url = postgres.make_database("kafka")
    log = (
        f'[log]\nkind = "kafka"\nbootstrap_servers = "{node.address}"\n'
        "partitions = 1\nreplication_factor = 1\n"
    )
    text = config(url, log)
    async with AsyncExitStack() as stack:

        async def start(name, *serve):
            gateway = Gateway(tmp_path, text, serve=("--role", *serve), name=name)
            return await stack.enter_async_context(gateway)

        intake = await start("-intake", "intake")
        workers = [
            await start(f"-{number}", "worker", "--destination", "people")
            for number in range(2)
        ]
        for number in range(60):
            if number == 30:
                await workers[0].kill()
            await identify(intake, f"m{number}", userId="u1", traits={"n": number})
        desk = Desk(workers[1])
        async with asyncio.timeout(60):
            await desk.decided("m59")
        person = await desk.attributes("u1")
        assert person["attributes"]["n"] == "59"
    store = Store(url_of(url, tmp_path))
    changes = [
        row["message_id"]
        for row in await rows(store, "activities")
        if row["type"] == "attribute_change"
    ]
    await store.close()
    assert changes == [f"m{number}" for number in range(60)]
