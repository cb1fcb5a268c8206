"""A process that uses the log until it is killed. Each line it prints is a promise."""

import asyncio
import itertools
import sys
from pathlib import Path

from gateway.config import LogConfig
from gateway.errors import LogError
from gateway.log.contract import Entry, EventLog
from gateway.log.kafka.log import open_kafka
from gateway.log.sqlite.log import SqliteLog, open_sqlite
from gateway.log.sqlite.retention import Keeping
from gateway.topics import declaring


async def append(log: EventLog) -> None:
    """Print a number when its entry in both topics is durable."""
    for number in itertools.count():
        value = str(number).encode()
        await log.append(
            [Entry("events", b"k", value), Entry("to.crm", b"k", value)],
        )
        print(number, flush=True)


async def settle(log: EventLog) -> None:
    """Print a number when its record's settling and its outcome are durable."""
    await log.append([Entry("to.crm", b"k", b"%d" % n) for n in range(100_000)])
    async with log.subscribe("to.crm", group="crm") as subscription:
        while True:
            for record in await subscription.poll(limit=10, timeout_s=1):
                outcome = Entry("outcomes", record.key, record.value)
                await subscription.settle([record], [outcome])
                print(record.value.decode(), flush=True)


async def follow(log: EventLog) -> None:
    """Print each record when it is settled; say so when the log refuses."""
    async with log.subscribe("to.crm", group="crm") as subscription:
        print("joined", flush=True)
        while True:
            for record in await subscription.poll(limit=5, timeout_s=0.2):
                await asyncio.sleep(0.01)
                try:
                    await subscription.settle([record])
                except LogError as error:
                    print(f"refused {record.value.decode()} {error}", flush=True)
                else:
                    print(record.value.decode(), flush=True)


async def hold(log: EventLog) -> None:
    """Keep the log open."""
    assert isinstance(log, SqliteLog)
    log.announce(admin="http://127.0.0.1:9090", token="secret")
    print("open", flush=True)
    await asyncio.Event().wait()


async def open_log(place: str) -> EventLog:
    """A file, or ``kafka|ADDRESS|PREFIX``."""
    if place.startswith("kafka|"):
        _, address, prefix = place.split("|")
        config = LogConfig(
            kind="kafka",
            bootstrap_servers=address,
            prefix=prefix,
            partitions=3,
            replication_factor=1,
        )
        return await open_kafka(config, session_s=1.0)
    declared = declaring(LogConfig())
    keeping = Keeping(retention_s=3600, size=1_000_000_000, declared=declared)
    return await open_sqlite(Path(place), keeping)


async def main(job: str, place: str) -> None:
    log = await open_log(place)
    await {"append": append, "settle": settle, "follow": follow, "hold": hold}[job](log)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
