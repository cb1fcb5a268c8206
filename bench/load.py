"""Load from outside: wrk with our script; where it is missing, ``bench.generate``."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BODY = HERE / "identify.json"
GENERATOR = "wrk" if shutil.which("wrk") else "asyncio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the load looks."""

    name: str
    path: str
    batch: int
    connections: int


SINGLE = Shape(name="single", path="/v1/identify", batch=1, connections=64)
BATCH = Shape(name="batch of 100", path="/v1/batch", batch=100, connections=16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came back."""

    accepted: int  # events of requests that were answered 2xx
    refused: int  # requests answered otherwise
    broken: int  # connections that failed or took too long
    seconds: float
    p50_ms: float
    p99_ms: float


def send(url: str, shape: Shape, seconds: float, body: Path = BODY) -> Load:
    """Load for so many seconds; RuntimeError when the generator itself fails."""
    environment = {
        **os.environ,
        "BENCH_BODY": str(body),
        "BENCH_PATH": shape.path,
        "BENCH_BATCH": str(shape.batch),
        "BENCH_RUN": secrets.token_hex(4),
    }
    if GENERATOR == "wrk":
        command = ["wrk", "-t1", f"-c{shape.connections}", f"-d{seconds:.0f}s"]
        command += ["--timeout", "10s", "-s", str(HERE / "load.lua"), url]
    else:
        command = [sys.executable, "-m", "bench.generate", url]
        command += [str(shape.connections), str(seconds)]
    done = subprocess.run(
        command,
        env=environment,
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return _read(json.loads(line.removeprefix("RESULT ")), shape)
    raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")


def _read(found: dict[str, float], shape: Shape) -> Load:
    good = int(found["requests"]) - int(found["refused"])
    return Load(
        accepted=good * shape.batch,
        refused=int(found["refused"]),
        broken=int(found["broken"]),
        seconds=found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
    )
