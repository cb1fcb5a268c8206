"""Numbers as a table for people, and as JSON for comparisons."""

import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.bridge import Bridged
from bench.delivery import Delivered
from bench.growth import Grown
from bench.intake import Sample
from bench.light import Light
from bench.load import GENERATOR
from bench.scale import Scaled

YARDSTICKS = ("plain", "limit")


def intake(samples: Sequence[Sample], *, rounds: int, seconds: float) -> str:
    """A table a shape of load; every number is the median of its rounds."""
    parts = []
    for shape in dict.fromkeys(sample.shape for sample in samples):
        mine = [sample for sample in samples if sample.shape == shape]
        names = list(dict.fromkeys(sample.server for sample in mine))
        cpu = {name: _median(mine, name, lambda s: s.server_us) for name in names}
        rows = [_row(mine, name, cpu) for name in names]
        title = f"Intake, {shape} (medians of {rounds} x {seconds:g} s, {GENERATOR})"
        head = ["", "CPU us/event", "store us", "events/s", "p50 ms", "p99 ms"]
        parts.append(f"{title}\n{_table([*head, '/ plain', '/ limit'], rows)}")
    return "\n\n".join(parts)


def _row(samples: Sequence[Sample], name: str, cpu: dict[str, float]) -> list[str]:
    def of(read: Callable[[Sample], float]) -> float:
        return _median(samples, name, read)

    has_store = any(s.store_us is not None for s in samples if s.server == name)
    ratios = [cpu[name] / cpu[each] if each in cpu else None for each in YARDSTICKS]
    return [
        name,
        f"{cpu[name]:.0f}",
        f"{of(lambda s: s.store_us or 0):.0f}" if has_store else "-",
        f"{of(lambda s: s.events_per_s):,.0f}",
        f"{of(lambda s: s.p50_ms):.1f}",
        f"{of(lambda s: s.p99_ms):.1f}",
        *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
    ]


def _median(
    samples: Sequence[Sample], name: str, read: Callable[[Sample], float]
) -> float:
    return median(read(sample) for sample in samples if sample.server == name)


def delivery(found: Sequence[Delivered]) -> str:
    """A row a log and destination."""
    rows = []
    for log, name in dict.fromkeys((each.log, each.destination) for each in found):
        mine = [e for e in found if (e.log, e.destination) == (log, name)]
        rows.append(
            [
                f"{log} to a {name}",
                _middle(each.server_us for each in mine),
                _middle(each.node_us for each in mine),
                _middle(each.store_us for each in mine),
                _middle((each.events_per_s for each in mine), ",.0f"),
                _middle((each.requests for each in mine), ".2f"),
                _middle((each.events for each in mine), ",.0f"),
            ]
        )
    head = ["", "CPU us/event", "Node us", "store us", "events/s", "requests", "events"]
    return f"Delivery of a backlog\n{_table(head, rows)}"


def bridge(found: Sequence[Bridged]) -> str:
    """A row a destination."""
    rows = []
    for name in dict.fromkeys(each.destination for each in found):
        mine = [each for each in found if each.destination == name]
        rows.append(
            [
                name,
                _middle(each.python_us for each in mine),
                _middle(each.node_us for each in mine),
                _middle((each.events_per_s for each in mine), ",.0f"),
            ]
        )
    head = ["", "Python us/event", "Node us", "events/s"]
    return f"The way to a vendor alone, 32 at once\n{_table(head, rows)}"


def growth(found: Sequence[Grown]) -> str:
    """A row a size of the log, then one a number of people."""
    rows = [
        [
            each.log,
            f"{each.events:,}",
            f"{each.keys:,}",
            f"{each.single_us:.0f}",
            f"{each.batch_us:.0f}",
            "-" if each.intake_store_us is None else f"{each.intake_store_us:.0f}",
            f"{each.delivery_us:.0f}",
            "-" if each.delivery_store_us is None else f"{each.delivery_store_us:.0f}",
            f"{each.begun_s:.2f}",
        ]
        for each in found
    ]
    head = ["", "events", "people", "single us", "batch us", "store us"]
    head += ["webhook us", "store us", "first after s"]
    return f"Growth: CPU us/event with so much in the log\n{_table(head, rows)}"


def light(found: Sequence[Light]) -> str:
    """A row a log."""
    rows = []
    for log in dict.fromkeys(each.log for each in found):
        mine = [each for each in found if each.log == log]
        rows.append(
            [
                f"{log}, {mine[0].per_s} a second",
                _middle(each.server_us for each in mine),
                _middle(each.store_us for each in mine),
                *(
                    _middle((times[place] for times in every), ".1f")
                    for every in (
                        [each.answered_ms for each in mine],
                        [each.delivered_ms for each in mine],
                    )
                    for place in (0, 1)
                ),
                _middle((each.events for each in mine), ",.0f"),
            ]
        )
    head = ["", "CPU us/event", "store us", "answer p50 ms", "p99 ms"]
    head += ["webhook p50 ms", "p99 ms", "events"]
    return f"Light load: single posts to one webhook\n{_table(head, rows)}"


def scale(found: Sequence[Scaled]) -> str:
    """A row a role and number of processes; the ratio is to one process."""
    rows, one = [], 1.0
    for role, count in dict.fromkeys((each.role, each.processes) for each in found):
        mine = [e for e in found if (e.role, e.processes) == (role, count)]
        rate = median(each.events_per_s for each in mine)
        one = rate if count == 1 else one
        rows.append(
            [
                f"{count} x {role}",
                _middle(each.server_us for each in mine),
                _middle(each.store_us for each in mine),
                f"{rate:,.0f}",
                f"{rate / one:.2f}",
            ]
        )
    head = ["", "CPU us/event", "store us", "events/s", "to one"]
    return f"Processes on Kafka\n{_table(head, rows)}"


def _middle(values: Iterable[float | None], form: str = ".0f") -> str:
    """The median of those that are known."""
    known = [each for each in values if each is not None]
    return format(median(known), form) if known else "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def save(file: Path, found: Mapping[str, Sequence[Any]], **how: Any) -> None:
    """Every single round, and what it was measured with."""
    text = json.dumps(
        {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": sys.version.split()[0],
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "generator": GENERATOR,
            **how,
            **{what: [asdict(each) for each in every] for what, every in found.items()},
        },
        indent=1,
    )
    file.write_text(text + "\n")
