"""The load of load.lua without wrk: the same requests from asyncio, slower.

python -m bench.generate URL CONNECTIONS SECONDS      (and load.lua's environment)
"""

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

ANSWER_BYTES_MAX = 1_000_000


class Generator:
    """Keeps every connection busy until the time is over."""

    def __init__(self, url: str, seconds: float) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.path = os.environ["BENCH_PATH"]
        self.batch = int(os.environ["BENCH_BATCH"])
        self.run_id = os.environ["BENCH_RUN"]
        self.people = int(os.environ["BENCH_PEOPLE"])
        self.template = Path(os.environ["BENCH_BODY"]).read_text().strip()
        self.seconds = seconds
        self.sent = self.requests = self.refused = self.broken = 0
        self.took: list[float] = []

    def message(self) -> str:
        self.sent += 1
        person = f"{random.randrange(self.people):05d}"
        text = self.template.replace("@ID@", f"{self.run_id}-{self.sent:09d}")
        return text.replace("@PERSON@", person)

    def request(self) -> bytes:
        if self.batch == 1:
            body = self.message()
        else:
            body = (
                f'{{"batch":[{",".join(self.message() for _ in range(self.batch))}]}}'
            )
        return (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            "Content-Type: application/json\r\nAuthorization: Basic ZGV2Og==\r\n"
            f"Content-Length: {len(body.encode())}\r\n\r\n{body}"
        ).encode()

    async def keep_busy(self, end: float) -> None:
        reader, writer = await asyncio.open_connection(
            self.host, self.port, limit=ANSWER_BYTES_MAX
        )
        while time.monotonic() < end:
            data = self.request()
            began = time.monotonic()
            writer.write(data)
            status = await self.answer(reader)
            self.took.append(time.monotonic() - began)
            self.requests += 1
            self.refused += not 200 <= status < 300
        writer.close()

    async def answer(self, reader: asyncio.StreamReader) -> int:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = head.partition("content-length:")[2].partition("\r\n")[0]
        await reader.readexactly(int(length or 0))
        return int(head.split()[1])

    async def run(self, connections: int) -> None:
        began = time.monotonic()
        ended = await asyncio.gather(
            *(self.keep_busy(began + self.seconds) for _ in range(connections)),
            return_exceptions=True,
        )
        self.broken = sum(isinstance(each, Exception) for each in ended)
        self.seconds = time.monotonic() - began

    def result(self) -> dict[str, float]:
        took = sorted(self.took) or [0.0]
        return {
            "requests": self.requests,
            "seconds": self.seconds,
            "refused": self.refused,
            "broken": self.broken,
            "p50_ms": took[len(took) // 2] * 1e3,
            "p99_ms": took[len(took) * 99 // 100] * 1e3,
        }


if __name__ == "__main__":
    generator = Generator(sys.argv[1], float(sys.argv[3]))
    asyncio.run(generator.run(int(sys.argv[2])))
    print("RESULT", json.dumps(generator.result()))
