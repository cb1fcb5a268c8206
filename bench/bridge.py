"""The way to a vendor alone: events handed to a destination, without log or outcomes.

What Segment's actions cost beside the types of our own, when nothing else is done: a
process of Node's, its frames and the requests. ``delivery`` measures the same with all
that a worker does for each event beside it.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import delivery, processes
from bench.delivery import Run
from bench.stores import Sqlite
from bench.targets import ACTIONS, NATIVE, TOGETHER, WEBHOOK, Target
from gateway.actions import definitions
from gateway.app import loop_factory
from gateway.config import Config, load
from gateway.outbound.contract import Delivered, Delivery, Destination
from gateway.outbound.send import open_ways
from gateway.parts import Parts, check, gate_of
from gateway.trying import value_of

AT_ONCE = 32
WARM = 1_000  # events that are not counted: V8 compiles what is hot
MEASURED = (
    WEBHOOK,
    NATIVE["customerio"],
    ACTIONS["customerio"],
    ACTIONS["mixpanel"],
    TOGETHER,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridged:
    """Events that a destination got, 32 at once or as many batches."""

    destination: str
    events: int
    problem: str  # empty: each was delivered
    python_us: float
    node_us: float | None
    events_per_s: float

    @property
    def named(self) -> str:
        """What it is of."""
        return self.destination


def measure(
    folder: Path, actions: Path, body: Path, rounds: int, events: int
) -> Iterator[Bridged]:
    """Each destination in turn, round by round."""
    for number in range(rounds):
        with ExitStack() as stack:
            place = folder / f"bridge-{number}"
            place.mkdir()
            installation = definitions.place(place / definitions.ROOT)
            installation.parent.mkdir(parents=True)
            installation.symlink_to(actions.resolve())
            sink = delivery.start_sink(stack, place)
            run = Run(place, Sqlite(place), sink, MEASURED)
            config = load(run.configure(None))
            parts = check(config)
            values = _values(config, parts, body.read_text(), events + WARM)
            for target in MEASURED:
                with asyncio.Runner(loop_factory=loop_factory()) as runner:
                    yield runner.run(_bridged(config, parts, run, target, values))


def _values(config: Config, parts: Parts, body: str, events: int) -> list[bytes]:
    """As the log would have them, each of somebody else."""
    made = []
    for number in range(events):
        text = body.replace("@ID@", str(number)).replace("@PERSON@", str(number))
        made.append(value_of(config, parts, text.encode(), None))
    return made


async def _bridged(
    config: Config, parts: Parts, run: Run, target: Target, values: Sequence[bytes]
) -> Bridged:
    letter = run.letter(target)
    prepared = map(gate_of(config, parts, letter).prepare, values)
    left = [each for each in prepared if isinstance(each, Delivery)]
    async with open_ways(config.server, config.egress) as ways:
        made = parts.configured[letter].open(ways.send(10.0))
        try:
            others = set(processes.children(os.getpid()))
            await _all(made, left[:WARM])
            own = set(processes.children(os.getpid())) - others
            node = processes.cpu_us(own)
            cpu_s, began_s = time.process_time(), time.perf_counter()
            delivered = await _all(made, left[WARM:])
            took_s = time.perf_counter() - began_s
            used_us = (time.process_time() - cpu_s) * 1e6
            node = processes.cpu_us(own) - node
        finally:
            await made.close()
    events = len(values) - WARM
    return Bridged(
        destination=target.name,
        events=events,
        problem="" if delivered == events else f"{delivered} delivered of {events}",
        python_us=used_us / events,
        node_us=node / events if target.in_node else None,
        events_per_s=events / took_s,
    )


async def _all(made: Destination, left: Sequence[Delivery]) -> int:
    """Deliver them; how many were."""
    size = made.takes.batch_events
    groups = iter([left[at : at + size] for at in range(0, len(left), size)])
    delivered = 0

    async def sender() -> None:
        nonlocal delivered
        for group in groups:
            verdicts = await made.deliver(group)
            delivered += sum(isinstance(each, Delivered) for each in verdicts)

    await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    return delivered
