"""Load from outside: wrk with our script; where it is missing, ``bench.generate``."""

import http.client
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
BODY = HERE / "identify.json"
PEOPLE = 10_000
RESPELT = '"employee_count"', '"employee_total"'  # a reserved trait; none
FORBIDDEN = '"Mixpanel":false', '"Nobody":false'  # its sender forbids one we measure
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


def prepared(body: Path, folder: Path, *, plain: bool) -> Path:
    """The identify that is sent: anybody may have it.

    ``plain``: no destination has to respell a trait of it, as no yardstick does.
    """
    text = body.read_text().replace(*FORBIDDEN)
    own = folder / "identify.json"
    own.write_text(text.replace(*RESPELT) if plain else text)
    return own


def send(
    url: str, shape: Shape, seconds: float, body: Path = BODY, people: int = PEOPLE
) -> Load:
    """Load for so many seconds; RuntimeError when the generator itself fails."""
    environment = {
        **os.environ,
        "BENCH_BODY": str(body),
        "BENCH_PATH": shape.path,
        "BENCH_BATCH": str(shape.batch),
        "BENCH_RUN": secrets.token_hex(4),
        "BENCH_PEOPLE": str(people),
    }
    if GENERATOR == "wrk":
        command = [
            "wrk",
            "-t1",
            f"-c{shape.connections}",
            f"-d{max(1, round(seconds))}s",
        ]
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


def post(url: str, events: int, body: Path, people: int = PEOPLE) -> None:
    """So many events and no more, in batches; RuntimeError when one is refused."""
    template, run = body.read_text().strip(), secrets.token_hex(4)
    headers = {"Authorization": "Basic ZGV2Og==", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    with closing(connection):
        for start in range(0, events, BATCH.batch):
            messages = [
                template.replace("@ID@", f"{run}-{number:09d}").replace(
                    "@PERSON@", f"{random.randrange(people):05d}"
                )
                for number in range(start, min(start + BATCH.batch, events))
            ]
            text = f'{{"batch":[{",".join(messages)}]}}'
            connection.request("POST", BATCH.path, text.encode(), headers)
            response = connection.getresponse()
            said = response.read()
            if response.status != http.client.OK or b"rejected" in said:
                raise RuntimeError(f"{response.status} {said[:500]!r}")


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
