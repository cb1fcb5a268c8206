"""A ledger of N events, and what each question then takes: ``python -m bench ledger``.

Records as the log gives them go through the ledger's own writer, group by group: three
destinations, 5 % left out, 1 % dead after three attempts, 1 % refused.
"""

import argparse
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

import orjson

from gateway.event import iso
from gateway.ledger.contract import Backend, Connection
from gateway.ledger.file import File
from gateway.ledger.keep import tidy
from gateway.ledger.postgres import Database
from gateway.ledger.queries import Queries
from gateway.ledger.search import Search
from gateway.ledger.store import Store
from gateway.ledger.write import Writer
from gateway.log.contract import Headers, Record
from gateway.topics import EVENTS, OUTCOMES, REFUSED

DESTINATIONS = ("crm", "inbox", "warehouse")
GROUP = 2_000
PEOPLE = 200_000
START_MS = 1_768_472_000_000
RATE = 1_000  # events a second of the ledger's own time
ROUTE = orjson.dumps({"to": DESTINATIONS, "no": {"off": "disabled"}})
DAY_MS = 86_400_000


def main() -> int:
    chosen = _arguments()
    chance = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=chosen.folder) as folder:
        backend: Backend = File(chosen.keep or Path(folder) / "ledger.db")
        if chosen.url:
            backend = Database(chosen.url)
        ids = fill(backend, chosen.events, chance)
        report(backend, ids, chosen.events, chosen.asked, chance)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench ledger", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--asked", type=int, default=2_000, help="times each question")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="on the disk you mean")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="leave the ledger here"
    )
    parser.add_argument(
        "--url", help="a PostgreSQL database instead; a ledger that is there is dropped"
    )
    return parser.parse_args(sys.argv[2:] if sys.argv[1:2] == ["ledger"] else None)


def fill(backend: Backend, events: int, chance: random.Random) -> list[str]:
    """Write them as a running gateway would; some of their ids."""
    store, writer = Store(backend, writes=True), Writer(repeats=False)
    if isinstance(backend, Database):
        store.answer(lambda c: c.remake())
    known: list[str] = []
    began_s, cpu_s, told_s = time.monotonic(), time.process_time(), time.monotonic()
    offsets = {EVENTS: 0, OUTCOMES: 0, REFUSED: 0}
    making_s = 0.0
    for first in range(0, events, GROUP):
        before_s = time.process_time()
        groups = made(range(first, min(first + GROUP, events)), offsets, chance)
        known += [dict(r.headers)["messageId"].decode() for r in groups[EVENTS][::100]]
        making_s += time.process_time() - before_s
        for topic, records in groups.items():
            store.answer(lambda c, t=topic, r=records: writer.take(c, t, r))  # type: ignore[misc]  # bound now
        if time.monotonic() - told_s > 30:
            told_s = time.monotonic()
            print(f"  {first:,} events", file=sys.stderr)
    wall_s = time.monotonic() - began_s
    used = store.answer(lambda c: c.used_bytes())
    ours_s = time.process_time() - cpu_s - making_s
    print(f"{events:,} events, {3 * events:,} outcomes in {wall_s:.0f} s")
    print(f"CPU {ours_s / events * 1e6:.0f} us an event (with its outcomes)")
    print(f"size {used / events:.0f} bytes an event, {used / 1e9:.2f} GB")
    if isinstance(backend, Database):  # as the server does within minutes
        store.answer(lambda c: c.execute("VACUUM ANALYZE"))
    store.end()
    return known


def made(
    numbers: range, offsets: dict[str, int], chance: random.Random
) -> dict[str, list[Record]]:
    """The records of some events, as the log would give them."""
    groups: dict[str, list[Record]] = {EVENTS: [], REFUSED: [], OUTCOMES: []}

    def put(topic: str, key: bytes, value: bytes, headers: Headers, at: int) -> None:
        offset = offsets[topic] = offsets[topic] + 1
        groups[topic].append(Record(topic, 0, offset, key, value, headers, at))

    for number in numbers:
        at = START_MS + number * 1000 // RATE
        message_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        person = str(uuid.UUID(int=number * 7919 % PEOPLE)).encode()
        source = chance.choice(("web", "app", "backend"))
        shared: Headers = (
            ("messageId", message_id.encode()),
            ("source", source.encode()),
            ("type", b"track"),
            ("receivedAt", iso(at).encode()),
        )
        if chance.random() < 0.01:
            put(REFUSED, person, _refused(), shared, at)
            continue
        value = _event(message_id, number)
        put(EVENTS, person, value, (*shared, ("route", ROUTE)), at)
        for name in DESTINATIONS:
            told = _outcome(message_id, source, name, at, chance.random())
            put(OUTCOMES, person, told, shared, at + 60)
    return groups


def _event(message_id: str, number: int) -> bytes:
    """As the log keeps it; every third lacks a property, some are of two types."""
    order: dict[str, Any] = {
        "orderId": f"order-{number}",
        "total": number % 400 + 0.5,
        "quantity": number % 9,
        "currency": "EUR",
        "coupon": None if number % 7 else "SPRING",
        "first": number % 2 == 0,
        "products": [{"sku": f"sku-{number % 50}", "price": 9.5, "quantity": 1}],
        "plan": f"plan {number % 5}",
    }
    if number % 3:
        order["affiliation"] = "shop"
    told = {
        "type": "track",
        "event": "Order Completed",
        "messageId": message_id,
        "properties": order,
        "context": {"library": {"name": "analytics.js", "version": "1.0.0"}},
    }
    return orjson.dumps(told)


def _outcome(message_id: str, source: str, name: str, at: int, dice: float) -> bytes:
    kind = "dead" if dice < 0.01 else "filtered" if dice < 0.06 else "delivered"
    told: dict[str, Any] = {
        "messageId": message_id,
        "source": source,
        "destination": name,
        "kind": kind,
        "reason": {"dead": "rejected", "filtered": "when"}.get(kind),
        "attempts": {"dead": 3, "filtered": 0}.get(kind, 1),
        "firstAttemptAt": None if kind == "filtered" else iso(at + 10),
        "at": iso(at + 50),
        "replay": None,
        "status": {"dead": 422, "filtered": None}.get(kind, 200),
        "config": "a1b2c3d4",
    }
    if kind == "filtered":
        told["detail"] = "!is_email(userId)"
    if kind == "dead":
        one = {"at": iso(at + 10), "ms": 12, "status": 503, "error": "503"}
        told["tries"] = [one, one, {**one, "status": 422, "error": "422"}]
    return orjson.dumps(told)


def _refused() -> bytes:
    fault = {"pointer": "/traits/email", "message": "is not a text", "code": "type"}
    return orjson.dumps({"endpoint": "identify", "userAgent": "x", "errors": [fault]})


def report(
    backend: Backend, ids: Sequence[str], events: int, asked: int, chance: random.Random
) -> None:
    """Each question many times on a new connection, its times in milliseconds."""
    store = Store(backend, writes=False)
    end_ms = START_MS + events * 1000 // RATE
    rare = max(3, asked // 100)

    def person() -> str:
        return str(uuid.UUID(int=chance.randrange(PEOPLE)))

    def at() -> int:
        return START_MS + chance.randrange(max(1, end_ms - START_MS))

    questions: dict[str, tuple[int, Callable[[Queries], Any]]] = {
        "story": (asked, lambda q: q.story(chance.choice(ids))),
        "unknown id": (asked, lambda q: q.story(str(uuid.uuid4()))),
        "search: newest": (rare, lambda q: q.search(Search())),
        "search: person": (rare, lambda q: q.search(Search(person=person()))),
        "search: source": (rare, lambda q: q.search(Search(source="app"))),
        "search: dead at crm": (
            rare,
            lambda q: q.search(Search(destination="crm", kind="dead", until_ms=at())),
        ),
        "search: filtered at crm": (
            rare,
            lambda q: q.search(Search(destination="crm", kind="filtered")),
        ),
        "search: name, nothing found": (
            rare,
            lambda q: q.search(Search(text="no such name", until_ms=at())),
        ),
        "account: all": (3, lambda q: q.counted()),
        "account: an hour": (rare, lambda q: q.counted(at(), at())),
        "minutes: a day": (3, lambda q: q.per_minute(end_ms - DAY_MS, end_ms)),
        "dead, grouped: a day": (3, lambda q: q.dead(end_ms - DAY_MS, end_ms)),
        "refused, grouped: a day": (3, lambda q: q.refused(end_ms - DAY_MS, end_ms)),
    }
    print(f"{'question':<30}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}")
    for name, (times, ask) in questions.items():
        took = sorted(_times(store, ask, times))
        cuts = quantiles(took, n=100) if len(took) > 1 else took * 99
        print(f"{name:<30}{cuts[49]:>10.2f}{cuts[98]:>10.2f}{took[-1]:>10.2f}")
    store.end()
    _tidying(backend, end_ms)


def _times(store: Store, ask: Callable[[Queries], Any], times: int) -> Iterator[float]:
    for _ in range(times):
        began_s = time.perf_counter()
        store.answer(lambda c: ask(Queries(c)))
        yield (time.perf_counter() - began_s) * 1000


def _tidying(backend: Backend, end_ms: int) -> None:
    """The longest a writer waits while a tenth is forgotten, piece by piece."""
    store = Store(backend, writes=True)
    took: list[float] = []

    def piece(connection: Connection) -> bool:
        kept = tidy(connection, end_ms, (end_ms - START_MS) * 9 // 10, 2**62)
        return kept.more

    while True:
        began_s = time.perf_counter()
        more = store.answer(piece)
        took.append((time.perf_counter() - began_s) * 1000)
        if not more:
            break
    print(f"tidy: {len(took)} pieces, the longest {max(took):.0f} ms")
    store.end()


if __name__ == "__main__":
    sys.exit(main())
