"""Who may: passwords, certificates and rights on a real Kafka."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Limits, LogConfig
from gateway.errors import ConfigError, LogError
from gateway.log import open_log
from gateway.log.kafka.log import KafkaLog
from gateway.notices import Notices
from tests.log.backends import (
    PATIENCE_S,
    KafkaBackend,
    entry,
    numbered,
    polled,
    scanned,
    taken,
    until,
    values,
)
from tests.log.broker.guarded import GROUP, PASSWORD, READ, TOPIC, USER, WRITE, Guarded

pytestmark = pytest.mark.service
LOGIN = {"sasl_username": USER, "sasl_password": PASSWORD}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    node = Guarded(tmp_path_factory.mktemp("guarded"))
    node.format()
    node.start()
    yield node
    node.kill()


def way(node: Guarded, kind: str, **more: Any) -> dict[str, Any]:
    """The settings of ``[log]`` for one of the broker's listeners."""
    settings: dict[str, Any] = {
        "security_protocol": kind,
        "bootstrap_servers": node.addresses[kind],
    }
    if kind.startswith("SASL"):
        settings |= {"sasl_mechanism": "PLAIN", **LOGIN}
    if kind.endswith("SSL"):
        settings["ssl_ca"] = node.ca
    return settings | more


WAYS = [
    ("SASL_PLAINTEXT", {}),
    ("SASL_PLAINTEXT", {"sasl_mechanism": "SCRAM-SHA-512"}),
    ("SSL", {}),
    ("SASL_SSL", {}),
    ("SASL_SSL", {"sasl_mechanism": "SCRAM-SHA-512"}),
]


@pytest.mark.parametrize(("kind", "more"), WAYS)
async def test_every_way_in_keeps_the_promises(
    guarded: Guarded, kind: str, more: dict[str, Any]
) -> None:
    backend = KafkaBackend(guarded)
    await guarded.allow(backend.prefix)
    config = backend.config(**way(guarded, kind, **more))
    async with backend.opened(config=config, topics=["to.crm", "outcomes"]) as log:
        await log.append(numbered(3))
        async with log.subscribe("to.crm", group="crm") as subscription:
            records = await polled(subscription, 3)
            await subscription.settle(records[:2], [entry("outcomes")])
            before = [r async for r in subscription.before_committed(10)]
            assert values(before) == ["0", "1"]
        assert values(await scanned(log)) == ["0", "1", "2"]
        (crm,) = [each for each in await log.topics() if each.name == "to.crm"]
        assert [(group.name, group.lag) for group in crm.groups] == [("crm", 1)]
        await log.ping()


@pytest.mark.parametrize(
    ("kind", "more", "says"),
    [
        ("SASL_PLAINTEXT", {"sasl_password": "wrong"}, "no broker answers at"),
        ("SSL", {"ssl_ca": None}, "no broker answers at"),
        ("PLAINTEXT", {}, "no broker answers at"),
    ],
)
async def test_who_is_not_let_in_hears_where(
    guarded: Guarded, kind: str, more: dict[str, Any], says: str
) -> None:
    backend = KafkaBackend(guarded)
    place = guarded.addresses["SASL_SSL" if kind == "PLAINTEXT" else kind]
    settings: dict[str, Any] = {"security_protocol": kind, "bootstrap_servers": place}
    if kind != "PLAINTEXT":
        settings = way(guarded, kind, **more)
    with pytest.raises(LogError, match=f"{says} {place}"):
        await backend.open(config=backend.config(**settings))


async def test_a_password_that_is_missing_is_named(guarded: Guarded) -> None:
    backend = KafkaBackend(guarded)
    settings = way(guarded, "SASL_SSL", sasl_username=None)
    with pytest.raises(ConfigError, match=r"needs log\.sasl_username"):
        await backend.open(config=backend.config(**settings))


async def test_a_ca_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    config = LogConfig(
        kind="kafka", security_protocol="SSL", ssl_ca=tmp_path / "none.pem"
    )
    with pytest.raises(ConfigError, match=r"log\.ssl_ca: .*none\.pem"):
        await open_log(config, Limits(), notices=Notices(io.StringIO()))


# Rights that are taken away while it runs: named, waited for, nothing skipped


async def opened(guarded: Guarded) -> tuple[KafkaBackend, KafkaLog]:
    backend = KafkaBackend(guarded)
    await guarded.allow(backend.prefix)
    config = backend.config(**way(guarded, "SASL_PLAINTEXT"))
    return backend, await backend.open(config=config, topics=["events", "to.crm"])


async def refusal(action: Callable[[], Awaitable[object]], words: str) -> str:
    """Do it until it is refused in these words: rules take a moment to arrive."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await action()
            except LogError as error:
                if words in str(error):
                    return str(error)
            await asyncio.sleep(0.02)


async def test_a_right_to_write_that_is_lost_is_named(guarded: Guarded) -> None:
    backend, log = await opened(guarded)
    topic = f"{backend.prefix}to.crm"
    await log.append([entry("events"), *numbered(1)])
    async with guarded.denied(TOPIC, topic, WRITE):
        await refusal(lambda: log.append(numbered(1)), "allow this user")
        with pytest.raises(LogError, match=rf"{topic}.*allow this user .* Write"):
            await log.ping()
        told = dict(backend.told)["log_write_failed"]
        assert topic in told["error"]
    await taken(lambda: log.append([entry(value="last")]))
    await taken(log.ping)
    assert values(await scanned(log))[-1] == "last"
    assert "log_write_recovered" in dict(backend.told)
    await log.close()


@pytest.mark.parametrize(
    ("resource", "name", "remedy"),
    [
        (TOPIC, "to.crm", "allow this user Describe"),
        (GROUP, "crm", "Read on the group"),
    ],
)
async def test_a_right_to_read_that_is_lost_is_named(
    guarded: Guarded, resource: int, name: str, remedy: str
) -> None:
    backend, log = await opened(guarded)
    full = backend.prefix + name
    seen: list[str] = []

    async def follow(subscription: Any) -> None:
        while True:
            try:
                records = await subscription.poll(limit=10, timeout_s=0.2)
                while records:
                    try:
                        await subscription.settle(records)
                        break
                    except LogError:
                        await asyncio.sleep(0.05)
            except LogError:
                await asyncio.sleep(0.05)
            else:
                seen.extend(values(records))

    async with log.subscribe("to.crm", group="crm") as subscription:
        task = asyncio.create_task(follow(subscription))
        await log.append(numbered(3))
        await until(lambda: len(seen) == 3)
        async with guarded.denied(resource, full, READ):
            await log.append(numbered(3, start=3))
            assert full in await refusal(log.ping, remedy)
        await until(lambda: sorted(set(seen)) == [str(n) for n in range(6)])
        await taken(log.ping)
        task.cancel()
        await asyncio.wait([task])
        assert len(seen) == 6
        assert subscription.lag == 0
    failed = [f["error"] for code, f in backend.told if code.endswith("_failed")]
    assert any(full in error and remedy in error for error in failed)
    await log.close()
