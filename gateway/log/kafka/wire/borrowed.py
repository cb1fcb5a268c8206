"""Everything that is borrowed of aiokafka's inside: no other file here looks into it.

aiokafka is pinned to one minor version (pyproject.toml). ``BORROWED`` lists the names;
a test asks the installed version for each, so that an upgrade that lacks one fails
there and not at a broker's restart.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.client import ConnectionGroup
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import KafkaError

LIBRARY = logging.getLogger("aiokafka")
BORROWED: Mapping[str, tuple[str, ...]] = {
    "aiokafka.client.AIOKafkaClient": ("_conns", "_get_conn", "_metadata_update"),
    "aiokafka.conn.AIOKafkaConnection": (
        *("_client_id", "_next_correlation_id", "_requests", "_versions", "_writer"),
    ),
    "aiokafka.consumer.consumer.AIOKafkaConsumer": (
        *("_client", "_coordinator", "_fetcher"),
    ),
    "aiokafka.consumer.fetcher.Fetcher": ("_records",),
    "aiokafka.consumer.fetcher.FetchResult": ("_partition_records",),
    "aiokafka.consumer.fetcher.PartitionRecords": ("_records_iterator",),
    "aiokafka.consumer.group_coordinator.GroupCoordinator": ("_coordination_task",),
    "aiokafka.admin.client.AIOKafkaAdminClient": ("_client", "_send_request"),
}
"""Class -> the names that are used of it, each without a public way to the same."""


def steady(client: Any) -> Any:
    """The same aiokafka client without two of its faults.

    aiokafka 0.14 has no answer to an exception while it asks for metadata (a broker
    that goes down at that moment raises some): the task ends, and whoever waits for
    metadata, a commit for instance, waits for ever. And it drops a connection that the
    broker has ended without closing it: its socket stays open until it is collected.
    """
    update = client._metadata_update  # noqa: SLF001 -- BORROWED

    async def updated(cluster: Any, topics: Any) -> bool:
        try:
            return bool(await update(cluster, topics))
        except Exception as error:  # noqa: BLE001 -- whatever it is, ask again later
            LIBRARY.error("Metadata failed: %s", type(error).__name__)
            return False

    client._metadata_update = updated  # noqa: SLF001 -- BORROWED
    connect, known = client._get_conn, client._conns  # noqa: SLF001 -- BORROWED

    async def connected(node: int, **how: Any) -> Any:
        for place in [place for place in known if place[0] == node]:
            if not known[place].connected():
                known[place].close()
        return await connect(node, **how)

    client._get_conn = connected  # noqa: SLF001 -- BORROWED
    return client


def steady_consumer(consumer: AIOKafkaConsumer) -> AIOKafkaConsumer:
    """The same consumer, its client without those faults."""
    steady(consumer._client)  # noqa: SLF001 -- BORROWED
    return consumer


async def close_client(owner: Any) -> None:
    """Close a consumer's or an admin's connections at once.

    Their own ``stop`` and ``close`` wait for brokers that are away, or for a start that
    has not ended.
    """
    await owner._client.close()  # noqa: SLF001 -- BORROWED


def forget_fetched(consumer: AIOKafkaConsumer) -> None:
    """Let go of what a consumer has fetched and nobody took; it has been stopped.

    Megabytes that nobody asked for, each in a cycle of references with a generator:
    they would stay until a collection of all generations, which a gateway makes rarely.
    """
    fetcher = consumer._fetcher  # noqa: SLF001 -- BORROWED
    fetched = {} if fetcher is None else fetcher._records  # noqa: SLF001 -- BORROWED
    for fetch in fetched.values():
        if isinstance(fetch, FetchResult) and fetch.has_more():
            records = fetch._partition_records  # noqa: SLF001 -- BORROWED
            records._records_iterator.close()  # noqa: SLF001 -- BORROWED
    fetched.clear()


def connection_to(client: Any, node: int) -> Any:
    """The connection to a broker that is ready, as the client's ``send`` finds it."""
    return client._conns[node, ConnectionGroup.DEFAULT]  # noqa: SLF001 -- BORROWED


class Line(NamedTuple):
    """What a request is written with: past ``send``, which copies all of it."""

    versions: tuple[int, int]
    writer: Any
    requests: Any
    client_id: bytes


def line_of(connection: Any, api_key: int) -> Line:
    """A connection's writer and queue; ``versions`` of this API that the broker has."""
    return Line(
        connection._versions.get(api_key, (0, -1)),  # noqa: SLF001 -- BORROWED
        connection._writer,  # noqa: SLF001 -- BORROWED
        connection._requests,  # noqa: SLF001 -- BORROWED
        connection._client_id.encode(),  # noqa: SLF001 -- BORROWED
    )


def next_number(connection: Any) -> int:
    """The number that an answer is told by."""
    number: int = connection._next_correlation_id()  # noqa: SLF001 -- BORROWED
    return number


async def ask(admin: Any, request: Any, node: int | None = None) -> Any:
    """Send a request that the admin client has no call for; to any node for None."""
    if node is None:
        return await admin._send_request(request)  # noqa: SLF001 -- BORROWED
    return await admin._send_request(request, node)  # noqa: SLF001 -- BORROWED


def brokers_of(admin: Any) -> list[tuple[str, int]]:
    """Where the cluster has said that its brokers are; none if it could say nothing."""
    brokers = admin._client.cluster.brokers()  # noqa: SLF001 -- BORROWED
    return [(each.host, each.port) for each in brokers]


def has_ended(consumer: AIOKafkaConsumer) -> bool:
    """Its membership is over, for a reason nobody foresaw: it is not begun again."""
    ended: bool = consumer._coordinator._coordination_task.done()  # noqa: SLF001 -- BORROWED
    return ended


def trouble_of(consumer: AIOKafkaConsumer) -> KafkaError | None:
    """What has failed in the group, once.

    aiokafka stands still until somebody hears of it, and tells only who fetches: during
    a rebalance, or while it is paused, nobody does.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 -- BORROWED
    if coordinator is None or coordinator._coordination_task.cancelled():  # noqa: SLF001 -- BORROWED
        return None  # it is not begun yet, or being ended
    try:
        coordinator.check_errors()
    except KafkaError as error:
        return error
    return None


def generation_of(consumer: AIOKafkaConsumer) -> int:
    """The generation of the group, one more with each rebalance; -1: no member now."""
    generation: int = consumer._coordinator.generation  # noqa: SLF001 -- BORROWED
    return generation
