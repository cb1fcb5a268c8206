"""Processes that are measured: started, waited for, their CPU time read from /proc."""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]
TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
START_S = 30.0
STOP_S = 60.0


def cpu_us(pids: Iterable[int]) -> float:
    """User and system time of these processes so far, all threads."""
    total = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) * TICK_US
    return total


def children(pid: int) -> list[int]:
    """The processes that it has started and that run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(each) for task in tasks for each in task.read_text().split()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as s:
        port: int = s.getsockname()[1]
        return port


def listener(port: int) -> list[int]:
    """The pids of this machine that listen on the port and that we may look at."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{words[9]}]")
    return [int(p.name) for p in Path("/proc").glob("[0-9]*") if _has(p, sockets)]


def _has(process: Path, sockets: set[str]) -> bool:
    try:
        return any(str(f.readlink()) in sockets for f in (process / "fd").iterdir())
    except OSError:
        return False


class Program:
    """One process; ``with`` stops it by SIGTERM. Its stderr is kept in a file."""

    def __init__(
        self, command: Sequence[str], errors: Path, **environment: str
    ) -> None:
        self.errors = errors
        with errors.open("ab") as file:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def first_line(self) -> str:
        """What it prints first; RuntimeError with its errors when it does not."""
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], START_S)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.fail()
        return line

    def await_port(self, port: int) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.fail()

    def fail(self) -> None:
        self.stop()
        raise RuntimeError(self.errors.read_text()[-1500:] or "it said nothing")


def gateway(config: Path, errors: Path) -> tuple[Program, str, str]:
    """``gateway serve``: the process, its public address, its admin address."""
    words = [sys.executable, "-m", "gateway", "--config", str(config), "serve"]
    program = Program(words, errors)
    _, public, _, admin = program.first_line().split()
    return program, public, admin


def role(config: Path, name: str, errors: Path) -> tuple[Program, str]:
    """``gateway serve --role NAME``: the process and its admin address."""
    words = [sys.executable, "-m", "gateway", "--config", str(config), "serve"]
    program = Program([*words, "--role", name], errors)
    return program, program.first_line().split()[-1]


def reference(script: Path, errors: Path, **environment: str) -> tuple[Program, str]:
    """A yardstick: ``python SCRIPT PORT``."""
    port = free_port()
    program = Program([sys.executable, str(script), str(port)], errors, **environment)
    program.await_port(port)
    return program, f"http://127.0.0.1:{port}"
