"""A broker that asks who you are: passwords, certificates and rights of its own.

Its listener MAIN is open and for the tests themselves; the gateway comes through the
others. Who comes without a name may do everything, ``gateway`` may do what it is given.
"""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from tests.log.broker.kafka import Node, free_ports

USER, PASSWORD = "gateway", "secret"
KINDS = {"SASL": "SASL_PLAINTEXT", "TLS": "SSL", "BOTH": "SASL_SSL"}
TOPIC, GROUP = 2, 3  # Kafka's numbers for resources
READ, WRITE, CREATE, DESCRIBE, DESCRIBE_CONFIGS = 3, 4, 5, 8, 10  # and operations
LITERAL, PREFIXED = 3, 4
DENY, ALLOW = 2, 3
NEEDED = {  # what docs/how-to/kafka.md says the user needs, on names with its prefix
    TOPIC: (CREATE, DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE),
    GROUP: (DESCRIBE, READ),
}


class Rule(NamedTuple):
    """One ACL of the gateway's user, in the order of Kafka's request."""

    resource: int
    name: str
    pattern: int
    principal: str
    host: str
    operation: int
    permission: int


class Guarded(Node):
    """One broker with a listener of each kind, and one that it names wrongly."""

    def __init__(self, folder: Path) -> None:
        *each, lost = free_ports(len(KINDS) + 1)
        ports = dict(zip(KINDS, each, strict=True))
        self.lost, self.lost_name = f"127.0.0.1:{lost}", "kafka.invalid:9092"
        self.addresses = {
            KINDS[name]: f"127.0.0.1:{port}" for name, port in ports.items()
        }
        self.ca = folder / "ca.pem"
        self._listeners = ports
        super().__init__(folder, users={USER: PASSWORD})
        listeners = ",".join(f"{n}://127.0.0.1:{port}" for n, port in ports.items())
        kinds = ",".join(f"{name}:{kind}" for name, kind in KINDS.items())
        own = self._properties["listeners"]
        self._properties |= {
            "listeners": f"{own},LOST://{self.lost},{listeners}",
            "advertised.listeners": (
                f"MAIN://{self.address},LOST://{self.lost_name},{listeners}"
            ),
            "listener.security.protocol.map": (
                f"MAIN:PLAINTEXT,LOST:PLAINTEXT,CONTROLLER:PLAINTEXT,{kinds}"
            ),
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(folder / "broker.pem"),
            "authorizer.class.name": (
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
            ),
            "super.users": "User:ANONYMOUS",
        }
        module = "org.apache.kafka.common.security.{0}.{1}LoginModule required"
        for name in ("sasl", "both"):
            jaas = f"listener.name.{name}.{{}}.sasl.jaas.config"
            plain = module.format("plain", "Plain")
            scram = module.format("scram", "Scram")
            known = f'user_{USER}="{PASSWORD}"'
            self._properties[jaas.format("plain")] = f"{plain} {known};"
            self._properties[jaas.format("scram-sha-512")] = f"{scram};"

    def format(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        certify(self.folder)
        super().format()

    @asynccontextmanager
    async def administrated(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def allow(self, prefix: str) -> None:
        """Give the user what it needs for the topics and groups of a prefix."""
        async with self.administrated() as admin:
            for resource, operations in NEEDED.items():
                for operation in operations:
                    rule = rule_of(resource, prefix, PREFIXED, operation, ALLOW)
                    answer = await admin._send_request(CreateAclsRequest(*rule))
                    assert {code for code, *_ in answer.creation_responses} == {0}

    @asynccontextmanager
    async def denied(
        self, resource: int, name: str, operation: int
    ) -> AsyncIterator[None]:
        """Take one right on one name away until the end."""
        rule = rule_of(resource, name, LITERAL, operation, DENY)
        async with self.administrated() as admin:
            await admin._send_request(CreateAclsRequest(*rule))
            try:
                yield
            finally:
                await admin._send_request(DeleteAclsRequest(*rule))


def rule_of(
    resource: int, name: str, pattern: int, operation: int, permission: int
) -> Rule:
    return Rule(resource, name, pattern, f"User:{USER}", "*", operation, permission)


def certify(folder: Path) -> None:
    """An authority, and a certificate of it for 127.0.0.1 with its key."""
    extensions = folder / "extensions.cnf"
    extensions.write_text(
        "subjectAltName=IP:127.0.0.1\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    made = "-newkey rsa:2048 -nodes -keyout"
    signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions.cnf"
    usage = "-addext keyUsage=critical,keyCertSign"
    for command in (
        f"req -x509 {made} ca.key -out ca.pem -subj /CN=tests -days 2 {usage}",
        f"req {made} node.key -out node.csr -subj /CN=127.0.0.1",
        f"x509 -req -in node.csr {signed} -days 2 -out node.pem",
    ):
        words = ["openssl", *command.split()]
        subprocess.run(words, check=True, capture_output=True, cwd=folder)
    text = folder.joinpath("node.key").read_text()
    folder.joinpath("broker.pem").write_text(
        text + folder.joinpath("node.pem").read_text()
    )
