"""Who may: passwords, certificates and rights on a real Kafka."""

import asyncio
import io
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiokafka.consumer.subscription_state import SubscriptionState

from gateway.config import Limits, LogConfig
from gateway.errors import ConfigError, LogError
from gateway.log import open_log
from gateway.log.kafka import topics as kafka_topics
from gateway.log.kafka.log import KafkaLog
from gateway.log.kafka.wire import produce
from gateway.notices import Notices
from tests.log.backends import (
    PATIENCE_S,
    KafkaBackend,
    entry,
    numbered,
    past,
    polled,
    scanned,
    taken,
    until,
    values,
)
from tests.log.broker.guarded import (
    CREATE,
    DESCRIBE,
    DESCRIBE_CONFIGS,
    GROUP,
    KINDS,
    PASSWORD,
    READ,
    TOPIC,
    USER,
    WRITE,
    Guarded,
)
from tests.log.broker.kafka import free_ports

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
            before = await past(subscription, 10)
            assert [r.offset for r in before] == [r.offset for r in records[:2]]
        assert values(await scanned(log)) == ["0", "1", "2"]
        (crm,) = [each for each in await log.topics() if each.name == "to.crm"]
        assert [(group.name, group.lag) for group in crm.groups] == [("crm", 1)]
        await log.ping()


@dataclass(frozen=True)
class Wrong:
    """What stands in ``[log]``, and what the operator must read."""

    says: str
    kind: str = "PLAINTEXT"
    at: str = "MAIN"
    host: str = "127.0.0.1"
    more: Mapping[str, Any] = field(default_factory=dict)


SHORT = {"sasl_mechanism": "PLAIN", **LOGIN}
SCRAM = {"sasl_mechanism": "SCRAM-SHA-512", **LOGIN}
BAD = {"sasl_password": "wr0ng-w0rd"}
USE = "set log.security_protocol to"
WRONG = {
    "password": Wrong(
        "refuses the user or the password", "SASL_PLAINTEXT", "SASL", more=SHORT | BAD
    ),
    "password of SCRAM": Wrong(
        "refuses the user or the password", "SASL_PLAINTEXT", "SASL", more=SCRAM | BAD
    ),
    "password behind TLS": Wrong(
        "refuses the user or the password", "SASL_SSL", "BOTH", more=SHORT | BAD
    ),
    "mechanism": Wrong(
        "takes no SCRAM-SHA-256: set log.sasl_mechanism to one of PLAIN, SCRAM-SHA-512",
        "SASL_PLAINTEXT",
        "SASL",
        more=SHORT | {"sasl_mechanism": "SCRAM-SHA-256"},
    ),
    "no login at SASL": Wrong(
        f"takes PLAIN, SCRAM-SHA-512: {USE} SASL_PLAINTEXT", at="SASL"
    ),
    "a login at PLAINTEXT": Wrong(
        f"asks for no login: {USE} PLAINTEXT", "SASL_PLAINTEXT", more=SHORT
    ),
    "no TLS at TLS": Wrong(f"speaks TLS and asks for no login: {USE} SSL", at="TLS"),
    "nothing at both": Wrong(
        f"speaks TLS and takes PLAIN, SCRAM-SHA-512: {USE} SASL_SSL", at="BOTH"
    ),
    "no TLS at both": Wrong(f"{USE} SASL_SSL", "SASL_PLAINTEXT", "BOTH", more=SHORT),
    "TLS at PLAINTEXT": Wrong(
        f"speaks no TLS and asks for no login: {USE} PLAINTEXT", "SSL"
    ),
    "TLS at SASL": Wrong(f"{USE} SASL_PLAINTEXT", "SASL_SSL", "SASL", more=SHORT),
    "no login at both": Wrong(f"{USE} SASL_SSL", "SSL", "BOTH"),
    "CA": Wrong(
        "of an authority that is not trusted", "SSL", "TLS", more={"ssl_ca": None}
    ),
    "CA with a login": Wrong(
        "set log.ssl_ca", "SASL_SSL", "BOTH", more=SHORT | {"ssl_ca": None}
    ),
    "host": Wrong("its certificate is for another host", "SSL", "TLS", "localhost"),
    "name": Wrong("no such name (DNS)", host="kafka.invalid"),
    "port": Wrong("nobody listens there", at="NOBODY"),
    "a web server": Wrong("a server for HTTP", at="HTTP"),
    "a server that is silent": Wrong("does not answer as Kafka does", at="SILENT"),
    "what the broker says of itself": Wrong(
        "the broker says it is reached at kafka.invalid:9092, and there no such name",
        at="LOST",
    ),
}


@pytest.fixture(scope="module")
def places(guarded: Guarded) -> Iterator[Mapping[str, int]]:
    """A port for each place, the broker's and those of others."""
    kinds = {name: guarded.addresses[kind] for name, kind in KINDS.items()}
    found = kinds | {"MAIN": guarded.address, "LOST": guarded.lost}
    ports = {name: int(at.rpartition(":")[2]) for name, at in found.items()}
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            (nobody,) = free_ports(1)
            others = {"HTTP": web.server_port, "SILENT": silent.getsockname()[1]}
            yield ports | others | {"NOBODY": nobody}
        web.shutdown()


@pytest.mark.parametrize("case", WRONG)
async def test_what_keeps_it_from_the_brokers_is_named(
    guarded: Guarded,
    places: Mapping[str, int],
    case: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_topics, "REQUEST_S", 2.0)
    monkeypatch.setattr(produce, "START_S", 2.0)
    wrong = WRONG[case]
    place = f"{wrong.host}:{places[wrong.at]}"
    settings: dict[str, Any] = {
        "security_protocol": wrong.kind,
        "bootstrap_servers": place,
    }
    if "SSL" in wrong.kind:
        settings["ssl_ca"] = guarded.ca
    backend = KafkaBackend(guarded)
    with pytest.raises(LogError) as refused:
        await backend.open(config=backend.config(**{**settings, **wrong.more}))
    said = str(refused.value)
    assert wrong.says in said
    assert said.startswith(
        "kafka: the broker says" if wrong.at == "LOST" else f"kafka: {place}: "
    )
    assert not any(secret in said for secret in (PASSWORD, BAD["sasl_password"]))


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
        (TOPIC, "to.crm", "Create, Read and Write on the topics"),
        (GROUP, "crm", "Read on the groups"),
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


# Rights that are missing from the start


@pytest.mark.parametrize("operation", [CREATE, DESCRIBE, DESCRIBE_CONFIGS])
async def test_a_right_that_is_missing_at_the_start_is_named(
    guarded: Guarded, operation: int
) -> None:
    backend = KafkaBackend(guarded)
    await guarded.allow(backend.prefix)
    config = backend.config(**way(guarded, "SASL_PLAINTEXT"))
    remedy = "allow this user Describe, DescribeConfigs, Create, Read and Write"
    async with guarded.denied(TOPIC, f"{backend.prefix}to.crm", operation):
        async with asyncio.timeout(PATIENCE_S):
            while True:  # rules take a moment to arrive
                topics = [f"{backend.prefix}to.crm"]
                try:
                    log = await backend.open(config=config)
                except LogError as error:
                    said = str(error)
                    break
                await log.close()
                async with guarded.administrated() as admin:
                    await admin.delete_topics(topics)
    assert remedy in said


@pytest.mark.parametrize("operation", [DESCRIBE, READ])
async def test_a_worker_that_may_not_join_says_so_at_once(
    guarded: Guarded, operation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the broker refuses it before aiokafka waits to be told."""
    monkeypatch.setattr(SubscriptionState, "abort_waiters", lambda *_: None)
    backend, log = await opened(guarded)
    full = f"{backend.prefix}crm"

    async def join() -> None:
        async with asyncio.timeout(10):  # of the 40 that a join may take
            async with log.subscribe("to.crm", group="crm"):
                pass

    async with guarded.denied(GROUP, full, operation):
        said = await refusal(join, "allow this user Describe and Read on the groups")
        assert full in said
        with pytest.raises(LogError, match=rf"{full}.* allow this user"):
            await log.ping()
        told = dict(backend.told)["log_read_failed"]
        assert (told["topic"], told["group"], told["error"]) == ("to.crm", "crm", said)
    await taken(join)
    await log.ping()
    assert "log_read_recovered" in dict(backend.told)
    await log.close()
