"""``python -m bench``: intake and delivery on both logs, beside the yardsticks."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import delivery, intake, ledger, report
from bench.load import BATCH, BODY, GENERATOR, SINGLE

YARDSTICKS = Path(__file__).parents[2] / "shared" / "bench"


def main() -> int:
    """Exit 1 when something that was accepted is not in the log, or did not arrive."""
    chosen = _arguments()
    logs = chosen.log or (["sqlite", "kafka"] if chosen.bootstrap else ["sqlite"])
    samples: list[intake.Sample] = []
    deliveries: list[delivery.Delivered] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=chosen.folder) as name:
        if "intake" in chosen.what:
            samples = _intake(chosen, logs, Path(name))
        if "delivery" in chosen.what:
            deliveries = _delivery(chosen, logs, Path(name))
    if chosen.json:
        how = {"rounds": chosen.rounds, "seconds": chosen.seconds}
        report.save(chosen.json, samples, deliveries, **how)
    problems = [
        *(f"{s.server}, {s.shape}: {s.problem}" for s in samples if s.problem),
        *(f"{d.log} to {d.destination}: {d.problem}" for d in deliveries if d.problem),
    ]
    for problem in problems:
        print("PROBLEM", problem)
    if samples and not any(sample.problem for sample in samples):
        print("All that was accepted is in its log.")
    if deliveries and not any(each.problem for each in deliveries):
        print("All of the backlog arrived, once.")
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("what", nargs="*", default=["intake", "delivery"], metavar="intake|delivery")
    add("--log", action="append", choices=["sqlite", "kafka"], help="default: both")
    add("--bootstrap", metavar="HOST:PORT", help="a running Kafka; without: no Kafka")
    add("--yardsticks", type=Path, default=YARDSTICKS, metavar="DIR")
    add(
        "--actions",
        type=Path,
        metavar="DIR",
        help="what `gateway actions install` made: measure two vendors, native and so",
    )
    add("--seconds", type=float, default=8, help="a round")
    add("--rounds", type=int, default=3)
    add("--backlog-seconds", type=float, default=4, help="how long a log is filled")
    add("--body", type=Path, default=BODY, metavar="FILE", help="one identify")
    add("--folder", type=Path, metavar="DIR", help="for the logs: on the disk you mean")
    add("--json", type=Path, metavar="FILE", help="keep every round")
    chosen = parser.parse_args()
    for word in chosen.what:
        if word not in ("intake", "delivery"):
            parser.error(f"{word!r} is neither intake nor delivery")
    return chosen


def _intake(
    chosen: argparse.Namespace, logs: Sequence[str], folder: Path
) -> list[intake.Sample]:
    yardsticks = chosen.yardsticks if chosen.yardsticks.is_dir() else None
    if GENERATOR != "wrk":
        print("wrk is not installed: our own generator, which takes CPU of its own")
    with intake.servers(folder, logs, chosen.bootstrap, yardsticks) as (found, missing):
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
                body=chosen.body.resolve(),
            )
        ]
    if samples:
        text = report.intake(samples, rounds=chosen.rounds, seconds=chosen.seconds)
        print(text, end="\n\n")
    if not (yardsticks and chosen.bootstrap):
        print("No yardsticks: they need their folder and --bootstrap.\n")
    return samples


def _delivery(
    chosen: argparse.Namespace, logs: Sequence[str], folder: Path
) -> list[delivery.Delivered]:
    found: list[delivery.Delivered] = []
    for kind in logs:
        try:
            found += delivery.measure(
                folder,
                kind,
                chosen.bootstrap,
                seconds=chosen.backlog_seconds,
                rounds=chosen.rounds,
                actions=chosen.actions,
            )
        except RuntimeError as error:
            print(f"left out: delivery on {kind}: {error}", file=sys.stderr)
    if found:
        print(report.delivery(found), end="\n\n")
    return found


if __name__ == "__main__":
    sys.exit(ledger.main() if sys.argv[1:2] == ["ledger"] else main())
