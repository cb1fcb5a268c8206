"""A real PostgreSQL for the tests: its own cluster, an unprivileged user, loopback.

The binaries are the system's; without them the tests fail and say what to install.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

START_S = 30.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # the tests kill processes, not machines
    "shared_buffers": "32MB",
    "max_connections": "40",
}


def binaries() -> Path:
    """The folder of initdb and postgres, the newest there is; from apt when missing."""
    if not (found := _installed()) and os.getuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "-qq", "postgresql"]
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(install, env=quiet, check=False, capture_output=True)
        found = _installed()
    if not found:
        raise RuntimeError("these tests need PostgreSQL: apt install postgresql")
    return found[-1]


def _installed() -> list[Path]:
    initdb = shutil.which("initdb")
    on_path = [] if initdb is None else [Path(initdb).resolve().parent]
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest_last = sorted(versions, key=lambda path: int(path.parts[-3]))
    return [*on_path, *(path.parent for path in newest_last)]


class Server:
    """One server: its folder, its port, its process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.port: int = s.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self._user = "nobody" if os.getuid() == 0 else None

    def url(self, database: str) -> str:
        return f"postgresql://gateway@127.0.0.1:{self.port}/{database}"

    def create(self) -> None:
        self.folder.mkdir(parents=True)
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        data = str(self.folder / "data")
        options = ["-U", "gateway", "-A", "trust", "-E", "UTF8", "--no-sync"]
        self._run("initdb", "-D", data, "--locale=C", *options)

    def _words(self, program: str, *words: str) -> list[str]:
        return [str(binaries() / program), *words]

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            self._words(program, *words),
            user=self._user,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr[-2000:]}")

    def start(self) -> None:
        options = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        words = ["-D", str(self.folder / "data"), "-p", str(self.port), *options]
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self._words("postgres", *words),
                user=self._user,
                cwd=self.folder,
                stdout=output,
                stderr=output,
            )
        end = time.monotonic() + START_S
        where = ["-h127.0.0.1", f"-p{self.port}", "-Ugateway", "-dpostgres"]
        ready = self._words("pg_isready", "-q", *where)
        while subprocess.run(ready, check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL: {log.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, as a crash does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()

    def make_database(self, name: str) -> str:
        """A new, empty database; its URL."""
        self._run("createdb", "-h127.0.0.1", f"-p{self.port}", "-Ugateway", name)
        return self.url(name)
