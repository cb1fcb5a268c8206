"""How many events a second the workspace applies, and how that grows with people.

``python -m bench.people [--url URL] [--people 10000,100000,1000000] [--events 10000]``
For each size: people are added through ``apply`` until there are so many (the time of
the last part is the cost of an add), then identifies of people already there are
measured: two of three change an attribute. CPU is of this process, all threads.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import orjson

from gateway.event import Event
from gateway.outbound.contract import Delivery, Place
from gateway.workspace.destination import People
from gateway.workspace.kind import TAKES
from gateway.workspace.publish import Publisher
from gateway.workspace.settings import Workspace
from gateway.workspace.store import Store, url_of

AT = "2026-01-02T03:04:05.000Z"


def value(number: int, person: int) -> bytes:
    """One identify, as it stands in the topic: about 600 bytes."""
    traits = {
        "email": f"person{person}@example.com",
        "firstName": "Cool",
        "lastName": "Person",
        "name": "Cool Person",
        "createdAt": "2024-02-29T12:34:56.789Z",
        "plan": "pro" if number % 3 else "free",
        "logins": number if number % 3 else 0,
        "address": {"city": "San Francisco", "postalCode": "94103"},
    }
    body = {
        "type": "identify",
        "messageId": f"message-{number}",
        "userId": f"user-{person}",
        "anonymousId": f"anonymous-{person}",
        "traits": traits,
        "context": {"active": True, "channel": "server"},
        "timestamp": AT,
        "receivedAt": AT,
        "timestampSource": "server",
        "version": 1,
        "source": "web",
    }
    return orjson.dumps(body)


class Bench:
    """One store, filled and measured through the destination itself."""

    def __init__(self, url: str, folder: Path) -> None:
        self.store = Store(url_of(url, folder))
        publisher = Publisher(self.store, self._append)
        kinds = {"web": "server"}
        self.people = People(self.store, publisher, Workspace(), kinds)  # type: ignore[arg-type]
        self.number = 0

    async def _append(self, entries: object) -> None:
        raise AssertionError(f"nobody is suppressed here: {entries}")

    async def apply(self, people: Iterable[int]) -> int:
        """Identify these people, in batches as the worker makes them."""
        batch: list[Delivery] = []
        count = 0
        for person in people:
            count += 1
            raw = value(self.number, person)
            batch.append(
                Delivery(
                    event=Event.from_bytes(raw),
                    value=raw,
                    place=Place(0, self.number, 1_700_000_000_000),
                )
            )
            self.number += 1
            if len(batch) == TAKES.batch_events:
                await self._deliver(batch)
                batch = []
        await self._deliver(batch)
        return count

    async def _deliver(self, batch: list[Delivery]) -> None:
        verdicts = await self.people.deliver(batch)
        assert all(type(each).__name__ == "Delivered" for each in verdicts), verdicts


async def measure(bench: Bench, what: str, people: Iterable[int]) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    count = await bench.apply(people)
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    print(
        f"{what:28} {count / seconds:8.0f} events/s  {used / count * 1e6:6.0f} us CPU",
        flush=True,
    )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="")
    parser.add_argument("--people", default="10000,100000")
    parser.add_argument("--events", type=int, default=10_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(asked.url or f"sqlite:///{folder}/workspace.db", Path(folder))
        have, rng = 0, random.Random(1)
        for size in map(int, asked.people.split(",")):
            last = max(have, size - asked.events)
            await bench.apply(range(have, last))
            await measure(bench, f"{size:>9,} people: add", range(last, size))
            have = size
            known = [rng.randrange(size) for _ in range(asked.events)]
            await measure(bench, f"{size:>9,} people: identify", known)
        await bench.people.close()


if __name__ == "__main__":
    asyncio.run(main())
