"""The Track API's real clients, and a test CA: fetched and made for the tests.

Clients are kept in ``~/.cache/gateway-tests``, one folder per lock file's content. What
is missing on the machine is said with its remedy; nothing is skipped.
"""

import asyncio
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REMEDIES = {
    "node": "Node.js 20 or later",
    "npm": "Node.js 20 or later",
    "openssl": "OpenSSL 3",
    "curl": "curl",
}
NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost"


def program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is missing: install {REMEDIES[name]}"
    return found


def run(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2_000:]


def cached(name: str, lock: Path) -> tuple[Path, bool]:
    """The folder for this lock file, and whether it is filled already."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = home / "gateway-tests" / f"{name}-{digest}"
    if (folder / ".done").exists():
        return folder, True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder, False


@functools.cache
def python() -> Path:
    """The interpreter that has ``customerio``."""
    version = "".join(map(str, sys.version_info[:2]))
    lock = HERE / "requirements.txt"
    folder, done = cached(f"track-python{version}", lock)
    if not done:
        run(sys.executable, "-m", "venv", folder)
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet"]
        run(*pip, "--disable-pip-version-check", "--require-hashes", "-r", lock)
        (folder / ".done").touch()
    return folder / "bin/python"


@functools.cache
def node() -> Path:
    """The folder that has ``customerio-node`` in both versions, and the driver."""
    lock = HERE / "package-lock.json"
    folder, done = cached("track-node", lock)
    if not done:
        for file in (HERE / "package.json", lock):
            shutil.copy(file, folder)
        command = [program("npm"), "ci", "--prefix", folder, "--no-audit", "--no-fund"]
        run(*command, "--ignore-scripts", "--loglevel=error")
        (folder / ".done").touch()
    shutil.copy(HERE / "drive.js", folder)
    return folder


def certify(folder: Path) -> None:
    """``ca.pem``, and ``cert.pem`` with ``key.pem`` for loopback, signed by it."""
    openssl = program("openssl")
    new = [openssl, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    new += ["-noenc", "-subj"]
    ca = ["-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"]
    run(*new, "/CN=test CA", *ca, cwd=folder)
    run(*new, "/CN=loopback", "-keyout", "key.pem", "-out", "asked.pem", cwd=folder)
    (folder / "names").write_text(NAMES)
    sign = [openssl, "x509", "-req", "-in", "asked.pem", "-days", "2"]
    sign += ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    run(*sign, "-extfile", "names", "-out", "cert.pem", cwd=folder)


async def drive(
    command: Sequence[str | Path], given: Mapping[str, Any], trust: Path
) -> list[Any]:
    """Run a driver that trusts the test CA; what became of each call."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "NODE_EXTRA_CA_CERTS": str(trust),
            "REQUESTS_CA_BUNDLE": str(trust),
        },
    )
    out, err = await process.communicate(json.dumps(given).encode())
    assert process.returncode == 0, err.decode()
    results: list[Any] = json.loads(out)
    return results
