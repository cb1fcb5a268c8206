"""``python -m bench``: intake and delivery on both logs, beside the yardsticks."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import (
    bridge,
    delivery,
    growth,
    intake,
    ledger,
    light,
    load,
    report,
    scale,
)
from bench.load import BATCH, BODY, GENERATOR, SINGLE

YARDSTICKS = Path(__file__).parents[2] / "shared" / "bench"
STOPPED = 143
KINDS = ("intake", "delivery", "bridge", "growth", "light", "scale")
PROVEN = {
    "intake": "All that was accepted is in its log.",
    "delivery": "All of the backlog arrived, once.",
    "bridge": "All that was handed over was delivered.",
    "growth": "All that was taken in arrived.",
    "light": "All that was posted arrived, once.",
    "scale": "All that was accepted was counted, and all of it delivered.",
}


def main() -> int:
    """Exit 1 when something that was accepted is not in the log, or did not arrive."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))  # what runs is ended
    chosen = _arguments()
    measures = {
        "intake": _intake,
        "delivery": _delivery,
        "bridge": _bridge,
        "growth": _growth,
        "light": _light,
        "scale": _scale,
    }
    found: dict[str, Sequence[Any]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=chosen.folder) as name:
        chosen.body = load.prepared(chosen.body, Path(name), plain=chosen.plain_body)
        for what in KINDS:
            if what in chosen.what:
                found[what] = measures[what](chosen, Path(name))
    if chosen.json:
        report.save(chosen.json, found, rounds=chosen.rounds, seconds=chosen.seconds)
    problems = [
        f"{each.named}: {each.problem}"
        for samples in found.values()
        for each in samples
        if each.problem
    ]
    for problem in problems:
        print("PROBLEM", problem)
    for what, samples in found.items():
        if samples and not any(each.problem for each in samples):
            print(PROVEN[what])
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("what", nargs="*", default=["intake", "delivery"], metavar="|".join(KINDS))
    add("--log", action="append", choices=["sqlite", "kafka"], help="default: both")
    add("--bootstrap", metavar="HOST:PORT", help="a running Kafka; without: no Kafka")
    add("--yardsticks", type=Path, default=YARDSTICKS, metavar="DIR")
    add(
        "--actions",
        type=Path,
        metavar="DIR",
        help="what `gateway actions install` made: measure vendors, native and so",
    )
    add("--seconds", type=float, default=8, help="a round")
    add("--rounds", type=int, default=3)
    add("--backlog-seconds", type=float, default=4, help="how long a log is filled")
    add("--handed", type=int, default=20_000, help="events a destination of bridge")
    add("--per-second", type=int, default=200, help="posts: the load of light")
    add("--events", type=_numbers, default=growth.EVENTS, help="sizes of growth's log")
    add("--keys", type=_numbers, default=growth.KEYS, help="people in growth's logs")
    add("--huge", action="store_true", help="a log of ten million events, too")
    add("--body", type=Path, default=BODY, metavar="FILE", help="one identify")
    add("--plain-body", action="store_true", help="none that has to be respelt")
    add("--folder", type=Path, metavar="DIR", help="for the logs: on the disk you mean")
    add("--json", type=Path, metavar="FILE", help="keep every round")
    chosen = parser.parse_args()
    for word in chosen.what:
        if word not in KINDS:
            parser.error(f"{word!r} is none of {', '.join(KINDS)}")
    if "bridge" in chosen.what and chosen.actions is None:
        parser.error("bridge needs --actions DIR")
    chosen.log = chosen.log or ["sqlite", *(["kafka"] if chosen.bootstrap else [])]
    return chosen


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(",") if each)


def _yardsticks(chosen: argparse.Namespace) -> Path | None:
    folder: Path = chosen.yardsticks
    return folder if chosen.bootstrap and folder.is_dir() else None


def _intake(chosen: argparse.Namespace, folder: Path) -> Sequence[intake.Sample]:
    yardsticks = _yardsticks(chosen)
    if GENERATOR != "wrk":
        print("wrk is not installed: our own generator, which takes CPU of its own")
    with intake.servers(folder, chosen.log, chosen.bootstrap, yardsticks) as servers:
        found, missing = servers
        for line in missing:
            print("left out:", line, file=sys.stderr)
        samples = [
            sample
            for shape in (SINGLE, BATCH)
            for sample in intake.measure(
                found,
                shape,
                rounds=chosen.rounds,
                seconds=chosen.seconds,
                body=chosen.body,
            )
        ]
    if samples:
        text = report.intake(samples, rounds=chosen.rounds, seconds=chosen.seconds)
        print(text, end="\n\n")
    if yardsticks is None:
        print("No yardsticks: they need their folder and --bootstrap.\n")
    return samples


def _delivery(chosen: argparse.Namespace, folder: Path) -> Sequence[delivery.Delivered]:
    wanted = delivery.Wanted(
        seconds=chosen.backlog_seconds,
        rounds=chosen.rounds,
        body=chosen.body,
        actions=chosen.actions,
        yardsticks=_yardsticks(chosen),
    )
    found: list[delivery.Delivered] = []
    for kind in chosen.log:
        measured = delivery.measure(folder, kind, chosen.bootstrap, wanted)
        found += _those_that_can(f"delivery on {kind}", measured)
    if found:
        print(report.delivery(found), end="\n\n")
    return found


def _bridge(chosen: argparse.Namespace, folder: Path) -> Sequence[bridge.Bridged]:
    handed = bridge.measure(
        folder, chosen.actions, chosen.body, chosen.rounds, chosen.handed
    )
    found = list(handed)
    print(report.bridge(found), end="\n\n")
    return found


def _growth(chosen: argparse.Namespace, folder: Path) -> Sequence[growth.Grown]:
    events = (*chosen.events, *([growth.HUGE] if chosen.huge else []))
    found: list[growth.Grown] = []
    for kind in chosen.log:
        measured = growth.measure(
            folder,
            kind,
            chosen.bootstrap,
            events=events,
            keys=chosen.keys,
            seconds=chosen.seconds,
            body=chosen.body,
        )
        found += _those_that_can(f"growth on {kind}", measured)
    if found:
        print(report.growth(found), end="\n\n")
    return found


def _light(chosen: argparse.Namespace, folder: Path) -> Sequence[light.Light]:
    found: list[light.Light] = []
    for kind in chosen.log:
        measured = light.measure(
            folder,
            kind,
            chosen.bootstrap,
            per_s=chosen.per_second,
            seconds=chosen.seconds,
            rounds=chosen.rounds,
            body=chosen.body,
        )
        found += _those_that_can(f"light on {kind}", measured)
    if found:
        print(report.light(found), end="\n\n")
    return found


def _scale(chosen: argparse.Namespace, folder: Path) -> Sequence[scale.Scaled]:
    measured = scale.measure(
        folder,
        chosen.bootstrap,
        seconds=chosen.backlog_seconds,
        rounds=chosen.rounds,
        body=chosen.body,
    )
    found = _those_that_can("scale", measured)
    order = sorted(found, key=lambda each: (each.role, each.processes))
    if order:
        print(report.scale(order), end="\n\n")
    return found


def _those_that_can(what: str, measured: Iterable[Any]) -> list[Any]:
    """What is measured until something cannot be; both are told as they come."""
    found: list[Any] = []
    try:
        for each in measured:
            found.append(each)
            print(f"measured: {each}", file=sys.stderr)
    except RuntimeError as error:
        print(f"left out: {what}: {error}", file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(ledger.main() if sys.argv[1:2] == ["ledger"] else main())
