"""A real Kafka for the tests: one node or more, KRaft, started in seconds.

Kafka comes from Maven Central into a cache outside the checkout. Java 17 or later and
Maven are needed; without them the tests fail and say so.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VERSION = "4.1.0"
POM = Path(__file__).with_name("pom.xml")
CLUSTER_ID = "gatewaytestsgatewayte1"
START_S = 120.0
PORTS = (15_000, 32_000)
JAVA = (
    "-Xmx512m",
    "-Xms256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
)
PROPERTIES = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "num.partitions": "3",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "broker.session.timeout.ms": "2000",  # how soon a killed broker may come back
    "broker.heartbeat.interval.ms": "200",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "log.cleaner.dedupe.buffer.size": "2000000",
    "log.cleaner.backoff.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.initial.task.delay.ms": "500",  # until it first looks what may be deleted
    "log.segment.delete.delay.ms": "100",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}
LOG_YAML = """\
Configuration:
  Appenders:
    Console: {name: out, PatternLayout: {pattern: "%d %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: [{ref: out}]}
"""


def jars() -> Path:
    """The folder of Kafka's jars; filled once, by Maven."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "gateway-tests" / f"kafka-{VERSION}"
    if not folder.is_dir():
        for program, remedy in (("java", "a Java 17 runtime"), ("mvn", "Maven 3")):
            if shutil.which(program) is None:
                raise RuntimeError(f"the Kafka tests need {program}: install {remedy}")
        part = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={part}", "-DincludeScope=runtime"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(part, ignore_errors=True)
            raise RuntimeError(f"Maven could not fetch Kafka:\n{done.stdout[-2000:]}")
        try:
            part.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(part)
    return folder


# No seed: two runs side by side, of one seed, must not choose the same ports.
ELSEWHERE = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Ports to listen on, again and again if need be.

    Below those that the system gives to outgoing connections: one of these could take
    a port while its server is being restarted.
    """
    found: set[int] = set()
    while len(found) < count:
        port = ELSEWHERE.randrange(*PORTS)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found.add(port)
    return list(found)


def freeze(process: subprocess.Popen[Any]) -> None:
    """SIGSTOP; returns when it stands still: on a busy machine that takes a while."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


class Node:
    """One broker and controller: its folder, its port, its process."""

    def __init__(
        self,
        folder: Path,
        *,
        number: int = 1,
        ports: tuple[int, int] | None = None,
        voters: str = "",
        changes: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port, control = ports or tuple(free_ports(2))
        self.address = f"127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._users = users or {}
        self._properties = PROPERTIES | {
            "node.id": str(number),
            "listeners": f"MAIN://{self.address},CONTROLLER://127.0.0.1:{control}",
            "inter.broker.listener.name": "MAIN",
            "listener.security.protocol.map": "MAIN:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": voters or f"{number}@127.0.0.1:{control}",
            "log.dirs": str(folder / "data"),
            **(changes or {}),
        }

    def format(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}" for name, value in self._properties.items()]
        self._file.write_text("\n".join(lines) + "\n")
        self.folder.joinpath("log4j2.yaml").write_text(LOG_YAML)
        scram = [
            word
            for name, password in self._users.items()
            for word in ("-S", f"SCRAM-SHA-512=[name={name},password={password}]")
        ]
        command = self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID)
        subprocess.run(
            [*command, "-c", str(self._file), *scram], check=True, capture_output=True
        )

    @property
    def _file(self) -> Path:
        return self.folder / "server.properties"

    def _java(self, *words: str) -> list[str]:
        log = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.yaml'}"
        return ["java", *JAVA, log, "-cp", f"{jars()}/*", *words]

    def launch(self) -> None:
        """Start the process; it is ready when ``wait`` returns."""
        with self.folder.joinpath("broker.log").open("ab") as output:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._file)),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        """Until the port answers an ApiVersions request: then it serves."""
        assert self.process
        end = time.monotonic() + START_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                text = self.folder.joinpath("broker.log").read_text()[-3000:]
                raise RuntimeError(f"Kafka did not start:\n{text}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        request = bytes.fromhex("0000000e 0012 0000 00000001 0004 74657374")
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.settimeout(1)
                s.sendall(request)
                return len(s.recv(8)) == 8
        except OSError:
            return False

    def start(self) -> None:
        self.launch()
        self.wait()

    def kill(self) -> None:
        """kill -9."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, as for an upgrade."""
        assert self.process
        self.process.terminate()
        self.process.wait()

    def freeze(self) -> None:
        assert self.process
        freeze(self.process)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)


class Cluster:
    """Several nodes that replicate to each other."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        ports = free_ports(2 * count)
        pairs = list(zip(ports[::2], ports[1::2], strict=True))
        voters = ",".join(
            f"{n}@127.0.0.1:{control}" for n, (_, control) in enumerate(pairs, 1)
        )
        changes = {"offsets.topic.replication.factor": str(count)}
        self.nodes: Sequence[Node] = [
            Node(folder / str(n), number=n, ports=pair, voters=voters, changes=changes)
            for n, pair in enumerate(pairs, 1)
        ]
        self.address = ",".join(node.address for node in self.nodes)

    def start(self) -> None:
        for node in self.nodes:
            node.format()
            node.launch()
        for node in self.nodes:
            node.wait()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()
