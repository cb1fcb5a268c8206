"""Numbers as a table for people, and as JSON for comparisons."""

import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.delivery import Delivered
from bench.intake import Sample
from bench.load import GENERATOR

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
        stores = [each.store_us for each in mine if each.store_us is not None]
        nodes = [each.node_us for each in mine if each.node_us is not None]
        rows.append(
            [
                f"{log} to a {name}",
                f"{median(each.server_us for each in mine):.0f}",
                f"{median(nodes):.0f}" if nodes else "-",
                f"{median(stores):.0f}" if stores else "-",
                f"{median(each.events_per_s for each in mine):,.0f}",
                f"{median(each.events for each in mine):,.0f}",
            ]
        )
    head = ["", "CPU us/event", "Node us", "store us", "events/s", "events"]
    return f"Delivery of a backlog\n{_table(head, rows)}"


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


def save(
    file: Path, samples: Sequence[Sample], deliveries: Sequence[Delivered], **how: Any
) -> None:
    """Every single round, and what it was measured with."""
    text = json.dumps(
        {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": sys.version.split()[0],
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "generator": GENERATOR,
            **how,
            "intake": [asdict(sample) for sample in samples],
            "delivery": [asdict(each) for each in deliveries],
        },
        indent=1,
    )
    file.write_text(text + "\n")
